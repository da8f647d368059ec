"""Never twice, beyond one run: the same input again, a lost folder, fixed rows, and people to leave out."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender import journal as journals
from tests.kit.target import ENVIRONMENT
from tests.kit.workplace import APPROVED, FAST, Workplace, people


def twice(workplace: Workplace) -> dict[str, list[str]]:
    return {name: ids for name, ids in workplace.taken().items() if len(ids) > 1}


def overview(workplace: Workplace, run_id: str) -> bs.RunOverview:
    [found] = [each for each in bs.runs(workplace.runs) if each.run_id == run_id]
    return found


# ----- the same input to the same target


def test_the_same_input_to_the_same_campaign_is_refused(workplace: Workplace) -> None:
    source = workplace.write(*people(60))
    workplace.send(source, "first")
    with pytest.raises(bs.GuardrailError, match=r"this input was sent to this campaign .* ago \(run first") as refused:
        workplace.send(source, "second")
    assert "60 recipients accepted" in str(refused.value)
    assert "--exclude first" in refused.value.hint
    assert "everyone once more" in refused.value.hint
    assert twice(workplace) == {}
    assert not (workplace.runs / "second").exists()


def test_another_name_of_the_file_does_not_make_it_another_input(workplace: Workplace) -> None:
    workplace.send(workplace.write(*people(3), name="one.csv"), "first")
    with pytest.raises(bs.GuardrailError):
        workplace.send(workplace.write(*people(3), name="other.csv"), "second")
    assert twice(workplace) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"again": True},
        {"guards": bs.Guards(again=True)},
        {"guards": bs.Guards(confirm_again=lambda preview: bool(preview.repeats))},
        {"overrides": {"guard.repeat_within": "0"}},
        {"overrides": {"braze.campaign_id": "another"}},
        {"sandbox": True},
    ],
)
def test_what_is_asked_for_or_is_something_else_is_sent(workplace: Workplace, change: dict[str, Any]) -> None:
    source = workplace.write(*people(3))
    workplace.send(source, "first")
    assert workplace.send(source, "second", **change).accepted == 3


def test_a_no_to_the_question_sends_nothing(workplace: Workplace) -> None:
    source = workplace.write(*people(3))
    workplace.send(source, "first")
    with pytest.raises(bs.GuardrailError, match="not confirmed"):
        workplace.send(source, "second", guards=bs.Guards(confirm_again=lambda _: False))
    assert twice(workplace) == {}


def test_a_rehearsal_and_a_run_that_reached_nobody_are_no_repeats(workplace: Workplace) -> None:
    source = workplace.write(*people(3))
    workplace.send(source, "rehearsal", sandbox=True)
    workplace.send(workplace.write("external_user_id,a", ",x", name="bad.csv"), "bad")
    workplace.send(workplace.folder / "bad.csv", "bad-again")
    assert workplace.send(source, "real").accepted == 3


def test_an_old_run_is_no_repeat(workplace: Workplace) -> None:
    source = workplace.write(*people(3))
    workplace.send(source, "first")
    with sqlite3.connect(workplace.runs / "index.sqlite") as index:
        [(text,)] = index.execute("SELECT summary FROM run")
        summary = json.loads(text) | {"finished_at": "2020-01-01T00:00:00.000Z"}
        index.execute("UPDATE run SET created_at = '2020-01-01T00:00:00.000Z', summary = ?", [json.dumps(summary)])
    assert workplace.send(source, "second").accepted == 3


def test_a_run_that_an_earlier_release_sent_is_found_without_an_index(workplace: Workplace) -> None:
    source = workplace.write(*people(3))
    workplace.send(source, "first")
    (workplace.runs / "index.sqlite").unlink()
    with pytest.raises(bs.GuardrailError, match="run first"):
        workplace.send(source, "second")


def test_of_two_processes_that_send_the_same_at_once_one_is_refused(workplace: Workplace) -> None:
    source = workplace.write(*people(120))
    barrier, ended = threading.Barrier(2), []

    def agree(_: bs.Preview) -> bool:
        barrier.wait(30)  # both have looked for repeats before either begins
        return True

    def send(name: str) -> None:
        try:
            ended.append(workplace.send(source, name, guards=bs.Guards(confirm=agree)).accepted)
        except bs.GuardrailError:
            ended.append("refused")

    threads = [threading.Thread(target=send, args=[name]) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(str, ended)) == ["120", "refused"]
    assert twice(workplace) == {}


def test_a_stopped_run_is_not_resumed_over_another_that_sent_the_same(workplace: Workplace) -> None:
    source = workplace.write(*people(120))
    workplace.send(source, "held", guards=bs.Guards(canary=50))
    workplace.send(source, "whole", guards=bs.Guards(exclude=["held"]))
    with pytest.raises(bs.GuardrailError, match=r"run whole.*after run held began"):
        workplace.resume("held")
    assert len(workplace.taken()) == 120
    assert twice(workplace) == {}
    assert workplace.resume("held", again=True, watch=APPROVED).accepted == 120


@pytest.mark.parametrize("given", ["held", "held/results.csv"])
def test_a_stopped_run_is_not_resumed_over_another_input_that_left_out_its_people(
    workplace: Workplace, given: str
) -> None:
    workplace.send(workplace.write(*people(120)), "held", guards=bs.Guards(canary=50))
    corrected = workplace.folder / "corrected.csv"
    corrected.write_text("\n".join(people(121)) + "\n")
    name = given if given == "held" else workplace.runs / given
    assert workplace.send(corrected, "rest", guards=bs.Guards(exclude=[name])).accepted == 71
    with pytest.raises(bs.GuardrailError, match=r"without the people whom this run had reached, was sent.*run rest.*"):
        workplace.resume("held")
    assert len(workplace.taken()) == 121
    assert twice(workplace) == {}
    assert workplace.resume("held", again=True, watch=APPROVED).accepted == 120


def test_a_broadcast_is_not_repeated(workplace: Workplace) -> None:
    def broadcast(run_id: str, **options: Any) -> bs.Summary:
        target = {"campaign_id": "c", "endpoint": workplace.braze.url, "runs_dir": workplace.runs}
        return bs.broadcast(confirm_campaign="c", run_id=run_id, environment=ENVIRONMENT, **target, **options)

    broadcast("first")
    with pytest.raises(bs.GuardrailError, match="this broadcast was sent to this campaign"):
        broadcast("second")
    assert broadcast("third", again=True).exit_code == 0
    other = {"message.audience": {"custom_attribute": {"custom_attribute_name": "a", "comparison": "exists"}}}
    assert broadcast("fourth", overrides=other).exit_code == 0


# ----- folders


def test_a_run_whose_folder_is_gone_is_refused_by_its_name(workplace: Workplace) -> None:
    source = workplace.write(*people(3))
    workplace.send(source, "winter")
    shutil.rmtree(workplace.runs / "winter")
    with pytest.raises(bs.GuardrailError, match=r"run 'winter' began at .* is gone") as refused:
        workplace.send(source, "winter")
    assert "would send to everyone again" in refused.value.hint
    with pytest.raises(bs.RunNotFoundError, match="is gone"):
        bs.status("winter", runs_dir=workplace.runs)
    with pytest.raises(bs.GuardrailError, match="run winter"):
        workplace.send(source, "other")
    assert overview(workplace, "winter").is_gone
    assert twice(workplace) == {}


def test_a_folder_of_runs_that_has_to_exist_is_not_made(workplace: Workplace) -> None:
    missing = workplace.folder / "not mounted"
    run = bs.RunName(id="r", folder=missing, must_exist=True)
    target = {"endpoint": workplace.braze.url, "campaign_id": "c", "environment": ENVIRONMENT}
    with pytest.raises(bs.ConfigError, match="does not exist") as refused:
        bs.send(workplace.write(*people(3)), run=run, **target)
    assert f"bulk-sender runs init {missing}" in refused.value.hint
    assert not missing.exists()
    missing.mkdir()
    assert bs.send(workplace.folder / "people.csv", run=run, **target).accepted == 3


@pytest.mark.parametrize("name", ["../elsewhere", "/etc", "..", ".hidden", "a/b", "", "x\n", "a" * 121])
def test_a_name_never_leads_out_of_the_folder_of_runs(workplace: Workplace, name: str) -> None:
    source = workplace.write(*people(3))
    bs.send(source, sandbox=True, run_id="elsewhere", runs_dir=workplace.folder)
    workplace.runs.mkdir()
    for call in (
        lambda: bs.status(name, runs_dir=workplace.runs),
        lambda: bs.explain(name, 1, runs_dir=workplace.runs),
        lambda: bs.report(name, runs_dir=workplace.runs),
        lambda: workplace.resume(name),
        lambda: bs.retry(name, failed=True, runs_dir=workplace.runs),
        lambda: bs.resolve(name, verdict="accepted", runs_dir=workplace.runs),
        lambda: bs.reconcile(name, runs_dir=workplace.runs, environment=ENVIRONMENT),
    ):
        with pytest.raises(bs.ConfigError, match="not a valid name"):
            call()


# ----- fixed rows


def fix(path: Path, **cells: str) -> None:
    """Give the first rejected row of a file other cells."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0] |= cells
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def rejected(workplace: Workplace) -> Path:
    """The rejects of run ``r``: its third row has no identifier."""
    summary = workplace.send(workplace.write(*people(2), ",Rome", "u4,Oslo"))
    assert (summary.accepted, summary.rejected) == (3, 1)
    return workplace.runs / "r" / "rejected.csv"


