"""Files that unpack to far more than they take: refused, or read in pieces."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.errors import InputError
from bulk_sender.reading import compression, weight
from bulk_sender.reading.arrow_buffers import buffers
from bulk_sender.reading.chunk import Chunk, Position
from bulk_sender.reading.compression import refuse_bomb
from bulk_sender.reading.parquet_pages import pages
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from bulk_sender.reading.weight import MAX_ROW_BYTES, pieces
from tests.kit.command import environment

PEOPLE = pl.DataFrame({"external_user_id": [f"u{n}" for n in range(1000)]})


def chunks(path: Path, start: Position | None = None) -> list[Chunk]:
    return list(Input.open([path], ReadSettings(), Spool()).read(start))


def write(frame: pl.DataFrame, path: Path) -> Path:
    match path.suffix:
        case ".parquet":
            frame.write_parquet(path, compression="zstd")
        case ".arrow":
            frame.write_ipc(path, compression="zstd")
        case ".arrows":
            frame.write_ipc_stream(path, compression="zstd")
    return path


_PEAK = """
import sys
import bulk_sender as bs
try:
    print(bs.check(sys.argv[1]).rows)
except bs.BulkSenderError as error:
    print(error)
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


def checked(path: Path) -> tuple[str, int]:
    """What a check of a file says, and its peak of memory in MB."""
    command = [sys.executable, "-c", _PEAK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=90, env=environment())
    *said, peak = done.stdout.splitlines()
    return "\n".join(said), int(peak) >> 10


linux = pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")


@linux
@pytest.mark.parametrize("kind", ["parquet", "arrow", "arrows"])
def test_a_small_file_with_one_huge_cell_is_refused_before_it_is_unpacked(kind: str, tmp_path: Path) -> None:
    cell = pl.Series(["x" * 200_000_000] + ["y"] * 9)
    path = write(PEOPLE.head(10).with_columns(cell.alias("trigger_properties.text")), tmp_path / f"bomb.{kind}")
    assert path.stat().st_size < 20_000
    del cell
    said, peak = checked(path)
    assert "bomb" in said and "expands to more than" in said
    assert peak < 300


@linux
@pytest.mark.parametrize("kind", ["parquet", "arrow", "arrows"])
def test_a_long_text_that_every_row_repeats_is_read_in_pieces(kind: str, tmp_path: Path) -> None:
    """A dictionary keeps the text once, so that the file is small and unpacks to little."""
    text = pl.Series(["z" * 400_000]).new_from_index(0, len(PEOPLE)).cast(pl.Categorical)
    path = write(PEOPLE.with_columns(text.alias("trigger_properties.text")), tmp_path / f"repeats.{kind}")
    assert path.stat().st_size < 1_000_000
    said, peak = checked(path)
    assert said == "1000"
    assert peak < 600


def test_a_row_that_is_too_long_is_named(tmp_path: Path) -> None:
    cells = ["a"] * 4 + ["b" * (MAX_ROW_BYTES + 1)]
    path = tmp_path / "long.parquet"
    PEOPLE.head(5).with_columns(pl.Series("trigger_properties.text", cells)).write_parquet(
        path, compression="uncompressed"
    )
    with pytest.raises(InputError, match=r"long.parquet: row 5 is longer than 32 MB \(33,554,435 bytes\)"):
        chunks(path)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_pieces_do_not_depend_on_where_reading_begins(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight, "CHUNK_BYTES", 3_000)
    frame = PEOPLE.with_columns(text=pl.Series(["x" * (n * 37 % 900) for n in range(len(PEOPLE))]))
    path = write(frame, tmp_path / f"people.{kind}")
    whole = chunks(path)
    assert len(whole) > 100
    assert pl.concat([chunk.frame for chunk in whole]).equals(frame)
    for index in (1, 50, len(whole) - 1):
        again = chunks(path, whole[index].start)
        assert [chunk.end for chunk in again] == [chunk.end for chunk in whole[index:]]
    inside = Position(0, whole[3].start.offset + 1, whole[3].start.source_row + 1, whole[3].start.row + 1)
    rest = pl.concat([chunk.frame for chunk in chunks(path, inside)])
    assert rest.equals(frame.slice(inside.row)), "a position inside a piece loses and repeats no row"


