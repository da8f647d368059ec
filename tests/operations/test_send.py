"""From a file to Braze and to the results: what a run says of each row is what the sandbox took."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.sandbox import read_ledger
from bulk_sender.sandbox.ledger import user_key
from tests.kit.samples import CONFIGURED, ROOT, SAMPLES, readme_table
from tests.kit.sandbox import run_in_thread
from tests.kit.target import KEY
from tests.kit.workplace import APPROVED, FAST, Workplace, people


def key_of(line: dict[str, str]) -> str:
    """A line of the results as the ledger names the same person."""
    if line["identifier_type"] == "user_alias":
        label, _, name = line["identifier"].partition(":")
        return user_key("user_alias", {"alias_label": label, "alias_name": name})
    return user_key(line["identifier_type"], line["identifier"])


# ----- samples


@pytest.mark.parametrize("name", ["recipients.csv", "recipients.parquet", *CONFIGURED])
def test_a_sample_goes_out_and_its_results_are_what_the_sandbox_took(workplace: Workplace, name: str) -> None:
    config = ROOT / "config" / CONFIGURED[name] if name in CONFIGURED else None
    [(rows, invalid, repeats)] = [
        map(int, row[1:4]) for row in readme_table("| file | rows | invalid |") if row[0] == name
    ]
    summary = workplace.send(
        SAMPLES / name, config=config, overrides={"braze.canvas_id": "v"} if "canvas" in name else {}
    )
    assert (summary.state, summary.exit_code) == ("finished", 1)
    assert (summary.rejected, summary.duplicate) == (invalid, repeats)
    assert summary.rows == (137 if name == "customers.csv" else rows)  # whom the configured filter lets through
    lines = workplace.results()
    accepted = [line for line in lines if line["status"] == "accepted"]
    assert Counter(line["status"] for line in lines) == {
        "accepted": summary.accepted,
        "rejected": invalid,
        "duplicate": repeats,
    }
    assert {key_of(line): [line["dispatch_id"]] for line in accepted} == workplace.taken()
    assert len(accepted) == len(workplace.taken())
    assert summary.requests == workplace.braze.ledger.requests == -(-len(accepted) // 50)
    assert json.loads((workplace.runs / "r" / "summary.json").read_text()) == summary.to_dict()


def test_a_rehearsal_needs_neither_key_nor_endpoint_nor_campaign(tmp_path: Path) -> None:
    source = SAMPLES / "mails.csv"
    config = ROOT / "config" / "campaign-emails.toml"
    summary = bs.send(source, config=config, overrides=FAST, sandbox=True, runs_dir=tmp_path, environment={})
    assert (summary.state, summary.accepted, summary.rejected, summary.duplicate) == ("finished", 196, 2, 2)


def test_a_rows_story_leads_to_the_request_that_the_sandbox_took(workplace: Workplace) -> None:
    workplace.send(workplace.write(*people(60)))
    story = bs.explain("r", 55, runs_dir=workplace.runs)
    assert story["recipient"] == {"external_user_id": "u55", "attributes": {"city": "Paris"}}
    [[attempt]] = [batch["attempts"] for batch in story["batches"]]
    [request] = [one for one in read_ledger(workplace.folder / "ledger") if "external_user_id:u55" in one.recipients]
    assert (attempt["body_sha256"], attempt["dispatch_id"]) == (request.body_sha256, request.dispatch_id)
    assert request.recipients == tuple(f"external_user_id:u{number}" for number in range(51, 61))


# ----- a row that Braze refuses


@pytest.mark.parametrize("place", [1, 26, 50])
def test_a_row_that_braze_refuses_is_isolated_and_the_other_49_go(workplace: Workplace, place: int) -> None:
    rows = people(50)
    rows[0] += ",attributes.current_location:json"
    rows[1:] = [row + "," for row in rows[1:]]
    rows[place] += '"{""longitude"":""east""}"'
    summary = workplace.send(workplace.write(*rows))
    assert (summary.state, summary.accepted, summary.failed, summary.exit_code) == ("finished", 49, 1, 1)
    [failed] = [line for line in workplace.results() if line["status"] == "failed"]
    assert (failed["row"], failed["http_status"], failed["error_code"]) == (str(place), "400", "http_400")
    assert "recipients[0].attributes.current_location" in failed["error"]
    taken = workplace.taken()
    assert len(taken) == 49
    assert f"external_user_id:u{place}" not in taken
    assert workplace.braze.ledger.twice() == {}
    assert summary.requests <= 1 + 2 * 6  # halving fifty six times leaves one


def test_a_request_that_braze_refuses_whatever_the_rows_stops_the_run(tmp_path: Path) -> None:
    with run_in_thread(keys=[KEY], campaigns=["another"], ledger_file=tmp_path / "ledger") as braze:
        workplace = Workplace(tmp_path, braze)
        summary = workplace.send(workplace.write(*people(120)))
    assert (summary.state, summary.exit_code, summary.not_sent) == ("stopped", 3, 120)
    assert "Braze does not know the campaign" in str(summary.reason)
    assert workplace.taken() == {}


# ----- going on with a run


def test_a_stopped_run_resumes_where_it_stopped_and_sends_to_everybody_once(workplace: Workplace) -> None:
    rows = [*people(170), "u3,Rome", ",Rome", "u200,Oslo"]
    source = workplace.write(*rows)
    stopped = workplace.send(source, guards=bs.Guards(canary=60))
    assert (stopped.state, stopped.exit_code) == ("stopped", 3)
    assert 0 < stopped.accepted < 170
    assert len(workplace.taken()) == stopped.accepted
    assert stopped.rows == sum(
        (stopped.accepted, stopped.rejected, stopped.duplicate, stopped.failed, stopped.unknown, stopped.not_sent)
    )
    finished = workplace.resume(watch=APPROVED)
    assert (finished.state, finished.accepted, finished.rejected, finished.duplicate) == ("finished", 171, 1, 1)
    assert workplace.braze.ledger.twice() == {}
    lines = workplace.results()
    assert [line["row"] for line in lines] == [str(number) for number in range(1, len(rows))]
    assert {key_of(line): [line["dispatch_id"]] for line in lines if line["dispatch_id"]} == workplace.taken()


def test_a_run_with_a_configured_mapping_resumes_as_well(workplace: Workplace) -> None:
    config = ROOT / "config" / "campaign-external-ids.toml"
    source = SAMPLES / "customers.csv"
    assert workplace.send(source, config=config, guards=bs.Guards(canary=50)).state == "stopped"
    finished = workplace.resume(watch=APPROVED)
    assert (finished.state, finished.rows, finished.accepted) == ("finished", 137, 132)
    assert workplace.braze.ledger.twice() == {}


def test_the_same_call_again_resumes_a_stopped_run_and_only_reports_a_finished_one(workplace: Workplace) -> None:
    source = workplace.write(*people(120))
    assert workplace.send(source, guards=bs.Guards(canary=50)).state == "stopped"
    finished = workplace.send(source, watch=APPROVED)
    assert (finished.state, finished.accepted, finished.exit_code) == ("finished", 120, 0)
    requests = workplace.braze.ledger.requests
    for again in (workplace.send(source), workplace.resume()):
        assert again == finished
    assert workplace.braze.ledger.requests == requests == 3
    assert workplace.braze.ledger.twice() == {}


@pytest.mark.parametrize("canary", [50, None])
def test_an_input_changed_by_one_byte_is_refused(workplace: Workplace, canary: int | None) -> None:
    source = workplace.write(*people(120))
    before = workplace.send(source, guards=bs.Guards(canary=canary))
    taken = workplace.taken()
    source.write_bytes(source.read_bytes().replace(b"u120,Paris", b"u121,Paris"))
    with pytest.raises(bs.RunMismatchError, match="run 'r' exists, with another input"):
        workplace.send(source)
    if before.state == "stopped":
        with pytest.raises(bs.RunMismatchError, match=r"people\.csv has changed since the run began"):
            workplace.resume()
    assert workplace.taken() == taken


def test_a_missing_input_is_refused_unless_it_was_read_to_its_end(workplace: Workplace) -> None:
    source = workplace.write(*people(120))
    workplace.send(source)
    moved = shutil.move(source, workplace.folder / "elsewhere.csv")
    assert workplace.resume().state == "finished"
    assert workplace.send(Path(moved)).state == "finished"  # what counts is what a file holds


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"braze.campaign_id": "d"}, "braze.campaign_id"),
        ({"braze.canvas_id": "v"}, "braze.campaign_id, braze.canvas_id"),
        ({"message.trigger_properties": {"season": "winter"}}, "message.trigger_properties.season"),
        ({"input.duplicates": "allow"}, "input.duplicates"),
        ({"input.filter": "external_user_id <> 'u1'"}, "input.filter"),
        ({"recipient.external_user_id": "external_user_id"}, "recipient.external_user_id"),
    ],
)
def test_a_changed_configuration_is_refused_and_the_setting_named(
    workplace: Workplace, change: dict[str, Any], named: str
) -> None:
    source = workplace.write(*people(60))
    workplace.send(source)
    with pytest.raises(bs.RunMismatchError) as refused:
        workplace.send(source, overrides=change)
    assert str(refused.value).startswith(f"run 'r' exists, with another {named}")
    assert len(workplace.taken()) == 60


def test_a_mismatch_never_proposes_to_send_to_the_same_people_without_saying_so(workplace: Workplace) -> None:
    """A warehouse gives the same rows in another order: following the hint must not message anybody twice."""
    rows = people(120)
    source = workplace.write(*rows)
    workplace.send(source, guards=bs.Guards(canary=50))
    shuffled = workplace.write(rows[0], *reversed(rows[1:]))
    with pytest.raises(bs.RunMismatchError, match="another input") as stopped:
        workplace.send(shuffled)
    assert stopped.value.hint.startswith(
        "continue with what it was started with: bulk-sender resume r, or bs.resume('r'). "
        "Another run would send a second message"
    )
    assert stopped.value.hint.endswith("leave them out with --exclude r")
    with pytest.raises(bs.RunMismatchError, match="has changed since the run began") as changed:
        workplace.resume(watch=APPROVED)
    assert changed.value.hint.startswith("restore the file, then resume. Another run would send a second message")
    workplace.write(*rows)
    assert workplace.resume(watch=APPROVED).state == "finished"
    workplace.write(rows[0], *reversed(rows[1:]))
    with pytest.raises(bs.RunMismatchError) as finished:
        workplace.send(shuffled)
    assert finished.value.hint.startswith("it has finished, and bulk-sender status r shows it. Another run would")
    assert workplace.braze.ledger.twice() == {}


def test_how_a_run_is_delivered_may_change(workplace: Workplace) -> None:
    source = workplace.write(*people(120))
    workplace.send(source, guards=bs.Guards(canary=50))
    overrides = {"delivery.concurrency": 1, "delivery.rate": "1000/second"}
    finished = workplace.send(source, overrides=overrides, watch=APPROVED)
    assert (finished.state, finished.accepted) == ("finished", 120)


# ----- rejected rows


def test_rejected_rows_are_fixed_and_sent_as_a_separate_run(workplace: Workplace) -> None:
    config = ROOT / "config" / "campaign-external-ids.toml"
    workplace.send(SAMPLES / "customers.csv", config=config)
    first = workplace.taken()
    rejected = workplace.runs / "r" / "rejected.csv"
    with rejected.open(newline="") as file:
        header, *rows = list(csv.reader(file, delimiter=";"))
    assert len(rows) == 3
    for number, row in enumerate(rows):
        mended = {"Customer no": f"mended-{number}", "Order total": "19.90", "Basket": "[]"}
        row[:] = [mended.get(name, cell) for name, cell in zip(header, row, strict=True)]
    with rejected.open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([header, *rows])
    again = workplace.send(rejected, run_id="again", config=config)
    assert (again.state, again.rows, again.accepted) == ("finished", 3, 3)
    assert set(workplace.taken()) - set(first) == {f"external_user_id:mended-{number}" for number in range(3)}
    assert workplace.braze.ledger.twice() == {}


def test_a_rejected_row_of_a_typed_table_goes_out_from_the_csv_with_its_types(workplace: Workplace) -> None:
    workplace.send(SAMPLES / "recipients.parquet")
    rejected = workplace.runs / "r" / "rejected.csv"
    with rejected.open(newline="") as file:
        [row] = csv.DictReader(file)
    assert row["attributes.score:float"] == "NaN"
    assert workplace.send(rejected, run_id="unmended").rejected == 1
    rejected.write_text(rejected.read_text().replace("NaN", "0.5"))
    assert workplace.send(rejected, run_id="mended").accepted == 1
    [number] = [line["row"] for line in workplace.results() if line["status"] == "rejected"]
    original = pl.read_parquet(SAMPLES / "recipients.parquet").row(int(number) - 1, named=True)
    story = bs.explain("mended", 1, runs_dir=workplace.runs)
    assert story["recipient"]["external_user_id"] == original["external_user_id"]
    attributes = {name: value for name, value in original["attributes"].items() if value is not None}
    assert story["recipient"]["attributes"] == attributes | {"score": 0.5}
    assert story["recipient"]["trigger_properties"]["items"] == [
        item | {"price": float(item["price"])} for item in original["trigger_properties"]["items"]
    ]


# ----- before anything is sent


ONE_AT_MOST, REFUSED = bs.Guards(max_recipients=1), bs.Guards(confirm=lambda preview: False)


@pytest.mark.parametrize(
    ("rows", "options", "error", "complaint"),
    [
        (["external_user_id"], {}, bs.InputError, "has no data row"),
        (["name", "Ada"], {}, bs.ConfigError, "no column identifies a recipient"),
        (["external_user_id", "u"], {"overrides": {"input.filter": "city = 'x'"}}, bs.ConfigError, "input.filter"),
        (["external_user_id", "u"], {"overrides": {"braze.endpoint": "http://example.com"}}, bs.ConfigError, "is http"),
        (["external_user_id", "u"], {"overrides": {"input.timezone": "Paris"}}, bs.ConfigError, "is not a time zone"),
        (["external_user_id", "u", "v"], {"guards": ONE_AT_MOST}, bs.GuardrailError, "2 recipients are more than"),
        (["external_user_id", "u"], {"guards": REFUSED}, bs.GuardrailError, "not confirmed"),
        (["external_user_id", "u"], {"run_id": "../r"}, bs.ConfigError, "is not a valid name of a run"),
    ],
)
def test_what_can_be_known_before_is_refused_before_anything_is_sent_or_made(
    workplace: Workplace, rows: list[str], options: dict[str, Any], error: type[bs.BulkSenderError], complaint: str
) -> None:
    with pytest.raises(error) as refused:
        workplace.send(workplace.write(*rows), **options)
    assert complaint in str(refused.value)
    assert refused.value.exit_code == 2
    assert workplace.braze.ledger.requests == 0
    assert not workplace.runs.exists() or list(workplace.runs.iterdir()) == []


@pytest.mark.parametrize("format_", ["csv", "parquet", "ndjson"])
def test_the_key_is_in_no_file_of_the_run(workplace: Workplace, format_: str) -> None:
    workplace.send(workplace.write(*people(3)), run=bs.RunName(result_format=format_))  # type: ignore[arg-type]
    files = [path for path in (workplace.runs / "r").rglob("*") if path.is_file()]
    assert f"results.{format_}" in {path.name for path in files}
    for path in files:
        assert KEY.encode() not in path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600