def test_rejected_rows_say_where_they_come_from(rejected: Path) -> None:
    with rejected.open(newline="") as file:
        [row] = csv.DictReader(file)
    assert list(row) == ["external_user_id", "attributes.city", "error", "source_line", "run"]
    assert (row["source_line"], row["run"]) == ("4", "r")


def test_the_added_columns_never_hide_the_inputs_own(workplace: Workplace) -> None:
    workplace.send(workplace.write("external_user_id,run,error", ",mine,none"))
    path = workplace.runs / "r" / "rejected.csv"
    header, line = path.read_text().splitlines()
    assert header == "external_user_id,run,error,bulk_sender_error,source_line,bulk_sender_run"
    assert line.startswith(",mine,none,")
    workplace.send(path, "again")
    assert (workplace.runs / "again" / "rejected.csv").read_text().splitlines()[0] == header


def test_a_fixed_row_for_somebody_who_got_the_message_is_a_duplicate(workplace: Workplace, rejected: Path) -> None:
    fix(rejected, external_user_id="u1")
    summary = workplace.send(rejected, "fixed")
    assert (summary.duplicate, summary.accepted, summary.exit_code) == (1, 0, 0)
    [row] = workplace.results("fixed")
    assert row["error"] == "accepted or in doubt in run r, whose rejected rows are sent"
    assert twice(workplace) == {}


