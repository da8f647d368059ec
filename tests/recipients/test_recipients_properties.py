"""Property tests: each row is sent as the object that plain Python builds from what other readers read."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sender.config.model import Config
from bulk_sender.reading import csv as reading_csv
from bulk_sender.reading import scan as tables
from tests.kit.reading import planned, rows_of, written
from tests.recipients.typed import TEXT, Table, exactly, same, typed_frames

PARIS = ZoneInfo("Europe/Paris")
SOME = settings(max_examples=settings.default.max_examples // 2)


# ----- CSV


class NotThatTypeError(Exception):
    """The cell is not valid for its column's type, so its row must be rejected."""


def _integer(cell: str) -> Any:
    if not cell.strip().lstrip("+-").isdecimal() or not cell.isascii():
        raise NotThatTypeError
    number = int(cell)
    if not -(2**63) <= number < 2**63:
        raise NotThatTypeError
    return Decimal(number)


def _float(cell: str) -> Any:
    try:
        number = Decimal(cell.strip())
    except ArithmeticError:
        raise NotThatTypeError from None
    if not number.is_finite() or abs(float(number)) == float("inf"):
        raise NotThatTypeError
    return number


def _boolean(cell: str) -> Any:
    word = cell.strip().lower()
    if word not in ("true", "false", "yes", "no", "1", "0"):
        raise NotThatTypeError
    return word in ("true", "yes", "1")


def _date(cell: str) -> Any:
    try:
        day = dt.date.fromisoformat(cell.strip())
    except ValueError:
        raise NotThatTypeError from None
    if day.year < 1000:
        raise NotThatTypeError
    return day.isoformat()


def _datetime(cell: str) -> Any:
    try:
        at = dt.datetime.fromisoformat(cell.strip())
    except ValueError:
        raise NotThatTypeError from None
    if at.tzinfo is not None:
        return at
    zoned = at.replace(tzinfo=PARIS)
    there_and_back = zoned.astimezone(dt.UTC).astimezone(PARIS)
    if there_and_back.replace(tzinfo=None) != at:  # skipped by daylight saving
        raise NotThatTypeError
    return zoned.replace(tzinfo=dt.timezone(zoned.utcoffset() or dt.timedelta()))


def _json(cell: str) -> Any:
    try:
        return exactly(cell)
    except (ValueError, AssertionError):
        raise NotThatTypeError from None


MOMENTS = st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2090, 1, 1))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
READ: dict[str, Callable[[str], Any]] = {
    "": str,
    ":string": str,
    ":integer": _integer,
    ":float": _float,
    ":boolean": _boolean,
    ":date": _date,
    ":datetime": _datetime,
    ":json": _json,
    ":list": lambda cell: [part.strip() for part in cell.split("|")],
}
CELLS: dict[str, st.SearchStrategy[str]] = {
    "": TEXT,
    ":string": TEXT,
    ":integer": st.integers(-(2**64), 2**64).map(str) | st.sampled_from(["+5", " 7 ", "007", "x"]),
    ":float": st.decimals(-(10**9), 10**9, places=3).map(str)
    | st.sampled_from(["0.10", " 1 ", "1e3", "NaN", "-inf", "1,5"]),
    ":boolean": st.sampled_from(["true", "FALSE", "yes", " no", "1", "0", "perhaps"]),
    ":date": st.dates().map(str) | st.sampled_from(["2026-02-30", "soon"]),
    ":datetime": MOMENTS.map(lambda at: at.isoformat(timespec="seconds"))
    | MOMENTS.map(lambda at: at.replace(tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))).isoformat())
    | st.sampled_from(["2026-03-29T02:30:00", "2026-10-25 02:30:00", "2026-02-28", "noon"]),
    ":json": JSON.map(json.dumps) | JSON.map(lambda value: json.dumps(value, ensure_ascii=False)) | st.just("{"),
    ":list": st.lists(st.text('abc é"\\\n', min_size=1, max_size=3), min_size=1, max_size=3).map("|".join),
}
PLACES = [
    "trigger_properties.a",
    "trigger_properties.b.c",
    "trigger_properties.b.d",
    "attributes.é",
    'attributes."',
    "attributes.n.m",
]


@st.composite
def typed_tables(draw: st.DrawFn) -> list[list[str]]:
    """Draw a header of typed fields, and rows of cells that mostly fit them."""
    places = draw(st.lists(st.sampled_from(PLACES), unique=True, min_size=1, max_size=5))
    kinds = [draw(st.sampled_from(sorted(CELLS))) for _ in places]
    header = ["external_user_id", *(place + kind for place, kind in zip(places, kinds, strict=True))]
    cells = st.tuples(*(st.just("") | CELLS[kind] for kind in kinds))
    rows = draw(st.lists(cells, max_size=12))
    return [header, *([f"u{number}", *row] for number, row in enumerate(rows))]


