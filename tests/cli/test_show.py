"""Looking at runs, and writing their results again. One run is made for all of them."""

from __future__ import annotations

import json
import shutil
import signal
import stat
from pathlib import Path

import polars as pl
import pytest

from bulk_sender.sandbox import RunningSandbox
from tests.kit.command import Here, OnTerminal, Outcome, Place, end, until
from tests.kit.inputs import read as workbook
from tests.kit.sandbox import run_in_thread
from tests.kit.target import CAMPAIGN, KEY
from tests.reporting.markup import read


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Run ``r``: 60 accepted, one rejected, one duplicate; and ``s``, stopped with everything to send."""
    with run_in_thread(keys=[KEY], campaigns=[CAMPAIGN]) as braze:
        place = Place(tmp_path_factory.mktemp("show"), braze.url)
        path = place.people(60)
        rows = path.read_text().replace("\n", ",\n").replace("external_user_id,", "external_user_id,note")
        path.write_text(rows + ",x\nuser-0001,\n")
        assert place.send(path, "--run-id", "r").code == 1
        assert place.run("send", path, "--campaign-id", "nobody", "--yes", "--run-id", "s").code == 3
    return place


def _rows(text: str) -> pl.DataFrame:
    return pl.read_csv(text.encode())


def test_runs_lists_all_of_them(finished: Place, here: Here) -> None:
    done = here.run(finished, "runs")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[1].split()[:4] == ["r", "finished", "62", "60"]
    assert lines[2].split()[:4] == ["s", "stopped", "62", "0"]
    assert [run["run_id"] for run in here.run(finished, "runs", "--json").json] == ["r", "s"]


def test_no_runs_is_an_empty_list(finished: Place, here: Here) -> None:
    assert here.run(finished, "runs", "--runs-dir", "elsewhere", "--json").json == []
    assert "no run" in here.run(finished, "runs", "--runs-dir", "elsewhere").err


def test_status_is_the_summary_on_standard_output(finished: Place, here: Here) -> None:
    assert here.run(finished, "status", "r", "--json").json == finished.summary("r")
    done = here.run(finished, "status", "s")
    assert done.code == 0
    assert "Run s stopped: Braze does not know the campaign" in done.out
    assert "bulk-sender resume s" in done.out


def test_status_names_the_options_that_send_fixed_rows(place: Place, here: Here) -> None:
    job = place.write("job.toml", '[recipient]\nexternal_user_id = "who"\n')
    people = place.write("people.csv", "who,note\nanna,\n,x\n")
    assert here.send(place, people, "--config", job, "--run-id", "r").code == 1
    again = f"send bulk-sender-runs/r/rejected.csv --config job.toml --campaign-id {CAMPAIGN}\n"
    assert again in here.run(place, "status", "r").out
    assert again in here.run(place, "resume", "r", "--yes").err
    page = read((place.runs / "r" / "report.html").read_text()).words()
    assert f"rejected.csv --config {job} --campaign-id {CAMPAIGN}" in page
    assert here.run(place, "send", people, "--config", job, "--sandbox", "--run-id", "s", "--yes").code == 1
    assert "send bulk-sender-runs/s/rejected.csv --config job.toml --sandbox\n" in here.run(place, "status", "s").out


def test_status_follows_a_run_on_a_terminal_to_its_end(place: Place, braze: RunningSandbox, here: Here) -> None:
    path = place.people(900)
    process = place.start(*("send", path, "--campaign-id", CAMPAIGN, "--yes", "--run-id", "r", "--rate", "1/second"))
    until(lambda: braze.ledger.requests > 0)
    assert here.run(place, "status", "r", "--json").json["state"] == "running"
    with OnTerminal(place, "status", "r") as terminal:
        assert f"by process {process.pid}" in terminal.see("is in progress")
        assert end(process, signal.SIGTERM).code == 143
        terminal.see("Run r interrupted: SIGTERM")
        assert terminal.end() == 0


def test_explain_tells_every_kind_of_row(finished: Place, here: Here) -> None:
    accepted = here.run(finished, "explain", "r", "60", "--json").json
    assert accepted["recipient"] == {"external_user_id": "user-0060"}
    assert accepted["status"] == "accepted"
    [batch] = accepted["batches"]
    assert (batch["size"], len(batch["attempts"]), batch["attempts"][0]["http_status"]) == (10, 1, 201)
    told = here.run(finished, "explain", "r", "60").out
    for word in ("Row 60: accepted", "user-0060", "attempt 1", "HTTP 201", batch["attempts"][0]["dispatch_id"]):
        assert word in told
    assert "Row 61: rejected" in here.run(finished, "explain", "r", "61").out
    assert "Row 62: duplicate" in here.run(finished, "explain", "r", "62").out


def test_explain_of_a_row_that_is_not_there_is_refused(finished: Place, here: Here) -> None:
    done = here.run(finished, "explain", "r", "63")
    assert done.code == 2
    assert "no row 63" in done.err


def test_find_shows_a_persons_rows_in_all_runs(finished: Place, here: Here) -> None:
    done = here.run(finished, "find", "user-0060")
    assert done.code == 0
    for word in ("Run r, row 60: accepted", "people.csv, line 61", "sent", "UTC"):
        assert word in done.out
    [row] = here.run(finished, "find", "user-0060", "--run", "bulk-sender-runs/r", "--json").json["rows"]
    assert (row["run_id"], row["row"], row["status"], row["identifier"]) == ("r", 60, "accepted", "user-0060")


def test_find_says_where_nothing_was_found_and_what_was_not_searched(finished: Place, here: Here) -> None:
    done = here.run(finished, "find", "nobody")
    assert done.code == 0
    assert done.out.startswith("No row with this identifier in ")
    (finished.runs / "broken").mkdir()
    (finished.runs / "broken" / "journal.sqlite").write_bytes(b"no journal")
    try:
        told = here.run(finished, "find", "nobody").out
    finally:
        shutil.rmtree(finished.runs / "broken")
    assert "not searched: run broken: " in told
    assert here.run(finished, "find", " ").code == 2
    assert here.run(finished, "find", "nobody", "--run", "none").code == 2


# --- export ---------------------------------------------------------------------------------------------------------


def test_export_makes_the_run_s_own_files_again(finished: Place, here: Here) -> None:
    folder = finished.runs / "r"
    before = {name: (folder / name).read_bytes() for name in ("results.csv", "rejected.csv", "summary.json")}
    for name in before:
        (folder / name).unlink()
    assert here.run(finished, "export", "r").code == 0
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_export_of_some_statuses_goes_to_standard_output(finished: Place, here: Here) -> None:
    done = here.run(finished, "export", "r", "--status", "rejected,duplicate")
    assert done.err == ""
    assert _rows(done.out)["status"].to_list() == ["rejected", "duplicate"]
    lines = here.run(finished, "export", "r", "--status", "rejected", "--status", "accepted", "--format", "ndjson").out
    assert len([json.loads(line) for line in lines.splitlines()]) == 61


def test_export_to_a_file_is_private_and_never_replaces_one_unasked(finished: Place, here: Here) -> None:
    output = finished.folder / "out.parquet"
    assert here.run(finished, "export", "r", "--output", output).code == 0
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert len(pl.read_parquet(output)) == 62
    refused = here.run(finished, "export", "r", "--output", output, "--status", "rejected")
    assert refused.code == 2
    assert "--force" in refused.err
    assert len(pl.read_parquet(output)) == 62
    assert here.run(finished, "export", "r", "--output", output, "--status", "rejected", "--force").code == 0
    assert len(pl.read_parquet(output)) == 1
    assert stat.S_IMODE(output.stat().st_mode) == 0o600


def test_export_follows_no_link_and_spares_input_and_journal(finished: Place, here: Here) -> None:
    precious = finished.folder / "people.csv"
    other = finished.write("other.csv", "somebody's own")
    link = finished.folder / "link.csv"
    link.symlink_to(other)
    before = precious.read_bytes()
    for output, words in (
        (link, "is a symbolic link"),
        (precious, "never replaced"),
        (finished.runs / "r" / "journal.sqlite", "never replaced"),
    ):
        done = here.run(finished, "export", "r", "--output", output, "--force")
        assert done.code == 2
        assert words in done.err
    assert link.is_symlink()
    assert other.read_text() == "somebody's own"
    assert precious.read_bytes() == before
    assert here.run(finished, "status", "r", "--json").json["rows"] == 62


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--status", "lost"), "--status"),
        (("--status", "accepted", "--format", "parquet"), "--output FILE"),
        (("--output", "nowhere/out.csv"), "cannot be written"),
    ],
)
def test_export_refuses_what_it_cannot_do(finished: Place, here: Here, arguments: tuple[str, ...], words: str) -> None:
    done: Outcome = here.run(finished, "export", "r", *arguments)
    assert done.code == 2
    assert words in done.err


def test_export_of_a_run_in_progress_leaves_its_folder_alone(place: Place, braze: RunningSandbox, here: Here) -> None:
    process = place.start(
        *("send", place.people(900), "--campaign-id", CAMPAIGN, "--yes", "--run-id", "r", "--rate", "1/second")
    )
    until(lambda: braze.ledger.requests > 0)
    refused = here.run(place, "export", "r")
    assert (refused.code, f"held by process {process.pid}" in refused.err) == (2, True)
    looked = here.run(place, "export", "r", "--output", "-")
    assert len(_rows(looked.out)) == 900
    end(process, signal.SIGINT)


# --- check ----------------------------------------------------------------------------------------------------------


def test_check_needs_nothing_but_the_input(tmp_path: Path, here: Here) -> None:
    place = Place(tmp_path)
    place.variables = {}
    path = place.write("people.csv", "external_user_id,trigger_properties.name,shoe\nanna,Anna,41\nben,Ben,42\n")
    done = here.run(place, "check", path)
    assert done.code == 0
    assert '"external_user_id": "anna"' in done.out
    assert "'shoe'" in done.err
    assert not place.runs.exists()


def test_check_counts_and_gives_reasons_with_examples(tmp_path: Path, here: Here) -> None:
    place = Place(tmp_path)
    path = place.write("people.csv", "external_user_id,attributes.age:integer\nanna,7\nben,old\nanna,8\n")
    done = here.run(place, "check", path, "--json", "--rate", "1/minute")
    assert done.code == 1
    counts = {name: done.json[name] for name in ("rows", "valid", "rejected", "duplicate", "requests")}
    assert counts == {"rows": 3, "valid": 1, "rejected": 1, "duplicate": 1, "requests": 1}
    [example] = done.json["reasons"]["invalid_value"]["examples"]
    assert (example["row"], example["identifier"]) == (2, "ben")
    assert "row 2" in here.run(place, "check", path).out


def test_check_says_first_when_most_rows_would_be_rejected_and_offers_no_rehearsal(tmp_path: Path, here: Here) -> None:
    place = Place(tmp_path)
    path = place.write("people.csv", "external_user_id,attributes.age:integer\nanna,7\nben,old\nlea,x\n")
    done = here.run(place, "check", path)
    assert done.code == 1
    assert done.out.startswith("2 of 3 rows would be rejected: is this the right file, and does the mapping fit?")
    assert "--sandbox" not in done.err
    assert "would be rejected" not in done.err
    told = here.run(place, "check", path, "--json").json["warnings"]
    assert told[0].startswith("2 of 3 rows would be rejected")
    broken = place.write("broken.csv", "external_user_id,attributes.age:integer\nanna,7\nben,1,1\nlea,2,1\n")
    assert "See [input] header_row and delimiter" in " ".join(here.run(place, "check", broken).out.split())
    half = place.write("half.csv", "external_user_id,attributes.age:integer\nanna,7\nben,old\n")
    done = here.run(place, "check", half)
    assert "would be rejected:" not in done.out
    assert "--sandbox" in done.err


def test_init_ends_its_first_sentence_where_it_has_nothing_to_say(tmp_path: Path, here: Here) -> None:
    place = Place(tmp_path)
    path = place.write("people.csv", "external_user_id,trigger_properties.city\n0007,Paris\n")
    assert here.run(place, "init", path).err.startswith("Wrote people.toml.\n\nRead it")


def test_init_and_check_say_where_the_header_was_found(tmp_path: Path, here: Here) -> None:
    place = Place(tmp_path)
    text = "Clients actifs\nExport du 27/11/2026\n\nN° client;Prénom;\n000077;Zoé;\n000078;Ann;\n"
    path = place.write("clients.csv", text)
    done = here.run(place, "init", path)
    said = "the header is line 4; 3 lines above it were left out: 'Clients actifs'"
    assert said in " ".join(done.err.split())
    draft = (tmp_path / "clients.toml").read_text()
    assert f"header_row = 4    # {said}" in draft
    assert "column_3" not in draft
    done = here.run(place, "check", path, "--config", "clients.toml")
    assert (done.code, "left out" in done.err, "column_3" in done.err) == (0, False, False)
    place.write("id.toml", '[recipient]\nexternal_user_id = "N° client"\n')
    done = here.run(place, "check", path, "--config", "id.toml")
    assert f"clients.csv: {said}" in " ".join(done.err.split())


def test_check_warns_of_a_guard_that_send_would_meet(tmp_path: Path, here: Here) -> None:
    place = Place(tmp_path)
    done = here.run(place, "check", place.people(3), "--max-recipients", "2")
    assert done.code == 2
    assert "3  of 3 rows" in done.out
    assert "3 recipients are more than --max-recipients 2" in done.err


def test_check_and_explain_give_the_line_of_the_file(tmp_path: Path, here: Here) -> None:
    place = Place(tmp_path)
    text = 'List\n\nexternal_user_id,attributes.age:integer\nanna,7\n"be\nn",old\n\ncarl,8\nu1,2,3\n'
    path = place.write("people.csv", text)
    done = here.run(place, "check", path)
    assert "row 2, line 5" in done.out
    assert "people.csv, line 9: the row has 3 fields" in " ".join(done.out.split())
    found = here.run(place, "check", path, "--json").json["reasons"]["invalid_value"]["examples"]
    assert [(example["source_row"], example["source_line"]) for example in found] == [(2, 5)]
    assert here.run(place, "send", path, "--sandbox", "--yes", "--run-id", "r").code == 1
    assert "people.csv, line 8" in here.run(place, "explain", "r", "3").out


def test_the_row_of_a_sheet_is_given(tmp_path: Path, here: Here) -> None:
    place = Place(tmp_path)
    frame = pl.DataFrame({"external_user_id": ["u1", "u2"], "attributes.age:integer": ["7", "old"]})
    frame.write_excel(tmp_path / "people.xlsx")
    path = tmp_path / "people.xlsx"
    assert "row 2, sheet row 3" in here.run(place, "check", path).out
    done = here.run(place, "send", path, "--sandbox", "--yes", "--run-id", "r")
    assert "Fix these rows in rejected.xlsx, then send it" in " ".join(done.err.split())
    assert "rejected.csv, rejected.xlsx" in " ".join(done.err.split())
    assert "people.xlsx, row 3" in here.run(place, "explain", "r", "2").out


def test_results_are_a_workbook_when_asked_for(tmp_path: Path, here: Here) -> None:
    place = Place(tmp_path)
    path = place.write("people.csv", "external_user_id\n000104\n")
    done = here.run(place, "send", path, "--sandbox", "--yes", "--run-id", "r", "--format", "xlsx", "--json")
    assert done.json["files"]["results"].endswith("results.xlsx")
    assert workbook(place.runs / "r" / "results.xlsx")["identifier"].to_list() == ["000104"]
    assert here.run(place, "export", "r", "--output", "again.xlsx").code == 0
    assert workbook(tmp_path / "again.xlsx")["identifier"].to_list() == ["000104"]
    assert (
        "a workbook cannot go to standard output" in here.run(place, "export", "r", "-o", "-", "--format", "xlsx").err
    )
    assert "000104" in here.run(place, "export", "r", "--output", "-").out
