"""The generator makes the committed samples again, and longer ones of the same kind."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from tests.kit.samples import (
    EXPORTS,
    ROOT,
    SAMPLES,
    TEXT_FILES,
    claimed_invalid,
    invalid_rows,
    read,
    repeated,
    run,
    types_in_names,
)

READ: dict[str, Callable[[str], object]] = {
    "float": float,
    "integer": int,
    "date": date.fromisoformat,
    "boolean": lambda cell: cell == "true",
}


def generate(*arguments: object, folder: Path = SAMPLES) -> None:
    done = run(str(folder / "generate.py"), *map(str, arguments))
    assert done.returncode == 0, done.stderr


def pinned_polars() -> str:
    constraints = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8")
    found = re.search(r"^polars==(.+)$", constraints, re.MULTILINE)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the generator that has written its samples beside itself."""
    folder = tmp_path_factory.mktemp("sample_data")
    for module in SAMPLES.glob("*.py"):
        shutil.copy(module, folder)
    generate(folder=folder)
    return folder


@pytest.mark.parametrize("file", TEXT_FILES)
def test_without_arguments_the_generator_writes_the_committed_text_files_byte_for_byte(
    file: str, regenerated: Path
) -> None:
    assert (regenerated / file).read_bytes() == (SAMPLES / file).read_bytes()


def test_without_arguments_the_generator_writes_the_committed_parquet_file(regenerated: Path) -> None:
    made, committed = regenerated / "recipients.parquet", SAMPLES / "recipients.parquet"
    assert pl.read_parquet(made).equals(pl.read_parquet(committed))
    if pl.__version__ == pinned_polars():  # the bytes name the version that wrote them
        assert made.read_bytes() == committed.read_bytes()


@pytest.mark.parametrize("file", EXPORTS)
def test_without_arguments_the_generator_writes_the_committed_exports(file: str, regenerated: Path) -> None:
    made, committed = regenerated / file, SAMPLES / file
    if file.endswith(".csv"):
        assert made.read_bytes() == committed.read_bytes()
        return
    with zipfile.ZipFile(made) as one, zipfile.ZipFile(committed) as other:  # zlib may compress differently
        assert one.namelist() == other.namelist()
        for name in one.namelist():
            assert one.read(name) == other.read(name), name


def test_blocks_of_any_size_give_the_same_bytes(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, generate\n"
        "frame = generate.blocks(generate.csv_rows, 3000, generate.SEED, block=int(sys.argv[1]))\n"
        "generate.write_csv(frame, pathlib.Path(sys.argv[2]))\n"
    )
    output = tmp_path / "out.csv"
    done = run("-c", script, "701", str(output))
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == (SAMPLES / "recipients.csv").read_bytes()


def test_a_longer_file_begins_with_the_shorter_one_and_repeats_its_flaws(tmp_path: Path) -> None:
    output = tmp_path / "long.csv"
    generate("--rows", 6000, "--output", output)
    assert output.read_bytes().startswith((SAMPLES / "recipients.csv").read_bytes())
    rows = read(output)
    found = invalid_rows(rows, "external_user_id", types_in_names(rows))
    once = claimed_invalid("recipients.csv")
    assert found == once + [(number + 3000, column, why) for number, column, why in once]
    assert len(repeated([row["external_user_id"] for row in rows])) == 12


def test_another_seed_makes_other_people(tmp_path: Path) -> None:
    output = tmp_path / "other.csv"
    generate("--rows", 3000, "--seed", 7, "--output", output)
    ours, others = read(SAMPLES / "recipients.csv"), read(output)
    same = sum(one == other for one, other in zip(ours, others, strict=True))
    assert same == 0


def test_clean_files_have_nine_columns_nothing_invalid_and_no_duplicates(tmp_path: Path) -> None:
    output = tmp_path / "clean.csv"
    generate("--rows", 110_000, "--seed", 3, "--output", output, "--clean")  # more than one block
    rows = read(output)
    assert len(rows) == 110_000
    assert len(rows[0]) == 9
    assert invalid_rows(rows, "external_user_id", types_in_names(rows)) == []
    assert repeated([row["external_user_id"] for row in rows]) == []


def test_clean_parquet_holds_the_same_rows_as_clean_csv_with_types(tmp_path: Path) -> None:
    for name in ("clean.csv", "clean.parquet"):
        generate("--rows", 5000, "--seed", 3, "--output", tmp_path / name, "--clean")
    frame = pl.read_parquet(tmp_path / "clean.parquet")
    rows = read(tmp_path / "clean.csv")
    assert frame.columns == [name.partition(":")[0] for name in rows[0]]
    assert frame.schema["trigger_properties.order.total"] == pl.Float64
    assert frame.schema["trigger_properties.renewal_date"] == pl.Date
    assert frame.schema["attributes.points"] == pl.Int64
    assert frame.schema["attributes.opted_in"] == pl.Boolean
    for name in rows[0]:
        bare, _, kind = name.partition(":")
        value = READ.get(kind, str)
        assert frame[bare].to_list() == [value(row[name]) if row[name] else None for row in rows]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--rows", "5"),
        ("--output", "x.csv"),
        ("--rows", "0", "--output", "x.csv"),
        ("--rows", "5", "--output", "x.xlsx"),
        ("--seed", "4"),
        ("--clean",),
    ],
)
def test_arguments_that_make_no_sense_are_refused_and_write_nothing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    for module in SAMPLES.glob("*.py"):
        shutil.copy(module, tmp_path)
    before = sorted(tmp_path.iterdir())
    done = run(str(tmp_path / "generate.py"), *arguments, folder=tmp_path)
    assert done.returncode == 2
    assert sorted(tmp_path.iterdir()) == before
