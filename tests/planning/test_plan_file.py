"""Plan files: a send with a plan sends exactly the planned requests, byte for byte, or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.delivery import planned
from bulk_sender.planning import prepared
from bulk_sender.reading import csv as reading_csv
from bulk_sender.reading.identity import FileStamp
from tests.faults import FaultServer, Turn, ok
from tests.kit.target import CAMPAIGN, ENVIRONMENT

CONFIG: dict[str, Any] = {
    "guard": {"preflight": False},  # the first request is to be one of the plan's
    "message": {"trigger_properties": {"season": "winter", "year": 2026}},
    "recipient": {
        "external_user_id": "id",
        "trigger_properties": {"name": "name", "shop": {"value": "north"}},
        "attributes": {"tier": "tier"},
    },
}


KEPT = Path("the plan that check wrote")


class Bench:
    """A server that keeps every body in order of arrival, an input, and the arguments of both commands."""

    def __init__(self, place: Path, server: FaultServer, bodies: list[bytes]) -> None:
        self.place, self.server, self.bodies = place, server, bodies
        self.input = place / "people.csv"
        self.write(230)
        self.plan = place / "plan.json"
        self.runs = place / "runs"

    def write(self, rows: int) -> None:
        lines = [f"u{number:04},name {number},{number % 5}" for number in range(rows)]
        lines[7] = ",without an identifier,1"
        lines[9] = lines[8]
        self.input.write_text("id,name,tier\n" + "\n".join(lines) + "\n")

    def given(self, **more: Any) -> dict[str, Any]:
        return {
            "config": CONFIG,
            "endpoint": self.server.url,
            "campaign_id": CAMPAIGN,
            "environment": ENVIRONMENT,
        } | more

    def check(self, source: Any = None, **more: Any) -> bs.CheckReport:
        return bs.check(self.input if source is None else source, write_plan=self.plan, **self.given(**more))

    def send(self, source: Any = None, *, plan_file: Path | None = KEPT, **guards_and_more: Any) -> bs.Summary:
        """Send to the plan that ``check`` wrote, unless another one is given."""
        names = set(bs.Guards.__dataclass_fields__)
        guards = {name: value for name, value in guards_and_more.items() if name in names}
        more = {name: value for name, value in guards_and_more.items() if name not in names}
        delivery = {"delivery.share_rate": False, "delivery.rate": "100000/second"}
        more["overrides"] = delivery | more.get("overrides", {})
        given = {"runs_dir": self.runs, "concurrency": 1, **self.given(**more)}
        guards["plan_file"] = self.plan if plan_file is KEPT else plan_file
        return bs.send(self.input if source is None else source, guards=bs.Guards(**guards), **given)

    @property
    def planned(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.plan.read_text())
        return found

    @property
    def received(self) -> str:
        return hashlib.sha256(b"".join(self.bodies)).hexdigest()


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    bodies: list[bytes] = []

    def keeping(turn: Turn) -> Any:
        bodies.append(turn.body)
        return ok

    with FaultServer(keeping) as server:
        yield Bench(tmp_path, server, bodies)


# --- unchanged --------------------------------------------------------------------------------------------------------


def test_the_planned_requests_arrive_byte_for_byte(bench: Bench) -> None:
    report = bench.check()
    assert bench.server.ledger.requests == []
    summary = bench.send()
    assert (summary.state, summary.accepted, summary.rejected, summary.duplicate) == ("finished", 228, 1, 1)
    assert bench.received == bench.planned["bodies_sha256"] == report.bodies_sha256
    assert bench.planned["counts"] == {"rows": 230, "valid": 228, "rejected": 1, "duplicate": 1, "requests": 5}


def test_a_plan_describes_itself_in_plain_text_and_is_private(bench: Bench) -> None:
    bench.check()
    assert stat.S_IMODE(bench.plan.stat().st_mode) == 0o600
    plan = bench.planned
    content = bench.input.read_bytes()
    assert plan["input"] == [
        {"name": str(bench.input), "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    ]
    assert (plan["kind"], plan["version"], plan["tool"]) == ("bulk-sender plan", 1, f"bulk-sender {bs.__version__}")
    assert plan["configuration"]["braze"]["campaign_id"] == CAMPAIGN
    assert plan["configuration"]["message"]["trigger_properties"] == {"season": "winter", "year": 2026}
    text = bench.plan.read_text()
    assert ENVIRONMENT["BRAZE_API_KEY"] not in text
    assert "u0001" not in text
    assert "name 1" not in text


def test_planning_twice_writes_the_same_file(bench: Bench) -> None:
    bench.check()
    first = bench.plan.read_bytes()
    bench.check()
    assert bench.plan.read_bytes() == first


def test_a_renamed_file_with_the_same_bytes_is_the_same_input(bench: Bench) -> None:
    bench.check()
    moved = bench.input.rename(bench.place / "renamed.csv")
    assert bench.send(moved).accepted == 228


def test_the_digest_of_a_plan_is_that_of_what_is_sent_and_not_of_names(bench: Bench) -> None:
    def digest(**more: Any) -> str:
        bench.check(**more)
        return bs.PlanFile.read(bench.plan).digest

    first = digest()
    bench.input = bench.input.rename(bench.place / "renamed.csv")
    assert digest() == first
    others = {digest(guards=bs.Guards(canary=50)), digest(endpoint="http://127.0.0.1:1"), digest(campaign_id="other")}
    assert len(others | {first}) == 4


async def agreed(_: bs.Progress) -> bool:
    return True


@pytest.mark.parametrize("canary", [1, 50, 60, 229])
def test_a_canary_is_part_of_the_plan_because_it_changes_the_batches(bench: Bench, canary: int) -> None:
    bench.check(guards=bs.Guards(canary=canary))

    with pytest.raises(bs.GuardrailError, match=rf"the canary \(none, in the plan {canary}\)"):
        bench.send()
    assert bench.send(canary=canary, watch=bs.Watch(on_canary=agreed)).accepted == 228
    assert bench.received == bench.planned["bodies_sha256"]


def test_a_run_held_after_its_canary_resumes_according_to_the_plan(bench: Bench) -> None:
    bench.check(guards=bs.Guards(canary=30))
    held = bench.send(canary=30, run_id="a")
    assert (held.state, held.accepted) == ("stopped", 28)
    overrides = {"delivery.concurrency": 1}
    watch = bs.Watch(on_canary=agreed)
    summary = bs.resume("a", runs_dir=bench.runs, environment=ENVIRONMENT, overrides=overrides, watch=watch)
    assert (summary.state, summary.accepted) == ("finished", 228)
    assert bench.received == bench.planned["bodies_sha256"]


def test_a_finished_run_repeated_with_its_plan_is_only_reported(bench: Bench) -> None:
    bench.check()
    first = bench.send(run_id="a")
    again = bench.send(run_id="a")
    assert again == first
    assert len(bench.server.ledger.requests) == 5


def test_a_frame_can_be_planned(bench: Bench) -> None:
    frame = pl.read_csv(bench.input, infer_schema=False)
    bench.check(frame)
    assert bench.send(frame.lazy()).accepted == 228
    assert bench.received == bench.planned["bodies_sha256"]
    with pytest.raises(bs.GuardrailError, match="input frame"):
        bench.send(frame[:-1])


def test_a_plan_can_be_rehearsed_in_the_sandbox(bench: Bench) -> None:
    bench.check()
    summary = bench.send(sandbox=True, run_id="rehearsal")
    assert (summary.accepted, bench.bodies) == (228, [])
    with pytest.raises(bs.GuardrailError, match=r"message\.trigger_properties\.year"):
        bench.send(sandbox=True, overrides={"message.trigger_properties": {"season": "winter", "year": 2027}})


# --- changed ----------------------------------------------------------------------------------------------------------


def _with(*path: str, value: Any) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(json.dumps(CONFIG))
    inner = config
    for name in path[:-1]:
        inner = inner.setdefault(name, {})
    inner[path[-1]] = value
    return {"config": config}


def _replace(old: str, new: str) -> Callable[[Bench], dict[str, Any]]:
    def change(bench: Bench) -> dict[str, Any]:
        text = bench.input.read_text()
        assert old in text
        bench.input.write_text(text.replace(old, new))
        return {}

    return change


def _swap_columns(bench: Bench) -> dict[str, Any]:
    frame = pl.read_csv(bench.input, infer_schema=False)
    frame.select("name", "id", "tier").write_csv(bench.input)
    return {}


def _second_file(bench: Bench) -> dict[str, Any]:
    other = bench.place / "more.csv"
    other.write_text("id,name,tier\nv1,another,1\n")
    return {"source": [bench.input, other]}


DIFFERENCES: dict[str, tuple[Callable[[Bench], dict[str, Any]], str]] = {
    "one byte of a value": (_replace("name 100,", "name 10o,"), "input .*people.csv"),
    "a blank line after the last row": (_replace("u0229,name 229,4\n", "u0229,name 229,4\n\n"), "input .*people.csv"),
    "the order of columns": (_swap_columns, "input .*people.csv"),
    "one row less": (lambda bench: bench.write(229) or {}, "input .*people.csv"),
    "one more file": (_second_file, r"input \(2 files, in the plan 1\)"),
    "a constant": (
        lambda _: _with("recipient", "trigger_properties", "shop", value={"value": "south"}),
        r"the configuration's recipient\.trigger_properties\.shop\.value",
    ),
    "the message": (
        lambda _: _with("message", "trigger_properties", "season", value="spring"),
        r"the configuration's message\.trigger_properties\.season",
    ),
    "the order of properties": (
        lambda _: _with("message", "trigger_properties", value={"year": 2026, "season": "winter"}),
        "the configuration's the order of the keys",
    ),
    "the campaign": (lambda _: {"campaign_id": "another"}, r"braze\.campaign_id"),
    "a Canvas instead": (lambda _: {"campaign_id": None, "canvas_id": CAMPAIGN}, r"braze\.canvas_id"),
    "the place": (lambda _: {"endpoint": "http://127.0.0.1:9"}, r"braze\.endpoint"),
    "a filter": (lambda _: _with("input", "filter", value="tier = '1'"), r"input\.filter"),
    "a limit": (lambda _: {"limit": 200}, r"input\.limit"),
    "a canary": (lambda _: {"canary": 10}, r"the canary \(10, in the plan none\)"),
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_a_difference_is_named_and_nothing_is_sent(bench: Bench, what: str) -> None:
    change, named = DIFFERENCES[what]
    bench.check()
    with pytest.raises(bs.GuardrailError, match=named) as refused:
        bench.send(**change(bench))
    assert refused.value.exit_code == 2
    assert "bulk-sender check" in refused.value.hint
    assert bench.server.ledger.connections == []
    assert not bench.runs.exists()


def test_all_differences_are_named_at_once(bench: Bench) -> None:
    bench.check()
    _replace("name 100,", "name 10o,")(bench)
    with pytest.raises(bs.GuardrailError) as refused:
        bench.send(canary=3, **_with("input", "nulls", value="send"))
    for named in ("people.csv", "input.nulls", "the canary (3, in the plan none)"):
        assert named in str(refused.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda plan: plan["counts"].update(requests=6), r"requests \(5, in the plan 6\)"),
        (lambda plan: plan["counts"].update(rejected=0), r"rejected \(1, in the plan 0\)"),
        (lambda plan: plan.update(bodies_sha256="0" * 64), "the requests' bodies"),
        (lambda plan: plan.update(bodies_sha256="0" * 64, tool="bulk-sender 0.0.9"), "bulk-sender 0.0.9"),
    ],
)
def test_the_counts_of_the_plan_are_compared(bench: Bench, change: Callable[[Any], None], named: str) -> None:
    bench.check()
    plan = bench.planned
    change(plan)
    bench.plan.write_text(json.dumps(plan))
    with pytest.raises(bs.GuardrailError, match=named):
        bench.send()
    assert bench.server.ledger.connections == []


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system on which no stamp of a file ever changes."""
    monkeypatch.setattr(FileStamp, "of", classmethod(lambda cls, _: cls(0, 0, 0, 0, 0)))


