"""Pages of a run's results, and the rows of one person, without reading what does not matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender import journal as journals
from bulk_sender.journal.chunks import chunk_record
from bulk_sender.journal.records import Attempt, AttemptOutcome, Batch, Chunk
from bulk_sender.planning.batches import Planned
from bulk_sender.planning.plan import ROWS as PLANNED
from bulk_sender.reading.chunk import Position
from bulk_sender.reporting import pages
from bulk_sender.reporting import rows as frames
from bulk_sender.reporting.rows import RESULTS
from tests.kit.accounts import LOST, UNAVAILABLE, Fate, answer, journal_of, taken
from tests.kit.journals import created

PARTS = 4
"""Chunks of the run ``r``: each has 60 rows, of which the last two are rejected and a duplicate."""
EACH = 60
ROWS = range(1, PARTS * EACH + 1)
OTHERS = ("rejected", "duplicate")
STATUSES = ("accepted", "failed", "unknown", "not_sent")
"""Of the valid rows, chunk by chunk."""
OUTCOMES = dict(zip(STATUSES, (taken("d1"), answer(400, "country is wrong"), LOST, UNAVAILABLE), strict=True))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with the run ``r``: the status of a row follows from its number."""
    folder = tmp_path / "runs"
    folder.mkdir()
    with created(folder / "r") as journal:
        journal.begin_epoch("send")
        for number, status in enumerate(STATUSES, 1):
            journal.write([planned_chunk(number)])
            for first, size in ((0, 50), (50, 8)):
                batch = Batch(journal.new_batch_id(), number, first, size)
                attempt = Attempt(journal.new_attempt_id(), batch.id, b"0")
                journal.write([batch, attempt, AttemptOutcome(attempt.id, batch.id, status, OUTCOMES[status])])
    return folder


