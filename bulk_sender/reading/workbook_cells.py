"""Cells of a workbook as people see them: what a cell holds by its number format, and the type of each column.

All work is done on whole blocks of cells. Cells are kept on disk between the first look, which finds the types of the
columns, and the reading of the rows.
"""

from __future__ import annotations

import io
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import polars as pl

from bulk_sender.reading.number_format import Code, NumberFormat, Shown
from bulk_sender.reading.spool import unwritable
from bulk_sender.reading.types import NUMBER
from bulk_sender.reading.workbook_markup import column_letters, unescaped

_DAY_MS = 86_400_000
_EPOCH_1900 = 25_569
"""Day 1970-01-01 in a workbook that counts from 1900."""
_1904_DAYS = 1_462
_LAST_DAY = 2_958_466
_EXACT = 10**15
"""Numbers from here on have 16 digits or more, of which a spreadsheet program keeps 15."""
_MOST_INTEGER = 2**63
_EXAMPLES = 3


class Kind(IntEnum):
    """What a cell holds. A cell without anything visible is left out."""

    TEXT = 0
    WHOLE = 1
    FLOAT = 2
    BOOLEAN = 3
    DATE = 4
    MOMENT = 5
    TIME = 6


CELLS = {"row": pl.UInt32, "column": pl.UInt16, "kind": pl.UInt8, "value": pl.Int64, "text": pl.String}
"""A cell as people see it. ``value`` by kind: a whole number; the bits of a float; 0 or 1; milliseconds since 1970;
milliseconds of the day. ``text`` of a text."""