def one_cell(path: Path) -> Path:
    """Write a cell of 3 MB that packs well, without a dictionary."""
    frame = PEOPLE.head(1).with_columns(pl.Series("trigger_properties.text", ["x" * 3_000_000]))
    return write(frame, path)


@pytest.mark.parametrize(
    "unknown",
    [bytes([12]) + b"\xd0\x8c\x01" + bytes([0x1C]) * 40 + bytes(41), bytes([13]) + b"\xd0\x8c\x01" + bytes(16)],
    ids=["deep structures", "an identifier"],
)
def test_an_unknown_field_does_not_hide_what_a_page_unpacks_to(
    unknown: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "FREE_BYTES", 1_000_000)
    path = one_cell(tmp_path / "bomb.parquet")
    data = path.read_bytes()
    footer = data[-8 - int.from_bytes(data[-8:-4], "little") : -8]
    # at the end of the footer, before its mark of the end
    changed = footer[:-1] + unknown + footer[-1:]
    path.write_bytes(data[: -8 - len(footer)] + changed + struct.pack("<I", len(changed)) + b"PAR1")
    with pytest.raises(InputError, match="decompression bomb"):
        chunks(path)


def test_a_page_of_nulls_counts_as_the_bits_that_they_take() -> None:
    def number(value: int) -> bytes:
        value *= 2
        signs = [value >> shift & 127 for shift in range(0, max(1, value.bit_length()), 7)]
        return bytes([*(sign | 128 for sign in signs[:-1]), signs[-1]])

    nulls = 2_000_000_000
    for head in (b"\x2c", b"\x5c"):  # field 5 or 8: the two forms of a data page
        page = (
            b"\x15" + number(0) + b"\x15" + number(20) + b"\x15" + number(2) + head + b"\x15" + number(nulls) + bytes(2)
        )
        column = b"\x3c" + b"\x76" + number(len(page) + 2) + b"\x26" + number(4) + bytes(2)
        footer = b"\x49\x1c\x19\x1c" + column + bytes(2)
        data = b"PAR1" + page + bytes(2) + footer + struct.pack("<I", len(footer)) + b"PAR1"
        assert list(pages(io.BytesIO(data), len(data))) == [(2, nulls // 8)]


def test_a_footer_of_empty_structures_takes_no_memory() -> None:
    groups = 200_000
    footer = bytes([0x4C - 0x0C + 9, 0xFC]) + b"\xc0\x9a\x0c" + bytes(groups) + bytes(1)
    data = b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"
    tracemalloc.start()
    try:
        assert list(pages(io.BytesIO(data), len(data))) == []
        assert tracemalloc.get_traced_memory()[1] < 10 * len(data)
    finally:
        tracemalloc.stop()


def test_messages_in_the_form_before_arrow_0_15_are_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def older(path: Path) -> Path:
        data = path.read_bytes()
        path.write_bytes(data[:4] + re.sub(rb"(?<!\xff)\xff{4}(?!\xff)", b"", data[4:]))
        return path

    honest = older(write(PEOPLE, tmp_path / "people.arrows"))
    assert sum(len(chunk.frame) for chunk in chunks(honest)) == len(PEOPLE)
    monkeypatch.setattr(compression, "FREE_BYTES", 1_000_000)
    with pytest.raises(InputError, match="decompression bomb"):
        chunks(older(one_cell(tmp_path / "bomb.arrows")))


def test_a_file_whose_sizes_cannot_be_found_is_not_read(tmp_path: Path) -> None:
    """The footer gives another place for the buffers than the message itself."""
    path = write(PEOPLE, tmp_path / "people.arrow")
    data = bytearray(path.read_bytes())
    [length] = struct.unpack_from("<i", data, len(data) - 10)
    footer = len(data) - 10 - length
    places = [at for at in range(footer, len(data) - 24, 4) if _is_block(data, at)]
    assert places
    for at in places:
        struct.pack_into("<i", data, at + 8, struct.unpack_from("<i", data, at + 8)[0] + 64)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"people.arrow cannot be read as .*: its internal structure is damaged"):
        chunks(path)


def _is_block(data: bytearray, at: int) -> bool:
    """Whether the place, the length and the body of a message stand here."""
    place, length, body = struct.unpack_from("<qi4xq", data, at)
    return 0 < place < len(data) and data[place : place + 4] == b"\xff" * 4 and 8 < length < len(data) and body > 0


@pytest.mark.parametrize("kind", ["parquet", "arrow", "arrows"])
def test_a_table_without_rows_is_sound(kind: str, tmp_path: Path) -> None:
    path = write(PEOPLE.head(0), tmp_path / f"none.{kind}")
    assert refuse_bomb(path, path.name, pages if kind == "parquet" else buffers)


_TEXT = st.none() | st.text(max_size=30)


@given(
    st.lists(
        st.tuples(_TEXT, st.none() | st.lists(_TEXT, max_size=3), st.tuples(_TEXT, st.none() | st.integers(0, 9))),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_pieces_are_the_frame_whatever_it_holds(rows: list[tuple[object, ...]], begin: int) -> None:
    frame = pl.DataFrame(
        {
            "text": pl.Series([row[0] for row in rows], dtype=pl.String),
            "list": pl.Series([row[1] for row in rows], dtype=pl.List(pl.String)),
            "struct": pl.Series(
                [dict(zip("ab", row[2], strict=True)) for row in rows],  # type: ignore[call-overload]
                dtype=pl.Struct({"a": pl.String, "b": pl.Int64}),
            ),
        }
    )

    def weigh(part: pl.DataFrame) -> int:
        lists = sum(len((entry or "").encode()) for entries in part["list"].to_list() for entry in entries or ())
        texts = [*part["text"], *(value["a"] for value in part["struct"])]
        return lists + sum(len((text or "").encode()) for text in texts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight, "CHUNK_BYTES", 40)
        found = list(pieces(frame, "x", 0, begin=begin))
    assert sum(len(part) for _, part in found) == max(0, len(frame) - begin)
    at = begin
    for place, part in found:
        assert place == at
        assert part.equals(frame.slice(at, len(part)))
        assert weigh(part) <= 40 or len(part) == 1
        at += len(part)


@pytest.mark.parametrize("damage", range(0, 400, 7))
def test_sizes_in_a_damaged_file_are_left_to_its_reader(damage: int, tmp_path: Path) -> None:
    for kind in ("parquet", "arrow", "arrows"):
        path = write(PEOPLE, tmp_path / f"people.{kind}")
        data = bytearray(path.read_bytes())
        place = len(data) - 1 - damage if kind != "arrows" else damage
        data[place] ^= 0xFF
        path.write_bytes(data)
        try:
            assert sum(len(chunk.frame) for chunk in chunks(path)) <= len(PEOPLE)
        except InputError as error:
            assert path.name in str(error)


def test_a_page_that_points_back_is_not_followed_for_ever(tmp_path: Path) -> None:
    path = write(PEOPLE, tmp_path / "people.parquet")
    data = path.read_bytes()
    for sign in (b"\x01", b"\xff\xff\xff\xff\x0f"):
        path.write_bytes(data[:4] + b"\x15\x00\x15" + sign + b"\x15" + sign + b"\x00" + data[12:])
        try:
            chunks(path)
        except InputError as error:
            assert "people.parquet" in str(error)
