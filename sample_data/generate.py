"""Makes the sample files, and files of the same kind of any length.

    python sample_data/generate.py
        writes the samples that stand beside this file again, byte for byte the same each time

    python sample_data/generate.py --rows 1000000 --seed 7 --output big.csv [--clean]
        writes one file: .csv with the columns of recipients.csv, .parquet with those of recipients.parquet;
        with --clean nine plain columns (the same in both formats), no invalid row and no duplicate

Rows are made in blocks, so memory stays flat whatever the length.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from draws import Rows
from exports import write_exports
from recipients import clean_parquet_rows, csv_rows, parquet_rows
from tables import LENGTH, TABLES

SEED = 20260105
CSV_LENGTH = 3000
PARQUET_LENGTH = 1000
BLOCK = 100_000
"""Rows held in memory at a time."""

MakeRows = Callable[[Rows, int], pl.DataFrame]


def blocks(make: MakeRows, length: int, seed: int, block: int = BLOCK) -> pl.LazyFrame:
    """``length`` rows as a frame that is made, block by block, while it is written."""

    def source(
        _columns: list[str] | None, _predicate: pl.Expr | None, _limit: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        for start in range(0, length, block):
            yield make(np.arange(start, min(start + block, length), dtype=np.uint64), seed)

    schema = make(np.arange(1, dtype=np.uint64), seed).schema
    return register_io_source(source, schema=schema, validate_schema=True, is_pure=True)


def write_csv(frame: pl.LazyFrame, path: Path, separator: str = ",") -> None:
    """UTF-8 without a byte order mark, lines ended by LF, quotes only where they are needed."""
    frame.sink_csv(path, separator=separator, line_terminator="\n", quote_style="necessary")


def write_parquet(frame: pl.LazyFrame, path: Path) -> None:
    """One row group a block, zstd."""
    frame.sink_parquet(path, compression="zstd", row_group_size=BLOCK)


def write_file(path: Path, length: int, seed: int, *, clean: bool) -> None:
    """One file of ``length`` rows, in the format its name ends with."""
    if path.suffix == ".csv":
        write_csv(blocks(lambda rows, seed: csv_rows(rows, seed, clean=clean), length, seed), path)
    else:
        write_parquet(blocks(clean_parquet_rows if clean else parquet_rows, length, seed), path)


def write_samples(folder: Path) -> None:
    """All sample files, under their own names."""
    write_file(folder / "recipients.csv", CSV_LENGTH, SEED, clean=False)
    write_file(folder / "recipients.parquet", PARQUET_LENGTH, SEED, clean=False)
    for table in TABLES:
        write_csv(blocks(table.frame, LENGTH, SEED), folder / table.name, table.separator)
    write_exports(folder, SEED)


def main(arguments: list[str]) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Makes sample files of recipients.")
    parser.add_argument("--rows", type=int, metavar="N", help="rows to write")
    parser.add_argument("--seed", type=int, metavar="S", help=f"another seed makes other rows (default {SEED})")
    parser.add_argument("--output", type=Path, metavar="FILE", help="a name that ends with .csv or .parquet")
    parser.add_argument("--clean", action="store_true", help="nine columns, nothing invalid, no duplicates")
    options = parser.parse_args(arguments)
    if options.rows is None and options.output is None and options.seed is None and not options.clean:
        write_samples(Path(__file__).parent)
        return
    if options.rows is None or options.output is None:
        parser.error("--rows and --output go together")
    if options.rows < 1:
        parser.error("--rows: at least 1")
    if options.output.suffix not in (".csv", ".parquet"):
        parser.error(f"--output: {options.output} ends with neither .csv nor .parquet")
    seed = SEED if options.seed is None else options.seed
    write_file(options.output, options.rows, seed, clean=options.clean)


if __name__ == "__main__":
    main(sys.argv[1:])