def test_a_file_that_was_copied_elsewhere_knows_its_parent_too(workplace: Workplace, rejected: Path) -> None:
    copy = workplace.folder / "mended.csv"
    shutil.copy(rejected, copy)
    fix(copy, external_user_id="u1")
    assert workplace.send(copy, "fixed").duplicate == 1
    (workplace.folder / "elsewhere").mkdir()
    with pytest.raises(bs.GuardrailError, match="no such run in"):
        bs.send(
            copy,
            overrides={"braze.endpoint": workplace.braze.url, "braze.campaign_id": "c"} | FAST,
            runs_dir=workplace.folder / "elsewhere",
            environment=ENVIRONMENT,
        )
    assert twice(workplace) == {}


def test_the_parent_shows_that_its_rows_were_sent_again(workplace: Workplace, rejected: Path) -> None:
    before = bs.status("r", runs_dir=workplace.runs)
    assert (before.sent_again, before.open_rows) == (0, 1)
    workplace.send(rejected, "unfixed")
    assert bs.status("r", runs_dir=workplace.runs).open_rows == 1
    fix(rejected, external_user_id="u9")
    assert workplace.send(rejected, "fixed").accepted == 1
    after = bs.status("r", runs_dir=workplace.runs)
    assert (after.rejected, after.sent_again, after.open_rows) == (1, 1, 0)
    assert overview(workplace, "r").open_rows == 0


