"""Conversion of column values to JSON text, as polars expressions. Pure: no I/O, no Python object per value.

Every function takes an expression and returns expressions. JSON text is null where the value is null; where a value
cannot be converted, ``Converted.bad`` is true and the row is rejected.

polars' own ``struct.json_encode`` is used for strings only: it writes a datetime without offset as
``2020-01-01 00:00:00``, a NaN as ``null`` and a decimal as a string.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl

from bulk_sender.config.model import FieldType
from bulk_sender.errors import ConfigError
from bulk_sender.reading.names import repeated_names
from bulk_sender.reading.types import JSON, NUMBER, OWN, inner_types, type_of
from bulk_sender.recipients import dates, numbers
from bulk_sender.recipients.numbers import without_separators

_INTEGER = {".": r"^[+-]?[0-9]+(\.0+)?$", ",": r"^[+-]?[0-9]+(,0+)?$"}
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_ISO_DATETIME = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2})(:[0-5][0-9])?([.,][0-9]{1,9})?)?"
    r" ?([Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?$"
)
_ISO_DATE = r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]00:00(?::00(?:\.0+)?)?)?$"
_STRING = r'"(?:[^"\\]|\\.)*"'
_NULL = rf"{_STRING}\s*:\s*null|({_STRING})|null"
_SPARE_COMMAS = (
    (rf"({_STRING})|(,)(?:\s*,)+", "${1}${2}"),
    (rf"({_STRING})|([\[{{])\s*,", "${1}${2}"),
    (rf"({_STRING})|,\s*([\]}}])", "${1}${2}"),
)
_BYTES = r"(?s)^b'(?:[^\\]|\\\\)*\\x[0-9a-f]{2}"
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f]"
TRUE = (
    *("true", "t", "yes", "y", "1", "on"),
    *(
        "oui",
        "o",
        "vrai",
        "ja",
        "j",
        "wahr",
        "si",
        "sí",
        "sì",
        "s",
        "verdadero",
        "vero",
        "sim",
        "verdadeiro",
        "tak",
        "はい",
    ),
)
FALSE = (
    *("false", "f", "no", "n", "0", "off"),
    *("non", "faux", "nein", "falsch", "falso", "não", "nao", "nee", "nej", "nie", "いいえ"),
)
"""Answers, in lower case: in English, then in French, German, Spanish, Italian, Portuguese and other languages."""
_EXPECTED: dict[FieldType, str] = {
    "string": "text",
    "integer": "a whole number",
    "float": "a number",
    "boolean": "true or false",
    "datetime": "a date and time, such as 2026-02-28T10:00:00",
    "date": "a date, such as 2026-02-28",
    "json": "valid JSON without repeated names",
    "list": "a list",
}


@dataclass(frozen=True, slots=True)
class Convention:
    """How this input writes values as text: timezone, decimal and thousands of ``[input]``, format and separator."""

    timezone: str = "UTC"
    decimal: str = "."
    thousands: str | None = None
    format: str | None = None
    separator: str = "|"
    keeps_unsendable: bool = False
    """Write NaN, skipped local times and far years unchanged, so that people can fix them; that is not valid JSON."""


_Conversion = Callable[[pl.Expr, Convention], pl.Expr]


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted column. ``json`` is a String expression, null where there is no value that can be sent.

    A row is invalid where ``bad`` is true, or where ``present`` is true and ``json`` is null. Both are None when the
    conversion cannot fail. ``expected`` describes the valid values in an error, and ``advice`` says for text how to
    get there (null where nothing is known). ``text``: what ``json`` quotes, if it is a JSON string of any text.
    """

    json: pl.Expr
    bad: pl.Expr | None = None
    present: pl.Expr | None = None
    expected: str = ""
    advice: Callable[[pl.Expr], pl.Expr] | None = None
    text: pl.Expr | None = None

    @property
    def can_fail(self) -> bool:
        return self.bad is not None or self.present is not None

    def failed(self, json: pl.Expr) -> pl.Expr:
        """Return where a row is invalid, given the already computed column of ``json``."""
        flags = [] if self.bad is None else [self.bad]
        if self.present is not None:
            flags.append(self.present & json.is_null())
        return pl.any_horizontal(flags).fill_null(False)


