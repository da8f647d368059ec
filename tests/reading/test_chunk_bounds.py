"""Chunks have a bounded number of cells and bytes, whatever the format, and what is planned does not depend on them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sender.planning.batches import Planned
from bulk_sender.planning.plan import duplicate_keys
from bulk_sender.planning.seen import Seen
from bulk_sender.reading import chunk, csv, ndjson, scan, streams, together, weight
from tests.kit.command import environment
from tests.kit.inputs import chunks
from tests.kit.reading import planned, rows_of


def write_ndjson(frame: pl.DataFrame, path: Path) -> None:
    """Write only the first line with its nulls, as exports do."""
    first, *others = frame.to_dicts()
    lines = [first, *({name: cell for name, cell in row.items() if cell is not None} for row in others)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


FORMATS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "csv": pl.DataFrame.write_csv,
    "ndjson": write_ndjson,
    "parquet": pl.DataFrame.write_parquet,
    "arrow": pl.DataFrame.write_ipc,
    "arrows": pl.DataFrame.write_ipc_stream,
}
KINDS = [*FORMATS, "files"]


@contextmanager
def bounds(cells: int, size: int) -> Iterator[None]:
    """Read in chunks of so many cells, or bytes of text."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(chunk, "CHUNK_CELLS", cells))
        for module in (weight, streams, together):
            stack.enter_context(patch.object(module, "CHUNK_BYTES", size))
        for text in (csv, ndjson):
            stack.enter_context(patch.object(text, "BLOCK_BYTES", size))
        stack.enter_context(patch.object(scan, "_SLICE_BYTES", 2 * size))
        yield


def write(frame: pl.DataFrame, folder: Path, kind: str) -> list[Path]:
    """Write a frame as one file, or as files of seven rows."""
    parts = [frame] if kind != "files" else [frame.slice(first, 7) for first in range(0, len(frame), 7)]
    paths = []
    for number, part in enumerate(parts):
        path = folder / f"part-{number:03}.{'csv' if kind == 'files' else kind}"
        FORMATS[path.suffix[1:]](part, path)
        paths.append(path)
    return paths


def plan_of(pieces: list[Planned]) -> tuple[list[dict[str, object]], list[int]]:
    """Return the rows of a plan, and the sizes of its requests. The name of a file is left out."""
    return rows_of(pieces).drop("source").to_dicts(), [size for piece in pieces for size in piece.sizes]


_CELL = st.none() | st.sampled_from(["a", 'say "yes"', "two\nlines", "é" * 20, "x" * 300, "{{", "b,c"])
_ROWS = st.lists(st.tuples(st.none() | st.integers(0, 150).map("u{}".format), _CELL, _CELL), min_size=1, max_size=150)
_BOUNDS = st.tuples(st.integers(3, 1000), st.integers(50, 5000))


@settings(max_examples=settings.default.max_examples // 3)
@given(kind=st.sampled_from(KINDS), rows=_ROWS, narrow=_BOUNDS, others=_BOUNDS, place=st.integers(0, 10))
def test_a_plan_is_the_same_in_any_chunks_and_resumes_in_others(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    rows: list[tuple[str | None, ...]],
    narrow: tuple[int, int],
    others: tuple[int, int],
    place: int,
) -> None:
    names = ("external_user_id", "trigger_properties.a", "attributes.b")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String()), orient="row")
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    if not len(frame):
        return
    paths = write(frame, tmp_path_factory.mktemp("bounds"), kind)
    whole = list(planned(paths))
    with bounds(*narrow):
        pieces = list(planned(paths))
    assert plan_of(pieces) == plan_of(whole)
    done = pieces[: place % len(pieces) + 1]
    before = rows_of(done)
    seen = Seen()
    seen.repeated(duplicate_keys(before.filter(verdict="valid")))
    with bounds(*others):
        where = {"start": done[-1].resume, "after_row": before["row"][-1], "already": len(before), "seen": seen}
        rest = list(planned(paths, **where))
    assert plan_of([*done, *rest]) == plan_of(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_a_chunk_has_a_bounded_number_of_cells_and_bytes(kind: str, tmp_path: Path) -> None:
    """Wide rows, most of them nearly empty, and some with long cells in between."""
    wide = {f"c{column}": [None] * 3000 for column in range(60)}
    ids = {"external_user_id": [f"u{row}" for row in range(3000)]}
    texts = {"trigger_properties.text": ["x" * (500 if 1000 <= row < 1100 else 1) for row in range(3000)]}
    frame = pl.DataFrame(ids | texts | wide, schema_overrides=dict.fromkeys(wide, pl.String()))
    paths = write(frame, tmp_path, kind)
    with bounds(20_000, 10_000):
        found = chunks(paths)
    assert sum(len(each.frame) for each in found) == 3000
    assert max(len(each.frame) * each.frame.width for each in found) <= 22_000
    assert max(weight.text_bytes(each.frame) for each in found) <= 11_000
    assert len(found) < 100, "and no more chunks than that takes"


_PEAK = """
import sys
import bulk_sender as bs

config = {"delivery": {"rate": "100000/second"}}
summary = bs.send(sys.argv[1], run_id="r", runs_dir=sys.argv[2], sandbox=True, config=config)
print(summary.accepted, int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) >> 10)
"""
_ROW = pl.int_range(pl.len())
SHAPES = {
    "cells of 20 kB": {"text": pl.format("{} " + "a rain jacket, " * 1_300, _ROW)},
    "300 columns": {f"p{column}": pl.format("value-{}", _ROW * column % 9973) for column in range(300)},
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(("shape", "rows"), [("cells of 20 kB", 5_000), ("300 columns", 5_000)])
def test_sending_a_table_of_an_odd_shape_takes_flat_memory(shape: str, rows: int, tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    ids = pl.DataFrame({"external_user_id": [f"u{row}" for row in range(rows)]})
    cells = {f"trigger_properties.{name}": value for name, value in SHAPES[shape].items()}
    ids.with_columns(**cells).write_parquet(path)
    command = [sys.executable, "-c", _PEAK, str(path), str(tmp_path / "runs")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    accepted, peak = map(int, done.stdout.split())
    assert accepted == rows
    assert peak < 300
