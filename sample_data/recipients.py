"""The rows of ``recipients.csv`` (flat, text) and ``recipients.parquet`` (typed, nested), and clean ones.

Every function takes row numbers (from 0) and a seed and returns one polars frame with a line a row.
"""

from __future__ import annotations

from datetime import date, datetime
from functools import cache

import numpy as np
import polars as pl

from draws import Draws, Mask, Numbers, Rows, absent
from faults import Fault, Flaws, rows_with
from words import INTERESTS, LOCALES, ODD_MESSAGES, PRODUCTS, STORES, TIERS

CSV_FLAWS = Flaws(
    period=3000,
    faults=(
        Fault(211, "external_user_id", None, "no identifier"),
        Fault(508, "attributes.points:integer", "a lot", "not an integer"),
        Fault(941, "trigger_properties.renewal_date:date", "2026-02-30", "not a date"),
        Fault(1202, "trigger_properties.order.total:float", "19,90", "not a float"),
        Fault(1733, "trigger_properties.next_visit:datetime", "tomorrow at noon", "not a datetime"),
        Fault(2048, "attributes.opted_in:boolean", "perhaps", "not a boolean"),
        Fault(2391, "trigger_properties.order.total:float", "NaN", "NaN"),
        Fault(2866, "trigger_properties.order.total:float", "-inf", "infinite"),
    ),
    # Side by side, inside one batch of 50, across batches, three of a kind, and far away.
    repeats={101: 100, 240: 225, 777: 300, 1500: 1400, 1990: 1400, 2999: 7},
)
PARQUET_FLAWS = Flaws(
    period=1000,
    faults=(Fault(333, "attributes.score", "NaN", "NaN"),),
    repeats={420: 410, 900: 20},
)
TWIN = 3
"""The row of each period whose identifier is the one before without its leading zeros: another person."""

CLEAN_COLUMNS = (
    "external_user_id",
    "trigger_properties.first_name",
    "trigger_properties.city",
    "trigger_properties.order.number",
    "trigger_properties.order.total:float",
    "trigger_properties.renewal_date:date",
    "attributes.loyalty_tier",
    "attributes.points:integer",
    "attributes.opted_in:boolean",
)

OFFSETS = ("", "", "Z", "+01:00", "-05:00", "+05:30")
FIRST_DAY = date(2026, 1, 1)
FIRST_VISIT = datetime(2026, 1, 5, 9, 0)


def csv_rows(rows: Rows, seed: int, *, clean: bool = False) -> pl.DataFrame:
    """Text columns named as the mapping of a file without configuration; with ``clean``, CLEAN_COLUMNS."""
    draws = Draws(seed, rows)
    locale = draws.number("locale", len(LOCALES))
    number = _order_number(draws)
    cells = {
        "external_user_id": _plain_identifier(draws) if clean else _identifier(rows, seed),
        "trigger_properties.first_name": absent(_first_name(draws, locale), draws.chance("no name", 3)),
        "trigger_properties.city": absent(_city(draws, locale), draws.chance("no city", 6)),
        "trigger_properties.order.number": absent(number, draws.chance("no order number", 12)),
        "trigger_properties.order.total:float": absent(_amount(draws), draws.chance("no total", 10)),
        "trigger_properties.renewal_date:date": absent(_day(draws), draws.chance("no renewal", 8)),
        "attributes.loyalty_tier": absent(draws.word("tier", TIERS), draws.chance("no tier", 5)),
        "attributes.points:integer": absent(_points(draws), draws.chance("no points", 4)),
        "attributes.opted_in:boolean": absent(_yes_or_no(draws), draws.chance("no opt-in", 5)),
    }
    if clean:
        return pl.DataFrame(cells).select(CLEAN_COLUMNS)
    cells["trigger_properties.message"] = absent(_message(draws, locale, number), draws.chance("no message", 20))
    cells["trigger_properties.next_visit:datetime"] = absent(_visit(draws), draws.chance("no visit", 30))
    frame = pl.DataFrame(cells).select(
        *CLEAN_COLUMNS[:3],
        "trigger_properties.message",
        *CLEAN_COLUMNS[3:6],
        "trigger_properties.next_visit:datetime",
        *CLEAN_COLUMNS[6:],
    )
    return CSV_FLAWS.put_into(frame, rows)


def clean_parquet_rows(rows: Rows, seed: int) -> pl.DataFrame:
    """The nine clean columns with the types their names promise, and names without the type."""
    columns = []
    for name in CLEAN_COLUMNS:
        bare, _, kind = name.partition(":")
        columns.append(_typed(pl.col(name), kind).alias(bare))
    return csv_rows(rows, seed, clean=True).select(columns)


def _typed(text: pl.Expr, kind: str) -> pl.Expr:
    match kind:
        case "float":
            return text.cast(pl.Float64)
        case "integer":
            return text.cast(pl.Int64)
        case "date":
            return text.str.to_date()
        case "boolean":
            return text == "true"
        case _:
            return text