def convert(value: pl.Expr, dtype: pl.DataType, wanted: FieldType | None, by: Convention) -> Converted:
    """Convert a column of ``dtype`` to JSON text of type ``wanted`` (None: its own type).

    Raise ConfigError when the column cannot contain such values at all.
    """
    if dtype == pl.Binary and wanted in ("string", "json"):
        text = text_of_bytes(value)
        found = convert(text, pl.String(), wanted, by)
        flags = [value.is_not_null() & text.is_null()] + ([] if found.bad is None else [found.bad])
        return replace(found, bad=pl.any_horizontal(flags).fill_null(False))
    if wanted == "date" and isinstance(dtype, pl.Datetime):
        day = convert(dates.writable(value).dt.date(), pl.Date(), wanted, by)
        return replace(day, bad=~dates.is_sensible(value))
    if dtype.is_nested() and pl.Binary() in _parts(dtype):
        raise ConfigError(
            f"a column of type {type_name(dtype)} cannot be sent: it has bytes inside",
            hint="convert them to text where the input is written",
        )
    bad = unsendable(value, dtype, by)
    if wanted is None or _is_native(dtype, wanted) or (wanted == "json" and is_object(dtype)):
        own = value if dtype == pl.String else None
        return Converted(json_text(value, dtype, by), bad=bad, expected=_native_expected(dtype), text=own)
    if is_object(dtype) or dtype == pl.Binary:
        raise ConfigError(f"a column of type {type_name(dtype)} cannot be sent as {wanted}")
    if dtype != pl.String:
        by = replace(by, decimal=".", thousands=None)  # the text below is written by polars, not taken from the file
    text = scalar_text(value, dtype, by)
    if wanted == "string" and dtype == pl.String:
        return Converted(quote(text), bad=is_shown_bytes(text), expected="text in UTF-8", text=text)
    if wanted == "string":
        expected = _EXPECTED["string"] if bad is None else _native_expected(dtype)
        return Converted(quote(text), bad=bad, expected=expected, text=text)
    # An empty cell is a missing value, not an invalid one; JSON's null counts as empty, too.
    bare = text.str.strip_chars()
    text = pl.when((bare != "null") & (bare != "") if wanted == "json" else bare != "").then(text)
    expected = _EXPECTED[wanted] if by.format is None else f"a {wanted} in the format {by.format}"
    advice = _advice(wanted, by) if dtype == pl.String else None
    return Converted(
        _FROM_TEXT[wanted](text, by), bad=bad, present=text.is_not_null(), expected=expected, advice=advice
    )


def _advice(wanted: FieldType, by: Convention) -> Callable[[pl.Expr], pl.Expr] | None:
    """Return how to fix text that is not of the wanted type, as far as a column of that type can say."""
    if wanted in ("integer", "float"):
        return lambda raw: numbers.advice(raw, by.decimal, by.thousands, is_whole=wanted == "integer")
    if wanted in ("date", "datetime"):
        return lambda raw: dates.advice(raw.str.strip_chars(), by.format)
    return None


def _native_expected(dtype: pl.DataType) -> str:
    first, last = dates.ISO_YEARS
    if is_object(dtype):
        return f"valid: it contains {_one_of(_causes(dtype))}"
    if dtype == pl.Date:
        return f"a date with a year from {first} to {last}"
    if dtype.is_temporal():
        return f"a valid local time: daylight saving skips it, or its year is not from {first} to {last}"
    return _EXPECTED["float"]


def _causes(dtype: pl.DataType) -> list[str]:
    """Return what can be invalid inside a list or an object, in words."""
    parts, causes = _parts(dtype), []
    if any(isinstance(part, pl.Map) for part in parts):
        causes.append("one key twice")
    if any(part.is_float() or part in OWN for part in parts):
        causes += ["a NaN", "an infinite number"]
    if any(isinstance(part, pl.Datetime) for part in parts):
        causes.append("a local time that daylight saving skips")
    if any(isinstance(part, pl.Date | pl.Datetime) for part in parts):
        causes.append(f"a year that is not from {dates.ISO_YEARS[0]} to {dates.ISO_YEARS[1]}")
    return causes


def _parts(dtype: pl.DataType) -> list[pl.DataType]:
    """Return a type and all types inside it."""
    parts = [dtype]
    for part in parts:  # it grows meanwhile
        parts.extend(inner_types(part))
    return parts


def _one_of(words: list[str]) -> str:
    return ", ".join(words[:-1]) + " or " * bool(words[:-1]) + "".join(words[-1:])