def test_a_second_fix_leaves_out_whom_the_first_one_reached(workplace: Workplace, rejected: Path) -> None:
    fix(rejected, external_user_id="u9")
    workplace.send(rejected, "fixed")
    fix(rejected, **{"attributes.city": "Milan"})
    summary = workplace.send(rejected, "fixed-again")
    assert (summary.duplicate, summary.accepted) == (1, 0)
    assert twice(workplace) == {}


@pytest.mark.parametrize("how", ["is gone", "its data was removed"])
def test_a_second_fix_is_refused_while_nobody_knows_whom_the_first_one_reached(
    workplace: Workplace, rejected: Path, how: str
) -> None:
    fix(rejected, external_user_id="u9")
    workplace.send(rejected, "fixed")
    with closing(journals.index(workplace.runs)) as index:
        if how == "its data was removed":
            known = index.entry("fixed")
            assert known is not None
            index.note(dataclasses.replace(known, pruned_at=known.last_at))
    shutil.rmtree(workplace.runs / "fixed")
    fix(rejected, **{"attributes.city": "Milan"})
    with pytest.raises(bs.GuardrailError, match=r"run 'fixed' sent .* who already got the message is not known") as no:
        workplace.send(rejected, "fixed-again")
    assert how in str(no.value)
    assert "also to people whom that run has reached" in no.value.hint
    assert twice(workplace) == {}
    assert workplace.send(rejected, "rehearsed", sandbox=True).accepted == 1
    assert workplace.send(rejected, "fixed-again", guards=bs.Guards(again=True)).accepted == 1


def test_fixed_rows_wait_until_their_parent_has_sent_its_own(workplace: Workplace) -> None:
    workplace.send(
        workplace.write("external_user_id,a", ",x", *(f"u{n},x" for n in range(100))), guards=bs.Guards(canary=1)
    )
    rejected = workplace.runs / "r" / "rejected.csv"
    fix(rejected, external_user_id="u42")
    with pytest.raises(bs.GuardrailError, match="still has rows to send") as refused:
        workplace.send(rejected, "fixed")
    assert "bulk-sender resume r first" in refused.value.hint
    workplace.resume(watch=APPROVED)
    assert workplace.send(rejected, "fixed").duplicate == 1
    assert twice(workplace) == {}


def test_a_rejects_file_that_somebody_changed_is_never_overwritten(workplace: Workplace, rejected: Path) -> None:
    written = rejected.read_bytes()
    bs.resolve("r", verdict="accepted", runs_dir=workplace.runs)
    assert rejected.read_bytes() == written
    assert not rejected.with_name("rejected-2.csv").exists()
    fix(rejected, external_user_id="u9")
    changed = rejected.read_bytes()
    for _ in range(2):
        bs.resolve("r", verdict="accepted", runs_dir=workplace.runs)
        assert rejected.read_bytes() == changed
        assert rejected.with_name("rejected-2.csv").read_bytes() == written
    assert bs.status("r", runs_dir=workplace.runs).files["rejected"].endswith("rejected-2.csv")
    fix(rejected.with_name("rejected-2.csv"), external_user_id="u8")
    bs.resolve("r", verdict="accepted", runs_dir=workplace.runs)
    assert rejected.with_name("rejected-3.csv").read_bytes() == written


# ----- people to leave out


def left_out(workplace: Workplace, *sources: str | Path, rows: tuple[str, ...], run_id: str = "rest") -> bs.Summary:
    return workplace.send(workplace.write(*rows, name="rest.csv"), run_id, guards=bs.Guards(exclude=sources))