@dataclass(slots=True)
class Found:
    """Cells of one column that share something worth a warning: how many, and the first of them by name."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, rows: pl.Series, column: int, texts: pl.Series | None = None) -> None:
        self.count += len(rows)
        for index in range(min(len(rows), _EXAMPLES - len(self.examples))):
            text = f" ({texts[index]})" if texts is not None and texts[index] else ""
            self.examples.append(f"{column_letters(column)}{rows[index]}{text}")

    def note(self, name: str) -> None:
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(name)

    def named(self) -> str:
        more = self.count - len(self.examples)
        return ", ".join(self.examples) + (f" and {more:,} more" if more else "")


@dataclass(frozen=True, slots=True)
class CellReader:
    """Turns raw cells into what people see."""

    shared: pl.Series
    formats: Sequence[NumberFormat]
    counts_from_1904: bool = False
    null_values: Sequence[str] = ()

    def visible(self, raw: pl.DataFrame) -> pl.DataFrame:
        """Return the cells of a block that hold something, in order of rows. Raise IndexError for a missing string."""
        kinds = raw["type"]
        parts = [
            self._texts(raw.filter(kinds.is_in(["s", "str", "inlineStr"]))),
            _booleans(raw.filter(kinds == "b")),
            self._iso(raw.filter(kinds == "d")),
            self._numbers(raw.filter(~kinds.is_in(["s", "str", "inlineStr", "b", "d", "e"]))),
        ]
        return pl.concat([part for part in parts if len(part)] or parts[:1]).sort("row", "column", maintain_order=True)

    def _texts(self, raw: pl.DataFrame) -> pl.DataFrame:
        if not len(raw):
            return _none()
        is_shared = raw["type"] == "s"
        plain, shared = raw.filter(~is_shared), raw.filter(is_shared)
        found = [_cells(plain, Kind.TEXT, text=unescaped(plain["value"]))]
        if len(shared):
            places = shared["value"].str.strip_chars().cast(pl.UInt32, strict=False)
            if (places.is_null() & (shared["value"].fill_null("") != "")).any() or (
                places.len() > places.null_count() and int(places.max()) >= len(self.shared)  # type: ignore[arg-type]
            ):
                raise IndexError("a cell refers to a text that the workbook does not have")
            found.append(_cells(shared, Kind.TEXT, text=self.shared.gather(places)))
        texts = pl.concat(found)
        is_empty = texts["text"].str.strip_chars().str.len_bytes().fill_null(0) == 0
        if self.null_values:
            is_empty |= texts["text"].is_in(list(self.null_values)).fill_null(False)
        return texts.filter(~is_empty)

    def _iso(self, raw: pl.DataFrame) -> pl.DataFrame:
        """Read dates that are stored as ISO 8601."""
        raw = raw.filter(raw["value"].fill_null("") != "")
        if not len(raw):
            return _none()
        text = raw["value"].str.strip_chars().str.strip_chars_end("Z")
        moments = _first(
            text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="ms"),
            text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("ms")),
        )
        times = text.str.to_time("%H:%M:%S%.f", strict=False)
        value = moments.cast(pl.Int64)
        kind = pl.Series([int(Kind.MOMENT)], dtype=pl.UInt8).new_from_index(0, len(raw))
        kind = kind.set(value % _DAY_MS == 0, int(Kind.DATE))
        is_time = moments.is_null() & times.is_not_null()
        value = value.zip_with(~is_time, times.cast(pl.Int64) // 1_000_000)
        kind = kind.set(is_time, int(Kind.TIME)).set(value.is_null(), int(Kind.TEXT))
        return _cells(raw, kind, value=value, text=text.zip_with(value.is_null(), _nulls(len(raw))))

    def _numbers(self, raw: pl.DataFrame) -> pl.DataFrame:
        text = raw["value"].str.strip_chars()
        filled = text.fill_null("") != ""
        raw, text = raw.filter(filled), text.filter(filled)
        if not len(raw):
            return _none()
        floats = text.cast(pl.Float64, strict=False)
        whole = text.cast(pl.Int64, strict=False)
        is_whole = floats.is_finite() & (floats == floats.floor()) & (floats.abs() < float(_MOST_INTEGER))
        whole = _first(whole, floats.set((~is_whole).fill_null(True), None).cast(pl.Int64, strict=False))
        bits = pl.Series(floats.fill_null(0.0).to_numpy().view(np.int64))
        is_number = floats.is_finite().fill_null(False)
        kind = pl.Series(np.where(whole.is_not_null().to_numpy(), int(Kind.WHOLE), int(Kind.FLOAT)).astype(np.uint8))
        kind = kind.set(~is_number, int(Kind.TEXT))
        value = whole.zip_with(whole.is_not_null(), bits)
        shown_text = text.zip_with(~is_number, _nulls(len(raw)))
        for style in raw["style"].unique().to_list():
            number_format = self.formats[style] if style < len(self.formats) else None
            if number_format is None or number_format.shown == Shown.NUMBER:
                continue
            here = (raw["style"] == style) & is_number
            if number_format.shown == Shown.CODE:
                for code in number_format.codes:
                    coded = here & whole.is_between(code.least, code.most).fill_null(False)
                    here &= ~coded
                    if code.parts:
                        kind = kind.set(coded, int(Kind.TEXT))
                        shown_text = _coded(whole, code).zip_with(coded, shown_text)
            else:
                kind, value, shown_text = self._moments(number_format, here, floats, kind, value, shown_text)
        return _cells(raw, kind, value=value, text=shown_text)

    def _moments(
        self,
        number_format: NumberFormat,
        here: pl.Series,
        days: pl.Series,
        kind: pl.Series,
        value: pl.Series,
        text: pl.Series,
    ) -> tuple[pl.Series, pl.Series, pl.Series]:
        """Set kind, value and text of the cells ``here``, whose numbers are days since the workbook's epoch."""
        here = here & ((days >= 0) & (days < _LAST_DAY)).fill_null(False)
        ms = (days * _DAY_MS).round().cast(pl.Int64, strict=False)
        if number_format.shown == Shown.ELAPSED:
            long = here & (days >= 1).fill_null(False)
            kind = kind.set(long, int(Kind.TEXT))
            text = _elapsed(ms).zip_with(long, text)
            is_time = here & ~long
        else:
            is_time = here & (ms < _DAY_MS).fill_null(False)
            if number_format.shown == Shown.DATE or (self.counts_from_1904 and number_format.shown == Shown.MOMENT):
                is_time = is_time & False
        is_date = here & ~is_time & (kind != int(Kind.TEXT))
        if self.counts_from_1904:
            since_1970 = ms + (_1904_DAYS - _EPOCH_1900) * _DAY_MS
        else:  # a spreadsheet program counts a day that 1900 did not have
            since_1970 = ms + (_EPOCH_1900 * -_DAY_MS) + (ms < 60 * _DAY_MS).cast(pl.Int64) * _DAY_MS
        kind = kind.set(is_date, int(Kind.MOMENT)).set(
            is_date & (since_1970 % _DAY_MS == 0).fill_null(False), int(Kind.DATE)
        )
        kind = kind.set(is_time, int(Kind.TIME))
        return kind, ms.zip_with(is_time, since_1970.zip_with(is_date, value)), text