def _is_native(dtype: pl.DataType, wanted: FieldType) -> bool:
    return (
        (wanted == "integer" and dtype.is_integer())
        or (wanted == "float" and (dtype.is_float() or dtype.is_decimal() or dtype.is_integer() or dtype == NUMBER))
        or (wanted == "boolean" and dtype == pl.Boolean)
        or (wanted == "date" and dtype == pl.Date)
        or (wanted == "datetime" and dtype == pl.Datetime)
        or (wanted == "list" and (isinstance(dtype, pl.List | pl.Array) or dtype == JSON))
    )


def quote(text: pl.Expr) -> pl.Expr:
    """Return text as an escaped JSON string; null stays null."""
    encoded = pl.struct(text.alias("_")).struct.json_encode()
    return pl.when(text.is_not_null()).then(_member(encoded))


def plain_quote(text: pl.Expr) -> pl.Expr:
    """Return as a JSON string what ``plain_texts`` has found to need no escape; null stays null."""
    return joined('"', text, '"')


def plain_texts(texts: pl.DataFrame) -> frozenset[str]:
    """Return the columns in which no text needs an escape: to prove that is cheaper than to escape."""
    columns = texts.get_columns()
    is_plain = _needs_no_escape(columns)
    return frozenset(column.name for column in columns if is_plain or _needs_no_escape([column]))


_PLAIN = bytes(set(range(0x20, 0x100)) - set(b'"\\'))
"""Every byte that stands for itself in a JSON text."""


def _needs_no_escape(columns: list[pl.Series]) -> bool:
    """Whether no text has a quote, a backslash or a control character: all that ``quote`` escapes."""
    whole: bytes = pl.concat(columns).str.join("").cast(pl.Binary).item() if columns else b""
    return not whole.translate(None, _PLAIN)


def as_text(json: pl.Expr) -> pl.Expr:
    """Return numbers and booleans in JSON as JSON strings, whole numbers without a fraction; strings are unchanged."""
    digits = json.str.replace(r"^(-?[0-9]+)\.0+$", "${1}")
    return pl.when(json.str.starts_with('"')).then(json).otherwise(joined('"', digits, '"'))


def joined(*parts: str | pl.Expr) -> pl.Expr:
    """Concatenate fixed text and text columns; null where any column is null."""
    template = ["{}" if isinstance(part, pl.Expr) else part.replace("{", "{{").replace("}", "}}") for part in parts]
    return pl.format("".join(template), *(part for part in parts if isinstance(part, pl.Expr)))


def _member(encoded: pl.Expr) -> pl.Expr:
    """Return ``value`` from ``{"_":value}``. Cut the end first, because slicing from the front is slow."""
    return encoded.str.head(-1).str.slice(5)


def scalar_text(value: pl.Expr, dtype: pl.DataType, by: Convention) -> pl.Expr:
    """Return a scalar column as plain text; datetimes in ISO 8601 with an offset."""
    if dtype == pl.String:
        return value
    if dtype in OWN:
        return value.ext.storage()
    if dtype == pl.Date:
        return dates.writable(value).cast(pl.String)
    if isinstance(dtype, pl.Datetime):
        value = dates.writable(value)
        zoned = value if dtype.time_zone else _zoned(value, by.timezone)
        return zoned.dt.strftime("%Y-%m-%dT%H:%M:%S%.f%:z")
    if dtype in (pl.Duration, pl.Time):
        return value.dt.to_string("iso")
    return value.cast(pl.String)