def test_people_of_another_run_are_left_out(workplace: Workplace) -> None:
    workplace.send(workplace.write(*people(60)), "first")
    summary = left_out(workplace, "first", rows=tuple(people(100)))
    assert (summary.accepted, summary.duplicate, summary.exit_code) == (40, 60, 0)
    assert {row["error"] for row in workplace.results("rest") if row["status"] == "duplicate"} == {
        "accepted or in doubt in run first"
    }
    assert twice(workplace) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ids.csv", "external_user_id\nu2\nu3\n"),
        ("single.csv", "anything\nu2\nu3\n"),
        ("wide.csv", "name;external_user_id\nAnna;u2\nBob;u3\n"),
        (
            "results.csv",
            "identifier_type,identifier,status\nexternal_user_id,u2,accepted\n"
            "external_user_id,u3,unknown\nexternal_user_id,u4,failed\n",
        ),
    ],
)
def test_people_of_a_list_are_left_out(workplace: Workplace, name: str, text: str) -> None:
    (workplace.folder / name).write_text(text)
    summary = left_out(workplace, workplace.folder / name, rows=tuple(people(5)))
    assert [row["identifier"] for row in workplace.results("rest") if row["status"] == "duplicate"] == ["u2", "u3"]
    assert summary.accepted == 3


def test_a_list_of_addresses_leaves_them_out_whatever_their_case(workplace: Workplace) -> None:
    rows = ("email,prioritization", "Anna@Example.com,identified", "bob@example.com,identified")
    (workplace.folder / "stop.csv").write_text("mail\nanna@example.com \n")
    summary = left_out(workplace, workplace.folder / "stop.csv", rows=rows)
    assert (summary.duplicate, summary.accepted) == (1, 1)


def test_aliases_are_left_out_by_both_parts(workplace: Workplace) -> None:
    header = "user_alias.alias_name,user_alias.alias_label"
    workplace.send(workplace.write(header, "a,x", "b,x"), "first")
    summary = left_out(workplace, "first", rows=(header, "a,x", "a,y"))
    assert (summary.duplicate, summary.accepted) == (1, 1)
    by_file = left_out(workplace, workplace.runs / "first" / "results.csv", rows=(header, "b,x", "b,y"), run_id="file")
    assert (by_file.duplicate, by_file.accepted) == (1, 1)


def test_a_resumed_run_leaves_out_the_same_people(workplace: Workplace) -> None:
    workplace.send(workplace.write(*people(60)), "first")
    stop = workplace.folder / "stop.csv"
    stop.write_text("external_user_id\nu100\n")
    source = workplace.write(*people(120), name="rest.csv")
    guards = bs.Guards(exclude=["first", stop], canary=70)
    assert workplace.send(source, "rest", guards=guards).state == "stopped"
    stop.unlink()
    shutil.rmtree(workplace.runs / "first")
    assert workplace.resume("rest", watch=APPROVED).accepted == 59
    assert twice(workplace) == {}
    assert not (workplace.runs / "rest" / "input").exists()


@pytest.mark.parametrize(
    ("source", "error", "text"),
    [
        ("nobody", bs.RunNotFoundError, "there is no run 'nobody'"),
        ("rehearsal", bs.ConfigError, "was a rehearsal"),
        ("list.csv", bs.ConfigError, "none of its columns names people"),
    ],
)
def test_a_source_that_names_nobody_is_refused(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, source: str, error: type[Exception], text: str
) -> None:
    monkeypatch.chdir(workplace.folder)
    workplace.send(workplace.write(*people(3)), "rehearsal", sandbox=True)
    workplace.write("name,city", "Anna,Rome", name="list.csv")
    with pytest.raises(error, match=text):
        left_out(workplace, source, rows=tuple(people(3)))
    assert workplace.taken() == {}