def planned_chunk(number: int) -> Chunk:
    people = [f"part-{number}-{place:02}" for place in range(1, EACH - 1)]
    first = (number - 1) * EACH + 1
    frame = pl.DataFrame(
        {
            "row": range(first, first + EACH),
            "source": ["people.csv"] * EACH,
            "source_row": range(first, first + EACH),
            "source_line": range(first + 1, first + EACH + 1),
            "identifier_type": [*["external_user_id"] * (EACH - 2), None, "external_user_id"],
            "identifier": [*people, None, people[0]],
            "verdict": [*["valid"] * (EACH - 2), *OTHERS],
            "error_code": [*[None] * (EACH - 2), "no_identifier", "duplicate"],
            "error": [*[None] * (EACH - 2), "no identifier", "another row"],
            "recipient": [*["{}"] * (EACH - 2), None, None],
        },
        schema=PLANNED,
    )
    return chunk_record(number, Planned(frame, pl.DataFrame({"\x00row": [first + EACH - 2]}), [50, 8], Position()))


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The chunks whose results were made."""
    found: list[int] = []
    results_in = pages.results_in

    def noted(journal: Any, chunk: int) -> Any:
        found.append(chunk)
        return results_in(journal, chunk)

    monkeypatch.setattr(pages, "results_in", noted)
    return found


def status_of(row: int) -> str:
    chunk, place = divmod(row - 1, EACH)
    return OTHERS[place - (EACH - 2)] if place >= EACH - 2 else STATUSES[chunk]


def paged(runs: Path, **given: Any) -> Iterator[bs.RowsPage]:
    after: int | None = 0
    while after is not None:
        yield (page := bs.rows("r", runs_dir=runs, after=after, **given))
        after = page.next_after


def test_a_row_has_the_columns_of_the_results_and_its_run(runs: Path) -> None:
    assert [field.name for field in fields(bs.ResultRow)] == ["run_id", *RESULTS]
    [row] = bs.rows("r", limit=1, runs_dir=runs).rows
    [line] = bs.results("r", runs_dir=runs).head(1).drop("sent_at").to_dicts()
    assert asdict(row) | line == asdict(row)
    assert (row.run_id, row.row, row.identifier, row.status, row.dispatch_id) == ("r", 1, "part-1-01", "accepted", "d1")


@pytest.mark.parametrize("limit", [1, 7, 60, 239, 240, 500])
def test_the_pages_of_a_run_have_each_row_once_and_in_order(runs: Path, limit: int) -> None:
    found = list(paged(runs, limit=limit))
    assert [row.row for page in found for row in page.rows] == list(ROWS)
    assert [len(page.rows) for page in found[:-1]] == [limit] * (len(found) - 1)
    assert [row.status for page in found for row in page.rows] == [status_of(row) for row in ROWS]


@pytest.mark.parametrize("status", [*STATUSES, *OTHERS, ("failed", "rejected"), ("not_sent", "duplicate", "unknown")])
def test_pages_of_some_statuses_skip_the_others(runs: Path, status: Any) -> None:
    wanted = [status] if isinstance(status, str) else status
    found = [row for page in paged(runs, limit=7, status=status) for row in page.rows]
    assert [row.row for row in found] == [row for row in ROWS if status_of(row) in wanted]


def test_the_last_page_says_that_nothing_follows_even_if_it_is_full(runs: Path) -> None:
    first = bs.rows("r", status="failed", limit=29, runs_dir=runs)
    second = bs.rows("r", status="failed", limit=29, after=first.next_after or 0, runs_dir=runs)
    assert [len(first.rows), first.next_after, len(second.rows), second.next_after] == [29, 89, 29, None]
    assert bs.rows("r", after=240, runs_dir=runs) == bs.RowsPage(())


def test_a_page_reads_only_the_chunks_that_have_such_rows(runs: Path, unpacked: list[int]) -> None:
    bs.rows("r", status="unknown", runs_dir=runs)
    assert unpacked == [3]
    bs.rows("r", status="failed", after=120, runs_dir=runs)
    assert unpacked == [3]
    bs.rows("r", limit=5, after=60, runs_dir=runs)
    assert unpacked == [3, 2]


def test_rows_are_found_by_their_error_code(runs: Path, unpacked: list[int]) -> None:
    refused = bs.rows("r", error_code="http_400", limit=100, runs_dir=runs)
    assert [row.row for row in refused.rows] == [row for row in ROWS if status_of(row) == "failed"]
    assert unpacked == [2]
    assert {row.status for row in bs.rows("r", error_code="duplicate", runs_dir=runs).rows} == {"duplicate"}
    assert bs.rows("r", error_code="http_404", runs_dir=runs) == bs.RowsPage(())
    assert bs.rows("r", error_code="http_400", status="unknown", runs_dir=runs) == bs.RowsPage(())


def test_results_of_some_statuses_leave_the_other_chunks_alone(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    chunk_rows = frames.chunk_rows
    monkeypatch.setattr(
        frames, "chunk_rows", lambda journal, chunk, *more: (read.append(chunk), chunk_rows(journal, chunk, *more))[1]
    )
    assert len(bs.results("r", status=["failed", "unknown"], runs_dir=runs)) == 116
    assert read == [2, 3]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"after": -1}, "after must be 0 or more"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"status": "x"}, "status"),
    ],
)
def test_a_page_that_cannot_be_is_refused(runs: Path, given: dict[str, Any], why: str) -> None:
    with pytest.raises(bs.ConfigError, match=why):
        bs.rows("r", runs_dir=runs, **given)
    with pytest.raises(bs.RunNotFoundError):
        bs.rows("other", runs_dir=runs)


# --- find -----------------------------------------------------------------------------------------------------------


def more(runs: Path, name: str, header: str, *lines: str) -> None:
    file = runs.parent / f"{name}.csv"
    file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    journal_of(runs / name, file, [Fate((("accepted", taken("d1")),))]).close()


def test_a_person_is_found_in_one_run(runs: Path, unpacked: list[int]) -> None:
    found = bs.find("part-3-01", run="r", runs_dir=runs)
    assert [(row.run_id, row.row, row.status) for row in found.rows] == [("r", 121, "unknown"), ("r", 180, "duplicate")]
    assert (found.runs, found.unread, unpacked) == (1, {}, [3])
    assert bs.find("part-3", run="r", runs_dir=runs) == bs.Search((), 1, {}), "a part of an identifier is another one"


def test_a_person_is_found_in_all_runs(runs: Path) -> None:
    more(runs, "s", "external_user_id", "somebody", "part-3-01")
    found = bs.find("part-3-01", runs_dir=runs)
    assert [(row.run_id, row.row) for row in found.rows] == [("r", 121), ("r", 180), ("s", 2)]
    assert (found.runs, found.unread) == (2, {})


@pytest.mark.parametrize("text", ["ann@example.com", "ANN@Example.COM", "  Ann@example.com\t"])
def test_an_address_is_compared_as_duplicates_are(runs: Path, text: str) -> None:
    more(
        runs,
        "m",
        "email,prioritization",
        "Ann@Example.com,unidentified",
        "ann@example.com ,unidentified",
        "b@example.com,unidentified",
    )
    rows = bs.find(text, run="m", runs_dir=runs).rows
    assert [(row.row, row.status) for row in rows] == [(1, "accepted"), (2, "duplicate")]


def test_any_other_identifier_keeps_its_case_and_its_zeros(runs: Path) -> None:
    more(runs, "z", "external_user_id", "0042", "42", "AB", "ab")
    more(runs, "a", "user_alias.alias_label,user_alias.alias_name", "crm,Ann")
    assert [
        [row.row for row in bs.find(text, run="z", runs_dir=runs).rows] for text in ("0042", "42", "ab", "042")
    ] == [
        [1],
        [2],
        [4],
        [],
    ]
    assert [row.identifier_type for row in bs.find("crm:Ann", runs_dir=runs).rows] == ["user_alias"]
    assert bs.find("crm:ann", runs_dir=runs).rows == ()
    assert bs.find("Ann", runs_dir=runs).rows == bs.find("crm:Ann", runs_dir=runs).rows, "the name alone is enough"
    assert bs.find("nn", runs_dir=runs).rows == ()


def test_runs_that_cannot_be_read_are_named(runs: Path) -> None:
    more(runs, "s", "external_user_id", "part-3-01")
    journal = Path(journals.location(journals.RunRef.at(runs / "s")))
    journal.write_bytes(journal.read_bytes().replace(b"http", b"HTTP").replace(b"campaign", b"CAMPAIGN"))
    found = bs.find("part-3-01", runs_dir=runs)
    assert [row.run_id for row in found.rows] == ["r", "r"]
    assert (found.runs, list(found.unread)) == (1, ["s"])
    assert "is damaged" in found.unread["s"]
    with pytest.raises(bs.JournalError):
        bs.find("part-3-01", run="s", runs_dir=runs)


def test_a_run_whose_data_was_removed_is_named(tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("external_user_id\nann\n")
    for name in ("old", "new"):
        bs.send(people, sandbox=True, run_id=name, runs_dir=tmp_path / "runs", environment={})
        if name == "old":
            assert bs.prune("0 seconds", runs_dir=tmp_path / "runs") == ["old"]
    found = bs.find("ann", runs_dir=tmp_path / "runs")
    assert [row.run_id for row in found.rows] == ["new"]
    assert (found.runs, list(found.unread)) == (1, ["old"])
    assert "was removed" in found.unread["old"]


def test_nothing_to_look_for_or_nowhere_to_look_is_refused(runs: Path) -> None:
    with pytest.raises(bs.ConfigError, match="empty"):
        bs.find("  ", runs_dir=runs)
    with pytest.raises(bs.ConfigError, match="does not exist"):
        bs.find("ann", runs_dir=runs / "elsewhere")
