"""Rejected rows of typed tables: written as text to a CSV, and sent from it with the same result."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bulk_sender.config.model import Config
from bulk_sender.recipients.rejects import own_columns
from tests.kit.reading import planned, rows_of
from tests.recipients.typed import Table, exactly, same, typed_frames

NAN = float("nan")


def own_text(value: Any, dtype: pl.DataType, **tables: Any) -> list[tuple[str, str | None]]:
    """Return the columns that a column ``a`` becomes, with their text."""
    frame = pl.DataFrame({"a": [value]}, schema={"a": dtype})
    config = Config.parse({"input": tables}, where="the test").input
    return list(frame.select(own_columns(frame.schema, config)).row(0, named=True).items())


@pytest.mark.parametrize(
    ("dtype", "value", "columns"),
    [
        (pl.String(), "007", {"a": "007"}),
        (pl.Int64(), -7, {"a:integer": "-7"}),
        (pl.UInt64(), 2**64 - 1, {"a:float": "18446744073709551615"}),
        (pl.Float64(), 0.1, {"a:float": "0.1"}),
        (pl.Float64(), NAN, {"a:float": "NaN"}),
        (pl.Float64(), float("-inf"), {"a:float": "-inf"}),
        (pl.Decimal(10, 2), Decimal("1.10"), {"a:float": "1.10"}),
        (pl.Boolean(), True, {"a:boolean": "true"}),
        (pl.Date(), dt.date(2026, 2, 28), {"a:date": "2026-02-28"}),
        (pl.Datetime("us"), dt.datetime(2026, 3, 29, 2, 30), {"a:datetime": "2026-03-29T02:30:00"}),
        (
            pl.Datetime("us", "Asia/Tokyo"),
            dt.datetime(2026, 2, 28, 10, tzinfo=ZoneInfo("Asia/Tokyo")),
            {"a:datetime": "2026-02-28T10:00:00+09:00"},
        ),
        (pl.Time(), dt.time(1, 2, 3), {"a": "01:02:03"}),
        (pl.Categorical(), "x", {"a": "x"}),
        (pl.Binary(), "é\n".encode(), {"a": "é\n"}),
        (pl.Binary(), b"Z\xfcrich", {"a": "b'Z\\xfcrich'"}),
        (pl.Binary(), b"\x00\\x", {"a": "b'\\x00\\\\x'"}),
        (pl.Binary(), None, {"a": None}),
        (pl.List(pl.Decimal(10, 2)), [Decimal("1.10"), None], {"a:json": "[1.10,null]"}),
        (pl.List(pl.Float64()), [1.0, NAN], {"a:json": "[1.0,NaN]"}),
        (pl.List(pl.Binary()), [b"x"], {"a": "[b'x']"}),
        (
            pl.Struct({"b": pl.Int8(), "c": pl.Struct({"d": pl.Date()})}),
            None,
            {"a.b:integer": None, "a.c.d:date": None},
        ),
        (pl.Struct({"b": pl.List(pl.String())}), {"b": ["x"]}, {"a.b:json": '["x"]'}),
        (pl.Null(), None, {"a": None}),
    ],
)
def test_a_column_becomes_text_with_its_type_in_its_name(
    dtype: pl.DataType, value: Any, columns: dict[str, str | None]
) -> None:
    assert dict(own_text(value, dtype)) == columns


def test_text_columns_always_keep_their_names() -> None:
    schema = pl.Schema({"a:integer": pl.String(), "b": pl.String()})
    assert pl.DataFrame(schema=schema).select(own_columns(schema, Config().input)).columns == ["a:integer", "b"]


def test_a_typed_column_with_its_type_in_its_name_does_not_get_it_twice() -> None:
    schema = pl.Schema({"a:integer": pl.Int64()})
    assert pl.DataFrame(schema=schema).select(own_columns(schema, Config().input)).columns == ["a:integer"]


def test_a_struct_whose_field_names_clash_stays_in_one_column() -> None:
    schema = pl.Schema({"a": pl.Struct({"b": pl.Int64()}), "a.b": pl.Int64()})
    assert pl.DataFrame(schema=schema).select(own_columns(schema, Config().input)).columns == ["a:json", "a.b:integer"]


def test_a_struct_with_a_dot_in_a_field_name_stays_in_one_column() -> None:
    schema = pl.Schema({"a": pl.Struct({"b.c": pl.Int64()}), "attributes": pl.Struct({"b": pl.Int64()})})
    assert pl.DataFrame(schema=schema).select(own_columns(schema, Config().input)).columns == [
        "a:json",
        "attributes.b:integer",
    ]


def test_numbers_are_written_with_the_configured_decimal_mark() -> None:
    assert own_text(1.5, pl.Float64(), decimal=",") == [("a:float", "1,5")]


# ----- sent again


def rejected_and_fixed(folder: Path, frame: pl.DataFrame, config: Config) -> tuple[list[Any], list[Any]]:
    """Return what is sent for a table, and for its rejects after every row was rejected for lack of a ``who``."""
    sound, without = folder / "sound.parquet", folder / "without.parquet"
    frame.write_parquet(sound)
    frame.with_columns(who=pl.lit("", dtype=pl.String)).write_parquet(without)
    [piece] = planned(without, config)
    assert piece.rows["error_code"].to_list() == ["missing_identifier"] * len(frame)
    again = folder / "rejected.csv"
    piece.rejects.drop("\x00row").with_columns(who=frame["who"]).write_csv(again)
    return sent(sound, config), sent(again, config)


def sent(path: Path, config: Config) -> list[Any]:
    rows = rows_of(list(planned(path, config)))
    assert rows["error"].to_list() == [None] * len(rows)
    return [exactly(text) for text in rows["recipient"]]


def table(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"who": ["u1", "u2"]} | columns)


CONFIGURED = {
    "recipient": {
        "external_user_id": "who",
        "trigger_properties": {
            "order": "order",
            "total": "order.total",
            "when": "when",
            "prices": "prices",
        },
        "attributes": {"age": "age", "vip": {"column": "vip", "type": "boolean"}},
    },
    "input": {"filter": "age > 17 AND vip", "timezone": "Europe/Paris", "decimal": ","},
}


def test_fixed_rejects_of_a_typed_table_are_sent_like_the_table_by_a_configured_mapping(tmp_path: Path) -> None:
    frame = table(
        order=[
            {"id": 1, "total": 1.5, "lines": [{"sku": "x", "price": Decimal("9.90")}]},
            {"id": 2, "total": None, "lines": []},
        ],
        when=[dt.datetime(2026, 7, 1, 10), None],
        prices=[[1.0, None], None],
        age=[42, 18],
        vip=[True, True],
        unused=[b"x", None],
    )
    first, again = rejected_and_fixed(tmp_path, frame, Config.parse(CONFIGURED, where="the test"))
    assert first == again
    assert first[0]["attributes"] == {"age": Decimal(42), "vip": True}
    assert first[0]["trigger_properties"]["when"] == "2026-07-01T10:00:00+02:00"


def test_a_prioritization_list_survives_the_rejects_file(tmp_path: Path) -> None:
    frame = table(prioritization=[["identified", "most_recently_updated"], ["unidentified"]], n=[1, 2])
    config = Config.parse({"recipient": {"email": "who", "prioritization": "prioritization"}}, where="the test")
    first, again = rejected_and_fixed(tmp_path, frame.with_columns(who=pl.col("who") + "@example.com"), config)
    assert first == again
    assert first[0]["prioritization"] == ["identified", "most_recently_updated"]


@pytest.mark.parametrize("value", [NAN, [1.0, NAN], {"b": [{"c": NAN}]}])
def test_a_row_that_was_not_fixed_is_rejected_again(tmp_path: Path, value: Any) -> None:
    frame = pl.DataFrame({"external_user_id": ["u"], "trigger_properties": [{"a": value}]})
    frame.write_parquet(tmp_path / "input.parquet")
    [piece] = planned(tmp_path / "input.parquet")
    assert piece.rows["error_code"].to_list() == ["invalid_value"]
    piece.rejects.drop("\x00row").write_csv(tmp_path / "rejected.csv")
    assert rows_of(planned(tmp_path / "rejected.csv"))["error_code"].to_list() == ["invalid_value"]


@settings(max_examples=settings.default.max_examples // 2)
@given(made=typed_frames(), send_nulls=st.booleans())
def test_fixed_rejects_of_any_typed_table_are_sent_with_exact_values_by_name(
    tmp_path_factory: pytest.TempPathFactory, made: Table, send_nulls: bool
) -> None:
    properties = made.kinds["trigger_properties"].dtype
    assume(isinstance(properties, pl.Struct) and not any("." in field.name for field in properties.fields))
    schema = {"who": pl.String(), **{name: kind.dtype for name, kind in made.kinds.items()}}
    rows = [{"who": row["external_user_id"], **{name: row[name] for name in made.kinds}} for row in made.rows]
    frame = pl.DataFrame(rows, schema=schema).rename({"who": "external_user_id"})
    folder = tmp_path_factory.getbasetemp()
    frame.write_parquet(folder / "sound.parquet")
    without = frame.with_columns(external_user_id=pl.lit("", dtype=pl.String))
    without.with_columns(is_row=True).write_parquet(folder / "without.parquet")  # a row without any value is none
    config = Config.parse({"input": {"nulls": "send" if send_nulls else "omit"}}, where="the test")
    pieces = list(planned(folder / "without.parquet", config))
    for piece in pieces:
        own = piece.rejects.drop("\x00row", "is_row:boolean").with_columns(external_user_id=frame["external_user_id"])
        own.write_csv(folder / "rejected.csv")
        first, again = sent(folder / "sound.parquet", config), sent(folder / "rejected.csv", config)
        assert len(first) == len(again)
        for one, other in zip(first, again, strict=True):
            assert same(without_empty_text(one), without_empty_text(other))


def without_empty_text(value: Any) -> Any:
    """Leave out members with empty text, which a CSV cannot distinguish from null."""
    if isinstance(value, dict):
        members = {name: without_empty_text(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member not in ("", None, {})}
    return value


def test_members_missing_from_a_struct_are_not_added(tmp_path: Path) -> None:
    frame = table(trigger_properties=[{"a": 1, "b": None}, {"a": None, "b": "x"}])
    frame = frame.rename({"who": "external_user_id"})
    frame.with_columns(external_user_id=pl.lit("")).write_parquet(tmp_path / "input.parquet")
    [piece] = planned(tmp_path / "input.parquet")
    piece.rejects.drop("\x00row").with_columns(external_user_id=frame["external_user_id"]).write_csv(
        tmp_path / "again.csv"
    )
    assert [json.loads(text) for text in rows_of(planned(tmp_path / "again.csv"))["recipient"]] == [
        {"external_user_id": "u1", "trigger_properties": {"a": 1}},
        {"external_user_id": "u2", "trigger_properties": {"b": "x"}},
    ]


def test_a_column_name_is_not_used_twice() -> None:
    frame = pl.DataFrame({"age": [1], "age:integer": ["x"], "order": [{"n": 1, "n:integer": "5"}]})
    names = frame.select(own_columns(frame.schema, Config().input)).columns
    assert names == ["age", "age:integer", "order.n", "order.n:integer"]