def parquet_rows(rows: Rows, seed: int) -> pl.DataFrame:
    """``external_user_id`` and the structs ``trigger_properties`` and ``attributes``."""
    draws = Draws(seed, rows)
    owner = Draws(seed, PARQUET_FLAWS.owner(rows))
    locale = draws.number("locale", len(LOCALES))
    number = _order_number(draws)
    cents = pl.Series(draws.number("total", 40_000))
    flat = pl.DataFrame(
        {
            "external_user_id": _plain_identifier(owner),
            "first_name": absent(_first_name(draws, locale), draws.chance("no name", 3)),
            "city": absent(_city(draws, locale), draws.chance("no city", 6)),
            "message": absent(_message(draws, locale, number), draws.chance("no message", 20)),
            "total": absent(_decimal(cents, 12), draws.chance("no total", 10)),
            "renewal_date": absent(_day(draws).str.to_date(), draws.chance("no renewal", 8)),
            "next_visit": absent(_visit_in_paris(draws), draws.chance("no visit", 30)),
            "interests": absent(_interests(draws), draws.chance("no interests", 10)),
            "items": _items(draws),
            "store": absent(_store(draws), draws.chance("no store", 10)),
            "points": absent(_points(draws).cast(pl.Int64), draws.chance("no points", 4)),
            "opted_in": absent(_yes_or_no(draws) == "true", draws.chance("no opt-in", 5)),
            "score": absent(_score(draws, rows), draws.chance("no score", 15) & ~_nan_rows(rows)),
            "favourite_tiers": _tiers(draws),
        }
    )
    names = flat.columns
    return flat.select(
        "external_user_id",
        pl.struct(names[1:10]).alias("trigger_properties"),
        pl.struct(names[10:]).alias("attributes"),
    )