def json_text(value: pl.Expr, dtype: pl.DataType, by: Convention) -> pl.Expr:
    """Return a column of any type, nested ones included, as JSON text of the same type.

    Raise ConfigError for binary data and other types that JSON does not have.
    """
    if isinstance(dtype, pl.Map):
        key_type, value_type = type_of(dtype.key), type_of(dtype.value)
        if key_type.is_nested():
            raise ConfigError(
                f"a column of type {type_name(dtype)} cannot be sent: its keys are not text",
                hint="convert the keys to text where the input is written",
            )
        key = quote(scalar_text(pl.element().struct.field("key"), key_type, by))
        member = json_text(pl.element().struct.field("value"), value_type, by).fill_null("null")
        return joined("{", value.map.entries().list.eval(pl.concat_str(key, pl.lit(":"), member)).list.join(","), "}")
    if isinstance(dtype, pl.List | pl.Array):
        items = value.arr.to_list() if isinstance(dtype, pl.Array) else value
        inner = json_text(pl.element(), type_of(dtype.inner), by).fill_null("null")
        return joined("[", items.list.eval(inner).list.join(","), "]")
    if isinstance(dtype, pl.Struct):
        fields = [
            pl.concat_str(
                quote(pl.lit(field.name)) + ":",
                json_text(value.struct.field(field.name), type_of(field.dtype), by).fill_null("null"),
            )
            for field in dtype.fields
        ]
        body = pl.concat_str(fields, separator=",") if fields else pl.lit("")
        return pl.when(value.is_not_null()).then(joined("{", body, "}"))
    if dtype == pl.Boolean or dtype.is_integer() or dtype.is_decimal():
        return value.cast(pl.String)
    if dtype in OWN:
        return value.ext.storage()
    if dtype.is_float():
        # json_encode writes the shortest digits that read back as the same number; a cast may not.
        encoded = pl.struct(value.alias("_")).struct.json_encode()
        digits = _member(encoded)
        if by.keeps_unsendable:
            digits = pl.when(value.is_finite()).then(digits).otherwise(value.cast(pl.String))
        return pl.when(value.is_not_null()).then(digits)
    if dtype == pl.Null:
        return pl.lit(None, dtype=pl.String)
    if dtype == pl.Binary:
        raise ConfigError(
            "a column of type Binary cannot be sent without a type",
            hint='set type = "string" or "json" if the bytes are text',
        )
    if dtype == pl.Object or dtype == pl.Unknown:
        raise ConfigError(f"a column of type {type_name(dtype)} cannot be sent: JSON has no such type")
    if by.keeps_unsendable and isinstance(dtype, pl.Date | pl.Datetime):
        is_sendable = ~_unsendable_moment(value, dtype, by).fill_null(False)
        shown = dates.written(value, dtype, "iso")  # without quotes it is not JSON, and is rejected again
        return pl.when(is_sendable).then(quote(scalar_text(value, dtype, by))).otherwise(shown)
    text = scalar_text(value, dtype, by)
    return joined('"', text, '"') if dtype.is_temporal() else quote(text)


def unsendable(value: pl.Expr, dtype: pl.DataType, by: Convention) -> pl.Expr | None:
    """Return where a NaN, an infinity, a skipped local time or a year without four digits occurs, at any depth.

    None when none of them can occur.
    """
    if dtype.is_float():
        return ~value.is_finite()
    if dtype == NUMBER:
        return ~value.ext.storage().cast(pl.Float64, strict=False).is_finite().fill_null(False) & value.is_not_null()
    if dtype == JSON:
        return value.is_not_null() & value.ext.storage().str.json_path_match("$").is_null()
    if isinstance(dtype, pl.Date | pl.Datetime):
        return _unsendable_moment(value, dtype, by)
    if isinstance(dtype, pl.List | pl.Array):
        items = value.arr.to_list() if isinstance(dtype, pl.Array) else value
        inner = unsendable(pl.element(), type_of(dtype.inner), by)
        return None if inner is None else items.list.eval(inner.fill_null(False)).list.any()
    if isinstance(dtype, pl.Map):
        keys = value.map.keys()
        repeated = keys.list.n_unique() != keys.list.len()
        inner = unsendable(pl.element().struct.field("value"), type_of(dtype.value), by)
        if inner is None:
            return repeated
        return repeated | value.map.entries().list.eval(inner.fill_null(False)).list.any()
    if isinstance(dtype, pl.Struct):
        found = [unsendable(value.struct.field(field.name), type_of(field.dtype), by) for field in dtype.fields]
        flags = [flag.fill_null(False) for flag in found if flag is not None]
        return pl.any_horizontal(flags) if flags else None
    return None


def _unsendable_moment(value: pl.Expr, dtype: pl.Date | pl.Datetime, by: Convention) -> pl.Expr:
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is None and by.timezone != "UTC":
        is_skipped = value.is_not_null() & _zoned(dates.writable(value), by.timezone).is_null()
        return is_skipped | ~dates.is_sensible(value)
    return ~dates.is_sensible(value)


def text_of_bytes(value: pl.Expr) -> pl.Expr:
    """Return bytes as text, null where they are not valid UTF-8."""
    return value.map_batches(_decoded, return_dtype=pl.String)


def shown_bytes(value: pl.Expr) -> pl.Expr:
    """Return bytes as text for people. What is not UTF-8 becomes ``b'Z\\xfcrich'``, which ``is_shown_bytes`` finds."""
    return value.map_batches(_shown, return_dtype=pl.String)


def is_shown_bytes(text: pl.Expr) -> pl.Expr:
    """Whether text stands for bytes that are not text."""

    def found(column: pl.Series) -> pl.Series:
        begins = column.str.starts_with("b'").fill_null(False)
        return (begins & column.str.contains(_BYTES)).fill_null(False) if begins.any() else begins

    return text.map_batches(found, return_dtype=pl.Boolean)