def changing_unseen(bench: Bench, number: int) -> Callable[[bs.Preview], bool]:
    """Return a confirmation that changes the name of a row meanwhile, when nothing tells of it."""

    def confirm(_: bs.Preview) -> bool:
        before = bench.input.stat()
        name = f"name {number},".encode()
        with bench.input.open("r+b") as file:
            file.seek(bench.input.read_bytes().index(name))
            file.write(name.replace(b"0", b"O"))
        os.utime(bench.input, ns=(before.st_atime_ns, before.st_mtime_ns))
        return True

    return confirm


@pytest.mark.usefixtures("blind")
def test_an_input_that_changes_between_the_comparison_and_the_sending_is_not_sent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Detect the change even when nothing that tells of it changes."""
    monkeypatch.setattr(prepared, "_MOST_KEPT_BYTES", 0)  # as for a large input, which is planned again
    bench.check()
    summary = bench.send(confirm=changing_unseen(bench, 20), run_id="a")
    assert (summary.state, summary.exit_code, summary.requests) == ("stopped", 3, 0)
    assert "would not be the requests that were planned" in (summary.reason or "")
    assert bench.bodies == []


@pytest.mark.usefixtures("blind")
def test_of_a_small_input_goes_what_was_compared_whatever_the_file_has_become(bench: Bench) -> None:
    bench.check()
    summary = bench.send(confirm=changing_unseen(bench, 20), run_id="a")
    assert summary.state == "finished"
    sent = b"".join(bench.bodies)
    assert b"name 20" in sent
    assert b"name 2O" not in sent


# --- resumed runs -----------------------------------------------------------------------------------------------------


def broken_off(bench: Bench, monkeypatch: pytest.MonkeyPatch, **given: Any) -> bs.Summary:
    """Return a run that stopped while it planned the third of many pieces."""
    record, count = planned.chunk_record, iter(range(1, 100))

    def failing(*arguments: Any) -> Any:
        if next(count) == 3:
            raise bs.InputError("the disk went away")
        return record(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(planned, "chunk_record", failing)
        summary = bench.send(run_id="a", **given)
    assert summary.state == "stopped"
    assert 0 < summary.rows < 230
    return summary


def test_a_run_interrupted_during_planning_resumes_according_to_the_plan(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 600)
    bench.check()
    broken_off(bench, monkeypatch)
    overrides = {"delivery.concurrency": 1}
    summary = bs.resume("a", runs_dir=bench.runs, environment=ENVIRONMENT, overrides=overrides)
    assert (summary.state, summary.accepted) == ("finished", 228)
    assert bench.received == bench.planned["bodies_sha256"]


def test_resuming_a_planned_run_must_match_its_plan(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate another release that splits batches differently."""
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 600)
    bench.check()
    before = broken_off(bench, monkeypatch).requests
    monkeypatch.setattr("bulk_sender.planning.batches.BATCH_SIZE", 40)
    with pytest.raises(bs.GuardrailError, match="are not those of its plan"):
        bs.resume("a", runs_dir=bench.runs, environment=ENVIRONMENT)
    assert len(bench.bodies) == before