def _coded(whole: pl.Series, code: Code) -> pl.Series:
    """Return numbers as their format shows them, with leading zeros and fixed texts."""
    digits = whole.cast(pl.String).str.zfill(code.digits)
    if len(code.parts) == 1:
        return digits
    pattern, shown, group = "^", "", 0
    for part in code.parts:
        if isinstance(part, int):
            group += 1
            pattern += f"([0-9]{{{part}{',' if group == 1 else ''}}})"
            shown += f"${{{group}}}"
        else:
            shown += part.replace("$", "$$")
    return digits.str.replace(pattern + "$", shown)


def _elapsed(ms: pl.Series) -> pl.Series:
    seconds = (ms / 1000).round().cast(pl.Int64, strict=False)
    parts = pl.DataFrame({"h": seconds // 3600, "m": seconds // 60 % 60, "s": seconds % 60})
    return parts.select(
        pl.format("{}:{}:{}", *(pl.col(name).cast(pl.String).str.zfill(2) for name in ("h", "m", "s")))
    ).to_series()


def _booleans(raw: pl.DataFrame) -> pl.DataFrame:
    text = raw["value"].str.strip_chars().str.to_lowercase()
    value = text.is_in(["1", "true"]).cast(pl.Int64)
    return _cells(raw, Kind.BOOLEAN, value=value).filter(text.fill_null("") != "")


def _first(values: pl.Series, others: pl.Series) -> pl.Series:
    """Return ``values`` where they are known, else ``others``."""
    return values.zip_with(values.is_not_null(), others)


def _nulls(count: int) -> pl.Series:
    return pl.repeat(None, count, dtype=pl.String, eager=True)


def _none() -> pl.DataFrame:
    return pl.DataFrame(schema=CELLS)


def _cells(
    raw: pl.DataFrame, kind: Kind | pl.Series, *, value: pl.Series | None = None, text: pl.Series | None = None
) -> pl.DataFrame:
    count = len(raw)
    kinds = pl.Series(np.full(count, int(kind), dtype=np.uint8)) if isinstance(kind, Kind) else kind
    numbers = pl.Series(np.zeros(count, dtype=np.int64)) if value is None else value.fill_null(0)
    texts = _nulls(count) if text is None else text
    return pl.DataFrame(
        [raw["row"], raw["column"], kinds.alias("kind"), numbers.alias("value"), texts.alias("text")], schema=CELLS
    )


class Tally:
    """Counts of cells by column and kind, over all rows below the header."""

    def __init__(self) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros((0, len(Kind)), dtype=np.int64)
        self.large: dict[int, Found] = {}
        """Whole numbers of 16 digits or more, by column."""
        self.bounds: tuple[int, int, int] = (0, 0, 0)
        """First and last column, and last row, with anything."""

    def add(self, cells: pl.DataFrame) -> None:
        if not len(cells):
            return
        columns = cells["column"].to_numpy().astype(np.int64)
        width = int(columns.max()) + 1
        if width > len(self.counts):
            self.counts = np.vstack([self.counts, np.zeros((width - len(self.counts), len(Kind)), dtype=np.int64)])
        flat = np.bincount(columns * len(Kind) + cells["kind"].to_numpy(), minlength=self.counts.size)
        self.counts += flat[: self.counts.size].reshape(self.counts.shape)
        self.cover(cells)
        value = cells["value"]
        is_large = (cells["kind"] == int(Kind.WHOLE)) & ((value >= _EXACT) | (value <= -_EXACT))
        is_float = cells["kind"] == int(Kind.FLOAT)
        if is_float.any():
            is_large |= is_float & (_floats(value).abs() >= _MOST_INTEGER).fill_null(False)
        large = cells.filter(is_large)
        for (column,), rows in large.group_by("column", maintain_order=True):
            assert isinstance(column, int)
            self.large.setdefault(column, Found()).add(rows["row"], column)

    def cover(self, cells: pl.DataFrame) -> None:
        """Widen the bounds to these cells, at least one."""
        columns = cells["column"].to_numpy()
        first, last = int(columns.min()), int(columns.max())
        self.bounds = (
            min(self.bounds[0] or first, first),
            max(self.bounds[1], last),
            max(self.bounds[2], int(cells["row"][-1])),
        )

    def type_of(self, column: int) -> pl.DataType:
        """Return the type that every cell of a column fits."""
        counts = self.counts[column] if column < len(self.counts) else np.zeros(len(Kind), dtype=np.int64)
        kinds = {kind for kind in Kind if counts[kind]}
        if not kinds:
            return pl.Null()
        if kinds == {Kind.WHOLE}:
            return pl.Int64()
        if kinds == {Kind.FLOAT}:
            return pl.Float64()
        if kinds == {Kind.WHOLE, Kind.FLOAT}:  # a float would show 10 as 10.0
            return NUMBER
        if kinds == {Kind.BOOLEAN}:
            return pl.Boolean()
        if kinds == {Kind.DATE}:
            return pl.Date()
        if kinds <= {Kind.DATE, Kind.MOMENT}:
            return pl.Datetime("ms")
        return pl.Time() if kinds == {Kind.TIME} else pl.String()

    def has_moments(self, column: int) -> bool:
        return column < len(self.counts) and bool(self.counts[column, Kind.MOMENT])


def values(cells: pl.DataFrame, dtype: pl.DataType, *, timezone: str, has_moments: bool) -> pl.Series:
    """Return the cells of one column as values of its type; as text for ``NUMBER``.

    ``has_moments``: whether a date of this column has a time of day, so that all are written with one.
    """
    value = cells["value"]
    if isinstance(dtype, pl.String) or dtype == NUMBER:
        return _as_text(cells, timezone, has_moments)
    if isinstance(dtype, pl.Float64):
        return _floats(value)
    if isinstance(dtype, pl.Boolean):
        return value == 1
    if isinstance(dtype, pl.Date):
        return value.cast(pl.Datetime("ms")).dt.date()
    if isinstance(dtype, pl.Time):
        return (value * 1_000_000).cast(pl.Time)
    return value.cast(dtype)


def _as_text(cells: pl.DataFrame, timezone: str, has_moments: bool) -> pl.Series:
    """Return cells as texts, spelled as they are sent from a column of their own kind."""
    text = cells["text"]
    for kind in cells["kind"].unique().to_list():
        if kind == Kind.TEXT:
            continue
        here = cells["kind"] == kind
        some = cells.filter(here)
        spelled = _spelled(some, Kind(kind), timezone, has_moments)
        text = text.scatter(here.arg_true(), spelled)
    return text


def _spelled(cells: pl.DataFrame, kind: Kind, timezone: str, has_moments: bool) -> pl.Series:
    value = cells["value"]
    if kind == Kind.WHOLE:
        return value.cast(pl.String)
    if kind == Kind.FLOAT:
        return pl.Series([repr(number) for number in _floats(value).to_list()])
    if kind == Kind.BOOLEAN:
        return pl.Series(np.where(value.to_numpy() == 1, "TRUE", "FALSE"))
    if kind == Kind.TIME:
        return (value * 1_000_000).cast(pl.Time).dt.to_string("iso")
    moments = value.cast(pl.Datetime("ms"))
    if kind == Kind.DATE and not has_moments:
        return moments.dt.to_string("%Y-%m-%d")
    zoned = moments.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    return _first(zoned.dt.strftime("%Y-%m-%dT%H:%M:%S%.f%:z"), moments.dt.strftime("%Y-%m-%dT%H:%M:%S%.f"))


def _floats(bits: pl.Series) -> pl.Series:
    """Return the floats that were kept as whole numbers with the same bits."""
    return pl.Series(bits.to_numpy().copy().view(np.float64))


class CellStore:
    """Blocks of cells, kept in a private file that has no name, or in memory while they are few."""

    _MOST_IN_MEMORY = 1 << 20

    def __init__(self) -> None:
        try:
            self._file = tempfile.SpooledTemporaryFile(max_size=self._MOST_IN_MEMORY)  # noqa: SIM115 - closed by the finalizer
        except OSError as error:
            raise unwritable(error) from None
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self._places: list[tuple[int, int]] = []
        self.rows: list[int] = []
        """Rows with anything in each block."""

    def add(self, cells: pl.DataFrame, rows: int) -> None:
        """Keep a block. Raise InputError when the disk is full."""
        buffer = io.BytesIO()
        cells.write_ipc_stream(buffer, compression="lz4", compat_level=pl.CompatLevel.oldest())
        try:
            with self._lock:
                at = self._file.seek(0, io.SEEK_END)
                self._file.write(buffer.getbuffer())
        except OSError as error:
            raise unwritable(error) from None
        self._places.append((at, buffer.tell()))
        self.rows.append(rows)

    def blocks(self, first: int = 0) -> Iterator[pl.DataFrame]:
        for at, size in self._places[first:]:
            with self._lock:
                self._file.seek(at)
                data = self._file.read(size)
            yield pl.read_ipc_stream(data)
