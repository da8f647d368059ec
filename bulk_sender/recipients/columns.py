"""Lookup of input columns by the names in a configuration. Pure.

A name means the column with that name, a field of a struct column (by its dotted name), or a text column with its
type in its name: ``age:integer`` for ``age``. So the same configuration reads a typed table and its rejected rows in
a CSV, where an object ``order`` has columns ``order.total:float``, ``order.id`` and so on.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

import polars as pl

from bulk_sender.config.model import FieldType
from bulk_sender.errors import ConfigError

_TYPED = re.compile(rf"(?P<name>.+):(?P<type>{'|'.join(get_args(FieldType))})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Found:
    """A column: its values, their type, and the type in its name (None: the column's own type)."""

    value: pl.Expr
    dtype: pl.DataType
    type: FieldType | None = None


def untyped(column: str) -> tuple[str, FieldType | None]:
    """Split ``age:integer`` into ``age`` and ``integer``."""
    match = _TYPED.fullmatch(column)
    return (match["name"], cast(FieldType, match["type"])) if match else (column, None)


def is_pattern(name: str) -> bool:
    """Whether polars takes a column's name for a pattern of names."""
    return name == "*" or (name.startswith("^") and name.endswith("$"))


def is_nameless(column: pl.Series) -> bool:
    """Whether a column has neither a name nor a value, such as one after the last delimiter of each line."""
    return re.fullmatch(r"column_[0-9]+", column.name) is not None and column.null_count() == len(column)


_TYPES = get_args(FieldType)
_ELSEWHERE = {
    "integer": "int int2 int4 int8 int16 int32 int64 uint uint8 uint16 uint32 uint64 bigint smallint tinyint "
    "i8 i16 i32 i64 u8 u16 u32 u64 long serial",
    "float": "double decimal numeric real float4 float8 float32 float64 f32 f64 num number",
    "boolean": "bool bit flag logical",
    "string": "str text txt varchar varchar2 nvarchar nvarchar2 char nchar character utf8 uuid",
    "datetime": "timestamp time timestamptz datetime2 datetime64 datetimetz",
    "list": "array set",
    "json": "object struct dict map jsonb",
}
_TYPES_ELSEWHERE = {word: kind for kind, words in _ELSEWHERE.items() for word in words.split()}
"""Names of types in other tools → the type here."""
_WORD = re.compile(
    r"\s*(?:nullable |unsigned )?(?P<word>[a-z][\w-]{0,19})"
    r"(?: precision| varying| unsigned| with(?:out)?(?: local)? time zone)?"
    r"\s*(?P<is_list>\[\])?(?:[(\[<{].*)?[?!]?\s*",
    re.DOTALL | re.IGNORECASE,
)
"""The name of a type, as other tools write it: ``varchar(20)``, ``double precision``, ``int?``, ``text[]``."""
_CLOSE = 0.76
"""``flaot`` is as close to ``float``; ``rate`` and ``date`` are less alike."""


def misspelt_type(column: str) -> tuple[str, str, str] | None:
    """Return the name, what is behind its last colon, and the type that is probably meant, if that is not a type.

    A name may contain a colon (``utm:source``), so only what is like a type counts.
    """
    name, colon, kind = column.rpartition(":")
    match = _WORD.fullmatch(kind)
    if not colon or match is None or (kind in _TYPES and name == name.rstrip(" \t\xa0")):
        return None
    word = "list" if match["is_list"] else match["word"].lower()
    near = next(iter(difflib.get_close_matches(word, _TYPES, 1, _CLOSE)), None) or _TYPES_ELSEWHERE.get(word)
    return (name.strip(), kind, near) if near else None


def unknown_type(column: str, kind: str, near: str | None = None) -> ConfigError:
    """Return the refusal of a type behind a column's name."""
    wrong = f"{kind!r} is not a type" + (f" (did you mean {near}?)" if near else "")
    return ConfigError(
        f"column {column!r}: " + (f"a blank stands before :{kind}" if kind in _TYPES else wrong),
        hint=f"the types are {', '.join(_TYPES)}; write them right behind the colon, as in age:integer. A name that "
        "really ends like this can be mapped under [recipient]",
    )


class Columns:
    """The columns of an input. ``used`` records which of them were looked up."""

    def __init__(self, schema: pl.Schema, unreadable: Mapping[str, str] | None = None) -> None:
        """``unreadable``: columns of the input whose type cannot be read → that type."""
        self.schema = schema
        self.unreadable = unreadable or {}
        self.used: set[str] = set()
        self._typed = {untyped(name)[0]: name for name, dtype in schema.items() if dtype == pl.String}

    def find(self, name: str, where: str) -> Found:
        """Return the column for a name. Raise ConfigError, with the nearest name, when there is none."""
        self.refuse_unreadable(name, where)
        found = self._exact(name) or self._in_struct(name) or self._with_type(name)
        if found is None:
            for column in self.schema:
                if (wrong := misspelt_type(column)) and wrong[0] == name:
                    raise unknown_type(column, *wrong[1:])
            near = difflib.get_close_matches(name, self.schema.names(), n=1, cutoff=0.6)
            raise ConfigError(
                f"{where}: the input has no column {name!r}" + (f" (did you mean {near[0]!r}?)" if near else ""),
                hint=self.shown(),
            )
        return found

    def refuse_unreadable(self, name: str, where: str) -> None:
        """Raise ConfigError when a name means a column, or a member of one, whose type cannot be read."""
        column = next((each for each in (name, name.split(".")[0]) if each in self.unreadable), None)
        if column is not None and name not in self.schema:
            raise ConfigError(
                f"{where}: column {column!r} has the type {self.unreadable[column]}, which cannot be sent",
                hint="leave the column out, or convert it to text or a number where the input is written",
            )

    def members(self, name: str) -> dict[tuple[str, ...], str]:
        """Return the columns of the members of an object ``name``, by path; empty when ``name`` is a column."""
        if name in self.schema or name in self._typed or self._in_struct(name):
            return {}
        start = f"{name}."
        for column in self.schema:
            if column.startswith(start) and (wrong := misspelt_type(column)):
                raise unknown_type(column, *wrong[1:])
        return {
            tuple(untyped(column)[0].removeprefix(start).split(".")): column
            for column in self.schema
            if column.startswith(start)
        }

    def renamed(self, name: str) -> str | None:
        """Return the column for ``name`` when the column's name also contains its type, else None."""
        return None if name in self.schema else self._typed.get(name)

    def shown(self) -> str:
        """Return the columns' names, for the hint of an error."""
        names = self.schema.names()
        shown = ", ".join(repr(name) for name in names[:12])
        return f"the columns are {shown}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")

    def _exact(self, name: str) -> Found | None:
        if name not in self.schema:
            return None
        self.used.add(name)
        return Found(pl.col(name), self.schema[name])

    def _in_struct(self, name: str) -> Found | None:
        head, *rest = name.split(".")
        if not rest or head not in self.schema:
            return None
        value, dtype = pl.col(head), self.schema[head]
        for part in rest:
            inner = dict(dtype.to_schema()) if isinstance(dtype, pl.Struct) else {}
            if part not in inner:
                return None
            found = inner[part]
            value, dtype = value.struct.field(part), found if isinstance(found, pl.DataType) else found()
        self.used.add(head)
        return Found(value, dtype)

    def _with_type(self, name: str) -> Found | None:
        column = self.renamed(name)
        if column is None:
            return None
        self.used.add(column)
        return Found(pl.col(column), pl.String(), untyped(column)[1])