def _identifier(rows: Rows, seed: int) -> pl.Series:
    """Mostly numbers with leading zeros, some with dashes, some UUIDs; but for repeats and TWIN."""
    twin = rows_with([TWIN], rows, CSV_FLAWS.period)
    owner = CSV_FLAWS.owner(rows)
    owner[twin] -= np.uint64(1)
    draws = Draws(seed, owner)
    kind = draws.number("identifier kind", 10)
    kind[rows_with([TWIN, TWIN - 1], rows, CSV_FLAWS.period)] = 0
    number = pl.Series("number", _person(draws))
    digits = {f"part {size}": pl.Series(draws.number(f"part {size}", 10**size)) for size in (8, 4, 3)}
    uuid = [_padded(f"part {size}", size) for size in (8, 4, 3)]
    return pl.DataFrame({"number": number, "kind": kind, "twin": twin, **digits}).select(
        pl.when("twin")
        .then(pl.col("number").cast(pl.String))
        .when(pl.col("kind") < 7)
        .then(pl.concat_str(pl.lit("0"), _padded("number", 6)))
        .when(pl.col("kind") < 9)
        .then(
            pl.concat_str(
                pl.lit("eu-"),
                _padded(pl.col("number") // 1000, 4),
                pl.lit("-"),
                _padded(pl.col("number") % 1000, 3),
            )
        )
        .otherwise(
            pl.concat_str(
                uuid[0],
                uuid[1],
                pl.lit("4") + uuid[2],
                pl.lit("8") + uuid[2],
                _padded("number", 12),
                separator="-",
            )
        )
        .alias("external_user_id")
    )["external_user_id"]


def _plain_identifier(draws: Draws) -> pl.Series:
    return "0" + pl.Series(_person(draws)).cast(pl.String).str.zfill(6)


def _person(draws: Draws) -> Numbers:
    """A number of their own for everyone, growing with gaps, as in a customer base with departures."""
    return draws.rows.astype(np.int64) * 7 + draws.number("gap", 7) + 100


def _padded(column: str | pl.Expr, width: int) -> pl.Expr:
    expression = pl.col(column) if isinstance(column, str) else column
    return expression.cast(pl.String).str.zfill(width)


def _first_name(draws: Draws, locale: Numbers) -> pl.Series:
    return draws.word_of_group("first name", [one.first_names for one in LOCALES], locale)


def _city(draws: Draws, locale: Numbers) -> pl.Series:
    return draws.word_of_group("city", [one.cities for one in LOCALES], locale)


def _message(draws: Draws, locale: Numbers, number: pl.Series) -> pl.Series:
    usual = draws.word_of_group("message", [one.messages for one in LOCALES], locale)
    filled = pl.DataFrame({"usual": usual, "number": number}).select(
        pl.col("usual").str.replace("{order}", pl.col("number"), literal=True)
    )["usual"]
    return draws.word("odd message", ODD_MESSAGES).zip_with(pl.Series(draws.chance("odd", 6)), filled)


def _order_number(draws: Draws) -> pl.Series:
    """Numbers with leading zeros, half of them after a letter."""
    digits = pl.Series(draws.number("order", 1_000_000)).cast(pl.String).str.zfill(7)
    return ("A-" + digits).zip_with(pl.Series(draws.chance("lettered", 50)), digits)


def _amount(draws: Draws) -> pl.Series:
    """Cents written as people do: 19.90 mostly, sometimes 19.9, 0.1 or 20; one in twenty is below 1."""
    cents = draws.number("total", 40_000)
    cents = np.where(draws.chance("small", 5), cents % 100, cents)
    frame = pl.DataFrame({"cents": cents, "short": draws.chance("short", 15)})
    full = pl.concat_str(_padded(pl.col("cents") // 100, 1), pl.lit("."), _padded(pl.col("cents") % 100, 2))
    short = full.str.strip_chars_end("0").str.strip_chars_end(".")
    return frame.select(pl.when("short").then(short).otherwise(full).alias("amount"))["amount"]


def _day(draws: Draws) -> pl.Series:
    days = pl.Series(draws.number("renewal", 730)).cast(pl.Int32)
    return (days + FIRST_DAY.toordinal() - date(1970, 1, 1).toordinal()).cast(pl.Date).cast(pl.String)


def _visits(draws: Draws) -> pl.DataFrame:
    """A day of two years, between 9 and 18 o'clock, on the quarter."""
    return pl.DataFrame({"day": draws.number("visit day", 730), "quarter": draws.number("visit quarter", 36)}).select(
        (pl.lit(FIRST_VISIT) + pl.duration(days="day", minutes=pl.col("quarter") * 15)).alias("visit")
    )


def _visit(draws: Draws) -> pl.Series:
    return _visits(draws)["visit"].dt.strftime("%Y-%m-%dT%H:%M:%S") + draws.word("visit offset", OFFSETS)


def _visit_in_paris(draws: Draws) -> pl.Series:
    return _visits(draws)["visit"].dt.replace_time_zone("Europe/Paris")


def _points(draws: Draws) -> pl.Series:
    """Mostly some thousands, with a few debts."""
    points = draws.number("points", 25_000)
    return pl.Series(np.where(draws.chance("debt", 3), -(points % 500), points)).cast(pl.String)


def _yes_or_no(draws: Draws) -> pl.Series:
    return draws.word("opted in", ("true", "true", "false"))


def _interests(draws: Draws) -> pl.Series:
    """None to three different ones: a list may be empty, or absent."""
    first = draws.number("interest", len(INTERESTS))
    words = pl.Series(list(INTERESTS))
    frame = pl.DataFrame([words.gather((first + step * 3) % len(INTERESTS)).alias(f"{step}") for step in range(3)])
    return _first_of_each(frame, draws.number("interests", 4))


def _items(draws: Draws) -> pl.Series:
    """None to three lines of a basket: ``sku``, ``quantity``, ``price``."""
    baskets = _baskets()
    return baskets.gather(draws.number("items", len(baskets)))


@cache
def _baskets() -> pl.Series:
    """Every basket there is, made once: making lists of structs costs more than all the other columns."""
    choices = np.arange(len(PRODUCTS) * 4 * 5**3)
    choices, first = np.divmod(choices, len(PRODUCTS))
    quantities, count = np.divmod(choices, 4)
    products = pl.DataFrame(PRODUCTS, schema=["sku", "price"], orient="row").with_columns(
        pl.col("price").cast(pl.Decimal(8, 2))
    )
    lines = []
    for step in range(3):
        line = products[(first + step) % len(PRODUCTS)]
        quantity = pl.Series("quantity", quantities // 5**step % 5 + 1)
        lines.append(line.select("sku", quantity, "price").to_struct(f"{step}"))
    return _first_of_each(pl.DataFrame(lines), count)


def _tiers(draws: Draws) -> pl.Series:
    first = draws.number("first tier", len(TIERS))
    words = pl.Series(list(TIERS))
    frame = pl.DataFrame([words.gather((first + step) % len(TIERS)).alias(f"{step}") for step in range(2)])
    return _first_of_each(frame, draws.number("tiers", 3))


def _first_of_each(columns: pl.DataFrame, count: Numbers) -> pl.Series:
    """A list a row: the first ``count`` of its columns' values."""
    return columns.select(pl.concat_list(pl.all()).list.head(pl.lit(pl.Series(count))).alias("list"))["list"]


def _store(draws: Draws) -> pl.Series:
    """A struct in a struct: ``name`` and ``address`` (``postcode``, ``city``)."""
    stores = pl.DataFrame(STORES, schema=["name", "postcode", "city"], orient="row")
    return (
        stores[draws.number("store", len(STORES))]
        .select("name", pl.struct("postcode", "city").alias("address"))
        .to_struct("store")
    )


def _score(draws: Draws, rows: Rows) -> pl.Series:
    """A share from 0 to 1 in steps of 1/1024 (exact in binary), and the one that is no number."""
    return pl.Series(np.where(_nan_rows(rows), np.nan, draws.number("score", 1025) / 1024))


def _nan_rows(rows: Rows) -> Mask:
    offsets = [fault.offset for fault in PARQUET_FLAWS.faults if fault.reason == "NaN"]
    return rows_with(offsets, rows, PARQUET_FLAWS.period)


def _decimal(cents: pl.Series, precision: int) -> pl.Series:
    text = pl.concat_str(_padded(pl.col("cents") // 100, 1), pl.lit("."), _padded(pl.col("cents") % 100, 2))
    frame = pl.DataFrame({"cents": cents}).select(text.cast(pl.Decimal(precision, 2)))
    return frame.to_series()