def _shown(column: pl.Series) -> pl.Series:
    text = _decoded(column)
    hidden = column.is_not_null() & ~(~text.str.contains(_CONTROL)).fill_null(False)
    shown = [_shown_cell(cell) for cell in column.filter(hidden)]
    return text.scatter(hidden.arg_true(), pl.Series(shown, dtype=pl.String)) if shown else text


def _shown_cell(cell: bytes) -> str:
    text = cell.replace(b"\\", b"\\\\").decode(errors="backslashreplace")
    return "b'" + "".join(f"\\x{ord(letter):02x}" if letter < " " else letter for letter in text) + "'"


def _decoded(column: pl.Series) -> pl.Series:
    try:
        return column.cast(pl.String)
    except pl.exceptions.ComputeError:  # one of them is not valid
        return pl.Series(column.name, map(_decoded_cell, column), dtype=pl.String)


def _decoded_cell(cell: bytes | None) -> str | None:
    try:
        return None if cell is None else cell.decode()
    except UnicodeDecodeError:
        return None


def type_name(dtype: pl.DataType) -> str:
    """Return the name of a column type for an error."""
    return "number" if dtype == NUMBER else "list" if dtype == JSON else str(dtype)


def is_object(dtype: pl.DataType) -> bool:
    """Whether the values are lists or objects."""
    return dtype.is_nested() or dtype == JSON


def _zoned(value: pl.Expr, timezone: str) -> pl.Expr:
    # A local time skipped by daylight saving becomes null and is rejected; a repeated one means its first occurrence.
    return value.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")


def _by_shape(shape: str, plain: _Conversion, general: _Conversion) -> _Conversion:
    """Use ``plain`` for chunks whose values all match ``shape``, else ``general``, which is much slower.

    Both give the same result for values that match.
    """

    def conversion(text: pl.Expr, by: Convention) -> pl.Expr:
        def convert_column(column: pl.Series) -> pl.Series:
            chosen = plain if column.str.contains(shape).all() else general
            return column.to_frame("_").select(chosen(pl.col("_"), by)).to_series()

        return text.map_batches(convert_column, return_dtype=pl.String)

    return conversion


def _unchanged(text: pl.Expr, _: Convention) -> pl.Expr:
    return text


def _integer(text: pl.Expr, by: Convention) -> pl.Expr:
    bare = without_separators(text.str.strip_chars(), by.decimal, by.thousands)
    digits = pl.when(bare.str.contains(_INTEGER[by.decimal])).then(bare.str.replace(r"[.,]0+$", ""))
    return digits.cast(pl.Int64, strict=False).cast(pl.String)


def _any_float(text: pl.Expr, by: Convention) -> pl.Expr:
    bare = without_separators(text.str.strip_chars(), by.decimal, by.thousands)
    if by.decimal == ",":  # with a decimal comma, a point separates thousands: 1.500 is not 1.5
        bare = pl.when(~bare.str.contains(".", literal=True)).then(bare.str.replace(",", ".", literal=True))
    number = pl.when(bare.str.contains(_NUMBER) & bare.cast(pl.Float64, strict=False).is_finite()).then(bare)
    # Keep the digits as written; change only what JSON's grammar forbids: +5, 007, .5, 5.
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
    return pl.when(bare.is_in(TRUE)).then(pl.lit("true")).when(bare.is_in(FALSE)).then(pl.lit("false"))


def truth(text: pl.Expr) -> pl.Expr:
    """Return text as true or false, null where it is neither."""
    return _boolean(text, Convention()) == "true"


def _plain_date(text: pl.Expr, by: Convention) -> pl.Expr:
    if by.format is not None:
        return _date(text, by)
    parsed = text.str.strptime(pl.Date, "%Y-%m-%d", strict=False)
    return pl.when(dates.is_sensible(parsed)).then(joined('"', text, '"'))


def _date(text: pl.Expr, by: Convention) -> pl.Expr:
    bare = text.str.strip_chars()
    if by.format is None:
        parsed = bare.str.extract(_ISO_DATE, 1).str.strptime(pl.Date, "%Y-%m-%d", strict=False)
        parsed = pl.when(dates.is_sensible(parsed)).then(parsed)
    else:
        parsed = dates.moments(bare, by.format, as_written=True)
    return joined('"', parsed.dt.strftime("%Y-%m-%d"), '"')


