"""Some of a run's rows, chosen for a decision. A decision is about whole requests."""

from __future__ import annotations

import csv
import io
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bulk_sender.errors import ConfigError, GuardrailError, InputError
from bulk_sender.journal.answers import BatchState
from bulk_sender.journal.chunks import chunk_rows
from bulk_sender.journal.store import RunReader
from bulk_sender.run.options import Which

RETRY = "retry"
"""The verdict, in a file of decisions, of a row that is to be sent again."""
_VERDICTS = ("accepted", "failed", RETRY)
_UNDECIDED = ("", "unknown", "leave")
"""What such a file says of a row about which nothing is decided."""
_MOST_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Spans:
    """Sorted ranges of rows, first and last included."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, rows: Iterable[int]) -> Spans:
        """Return the fewest ranges that hold exactly these rows."""
        found: list[tuple[int, int]] = []
        for row in sorted(set(rows)):
            if found and found[-1][1] == row - 1:
                found[-1] = (found[-1][0], row)
            else:
                found.append((row, row))
        return cls(tuple(found))

    @classmethod
    def parse(cls, text: str) -> Spans:
        """Return the ranges of ``508-557,1007``. Raises ConfigError."""
        found = []
        for part in text.split(","):
            first, _, last = part.strip().partition("-")
            if not first.isdecimal() or not (last or first).isdecimal() or not 0 < int(first) <= int(last or first):
                raise ConfigError(
                    f"rows {part.strip()!r} cannot be read", hint="rows are numbers and ranges, such as 508-557,1007"
                )
            found.append((int(first), int(last or first)))
        return cls(tuple(_merged(sorted(found))))

    def __contains__(self, row: int) -> bool:
        place = bisect_right(self.ranges, row, key=lambda span: span[0])
        return place > 0 and row <= self.ranges[place - 1][1]

    def meet(self, first: int, last: int) -> bool:
        """Whether a range has a row from ``first`` to ``last``."""
        return any(start <= last and end >= first for start, end in self.ranges)

    def __str__(self) -> str:
        shown = [str(first) if first == last else f"{first}-{last}" for first, last in self.ranges[:_MOST_SHOWN]]
        return ",".join(shown) + (",…" if len(self.ranges) > _MOST_SHOWN else "")


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return sorted ranges that do not overlap."""
    found: list[tuple[int, int]] = []
    for first, last in ranges:
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def chosen(journal: RunReader, statuses: Sequence[str], which: Which) -> list[BatchState]:
    """Return the batches of these statuses that ``which`` names; all of them when it names nothing.

    Raises ConfigError for rows and batches that have another status, GuardrailError for a part of a request.
    """
    states = journal.batches_with(*statuses)
    wanted = set(which.batches)
    if strangers := sorted(wanted - {state.id for state in states}):
        raise ConfigError(
            f"batch {strangers[0]} has no row that is {_either(statuses)}",
            hint="the column batch of the results has the numbers",
        )
    if which.rows is not None:
        spans = Spans.parse(which.rows) if isinstance(which.rows, str) else Spans.of(which.rows)
        _refuse_others(journal, spans, statuses)
        wanted |= {state.id for state in _whole(journal, states, spans)}
    if which.rows is not None or which.batches:
        states = [state for state in states if state.id in wanted]
    return [state for state in states if which.likely in (None, state.likely)]


def decided(journal: RunReader, statuses: Sequence[str], file: Path, *verdicts: str) -> dict[str, list[BatchState]]:
    """Return the batches about which ``file`` decides, by verdict. Other verdicts than ``verdicts`` are left alone.

    Raises InputError for a file that cannot be read, ConfigError for a row of another status, and GuardrailError when
    the rows of a request have different verdicts.
    """
    given = {row: verdict for row, verdict in _read(file).items() if verdict in verdicts}
    _refuse_others(journal, Spans.of(given), statuses)
    found: dict[str, list[BatchState]] = {}
    for state, rows in _rows_of(journal, journal.batches_with(*statuses)):
        said = [given.get(row, "") for row in rows]
        if len(set(said)) > 1:
            raise GuardrailError(
                f"rows {Spans.of(rows)} were one request (batch {state.id}), which is decided as a whole, but {file} "
                f"says {_contradiction(rows, said)}",
                hint="give all of them the same verdict",
            )
        if said[0]:
            found.setdefault(said[0], []).append(state)
    return found