def expected_of_csv(row: dict[str, str], send_nulls: bool) -> dict[str, Any] | None:
    """Return the recipient for a row read by the csv module, or None when the row must be rejected."""
    found: dict[str, Any] = {"external_user_id": row["external_user_id"]}
    for column, cell in row.items():
        if column == "external_user_id":
            continue
        path, _, kind = column.partition(":")
        empty = not cell or (not cell.strip() and kind not in ("", "string"))
        try:
            value = None if empty else READ[f":{kind}" if kind else ""](cell)
        except NotThatTypeError:
            return None
        *outer, last = path.split(".")
        if value is None and not (send_nulls and outer == ["attributes"]):
            continue
        node = found
        for name in outer:
            node = node.setdefault(name, {})
        node[last] = pruned(value)
    return found


def pruned(value: Any) -> Any:
    """Leave out what is null inside a value."""
    if isinstance(value, dict):
        return {name: pruned(inner) for name, inner in value.items() if inner is not None}
    return [pruned(inner) for inner in value if inner is not None] if isinstance(value, list) else value


def in_any_order(value: Any) -> Any:
    """Sort members by name, because a mapping follows the configuration's order, not the row's."""
    if isinstance(value, dict):
        return {name: in_any_order(value[name]) for name in sorted(value)}
    return value


@SOME
@given(table=typed_tables(), send_nulls=st.booleans(), block=st.sampled_from([50, 400, 100_000]))
def test_a_csv_row_is_sent_with_exact_values(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], send_nulls: bool, block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "values.csv"
    path.write_text(written(table, quoting=csv.QUOTE_ALL), newline="")
    config = Config.parse(
        {"input": {"nulls": "send" if send_nulls else "omit", "timezone": "Europe/Paris"}}, where="the test"
    )
    with path.open(newline="") as file:
        expected = [expected_of_csv(row, send_nulls) for row in csv.DictReader(file)]
    with patch.object(reading_csv, "BLOCK_BYTES", block):
        pieces = list(planned(path, config))
    sent = rows_of(pieces)["recipient"].to_list() if pieces else []
    assert [text is not None for text in sent] == [row is not None for row in expected]
    for text, row in zip(sent, expected, strict=True):
        if row is not None:
            assert same(in_any_order(row), in_any_order(exactly(text)))


# ----- Parquet


def laid_out(value: Any, dtype: pl.DataType, in_json: Callable[[Any], Any], send_nulls: bool) -> Any:
    """Return the JSON of a value; a struct's nulls are left out or sent, like those of any other column."""
    if not isinstance(dtype, pl.Struct):
        return None if value is None else pruned(in_json(value))
    given_row = in_json(value) if value is not None else {}
    members = {
        field.name: laid_out(given_row.get(field.name), field.dtype, lambda known: known, False)  # type: ignore[arg-type]
        for field in dtype.fields
    }
    kept = {name: member for name, member in members.items() if send_nulls or member is not None}
    return kept or None


def expected_of_parquet(row: dict[str, Any], table: Table, send_nulls: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"external_user_id": row["external_user_id"]}
    for name, kind in table.kinds.items():
        value = laid_out(row[name], kind.dtype, kind.in_json, send_nulls and name == "attributes")
        *outer, last = name.split(".")
        if value is None and not (send_nulls and outer == ["attributes"]):
            continue
        node = found
        for part in outer:
            node = node.setdefault(part, {})
        node[last] = value
    return found


@SOME
@given(table=typed_frames(), send_nulls=st.booleans(), chunk=st.sampled_from([1, 2, 1000]))
def test_a_parquet_row_is_sent_with_exact_values(
    tmp_path_factory: pytest.TempPathFactory, table: Table, send_nulls: bool, chunk: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "values.parquet"
    schema = {"external_user_id": pl.String(), **{name: kind.dtype for name, kind in table.kinds.items()}}
    pl.DataFrame(table.rows, schema=schema).write_parquet(path)
    config = Config.parse({"input": {"nulls": "send" if send_nulls else "omit"}}, where="the test")
    expected = [expected_of_parquet(row, table, send_nulls) for row in pq.read_table(path).to_pylist()]
    with patch.object(tables, "chunk_rows", lambda columns: chunk):
        pieces = list(planned(path, config))
    rows = rows_of(pieces) if pieces else pl.DataFrame(schema={"recipient": pl.String(), "error": pl.String()})
    assert rows["error"].to_list() == [None] * len(expected)
    for text, row in zip(rows["recipient"], expected, strict=True):
        assert same(in_any_order(row), in_any_order(exactly(text)))
