"""The plan that tasks make, in any order and more than once, is the plan of one process."""

from __future__ import annotations

import pickle
import random
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sender.config.model import Config
from bulk_sender.errors import InputError
from bulk_sender.planning import tasks
from bulk_sender.planning.batches import Payload, Planned
from bulk_sender.planning.excluded import NOBODY, Excluded
from bulk_sender.planning.plan import plan
from bulk_sender.planning.seen import Seen
from bulk_sender.planning.tasks import Job, planned
from bulk_sender.reading import csv as reading_csv
from bulk_sender.reading.chunk import Position, Unit
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from bulk_sender.recipients.mapping import resolve
from tests.planning.test_plan_properties import CASES, HEAD_BYTES, Row, configured, write

_rooms = count()


class Engine:
    """Runs each task once or more, in any order, with copies of everything."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __call__(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        orders = [pickle.dumps((function, item)) for item in items]
        found: dict[int, Any] = {}
        every = [*range(len(orders)), *self._random.choices(range(len(orders)), k=len(orders) // 2)]
        self._random.shuffle(every)
        for at in every:
            if self._random.random() < 0.2:
                tasks._opened.clear()  # as in another process
            again, item = pickle.loads(orders[at])
            made = pickle.dumps(again(item))
            assert found.setdefault(at, made) == made
        return (pickle.loads(found[at]) for at in range(len(orders)))


def kept(piece: Planned) -> Planned:
    return piece


def opened(paths: list[Path], config: Config) -> Input:
    return Input.open(paths, ReadSettings.of(config.input), Spool())


def by_tasks(
    source: Input,
    units: list[Unit],
    config: Config,
    place: Path,
    *,
    seed: int = 0,
    canary: int | None = None,
    excluded: Excluded = NOBODY,
) -> list[Planned]:
    room = place / f"room-{next(_rooms)}"
    job = Job(source.files, source.stamps, config, excluded, HEAD_BYTES, room.as_uri())
    try:
        return list(planned(job, units, Engine(seed), kept, canary))
    finally:
        shutil.rmtree(room, ignore_errors=True)


class _OneUnit:
    """An input that ends where a unit does."""

    def __init__(self, source: Input, stop: Position | None) -> None:
        self._source, self._stop = source, stop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def read(self, start: Position | None) -> Iterator[Any]:
        return self._source.read(start, self._stop)


def by_one(
    source: Input, units: list[Unit], config: Config, *, canary: int | None = None, excluded: Excluded = NOBODY
) -> list[Planned]:
    """The plan of one process that goes from unit to unit."""
    found: list[Planned] = []
    seen, already, first = Seen(), 0, 0
    for unit in units:
        part: Any = _OneUnit(source, unit.stop)
        pieces = list(
            plan(
                part,
                resolve(source.schema, config),
                config,
                head_bytes=HEAD_BYTES,
                seen=seen,
                excluded=excluded.sets(),
                start=replace(unit.start, row=first),
                already=already,
                canary=canary,
            )
        )
        found += pieces
        already += sum(len(piece.rows) for piece in pieces)
        if config.input.limit is not None and already >= config.input.limit:
            break
        first += sum(len(chunk.frame) for chunk in source.read(unit.start, unit.stop))
    return found


def rows_of(pieces: list[Planned]) -> pl.DataFrame:
    return pl.concat([piece.rows for piece in pieces]) if pieces else pl.DataFrame()


def bodies(pieces: list[Planned]) -> list[bytes]:
    found = []
    for piece in pieces:
        payload, first = Payload.of(piece.rows["recipient"]), 0
        for size in piece.sizes:
            found.append(payload.recipients(first, size))
            first += size
    return found


def assert_same(found: list[Planned], expected: list[Planned]) -> None:
    assert len(found) == len(expected)
    for mine, other in zip(found, expected, strict=True):
        assert mine.rows.equals(other.rows)
        assert mine.rejects.equals(other.rejects)
        assert (mine.sizes, mine.resume) == (other.sizes, other.resume)


@st.composite
def few_people(draw: st.DrawFn) -> tuple[list[Row], list[int]]:
    """Draw rows of people who come again and again, in three files."""
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=12, max_size=60))
    sizes = draw(st.lists(st.integers(1, 20), min_size=2, max_size=2))
    return [Row(name, 300 if name == "f" else 0, name != "e") for name in names], sizes


@settings(max_examples=25)
@given(
    **CASES | {"made": CASES["made"] | few_people()},
    cuts=st.sets(st.integers(1, 3)),
    seed=st.integers(0, 1 << 32),
    canary=st.none() | st.integers(1, 90),
)
def test_tasks_in_any_order_and_twice_make_the_plan_of_one_process(
    tmp_path_factory: pytest.TempPathFactory,
    made: tuple[list[Row], list[int]],
    limit: int | None,
    allow: bool,
    block: int,
    cuts: set[int],
    seed: int,
    canary: int | None,
) -> None:
    base = tmp_path_factory.getbasetemp()
    paths, config = write(base, *made), configured(limit, allow)
    starts = [Position(), *(Position(file) for file in sorted(cuts) if file < len(paths))]
    units = [Unit(start, stop) for start, stop in zip(starts, [*starts[1:], None], strict=True)]
    source = opened(paths, config)
    with patch.object(reading_csv, "BLOCK_BYTES", block), patch.object(tasks, "BUCKETS", 4):
        found = by_tasks(source, units, config, base, seed=seed, canary=canary)
        assert_same(found, by_one(source, units, config, canary=canary))
        whole = by_one(source, [Unit(Position(), None)], config, canary=canary)
    assert rows_of(found).equals(rows_of(whole))
    assert b",".join(bodies(found)) == b",".join(bodies(whole))


def table(path: Path, rows: int, *, blank: Collection[int] = ()) -> Path:
    """A Parquet file in which every third person comes again later, and the rows in ``blank`` have no values."""
    frame = pl.DataFrame({"external_user_id": [f"u{row % (2 * rows // 3)}" for row in range(rows)], "attributes.n": 1})
    frame = frame.with_columns(pl.when(~pl.int_range(pl.len()).is_in(sorted(blank))).then(pl.all()))
    frame.write_parquet(path, row_group_size=1000)
    return path


@pytest.mark.parametrize("blank", [set(), {70_000}, {10, 100_001}])
def test_a_large_table_is_divided_into_ranges_of_rows(tmp_path: Path, blank: set[int]) -> None:
    config = Config()
    paths = [table(tmp_path / "a.parquet", 100_000, blank=blank), table(tmp_path / "b.parquet", 30_000)]
    source = opened(paths, config)
    units = source.units(100_000)
    assert [unit.start.file for unit in units].count(0) > 1
    found = rows_of(by_tasks(source, units, config, tmp_path))
    expected = rows_of(by_one(source, [Unit(Position(), None)], config))
    assert found.equals(expected)
    assert set(found["verdict"]) == {"valid", "duplicate"}


def test_small_files_share_a_unit_and_the_bytes_of_each_are_in_one(tmp_path: Path) -> None:
    paths = []
    for number in range(7):
        paths.append(tmp_path / f"{number}.csv")
        paths[-1].write_text("external_user_id\n" + f"u{number}\n" * 100)
    source = opened(paths, Config())
    units = source.units(700)
    assert [(unit.start.file, unit.stop and unit.stop.file) for unit in units] == [(0, 2), (2, 4), (4, 6), (6, None)]


def test_a_task_refuses_a_file_that_is_not_the_one_that_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("external_user_id\na\n")
    source = opened([path], Config())
    path.write_text("external_user_id\nb\n")
    with pytest.raises(InputError, match="was changed while it was read"):
        by_tasks(source, source.units(1), Config(), tmp_path)


def test_people_who_are_left_out_are_no_duplicates_of_each_other(tmp_path: Path) -> None:
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.csv")
        paths[-1].write_text("external_user_id\na\nb\n")
    source = opened(paths, Config())
    with Spool() as spool:
        excluded = Excluded.written([("run autumn", iter([pl.Series(["external_user_id:a"])]))], spool)
        units = source.units(1)
        found = by_tasks(source, units, Config(), tmp_path, excluded=excluded)
        assert_same(found, by_one(source, units, Config(), excluded=excluded))
    assert rows_of(found)["error_code"].to_list() == [
        "excluded",
        None,
        "excluded",
        "duplicate",
        "excluded",
        "duplicate",
    ]
