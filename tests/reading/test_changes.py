"""Files that change while they are read. Every program may set size and time of modification back."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from bulk_sender.braze.endpoint import endpoint
from bulk_sender.config.model import Config
from bulk_sender.errors import InputError
from bulk_sender.planning.prepared import PreparedInput
from bulk_sender.reading import chunk, csv, ndjson, source
from bulk_sender.reading.identity import FileStamp
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from tests.kit.inputs import CSV, PEOPLE, put

WRITE: dict[str, Callable[[Path], object]] = {
    "people.csv": lambda path: path.write_text(CSV),
    "people.csv.gz": lambda path: path.write_bytes(gzip.compress(CSV.encode())),
    "people.ndjson": PEOPLE.write_ndjson,
    "people.parquet": PEOPLE.write_parquet,
    "people.arrow": PEOPLE.write_ipc,
    "people.xlsx": PEOPLE.write_excel,
}


def alter(path: Path) -> None:
    """Change one byte in place; size and time of modification stay as they were."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)


@pytest.fixture
def in_small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk, "CHUNK_CELLS", 200)
    monkeypatch.setattr(csv, "BLOCK_BYTES", 2048)
    monkeypatch.setattr(ndjson, "BLOCK_BYTES", 2048)


@pytest.mark.usefixtures("in_small_chunks")
@pytest.mark.parametrize("name", WRITE)
def test_bytes_altered_in_place_are_noticed_before_the_next_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITE[name](path)
    with Spool() as spool:
        opened = Input.open([path], ReadSettings(), spool)
        rows = opened.read()
        first = next(rows)
        assert len(first.frame) < len(PEOPLE), "more than one chunk"
        alter(path)
        with pytest.raises(InputError, match="was changed while it was read"):
            next(rows)


@pytest.mark.usefixtures("in_small_chunks")
@pytest.mark.parametrize("name", ["people.csv", "people.arrow"])
def test_a_plan_never_has_rows_of_altered_bytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITE[name](path)
    config = Config.model_validate({"braze": {"endpoint": "https://rest.iad-01.braze.com", "campaign_id": "c"}})
    with Spool() as spool:
        prepared = PreparedInput.open(path, config, spool)
        pieces = prepared.plan(endpoint(config.braze, config.message))
        next(pieces)
        alter(path)
        with pytest.raises(InputError, match="was changed while it was read"):
            next(pieces)


def test_each_file_of_a_large_folder_is_compared_before_its_rows(tmp_path: Path) -> None:
    for number in range(200):
        put(tmp_path, f"part-{number:03}.csv", "external_user_id,name\n" + f"u{number},x\n" * 400)
    with Spool() as spool:
        opened = Input.open([tmp_path], ReadSettings(skip_last=1), spool)  # so that each file is read alone
        rows = opened.read()
        next(rows)
        alter(tmp_path / "part-150.csv")
        seen: list[str] = []
        with pytest.raises(InputError, match=r"part-150\.csv was changed"):
            seen += [user for each in rows for user in each.frame["external_user_id"].to_list()]
        assert "u150" not in seen


def test_small_files_read_together_are_compared(tmp_path: Path) -> None:
    for number in range(100):
        put(tmp_path, f"part-{number:03}.csv", f"external_user_id,name\nu{number},x\n")
    with Spool() as spool:
        opened = Input.open([tmp_path], ReadSettings(), spool)
        alter(tmp_path / "part-077.csv")
        with pytest.raises(InputError, match=r"part-077\.csv was changed"):
            list(opened.read())


def test_a_digest_is_of_the_file_that_was_opened(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", CSV)
    with Spool() as spool:
        opened = Input.open([path], ReadSettings(), spool)
        alter(path)
        with pytest.raises(InputError, match="was changed while it was read"):
            opened.identify()


def test_a_file_that_changes_while_it_is_opened_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "people.csv", CSV)
    opening = source.open_reader

    def slowly(*given: object) -> object:
        found = opening(*given)  # type: ignore[arg-type]
        alter(path)
        return found

    monkeypatch.setattr(source, "open_reader", slowly)
    with Spool() as spool, pytest.raises(InputError, match="was changed while it was read"):
        list(Input.open([path], ReadSettings(), spool).read())


def test_a_stamp_differs_from_that_of_a_write_in_the_same_tick(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", CSV)
    for _ in range(20):
        alter(path)
        stamp = FileStamp.calm(path)
        alter(path)
        assert FileStamp.of(path) != stamp


def test_a_stamp_of_an_older_file_takes_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "people.csv", CSV)
    time.sleep(0.05)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waited"))
    assert FileStamp.calm(path) == FileStamp.of(path)
    assert FileStamp.calm(tmp_path / "missing.csv") is None


def test_a_folder_that_moves_changes_no_stamp(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = put(tmp_path / "a", "people.csv", CSV)
    before = FileStamp.calm(path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert FileStamp.of(tmp_path / "b" / "people.csv") == before


def test_frames_are_read_as_before(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        opened = Input.open([PEOPLE], ReadSettings(), spool)
        opened.identify()
        assert pl.concat([each.frame for each in opened.read()]).equals(PEOPLE)