def _contradiction(rows: Sequence[int], said: Sequence[str]) -> str:
    by_verdict: dict[str, list[int]] = {}
    for row, verdict in zip(rows, said, strict=True):
        by_verdict.setdefault(verdict, []).append(row)
    return ", ".join(f"{verdict or 'nothing'} of {Spans.of(alike)}" for verdict, alike in by_verdict.items())


def _rows_of(journal: RunReader, states: Iterable[BatchState]) -> Iterator[tuple[BatchState, list[int]]]:
    """Yield each batch with its rows; one chunk is in memory at a time."""
    chunk, rows = 0, list[int]()
    for state in states:
        if state.chunk != chunk:
            chunk = state.chunk
            rows = chunk_rows(journal, chunk, ("row", "verdict")).filter(verdict="valid")["row"].to_list()
        yield state, rows[state.first : state.first + state.size]


def _whole(journal: RunReader, states: Iterable[BatchState], spans: Spans) -> Iterator[BatchState]:
    for state, rows in _rows_of(journal, states):
        left = [row for row in rows if row not in spans]
        if left and len(left) < len(rows):
            named = Spans.of(row for row in rows if row in spans)
            raise GuardrailError(
                f"rows {named} were in one request with rows {Spans.of(left)} (batch {state.id}). Braze accepts a "
                "request as a whole, so it is decided as a whole",
                hint=f"name all of its rows: {Spans.of(rows)}",
            )
        if not left:
            yield state


def _refuse_others(journal: RunReader, spans: Spans, statuses: Sequence[str]) -> None:
    """Raise ConfigError for a row of another status. Rejected rows and duplicates within a range are in no request."""
    if not spans.ranges:
        return
    single = {first for first, until in spans.ranges if first == until}
    met: set[int] = set()
    last = 0
    for chunk in journal.chunk_ids():
        rows = chunk_rows(journal, chunk, ("row", "verdict"))
        if not len(rows):
            continue
        last = int(rows["row"][-1])
        if not spans.meet(int(rows["row"][0]), last):
            continue
        named = [(row, verdict) for row, verdict in rows.iter_rows() if row in spans]
        own = dict(_statuses(journal, chunk))
        for row, verdict in named:
            met.add(row)
            status = own.get(row, verdict)
            if status not in statuses and (row in own or row in single):
                raise ConfigError(
                    f"row {row} is {status.replace('_', ' ')}, not {_either(statuses)}",
                    hint=f"leave it out; bulk-sender explain {journal.run.name} {row} shows it",
                )
    for first, until in spans.ranges:
        if until > last or (first == until and first not in met):
            raise ConfigError(f"run {journal.run.name!r} has no row {until}", hint=f"its last row is {last}")


def _statuses(journal: RunReader, chunk: int) -> Iterator[tuple[int, str]]:
    for state, rows in _rows_of(journal, journal.batches(chunk)):
        for row in rows:
            yield row, state.status


def _either(statuses: Sequence[str]) -> str:
    return " or ".join(statuses)


def _read(file: Path) -> Mapping[int, str]:
    """Return the verdicts of a file by row. Raises InputError, ConfigError."""
    hint = "give a CSV file with the columns row and verdict; others may stay"
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"{file} cannot be read: {reason}", hint=hint) from None
    header = text.partition("\n")[0]
    delimiter = next((mark for mark in ",;\t" if mark in header), ",")
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
    if missing := {"row", "verdict"} - set(reader.fieldnames or ()):
        raise InputError(f"{file} has no column {sorted(missing)[0]!r}", hint=hint)
    found: dict[int, str] = {}
    for line in reader:
        row, verdict = line["row"].strip(), line["verdict"].strip().lower()
        where = f"{file}, line {reader.line_num}"
        if not row.isdecimal():
            raise ConfigError(f"{where}: {row!r} is not the number of a row")
        if verdict not in (*_VERDICTS, *_UNDECIDED):
            hint = f"choose {', '.join(_VERDICTS)}, or leave it empty"
            raise ConfigError(f"{where}: {verdict!r} is not a verdict", hint=hint)
        if found.setdefault(int(row), verdict) != verdict:
            raise ConfigError(f"{where}: row {row} has two verdicts")
    return found


def statuses_of(found: Collection[BatchState]) -> dict[str, int]:
    """Return the rows of these batches by status."""
    counted: dict[str, int] = {}
    for state in found:
        counted[state.status] = counted.get(state.status, 0) + state.size
    return counted
