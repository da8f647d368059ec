"""Property tests of planning: for any rows, chunks and limits, no row is lost or repeated, and every batch fits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sender.braze.limits import BATCH_SIZE
from bulk_sender.config.model import Config
from bulk_sender.planning import plan as planning
from bulk_sender.planning.batches import Payload, Planned
from bulk_sender.planning.plan import duplicate_keys
from bulk_sender.planning.report import examine
from bulk_sender.planning.seen import Seen
from bulk_sender.reading import csv as reading_csv
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from bulk_sender.recipients.mapping import resolve
from tests.kit.reading import planned, rows_of, written

HEAD_BYTES = 500
ROOM = 4000 - HEAD_BYTES
SIZES = st.sampled_from([0, 1, 10, 60, 100, 300, 1000, ROOM - 50, ROOM, ROOM + 1])


@dataclass(frozen=True)
class Row:
    """A row of a file: its recipient, the length of its property, and whether the filter keeps it."""

    who: str
    size: int
    is_chosen: bool = True

    @property
    def recipient(self) -> dict[str, Any]:
        named: dict[str, Any] = {"external_user_id": self.who}
        return named | ({"attributes": {"a": "é" * (self.size // 2) + "x" * (self.size % 2)}} if self.size else {})

    @property
    def cells(self) -> list[str]:
        return [self.who, self.recipient.get("attributes", {"a": ""})["a"], "yes" if self.is_chosen else "no"]


@st.composite
def rows_and_files(draw: st.DrawFn) -> tuple[list[Row], list[int]]:
    """Draw rows, many of them similar so that batches fill up, and the number of rows per file except the last."""
    crowd = draw(st.integers(0, 160))
    size = draw(SIZES)
    rows = [Row(f"c{number}", size) for number in range(crowd)]
    odd = st.builds(Row, st.one_of(st.just(""), st.integers(0, 9).map(str)), SIZES, st.booleans())
    for row in draw(st.lists(odd, max_size=15)):
        rows.insert(draw(st.integers(0, len(rows))), row)
    return rows, draw(st.lists(st.integers(1, 60), max_size=2))


@dataclass(frozen=True)
class Account:
    """The expected results of rows, computed one by one."""

    rows: list[int]
    sent: list[dict[str, Any]]
    rejected: list[int]
    duplicate: list[int]


def account(rows: list[Row], limit: int | None, allow: bool) -> Account:
    found = Account([], [], [], [])
    met: set[str] = set()
    for number, row in enumerate(rows, 1):
        if not row.is_chosen or (limit is not None and len(found.rows) == limit):
            continue
        found.rows.append(number)
        size = len(json.dumps(row.recipient, ensure_ascii=False, separators=(",", ":")).encode())
        if not row.who or size > ROOM:
            found.rejected.append(number)
        elif row.who in met and not allow:
            found.duplicate.append(number)
        else:
            met.add(row.who)
            found.sent.append(row.recipient)
    return found


def write(folder: Path, rows: list[Row], files: list[int]) -> list[Path]:
    paths = []
    for number, size in enumerate([*files, len(rows)]):
        path = folder / f"property-{number}.csv"
        part, rows = rows[:size], rows[size:]
        path.write_text(written([["external_user_id", "attributes.a", "chosen"], *(row.cells for row in part)]))
        paths.append(path)
    return paths


def configured(limit: int | None, allow: bool) -> Config:
    tables: dict[str, Any] = {
        "input": {"filter": "chosen = 'yes'", "duplicates": "allow" if allow else "first"},
        "delivery": {"max_body_kb": 4},
    }
    if limit is not None:
        tables["input"]["limit"] = limit
    return Config.parse(tables, where="the test")


def assert_batches_fit(pieces: list[Planned]) -> list[dict[str, Any]]:
    """Assert that batches fit, and are short only at the end, before a large recipient or a repeated one."""
    batches: list[bytes] = []
    for piece in pieces:
        payload = Payload.of(piece.rows["recipient"])
        first = 0
        for size in piece.sizes:
            batches.append(payload.recipients(first, size))
            first += size
        assert first == piece.rows["recipient"].count()
    parsed = [json.loads(b"[" + batch + b"]") for batch in batches]
    for number, batch in enumerate(parsed):
        assert 1 <= len(batch) <= BATCH_SIZE
        assert len(batches[number]) <= ROOM
        if len(batch) < BATCH_SIZE and number + 1 < len(parsed):
            following = json.dumps(parsed[number + 1][0], ensure_ascii=False, separators=(",", ":")).encode()
            is_in = parsed[number + 1][0]["external_user_id"] in {each["external_user_id"] for each in batch}
            assert is_in or len(batches[number]) + len(following) + 1 > ROOM
        assert len({each["external_user_id"] for each in batch}) == len(batch)
    return [recipient for batch in parsed for recipient in batch]


CASES = {
    "made": rows_and_files(),
    "limit": st.none() | st.integers(1, 150),
    "allow": st.booleans(),
    "block": st.sampled_from([40, 300, 1000, 5000, 100_000]),
}


@settings(max_examples=settings.default.max_examples // 3)
@given(**CASES)
def test_batching_loses_and_repeats_no_row(
    tmp_path_factory: pytest.TempPathFactory,
    made: tuple[list[Row], list[int]],
    limit: int | None,
    allow: bool,
    block: int,
) -> None:
    paths = write(tmp_path_factory.getbasetemp(), *made)
    expected = account(made[0], limit, allow)
    with patch.object(reading_csv, "BLOCK_BYTES", block):
        pieces = list(planned(paths, configured(limit, allow), head_bytes=HEAD_BYTES))
    assert assert_batches_fit(pieces) == expected.sent
    rows = rows_of(pieces) if pieces else planning.ROWS.to_frame()
    assert rows["row"].to_list() == expected.rows
    assert rows.filter(verdict="rejected")["row"].to_list() == expected.rejected
    assert rows.filter(verdict="duplicate")["row"].to_list() == expected.duplicate
    assert [row for piece in pieces for row in piece.rejects["\x00row"]] == expected.rejected
    for piece in pieces:  # rows and rejects of a piece belong together
        assert piece.rejects["\x00row"].to_list() == piece.rows.filter(verdict="rejected")["row"].to_list()


@settings(max_examples=settings.default.max_examples // 3)
@given(**CASES)
def test_planning_resumes_after_any_piece_with_the_same_rows_and_batches(
    tmp_path_factory: pytest.TempPathFactory,
    made: tuple[list[Row], list[int]],
    limit: int | None,
    allow: bool,
    block: int,
) -> None:
    paths = write(tmp_path_factory.getbasetemp(), *made)
    config = configured(limit, allow)
    with patch.object(reading_csv, "BLOCK_BYTES", block):
        pieces = list(planned(paths, config, head_bytes=HEAD_BYTES))
        for done in sorted({1, len(pieces) // 2, len(pieces) - 1} & set(range(1, len(pieces)))):
            before = rows_of(pieces[:done])
            seen = Seen()
            seen.repeated(duplicate_keys(before.filter(verdict="valid")))
            rest = list(
                planned(
                    paths,
                    config,
                    head_bytes=HEAD_BYTES,
                    seen=seen,
                    start=pieces[done - 1].resume,
                    after_row=before["row"][-1],
                    already=len(before),
                )
            )
            assert rows_of(rest).equals(rows_of(pieces[done:]))
            assert [size for piece in rest for size in piece.sizes] == [
                size for piece in pieces[done:] for size in piece.sizes
            ]


@settings(max_examples=settings.default.max_examples // 3)
@given(**CASES, cut=st.integers(1, 120))
def test_a_cut_comes_after_the_exact_number_of_rows_and_changes_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
    made: tuple[list[Row], list[int]],
    limit: int | None,
    allow: bool,
    block: int,
    cut: int,
) -> None:
    paths = write(tmp_path_factory.getbasetemp(), *made)
    config = configured(limit, allow)
    with patch.object(reading_csv, "BLOCK_BYTES", block):
        whole = list(planned(paths, config, head_bytes=HEAD_BYTES))
        pieces = list(planned(paths, config, head_bytes=HEAD_BYTES, canary=cut))
    if not whole:
        assert not pieces
        return
    rows = rows_of(pieces)
    assert rows.equals(rows_of(whole))
    assert sum(size for piece in pieces for size in piece.sizes) == rows["recipient"].count()
    ends = list(accumulate(len(piece.rows) for piece in pieces))
    assert cut in ends or cut > len(rows)


@settings(max_examples=settings.default.max_examples // 3)
@given(**CASES)
def test_the_counts_of_a_check_add_up(
    tmp_path_factory: pytest.TempPathFactory,
    made: tuple[list[Row], list[int]],
    limit: int | None,
    allow: bool,
    block: int,
) -> None:
    paths = write(tmp_path_factory.getbasetemp(), *made)
    expected = account(made[0], limit, allow)
    config = configured(limit, allow)
    source = Input.open(paths, ReadSettings.of(config.input), Spool())
    with patch.object(reading_csv, "BLOCK_BYTES", block):
        pieces = list(planned(paths, config, head_bytes=HEAD_BYTES))
        report = examine(pieces, resolve(source.schema, config), config, lambda recipients: b"[" + recipients + b"]")
    assert report.rows == report.valid + report.rejected + report.duplicate == len(expected.rows)
    assert (report.valid, report.rejected, report.duplicate) == (
        len(expected.sent),
        len(expected.rejected),
        len(expected.duplicate),
    )
    assert report.requests == sum(len(piece.sizes) for piece in pieces)
    assert sum(report.identifiers.values()) == report.valid
    assert sum(reason["count"] for reason in report.reasons.values()) == report.rejected + report.duplicate
    assert report.samples == expected.sent[: len(report.samples)]
    assert (report.sample_request is None) == (report.valid == 0)