def _any_datetime(text: pl.Expr, by: Convention) -> pl.Expr:
    bare = text.str.strip_chars()
    if by.format is not None:
        parsed = _zoned(dates.moments(bare, by.format), "UTC" if dates.has_offset(by.format) else by.timezone)
        return joined('"', parsed.dt.strftime("%Y-%m-%dT%H:%M:%S%.f%:z"), '"')
    # Keep the local time and the offset as written, and only normalize their format.
    day = bare.str.extract(_ISO_DATETIME, 1)
    clock = bare.str.extract(_ISO_DATETIME, 2).fill_null("00:00") + bare.str.extract(_ISO_DATETIME, 3).fill_null(":00")
    fraction = bare.str.extract(_ISO_DATETIME, 4).str.replace(",", ".", literal=True).fill_null("")
    offset = _offset(bare.str.extract(_ISO_DATETIME, 5))
    local = day + "T" + clock
    parsed = local.str.strptime(pl.Datetime("us"), "%Y-%m-%dT%H:%M:%S", strict=False)
    assumed = _zoned(parsed, by.timezone).dt.strftime("%:z")
    zone = pl.coalesce(offset, assumed)
    return pl.when(dates.is_sensible(parsed)).then(joined('"', local, fraction, zone, '"'))


def _plain_datetime(text: pl.Expr, by: Convention) -> pl.Expr:
    if by.format is not None:
        return _any_datetime(text, by)
    parsed = text.str.strptime(pl.Datetime("us"), "%Y-%m-%dT%H:%M:%S", strict=False)
    zone = pl.lit("+00:00") if by.timezone == "UTC" else _zoned(parsed, by.timezone).dt.strftime("%:z")
    return pl.when(dates.is_sensible(parsed)).then(joined('"', text, zone, '"'))


def _offset(text: pl.Expr) -> pl.Expr:
    """Normalize ``+02``, ``+0200`` and ``+02:00`` to ``+02:00``, and ``Z`` to ``+00:00``."""
    plain = text.str.to_uppercase().str.replace("Z", "+00:00", literal=True).str.replace(":", "", literal=True)
    return (
        plain.str.slice(0, 3)
        + ":"
        + pl.when(plain.str.len_chars() > 3).then(plain.str.slice(3, 2)).otherwise(pl.lit("00"))
    )


def without_nulls(json: pl.Expr) -> pl.Expr:
    """Return valid JSON without the members and elements that are null, at any depth; everything else stays as written.

    Each pattern also consumes the strings, so that text inside them is never taken for JSON.
    """

    def prune(column: pl.Series) -> pl.Series:
        if not column.str.contains("null", literal=True).any():
            return column
        pruned = column.str.replace_all(_NULL, "${1}")
        for pattern, kept in _SPARE_COMMAS:
            pruned = pruned.str.replace_all(pattern, kept)
        return pruned

    return json.map_batches(prune, return_dtype=pl.String)


def _json(text: pl.Expr, _: Convention) -> pl.Expr:
    # The JSONPath engine parses the whole text strictly (no NaN, no lone surrogates, bounded depth) and returns null
    # for invalid JSON. The original text is sent, so that no digit of a number is lost.
    bare = text.str.strip_chars(" \t\r\n")
    valid = pl.when(bare.str.json_path_match("$").is_not_null()).then(bare)
    return valid.map_batches(_with_unique_names, return_dtype=pl.String)


def _with_unique_names(column: pl.Series) -> pl.Series:
    repeated = repeated_names(column)
    return column.set(repeated, None) if repeated.any() else column


def _list(text: pl.Expr, by: Convention) -> pl.Expr:
    bare = text.str.strip_chars()
    parts = bare.str.split(by.separator).list.eval(quote(pl.element().str.strip_chars()))
    split = joined("[", parts.list.join(","), "]")
    return pl.when(bare.str.starts_with("[")).then(_json(bare, by)).otherwise(split)


_FROM_TEXT: dict[FieldType, _Conversion] = {
    "integer": _by_shape(r"^(0|-?[1-9][0-9]{0,17})$", _unchanged, _integer),
    "float": _by_shape(r"^-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,60})?$", _plain_float, _any_float),
    "boolean": _by_shape(r"^(true|false)$", _unchanged, _boolean),
    "date": _by_shape(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", _plain_date, _date),
    "datetime": _by_shape(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9]$", _plain_datetime, _any_datetime),
    "json": _json,
    "list": _list,
}