def test_a_plan_given_when_resuming_applies_to_the_whole_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 600)
    bench.check()
    broken_off(bench, monkeypatch, plan_file=None)
    assert bench.send(run_id="a").accepted == 228
    assert bench.received == bench.planned["bodies_sha256"]


def test_a_run_that_was_started_differently_cannot_be_resumed_with_a_plan(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal already has the whole run, with requests split for a canary."""
    held = bench.send(run_id="a", canary=30, plan_file=None)
    assert held.not_sent
    before = len(bench.bodies)
    bench.check()
    with pytest.raises(bs.GuardrailError, match="are not those of its plan"):
        bench.send(run_id="a")
    assert len(bench.bodies) == before


# --- guards and damage ------------------------------------------------------------------------------------------------


def test_no_plan_is_written_for_too_many_recipients(bench: Bench) -> None:
    assert bench.check(guards=bs.Guards(max_recipients=227)).valid == 228
    assert not bench.plan.exists()
    bench.check(guards=bs.Guards(max_recipients=228))
    with pytest.raises(bs.GuardrailError, match="228 recipients are more than"):
        bench.send(max_recipients=227)
    assert bench.server.ledger.connections == []


@pytest.mark.parametrize("missing", ["campaign_id", "endpoint"])
def test_a_plan_requires_an_endpoint_and_a_target(bench: Bench, missing: str) -> None:
    with pytest.raises(bs.ConfigError, match=missing.removesuffix("_id")):
        bench.check(**{missing: None})
    assert not bench.plan.exists()


def test_a_plan_uses_the_endpoint_from_the_environment_like_a_send(bench: Bench) -> None:
    environment = ENVIRONMENT | {"BRAZE_ENDPOINT": bench.server.url}
    bench.check(endpoint=None, environment=environment)
    assert bench.send(endpoint=None, environment=environment).accepted == 228


def test_a_plan_file_replaces_only_another_plan_file(bench: Bench) -> None:
    bench.check()
    bench.check()
    content = bench.input.read_bytes()
    for place in (bench.input, bench.place, bench.place / "absent" / "plan.json"):
        bench.plan = place
        with pytest.raises(bs.ConfigError):
            bench.check()
    assert bench.input.read_bytes() == content
    assert sorted(path.name for path in bench.place.iterdir()) == ["people.csv", "plan.json"]


def damages(whole: bytes) -> dict[str, bytes]:
    plan = json.loads(whole)

    def other(**facts: Any) -> bytes:
        return json.dumps(plan | facts).encode()

    configuration = plan["configuration"] | {"input": plan["configuration"]["input"] | {"limit": 7}}
    return {
        "empty": b"",
        "not JSON": b"\xff\xfe not a plan",
        "another JSON": b'{"kind": "letter"}',
        "a list": b"[1, 2]",
        "nested without end": b"[" * 100_000,
        "cut short": whole[: len(whole) // 2],
        "a newer version": other(version=2),
        "no version": json.dumps({name: value for name, value in plan.items() if name != "version"}).encode(),
        "an extra key": other(more=1),
        "no digest": other(bodies_sha256=None),
        "an invalid digest": other(bodies_sha256="Z" * 64),
        "invalid counts": other(counts=plan["counts"] | {"rows": "many"}),
        "a configuration with another digest": other(configuration=configuration),
        "a configuration without tables": other(configuration={}),
    }


@pytest.mark.parametrize("how", damages(b'{"configuration": {"input": {}}, "counts": {}}'))
def test_a_damaged_or_foreign_plan_is_refused_and_nothing_is_sent(bench: Bench, how: str) -> None:
    bench.check()
    bench.plan.write_bytes(damages(bench.plan.read_bytes())[how])
    with pytest.raises(bs.ConfigError, match="plan") as refused:
        bench.send()
    assert refused.value.exit_code == 2
    assert refused.value.hint
    assert bench.server.ledger.connections == []
    assert not bench.runs.exists()


def test_a_plan_that_is_missing_or_not_a_file_is_refused(bench: Bench) -> None:
    os.mkfifo(bench.place / "pipe")
    for place in (bench.place / "absent.json", bench.place, bench.place / "pipe"):
        with pytest.raises(bs.ConfigError, match="plan"):
            bench.send(plan_file=place)
    assert bench.server.ledger.connections == []


def test_a_plan_is_compared_piece_by_piece_with_progress(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 600)
    told: list[int] = []
    bench.check(watch=bs.Watch(on_rows=told.append))
    assert len(told) == 5
    assert told == sorted(told)
    before = len(told)
    assert bench.send(watch=bs.Watch(on_rows=told.append)).accepted == 228
    assert told[before:] == told[:before]


@pytest.mark.usefixtures("blind")
def test_no_batch_of_a_piece_that_differs_from_the_plan_is_sent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The previous piece may already be in flight; it matches the plan."""
    monkeypatch.setattr(prepared, "_MOST_KEPT_BYTES", 0)
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 600)
    bench.check()

    summary = bench.send(confirm=changing_unseen(bench, 200))
    assert (summary.state, summary.unknown) == ("stopped", 0)
    assert "rows 153 to 202 would not be the requests that were planned" in (summary.reason or "")
    assert not any(b"name 2OO" in body for body in bench.bodies)
