"""Values → JSON text, as polars expressions. Pure: no I/O, no Python object per value.

Every function takes an expression and gives expressions. JSON text is null where the value is null; where a
value can't become what was asked for, ``Converted.bad`` is true and the row will be rejected.

Why not polars' own ``struct.json_encode`` for everything: it writes a datetime without offset as
``2020-01-01 00:00:00``, a NaN as ``null`` and a decimal as a string. It is used for what it does right: strings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl

from bulk_sender.config.model import FieldType
from bulk_sender.errors import ConfigError

_INTEGER = {".": r"^[+-]?[0-9]+(\.0+)?$", ",": r"^[+-]?[0-9]+(,0+)?$"}
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_ISO_DATETIME = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2})(:[0-5][0-9])?([.,][0-9]{1,9})?)?"
    r" ?([Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?$"
)
_ISO_DATE = r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]00:00(?::00(?:\.0+)?)?)?$"
_TRUE = ["true", "t", "yes", "y", "1", "on"]
_FALSE = ["false", "f", "no", "n", "0", "off"]
_EXPECTED: dict[FieldType, str] = {
    "string": "text",
    "integer": "a whole number of at most 64 bits",
    "float": "a finite number",
    "boolean": "true or false",
    "datetime": "a date and time, such as 2026-02-28T10:00:00",
    "date": "a date, such as 2026-02-28",
    "json": "valid JSON",
    "list": "a list",
}


@dataclass(frozen=True, slots=True)
class Convention:
    """How text stands for values in this input (``[input]`` timezone and decimal, a field's format and separator)."""

    timezone: str = "UTC"
    decimal: str = "."
    format: str | None = None
    separator: str = "|"
    keeps_unsendable: bool = False
    """For people to mend: NaN and a time that never was are written as they are, which is no JSON."""


_Conversion = Callable[[pl.Expr, Convention], pl.Expr]


@dataclass(frozen=True, slots=True)
class Converted:
    """``json``: String expression, null where there is no value, or none that can be sent.

    A row is wrong where ``bad`` is true, or where ``present`` is true and ``json`` null. Both are None when that
    can't be. ``expected`` says in words what was wanted.
    """

    json: pl.Expr
    bad: pl.Expr | None = None
    present: pl.Expr | None = None
    expected: str = ""

    @property
    def can_fail(self) -> bool:
        return self.bad is not None or self.present is not None

    def failed(self, json: pl.Expr) -> pl.Expr:
        """Where a row is wrong, given the column that holds ``json`` (computed once, not again for this)."""
        flags = [] if self.bad is None else [self.bad]
        if self.present is not None:
            flags.append(self.present & json.is_null())
        return pl.any_horizontal(flags).fill_null(False)


def convert(value: pl.Expr, dtype: pl.DataType, wanted: FieldType | None, by: Convention) -> Converted:
    """Convert a column of ``dtype`` to JSON text of type ``wanted`` (None: its own type).

    Raises ConfigError when the column can't hold such values at all.
    """
    if wanted == "date" and isinstance(dtype, pl.Datetime):
        value, dtype = value.dt.date(), pl.Date()
    bad = unsendable(value, dtype, by)
    if wanted is None or _is_native(dtype, wanted) or (wanted == "json" and dtype.is_nested()):
        return Converted(json_text(value, dtype, by), bad=bad, expected=_native_expected(dtype))
    if dtype.is_nested() or dtype == pl.Binary:
        raise ConfigError(f"a column of type {dtype} can't be sent as {wanted}")
    if dtype != pl.String:
        by = replace(by, decimal=".")  # what follows reads polars' spelling, not the file's
    text = scalar_text(value, dtype, by)
    if wanted == "string":
        return Converted(quote(text), bad=bad, expected=_native_expected(dtype))
    # An empty cell is no wrong number: it is no number. JSON's null is as much a value as an empty cell is.
    bare = text.str.strip_chars()
    text = pl.when((bare != "null") & (bare != "") if wanted == "json" else bare != "").then(text)
    expected = _EXPECTED[wanted] if by.format is None else f"a {wanted} of the form {by.format}"
    return Converted(_FROM_TEXT[wanted](text, by), bad=bad, present=text.is_not_null(), expected=expected)


def _native_expected(dtype: pl.DataType) -> str:
    if dtype.is_nested():
        return "made of finite numbers and of times that exist"
    return "a time that exists: the clocks skip it" if dtype.is_temporal() else _EXPECTED["float"]


def _is_native(dtype: pl.DataType, wanted: FieldType) -> bool:
    return (
        (wanted == "integer" and dtype.is_integer())
        or (wanted == "float" and (dtype.is_float() or dtype.is_decimal() or dtype.is_integer()))
        or (wanted == "boolean" and dtype == pl.Boolean)
        or (wanted == "date" and dtype == pl.Date)
        or (wanted == "datetime" and dtype == pl.Datetime)
        or (wanted == "list" and isinstance(dtype, pl.List | pl.Array))
    )


def quote(text: pl.Expr) -> pl.Expr:
    """Text → a JSON string, escaped; null stays null."""
    encoded = pl.struct(text.alias("_")).struct.json_encode()
    return pl.when(text.is_not_null()).then(_member(encoded))


def joined(*parts: str | pl.Expr) -> pl.Expr:
    """Fixed text and columns of text, one behind the other; null where any of them is."""
    template = ["{}" if isinstance(part, pl.Expr) else part.replace("{", "{{").replace("}", "}}") for part in parts]
    return pl.format("".join(template), *(part for part in parts if isinstance(part, pl.Expr)))


def _member(encoded: pl.Expr) -> pl.Expr:
    """``{"_":value}`` → ``value``. The end goes first: to count characters from the front is dear."""
    return encoded.str.head(-1).str.slice(5)


def scalar_text(value: pl.Expr, dtype: pl.DataType, by: Convention) -> pl.Expr:
    """A scalar column → the text a person would write for it; datetimes in ISO 8601 with an offset."""
    if dtype == pl.String:
        return value
    if isinstance(dtype, pl.Datetime):
        zoned = value if dtype.time_zone else _zoned(value, by.timezone)
        return zoned.dt.strftime("%Y-%m-%dT%H:%M:%S%.f%:z")
    if dtype in (pl.Duration, pl.Time):
        return value.dt.to_string("iso")
    return value.cast(pl.String)


def json_text(value: pl.Expr, dtype: pl.DataType, by: Convention) -> pl.Expr:
    """A column of any type → JSON text in its own type, nested ones included.

    Raises ConfigError for binary data and other types that JSON has no word for.
    """
    if isinstance(dtype, pl.List | pl.Array):
        items = value.arr.to_list() if isinstance(dtype, pl.Array) else value
        inner = json_text(pl.element(), _inner(dtype), by).fill_null("null")
        return joined("[", items.list.eval(inner).list.join(","), "]")
    if isinstance(dtype, pl.Struct):
        fields = [
            pl.concat_str(
                quote(pl.lit(field.name)) + ":",
                json_text(value.struct.field(field.name), _dtype(field), by).fill_null("null"),
            )
            for field in dtype.fields
        ]
        body = pl.concat_str(fields, separator=",") if fields else pl.lit("")
        return pl.when(value.is_not_null()).then(joined("{", body, "}"))
    if dtype == pl.Boolean or dtype.is_integer() or dtype.is_decimal():
        return value.cast(pl.String)
    if dtype.is_float():
        # A struct keeps the shortest digits that read back as the same number, which a cast doesn't promise.
        encoded = pl.struct(value.alias("_")).struct.json_encode()
        digits = _member(encoded)
        if by.keeps_unsendable:
            digits = pl.when(value.is_finite()).then(digits).otherwise(value.cast(pl.String))
        return pl.when(value.is_not_null()).then(digits)
    if dtype == pl.Null:
        return pl.lit(None, dtype=pl.String)
    if dtype in (pl.Binary, pl.Object):
        raise ConfigError(f"a column of type {dtype} can't be sent: JSON has no word for it")
    if by.keeps_unsendable and isinstance(dtype, pl.Datetime):
        return pl.coalesce(quote(scalar_text(value, dtype, by)), value.dt.to_string("iso"))
    return quote(scalar_text(value, dtype, by))


def unsendable(value: pl.Expr, dtype: pl.DataType, by: Convention) -> pl.Expr | None:
    """True where a NaN, an infinity, or a time that never was stands, at any depth; None when there can't be one."""
    if dtype.is_float():
        return ~value.is_finite()
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is None and by.timezone != "UTC":
        return value.is_not_null() & _zoned(value, by.timezone).is_null()
    if isinstance(dtype, pl.List | pl.Array):
        items = value.arr.to_list() if isinstance(dtype, pl.Array) else value
        inner = unsendable(pl.element(), _inner(dtype), by)
        return None if inner is None else items.list.eval(inner.fill_null(False)).list.any()
    if isinstance(dtype, pl.Struct):
        found = [unsendable(value.struct.field(field.name), _dtype(field), by) for field in dtype.fields]
        flags = [flag.fill_null(False) for flag in found if flag is not None]
        return pl.any_horizontal(flags) if flags else None
    return None


def _inner(dtype: pl.List | pl.Array) -> pl.DataType:
    inner = dtype.inner
    return inner if isinstance(inner, pl.DataType) else inner()


def _dtype(field: pl.Field) -> pl.DataType:
    return field.dtype if isinstance(field.dtype, pl.DataType) else field.dtype()


def _zoned(value: pl.Expr, timezone: str) -> pl.Expr:
    # An hour that the clocks skip never was: null, and so rejected. One that they repeat is read as its first pass.
    return value.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")


def _by_shape(shape: str, plain: _Conversion, general: _Conversion) -> _Conversion:
    """``plain`` for a chunk whose values all have the common ``shape``, ``general`` for any other: much the same
    result, at a fraction of the cost."""

    def conversion(text: pl.Expr, by: Convention) -> pl.Expr:
        def convert_column(column: pl.Series) -> pl.Series:
            chosen = plain if column.str.contains(shape).all() else general
            return column.to_frame("_").select(chosen(pl.col("_"), by)).to_series()

        return text.map_batches(convert_column, return_dtype=pl.String)

    return conversion


def _as_it_is(text: pl.Expr, _: Convention) -> pl.Expr:
    return text


def _integer(text: pl.Expr, by: Convention) -> pl.Expr:
    bare = text.str.strip_chars()
    digits = pl.when(bare.str.contains(_INTEGER[by.decimal])).then(bare.str.replace(r"[.,]0+$", ""))
    return digits.cast(pl.Int64, strict=False).cast(pl.String)


def _any_float(text: pl.Expr, by: Convention) -> pl.Expr:
    bare = text.str.strip_chars()
    if by.decimal == ",":  # where a comma is the decimal mark, a point separates thousands: 1.500 is no 1.5
        bare = pl.when(~bare.str.contains(".", literal=True)).then(bare.str.replace(",", ".", literal=True))
    number = pl.when(bare.str.contains(_NUMBER) & bare.cast(pl.Float64, strict=False).is_finite()).then(bare)
    # The digits stay as they were written; only what JSON's grammar forbids goes: +5, 007, .5, 5.
    return (
        number.str.replace(r"^\+", "")
        .str.replace(r"^(-?)0+([0-9])", "${1}${2}")
        .str.replace(r"^(-?)\.", "${1}0.")
        .str.replace(r"\.([eE]|$)", "${1}")
    )


def _plain_float(text: pl.Expr, by: Convention) -> pl.Expr:
    return text if by.decimal == "." else _any_float(text, by)


def _boolean(text: pl.Expr, _: Convention) -> pl.Expr:
    bare = text.str.strip_chars().str.to_lowercase()
    return pl.when(bare.is_in(_TRUE)).then(pl.lit("true")).when(bare.is_in(_FALSE)).then(pl.lit("false"))


def truth(text: pl.Expr) -> pl.Expr:
    """Text → true or false, null where it is neither."""
    return _boolean(text, Convention()) == "true"


def _plain_date(text: pl.Expr, by: Convention) -> pl.Expr:
    if by.format is not None:
        return _date(text, by)
    parsed = text.str.strptime(pl.Date, "%Y-%m-%d", strict=False)
    return pl.when(parsed.is_not_null()).then(joined('"', text, '"'))


def _date(text: pl.Expr, by: Convention) -> pl.Expr:
    bare = text.str.strip_chars()
    if by.format is None:
        parsed = bare.str.extract(_ISO_DATE, 1).str.strptime(pl.Date, "%Y-%m-%d", strict=False)
    else:
        parsed = bare.str.strptime(pl.Date, by.format, strict=False)
    return joined('"', parsed.dt.strftime("%Y-%m-%d"), '"')


def _any_datetime(text: pl.Expr, by: Convention) -> pl.Expr:
    bare = text.str.strip_chars()
    if by.format is not None:
        if "%z" in by.format or "%:z" in by.format or "%#z" in by.format:
            parsed = bare.str.strptime(pl.Datetime("us", "UTC"), by.format, strict=False)
        else:
            parsed = _zoned(bare.str.strptime(pl.Datetime("us"), by.format, strict=False), by.timezone)
        return joined('"', parsed.dt.strftime("%Y-%m-%dT%H:%M:%S%.f%:z"), '"')
    # The local time and the offset are kept as they were written: only their spelling is made uniform.
    day = bare.str.extract(_ISO_DATETIME, 1)
    clock = bare.str.extract(_ISO_DATETIME, 2).fill_null("00:00") + bare.str.extract(_ISO_DATETIME, 3).fill_null(":00")
    fraction = bare.str.extract(_ISO_DATETIME, 4).str.replace(",", ".", literal=True).fill_null("")
    offset = _offset(bare.str.extract(_ISO_DATETIME, 5))
    local = day + "T" + clock
    parsed = local.str.strptime(pl.Datetime("us"), "%Y-%m-%dT%H:%M:%S", strict=False)
    assumed = _zoned(parsed, by.timezone).dt.strftime("%:z")
    zone = pl.coalesce(offset, assumed)
    return pl.when(parsed.is_not_null()).then(joined('"', local, fraction, zone, '"'))


def _plain_datetime(text: pl.Expr, by: Convention) -> pl.Expr:
    if by.format is not None:
        return _any_datetime(text, by)
    parsed = text.str.strptime(pl.Datetime("us"), "%Y-%m-%dT%H:%M:%S", strict=False)
    zone = pl.lit("+00:00") if by.timezone == "UTC" else _zoned(parsed, by.timezone).dt.strftime("%:z")
    return pl.when(parsed.is_not_null()).then(joined('"', text, zone, '"'))


def _offset(text: pl.Expr) -> pl.Expr:
    """``Z``, ``+02``, ``+0200``, ``+02:00`` → ``+02:00``."""
    plain = text.str.to_uppercase().str.replace("Z", "+00:00", literal=True).str.replace(":", "", literal=True)
    return (
        plain.str.slice(0, 3)
        + ":"
        + pl.when(plain.str.len_chars() > 3).then(plain.str.slice(3, 2)).otherwise(pl.lit("00"))
    )


def _json(text: pl.Expr, _: Convention) -> pl.Expr:
    # The JSONPath engine parses the whole text strictly (no NaN, no lone surrogates, bounded depth) and gives null
    # for what is not JSON. What goes out is the text as it was, so that no digit of a number is lost.
    bare = text.str.strip_chars(" \t\r\n")
    return pl.when(bare.str.json_path_match("$").is_not_null()).then(bare)


def _list(text: pl.Expr, by: Convention) -> pl.Expr:
    bare = text.str.strip_chars()
    parts = bare.str.split(by.separator).list.eval(quote(pl.element().str.strip_chars()))
    split = joined("[", parts.list.join(","), "]")
    return pl.when(bare.str.starts_with("[")).then(_json(bare, by)).otherwise(split)


_FROM_TEXT: dict[FieldType, _Conversion] = {
    "integer": _by_shape(r"^(0|-?[1-9][0-9]{0,17})$", _as_it_is, _integer),
    "float": _by_shape(r"^-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,60})?$", _plain_float, _any_float),
    "boolean": _by_shape(r"^(true|false)$", _as_it_is, _boolean),
    "date": _by_shape(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", _plain_date, _date),
    "datetime": _by_shape(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9]$", _plain_datetime, _any_datetime),
    "json": _json,
    "list": _list,
}
