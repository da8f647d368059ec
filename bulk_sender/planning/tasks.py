"""The plan of an input as tasks, for several processes.

An engine may run each task anywhere, in any order and several times: it depends on the input and on what other tasks
wrote, and always writes the same. ``judge`` checks the rows of a unit. ``lose`` finds the duplicates of the whole
input, by the hashes of their identifiers. ``cut`` makes a unit's rows into pieces of batches. Tasks hand rows to each
other as objects in a ``room``; what they return is small.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import polars as pl

from bulk_sender.config.model import Config
from bulk_sender.objects import Objects, objects_at
from bulk_sender.planning.batches import Piece, Planned, arrow
from bulk_sender.planning.excluded import Excluded, ExcludedSets
from bulk_sender.planning.plan import Cutter, Judge, duplicate_keys
from bulk_sender.planning.seen import fingerprints
from bulk_sender.reading.chunk import Position, Unit
from bulk_sender.reading.formats import InputFile
from bulk_sender.reading.identity import FileStamp
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.recipients.mapping import resolve

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.uint64]

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")

BUCKETS = 16
"""Groups of fingerprints, each compared by one task: of a billion rows, each has 1.5 GB."""
_MARK_BYTES = 24
"""A fingerprint and its row."""
_ROW_BYTES = 8


class Map(Protocol):
    """Calls a function for each item, anywhere, and returns the results in the order of the items.

    Function, items and results can be pickled.
    """

    def __call__(self, function: Callable[[A], B], items: Iterable[A], /) -> Iterable[B]: ...


@dataclass(frozen=True, slots=True)
class Job:
    """What a task needs to open the input by itself. It can be pickled, and holds neither rows nor the key.

    ``stamps``: the files as the caller opened them; a task refuses others. ``head_bytes``: of a request without its
    recipients. ``room``: the address, new for this plan, of what tasks hand to each other.
    """

    files: tuple[InputFile, ...]
    stamps: dict[Path, FileStamp | None]
    config: Config
    excluded: Excluded
    head_bytes: int
    room: str

    def open(self) -> Opened:
        """Open the input. Raise InputError, also when a file is another than the one that the caller opened."""
        if self.room not in _opened:
            source = Input(self.files, ReadSettings.of(self.config.input), stamps=self.stamps)
            mapping = resolve(source.schema, self.config, source.unreadable)
            judge = Judge(source, mapping, self.config, self.head_bytes)
            _opened.clear()
            _opened[self.room] = Opened(source, judge, self.excluded.sets())
        return _opened[self.room]


@dataclass(frozen=True, slots=True)
class Opened:
    """An input as a task uses it."""

    source: Input
    judge: Judge
    excluded: ExcludedSets | None


_opened: dict[str, Opened] = {}
"""The input that this process opened last, by its room: a process has many tasks of one plan."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A unit whose rows are judged. ``rows``: how many it has; ``kept``: how many the filter keeps.

    ``parts``: objects with its judged rows. ``marks``: fingerprints of valid rows in each bucket. ``blank``: rows
    without any value, which are no rows of the input.
    """

    number: int
    unit: Unit
    rows: int
    kept: int
    parts: int
    marks: tuple[int, ...]
    blank: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The duplicates of a bucket. ``rows``: how many there are in each unit."""

    bucket: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """A judged unit with its place among all, and what comes before it.

    ``first``: rows of the input before it; ``already``: those of them that the filter keeps.
    """

    place: int
    judged: Judged
    first: int
    already: int


def planned(
    job: Job, units: Sequence[Unit], run: Map, finish: Callable[[Planned], T], canary: int | None = None
) -> Iterator[T]:
    """Plan an input with tasks that ``run`` runs. Yield what ``finish`` makes of each piece, in the task that cuts it.

    Verdicts and row numbers are those of ``plan``; batches end with their unit. Raise InputError, StoreError.
    """
    judged = list(run(partial(judge, job), enumerate(units)))
    if (whole := _whole(judged)) != list(units):
        judged = list(run(partial(judge, job), enumerate(whole, len(units))))
    is_once = job.config.input.duplicates == "first"
    lost = list(run(partial(lose, job, judged), range(BUCKETS))) if is_once else []
    for made in run(partial(cut, job, lost, finish, canary), _shares(judged, job.config.input.limit)):
        yield from made


def _whole(judged: Sequence[Judged]) -> list[Unit]:
    """Return the units again; as one those of a file with blank rows, after which its rows have other numbers."""
    units: list[Unit] = []
    is_apart = True
    for each in judged:
        units.append(each.unit if is_apart else Unit(units.pop().start, each.unit.stop))
        is_apart = not (each.unit.is_within_file and (each.blank or not is_apart))
    return units


def _shares(judged: Sequence[Judged], limit: int | None) -> Iterator[Share]:
    first = already = 0
    for place, unit in enumerate(judged):
        if limit is not None and already >= limit:
            return
        yield Share(place, unit, first, already)
        first, already = first + unit.rows, already + unit.kept


