"""A small input is planned once: by the check before a send. A larger one is planned again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from bulk_sender.braze.endpoint import Endpoint, endpoint
from bulk_sender.config.model import Config
from bulk_sender.errors import InputError
from bulk_sender.planning.batches import Planned
from bulk_sender.planning.excluded import NOBODY
from bulk_sender.planning.prepared import PreparedInput
from bulk_sender.planning.report import examined
from bulk_sender.reading.chunk import Chunk, Position
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool

CONFIG = Config.model_validate({"braze": {"endpoint": "https://rest.iad-01.braze.com", "campaign_id": "c"}})
TARGET: Endpoint = endpoint(CONFIG.braze, CONFIG.message)
SMALL, LARGE = 130, 60_000


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Input]:
    """Each time that an input's rows are read."""
    found: list[Input] = []
    reading = Input.read

    def counted(source: Input, *given: Position) -> Iterator[Chunk]:
        found.append(source)
        return reading(source, *given)

    monkeypatch.setattr(Input, "read", counted)
    return found


@pytest.fixture
def spool() -> Iterator[Spool]:
    with Spool() as spool:
        yield spool


def prepared(tmp_path: Path, spool: Spool, rows: int) -> PreparedInput:
    lines = [f"u{number % (rows - 5)},{'' if number % 7 else 'name'}" for number in range(rows)]
    (tmp_path / "people.csv").write_text("external_user_id,first_name\n" + "\n".join([*lines, "u1,x,too,many", ""]))
    return PreparedInput.open(tmp_path / "people.csv", CONFIG, spool)


def assert_same(found: list[Planned], expected: list[Planned]) -> None:
    assert [(each.sizes, each.resume) for each in found] == [(each.sizes, each.resume) for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert_frame_equal(one.rows, other.rows)
        assert_frame_equal(one.rejects, other.rejects)


@pytest.mark.parametrize(("rows", "times"), [(SMALL, 0), (LARGE, 1)])
def test_a_send_after_its_check_sends_what_a_send_without_one_does(
    tmp_path: Path, spool: Spool, reads: list[Input], rows: int, times: int
) -> None:
    expected = list(prepared(tmp_path, spool, rows).plan(TARGET, canary=60))
    checked = prepared(tmp_path, spool, rows)
    report = examined(checked, canary=60)
    reads.clear()
    assert (report.rows, report.duplicate, report.rejected) == (rows + 1, 5, 1)
    assert_same(list(checked.plan(TARGET, canary=60)), expected)
    assert len(reads) == times


def test_another_plan_than_the_checked_one_is_made_anew(tmp_path: Path, spool: Spool, reads: list[Input]) -> None:
    checked = prepared(tmp_path, spool, SMALL)
    for other, canary in [(checked, 60), (checked.leaving_out(NOBODY), None)]:
        examined(checked)
        reads.clear()
        assert sum(len(piece.rows) for piece in other.plan(TARGET, canary=canary)) == SMALL + 1
        assert len(reads) == 1


def test_a_kept_plan_is_used_once(tmp_path: Path, spool: Spool, reads: list[Input]) -> None:
    checked = prepared(tmp_path, spool, SMALL)
    examined(checked)
    reads.clear()
    assert_same(list(checked.plan(TARGET)), list(checked.plan(TARGET)))
    assert len(reads) == 1


def test_a_check_that_was_not_finished_keeps_nothing(tmp_path: Path, spool: Spool, reads: list[Input]) -> None:
    checked = prepared(tmp_path, spool, SMALL)
    next(checked.plan(TARGET, canary=60, watch=lambda *_: None))
    assert sum(len(piece.rows) for piece in checked.plan(TARGET, canary=60)) == SMALL + 1
    assert len(reads) == 2


def test_an_input_that_changed_since_its_check_is_not_sent(tmp_path: Path, spool: Spool) -> None:
    checked = prepared(tmp_path, spool, SMALL)
    examined(checked)
    with (tmp_path / "people.csv").open("a") as file:
        file.write("u9999,name\n")
    with pytest.raises(InputError, match="was changed while it was read"):
        next(checked.plan(TARGET))