def test_check_counts_who_would_be_left_out(workplace: Workplace) -> None:
    workplace.send(workplace.write(*people(60)), "first")
    rest = workplace.write(*people(100), name="rest.csv")
    report = bs.check(rest, guards=bs.Guards(exclude=["first"]), runs_dir=workplace.runs)
    assert (report.valid, report.excluded) == (40, 60)


# ----- removing data


def test_old_runs_lose_what_they_hold_of_people_and_stay_known(workplace: Workplace) -> None:
    source = workplace.write(*people(3))
    workplace.send(source, "old")
    assert bs.prune("1 day", runs_dir=workplace.runs) == []
    asked: list[list[str]] = []
    with pytest.raises(bs.GuardrailError, match="not confirmed"):
        bs.prune("0", runs_dir=workplace.runs, confirm=lambda names: asked.append(names) is not None)
    assert bs.prune("0", runs_dir=workplace.runs) == ["old"] == asked[0]
    assert [path.name for path in (workplace.runs / "old").iterdir()] == ["summary.json"]
    known = overview(workplace, "old")
    assert (known.accepted, known.is_gone, bool(known.pruned_at)) == (3, False, True)
    with pytest.raises(bs.GuardrailError, match="its data was removed"):
        workplace.send(source, "old")
    with pytest.raises(bs.GuardrailError, match="run old"):
        workplace.send(source, "new")
    assert not journals.exists(journals.RunRef.at(workplace.runs / "old"))


def test_the_line_of_a_row_counts_blank_lines_and_rows_without_values(workplace: Workplace) -> None:
    rows = ("external_user_id,attributes.city", "u1,Rome", "", ",", "u2,Oslo", '"u3","two', 'lines"', ",Bern", "u4,x")
    workplace.send(workplace.write(*rows))
    found = [(row["identifier"], row["source_row"], row["source_line"]) for row in workplace.results()]
    assert found == [("u1", "1", "2"), ("u2", "2", "5"), ("u3", "3", "6"), ("", "4", "8"), ("u4", "5", "9")]


def test_a_damaged_index_refuses_to_send_and_hides_nothing(workplace: Workplace) -> None:
    source = workplace.write(*people(2), ",Rome")
    workplace.send(source, "first")
    (workplace.runs / "index.sqlite").write_bytes(b"not a database, and long enough to be looked at" * 100)
    assert [run.run_id for run in bs.runs(workplace.runs)] == ["first"]
    assert bs.status("first", runs_dir=workplace.runs).rejected == 1
    with pytest.raises(bs.JournalError, match=r"index\.sqlite, cannot be used") as refused:
        workplace.send(workplace.write(*people(3), name="other.csv"), "second")
    assert "move it away" in refused.value.hint
    (workplace.runs / "index.sqlite").unlink()
    with pytest.raises(bs.GuardrailError, match="run first"):
        workplace.send(source, "second")


def test_a_workbook_of_rejects_knows_its_parent_and_is_never_replaced(workplace: Workplace) -> None:
    frame = pl.DataFrame({"external_user_id": ["001", None, None], "attributes.city": ["Oslo", "Rome", "Bern"]})
    frame.write_excel(workplace.folder / "people.xlsx")
    summary = workplace.send(workplace.folder / "people.xlsx")
    assert (summary.accepted, summary.rejected) == (1, 2)
    path = Path(summary.files["rejected_xlsx"])
    fixed = pl.DataFrame(
        {
            "external_user_id": ["001", "002"],
            "attributes.city": ["Rome", "Bern"],
            "error": ["", ""],
            "source_line": ["3", "4"],
            "run": ["r", "r"],
        }
    )
    fixed.write_excel(path)
    before = path.read_bytes()
    again = workplace.send(path, "fixed")
    assert (again.duplicate, again.accepted) == (1, 1)
    assert twice(workplace) == {}
    assert bs.status("r", runs_dir=workplace.runs).sent_again == 2
    workplace.send(workplace.folder / "people.xlsx")
    assert path.read_bytes() == before