# --- the tasks --------------------------------------------------------------------------------------------------


def judge(job: Job, numbered: tuple[int, Unit]) -> Judged:
    """Judge each row of a unit by itself. ``numbered``: the unit with its number. Raise InputError, StoreError."""
    import numpy as np

    number, unit = numbered
    room = objects_at(job.room)
    opened = job.open()
    rows = kept = parts = 0
    marks = [np.empty((0, 3), dtype=np.uint64)]
    for chunk in opened.source.read(replace(unit.start, row=0), unit.stop):
        piece = opened.judge(chunk)
        room.put(_rows(number, parts), _packed(piece, chunk.start, chunk.end))
        valid = piece.rows.filter(verdict="valid")
        marks.append(fingerprints(duplicate_keys(valid)).with_columns(valid["row"]).to_numpy())
        parts, rows, kept = parts + 1, chunk.end.row, kept + len(piece.rows)
    opened.source.refuse_changed()
    every = np.concatenate(marks)
    bucket = (every[:, 0] // np.uint64((1 << 64) // BUCKETS)).astype(np.int64)
    room.put(_marks(number), every[np.argsort(bucket, kind="stable")].tobytes())
    counts = np.bincount(bucket, minlength=BUCKETS).tolist()
    return Judged(number, unit, rows, kept, parts, tuple(counts), opened.source.blank_rows)


def lose(job: Job, judged: Sequence[Judged], bucket: int) -> Lost:
    """Find the rows of a bucket that are not the first with their identifier. Raise StoreError."""
    import numpy as np

    room = objects_at(job.room)
    marks = [_stretch(room, _marks(unit.number), _MARK_BYTES, unit.marks, bucket).reshape(-1, 3) for unit in judged]
    first, second, row = np.concatenate(marks).T
    unit = np.repeat(np.arange(len(judged)), [len(each) for each in marks])
    order = np.lexsort((second, first))  # stable, so of the same identifiers the first row of the first unit leads
    again = (first[order[1:]] == first[order[:-1]]) & (second[order[1:]] == second[order[:-1]])
    lost = np.sort(order[1:][again])
    room.put(_lost(bucket), row[lost].tobytes())
    return Lost(bucket, tuple(np.bincount(unit[lost], minlength=len(judged)).tolist()))


def cut(job: Job, lost: Sequence[Lost], finish: Callable[[Planned], T], canary: int | None, share: Share) -> list[T]:
    """Cut a unit's rows into pieces of batches. Raise ConfigError, InputError, StoreError."""
    import numpy as np

    room, opened = objects_at(job.room), job.open()
    repeats = [_stretch(room, _lost(each.bucket), _ROW_BYTES, each.rows, share.place) for each in lost]
    repeated = pl.Series(np.concatenate([np.empty(0, dtype=np.uint64), *repeats])) + share.first
    cutter = Cutter(
        job.config,
        opened.judge.most,
        lambda rows: rows["row"].is_in(repeated.implode()),
        excluded=opened.excluded,
        canary=canary,
        already=share.already,
    )

    def pieces() -> Iterator[Planned]:
        for part in range(share.judged.parts):
            piece, start, end = _unpacked(room.get(_rows(share.judged.number, part)), share.first)
            yield from cutter.take(cutter.left_in(piece), start, end)
            if cutter.is_full:
                return
        yield from cutter.rest()

    return [finish(piece) for piece in pieces()]


# --- what tasks hand to each other ------------------------------------------------------------------------------


def _rows(number: int, part: int) -> str:
    return f"unit-{number}/rows-{part}"


def _marks(number: int) -> str:
    return f"unit-{number}/marks"


def _lost(bucket: int) -> str:
    return f"lost-{bucket}"


def _stretch(room: Objects, name: str, size: int, counts: Sequence[int], place: int) -> Numbers:
    """Return the numbers of one place in an object that has ``counts`` records of ``size`` bytes for each place."""
    import numpy as np

    start = size * sum(counts[:place])
    return np.frombuffer(room.get(name, start, start + size * counts[place]), dtype=np.uint64)


def _packed(piece: Piece, start: Position, end: Position) -> bytes:
    rows, rejects = (arrow(frame, "lz4") for frame in (piece.rows, piece.rejects))
    head = json.dumps({"start": asdict(start), "end": asdict(end), "rows": len(rows)})
    return b"".join([head.encode(), b"\n", rows, rejects])


def _unpacked(body: bytes, first: int) -> tuple[Piece, Position, Position]:
    """Return judged rows, and where they were read from and to, numbered after the ``first`` rows before their unit."""
    line, _, frames = body.partition(b"\n")
    head = json.loads(line)
    start, end = (replace(at, row=at.row + first) for at in (Position(**head["start"]), Position(**head["end"])))
    rows, rejects = (pl.read_ipc(part) for part in (frames[: head["rows"]], frames[head["rows"] :]))
    return Piece(rows.with_columns(pl.col("row") + first), rejects.with_columns(pl.col("\x00row") + first)), start, end
