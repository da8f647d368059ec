"""What the shape of a file costs: ``python benchmarks/shapes.py`` prints a table in Markdown.

Each file is checked, then sent to the counting server, by whole processes, journal and results included. The costs
are those of ``check`` without its start, in units of what a cell of an ordinary file costs in the same run. The ratio
of many files to one is that of whole processes.
``--quick`` makes small files, and ``--only`` picks shapes. The ``--most-…`` options demand figures, for CI.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from figures import OPEN, Bench, server
from run import BATCH, count

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PART_ROWS = 100
LONG = 20_000
"""Bytes of a long cell."""
_BLOCK_CELLS = 2_000_000
_WORDS = "walking boots, a rain jacket, a head torch and a wool blanket, to be sent with the next parcel on day "
Columns = dict[str, pl.Expr]


def ordinary(columns: int = 9) -> Columns:
    """Return an identifier and short texts, as expressions over the column ``row``."""
    row = pl.col("row")
    texts = {
        f"trigger_properties.p{at}": pl.format("value-{}", (row * (2 * at + 1)) % 9973) for at in range(1, columns)
    }
    return {"external_user_id": pl.format("person-{}", row.cast(pl.String).str.zfill(8)), **texts}


def _with(name: str, value: pl.Expr) -> Columns:
    return ordinary() | {name: value}


def _text(value: pl.Expr) -> Columns:
    return _with("trigger_properties.p8", value)


_ROW = pl.col("row")
_LONG = _text(pl.concat_str([pl.format(f"{_WORDS}{{}}; ", _ROW * at % 99_991) for at in range(1, LONG // 110)]))
_EVERY_BLOCK = 4_000
"""Rows after which a block of 1 MB has surely begun."""


def blocks(columns: Columns, rows: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file in parts that fit in memory."""
    size = max(500, _BLOCK_CELLS // len(columns)) if columns is not _LONG else 500
    for first in range(0, rows, size):
        numbers = pl.select(row=pl.int_range(first + 1, min(rows, first + size) + 1))
        yield numbers.select(value.alias(name) for name, value in columns.items())


def write_csv(path: Path, columns: Columns, rows: int) -> None:
    opened = {".gz": gzip.open, ".zst": zstd.open}.get(path.suffix, open)
    with opened(path, "wb") as file:
        for number, frame in enumerate(blocks(columns, rows)):
            frame.write_csv(file, include_header=not number)


def write_stray_quotes(path: Path, columns: Columns, rows: int) -> None:
    """Write a quote that polars would misread into each block of the file."""
    write_csv(path, columns, rows)
    path.write_bytes(path.read_bytes().replace(b"stray", b'st"ray'))


def write_ndjson(path: Path, columns: Columns, rows: int) -> None:
    with path.open("wb") as file:
        for frame in blocks(columns, rows):
            frame.write_ndjson(file)


def write_parquet(path: Path, columns: Columns, rows: int) -> None:
    pl.concat(list(blocks(columns, rows))).write_parquet(path, row_group_size=rows)


def write_arrow(path: Path, columns: Columns, rows: int) -> None:
    pl.concat(list(blocks(columns, rows)), rechunk=True).write_ipc(path)


def write_arrow_stream(path: Path, columns: Columns, rows: int) -> None:
    pl.concat(list(blocks(columns, rows))).write_ipc_stream(path, compression="zstd")


def write_workbook(path: Path, columns: Columns, rows: int) -> None:
    pl.concat(list(blocks(columns, rows))).write_excel(path)


def write_database(path: Path, columns: Columns, rows: int) -> None:
    import duckdb

    with duckdb.connect(str(path)) as database:
        for number, frame in enumerate(blocks(columns, rows)):
            database.register("part", frame.to_arrow())
            database.execute("create table people as from part" if not number else "insert into people from part")


def write_parts(path: Path, columns: Columns, rows: int) -> None:
    path.mkdir()
    whole = pl.concat(list(blocks(columns, rows)))
    for first in range(0, rows, PART_ROWS):
        whole.slice(first, PART_ROWS).write_csv(path / f"part-{first // PART_ROWS:05}.csv")


@dataclass(frozen=True)
class Shape:
    """A file of ``rows`` rows, of which ``sent`` are sent. ``quick``: rows for a quick look."""

    title: str
    name: str
    write: Callable[[Path, Columns, int], None]
    rows: int
    quick: int
    columns: Columns
    sent: float = 1.0

    def make(self, path: Path, rows: int) -> None:
        self.write(path, self.columns, rows)


_WIDE = ordinary(300)
_NOBODY = _with("external_user_id", pl.when(_ROW % 1000 == 0).then(pl.format("person-{}", _ROW)))
_TWICE = _with("external_user_id", pl.format("person-{}", _ROW // 2 * 2))
_ONE = _with("external_user_id", pl.lit("person-1"))
_LINES = _text(pl.format('said "yes",\nand on {}\nthe next line', _ROW % 97))
_STRAY = _text(pl.when(_ROW % _EVERY_BLOCK == 0).then(pl.lit("stray")).otherwise(pl.lit("plain")))

SHAPES = {
    "csv": Shape("CSV, 9 columns", "people.csv", write_csv, 300_000, 60_000, ordinary()),
    "parquet": Shape(
        "Parquet, 9 columns, one row group", "people.parquet", write_parquet, 2_000_000, 60_000, ordinary()
    ),
    "csv-300": Shape("CSV, 300 columns", "people.csv", write_csv, 20_000, 4_000, _WIDE),
    "parquet-300": Shape("Parquet, 300 columns", "people.parquet", write_parquet, 20_000, 6_000, _WIDE),
    "arrow-300": Shape("Arrow, 300 columns", "people.arrow", write_arrow, 20_000, 6_000, _WIDE),
    "ndjson-300": Shape("NDJSON, 300 columns", "people.ndjson", write_ndjson, 20_000, 4_000, _WIDE),
    "csv-long": Shape("CSV, cells of 20 kB", "people.csv", write_csv, 20_000, 4_000, _LONG),
    "parquet-long": Shape("Parquet, cells of 20 kB", "people.parquet", write_parquet, 20_000, 4_000, _LONG),
    "arrow-long": Shape("Arrow, cells of 20 kB", "people.arrow", write_arrow, 20_000, 4_000, _LONG),
    "stream-long": Shape("Arrow stream, cells of 20 kB", "people.arrows", write_arrow_stream, 20_000, 4_000, _LONG),
    "ndjson-long": Shape("NDJSON, cells of 20 kB", "people.ndjson", write_ndjson, 20_000, 4_000, _LONG),
    "query-long": Shape("DuckDB query, cells of 20 kB", "people.duckdb", write_database, 20_000, 4_000, _LONG),
    "workbook": Shape("Workbook, 9 columns", "people.xlsx", write_workbook, 50_000, 5_000, ordinary()),
    "files": Shape("200 CSV files of 100 rows", "parts", write_parts, 20_000, 20_000, ordinary()),
    "one-file": Shape("one CSV file of 20,000 rows", "people.csv", write_csv, 20_000, 20_000, ordinary()),
    "gz": Shape("CSV, gz", "people.csv.gz", write_csv, 300_000, 60_000, ordinary()),
    "zst": Shape("CSV, zst", "people.csv.zst", write_csv, 300_000, 60_000, ordinary()),
    "rejected": Shape("CSV, 999 of 1,000 rows rejected", "people.csv", write_csv, 300_000, 60_000, _NOBODY, 0.001),
    "twice": Shape("CSV, everybody twice", "people.csv", write_csv, 300_000, 60_000, _TWICE, 0.5),
    "one": Shape("CSV, one person in all rows", "people.csv", write_csv, 300_000, 60_000, _ONE, 0.0),
    "lines": Shape("CSV, quoted cells of three lines", "people.csv", write_csv, 300_000, 60_000, _LINES),
    "stray": Shape("CSV, a stray quote in each block", "people.csv", write_stray_quotes, 300_000, 60_000, _STRAY),
}


@dataclass(frozen=True)
class Measured:
    """What a shape takes: CPU seconds of ``check``, its start included, and the peaks of memory in MB."""

    shape: Shape
    rows: int
    check_s: float
    check_mb: float
    send_mb: float

    def cell_us(self, start_s: float) -> float:
        return (self.check_s - start_s) / self.rows / len(self.shape.columns) * 1e6


def given(path: Path) -> list[str]:
    """Return the input as the command line takes it."""
    return ["select * from people", "--database", str(path)] if path.suffix == ".duckdb" else [str(path)]


def measured(bench: Bench, name: str, rows: int, rounds: int) -> Measured:
    """Measure a shape, and remove its file."""
    shape, folder = SHAPES[name], Path(tempfile.mkdtemp(dir=bench.work))
    path = folder / shape.name
    # In another process: the kernel counts the memory of this one for the ones that it starts.
    subprocess.run([sys.executable, __file__, "--make", name, str(rows), str(path)], check=True)
    checks = [bench.run("check", *given(path), "--campaign-id", "bench", "--json") for _ in range(rounds)]
    if found := next((done for done in checks if json.loads(done.stdout or "{}").get("rows") != rows), None):
        raise RuntimeError(f"{name}: check ended with {found.exit_code}: {found.stderr[-500:]}")
    with server() as url:
        place = ["--endpoint", url, "--campaign-id", "bench", "--runs-dir", str(folder / "runs")]
        options = ["--rate", OPEN, "--yes", "--json", "--quiet"]
        sent = bench.run("send", *given(path), *place, *options, on_one_core=False)
        arrived = count(url)["recipients"]
    # A few rows may be malformed, or their neighbours' duplicates.
    if not (abs(arrived - rows * shape.sent) <= 1 + rows / 1000):
        raise RuntimeError(f"{name}: {arrived} recipients of {rows} rows: {sent.stderr[-500:]}")
    shutil.rmtree(folder)
    return Measured(
        shape, rows, min(done.cpu_s for done in checks), max(done.max_rss_mb for done in checks), sent.max_rss_mb
    )


def table(found: dict[str, Measured], start_s: float) -> Iterator[str]:
    yield "| shape | rows | CPU µs a row | a cell, in units of CSV's | peak MB, checked | peak MB, sent |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    usual = found["csv"].cell_us(start_s) if "csv" in found else 0.0
    for each in found.values():
        cell = each.cell_us(start_s)
        units = f"{cell / usual:.2f}" if usual else ""
        cells = (each.shape.title, f"{each.rows:,}", f"{cell * len(each.shape.columns):.1f}", units)
        yield f"| {' | '.join(cells)} | {each.check_mb:.0f} | {each.send_mb:.0f} |"


def ratios(found: dict[str, Measured], start_s: float) -> dict[str, float]:
    """Return the figures that have a goal, as far as their shapes were measured."""
    figures = {"mb": max(max(each.check_mb, each.send_mb) for each in found.values())}
    with suppress(KeyError):
        figures["files"] = found["files"].check_s / found["one-file"].check_s
    with suppress(KeyError):
        figures["cell"] = found["csv-300"].cell_us(start_s) / found["csv"].cell_us(start_s)
    return figures


_FIGURES = {
    "mb": "peak memory of any shape, MB",
    "files": "200 files, in units of one file with their rows",
    "cell": "a cell of CSV at 300 columns, in units of one at 9",
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SHAPES), help="shapes, joined by commas")
    parser.add_argument("--quick", action="store_true", help="small files")
    parser.add_argument("--rounds", type=int, default=3, help="of each check, the cheapest counts")
    for name, title in _FIGURES.items():
        parser.add_argument(f"--most-{name}", type=float, help=f"exit with 1 above this: {title}")
    parser.add_argument("--make", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.make:
        name, rows, path = options.make
        SHAPES[name].make(Path(path), int(rows))
        return 0
    found: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory(prefix="bulk-sender-shapes-") as folder:
        bench = Bench(Path(folder), 0)
        write_csv(one := bench.work / "one.csv", ordinary(), BATCH)
        starts: list[float] = []
        for name in options.only.split(","):
            rows = SHAPES[name].quick if options.quick else SHAPES[name].rows
            starts += [bench.run("check", str(one), "--campaign-id", "bench").cpu_s for _ in range(options.rounds)]
            found[name] = measured(bench, name, rows, options.rounds)
            print(f"{name}: {found[name].check_s:.2f} s", file=sys.stderr)
    print(*table(found, min(starts)), sep="\n")
    figures = ratios(found, min(starts))
    print(*(f"{_FIGURES[name]}: {value:.2f}" for name, value in figures.items()), sep="\n")
    return int(any(value > (getattr(options, f"most_{name}") or value) for name, value in figures.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
