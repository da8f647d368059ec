"""Finding a column of the input by the name that a configuration gives it. Pure.

A name means the column of that name; a field of a struct column, by its dotted name; or, in text, the column that
bears its type behind its name: ``age:integer`` for ``age``. So the same configuration reads typed tables and what
became of them in a CSV, where an object ``order`` has columns ``order.total:float``, ``order.id``, ….
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import cast, get_args

import polars as pl

from bulk_sender.config.model import FieldType
from bulk_sender.errors import ConfigError

_TYPED = re.compile(rf"(?P<name>.+):(?P<type>{'|'.join(get_args(FieldType))})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Found:
    """A column: its values, their type, and the type that its name asks for (None: the column's own)."""

    value: pl.Expr
    dtype: pl.DataType
    type: FieldType | None = None


def untyped(column: str) -> tuple[str, FieldType | None]:
    """``age:integer`` → ``age`` and ``integer``."""
    match = _TYPED.fullmatch(column)
    return (match["name"], cast(FieldType, match["type"])) if match else (column, None)


class Columns:
    """The columns of an input, and which of them were found so far."""

    def __init__(self, schema: pl.Schema) -> None:
        self.schema = schema
        self.used: set[str] = set()
        self._typed = {untyped(name)[0]: name for name, dtype in schema.items() if dtype == pl.String}

    def find(self, name: str, where: str) -> Found:
        """Raises ConfigError, naming the nearest column, when there is none of that name."""
        found = self._as_it_stands(name) or self._in_a_struct(name) or self._with_its_type(name)
        if found is None:
            near = difflib.get_close_matches(name, self.schema.names(), n=1, cutoff=0.6)
            raise ConfigError(
                f"{where}: the input has no column {name!r}" + (f" (did you mean {near[0]!r}?)" if near else ""),
                hint=self.shown(),
            )
        return found

    def members(self, name: str) -> dict[tuple[str, ...], str]:
        """The columns that hold the members of an object ``name``, by their paths in it; none when it is a column."""
        if name in self.schema or name in self._typed or self._in_a_struct(name):
            return {}
        start = f"{name}."
        return {
            tuple(untyped(column)[0].removeprefix(start).split(".")): column
            for column in self.schema
            if column.startswith(start)
        }

    def renamed(self, name: str) -> str | None:
        """The column that is meant by ``name``, when it bears its type in its name too."""
        return None if name in self.schema else self._typed.get(name)

    def shown(self) -> str:
        """The columns' names, for whoever missed one."""
        names = self.schema.names()
        shown = ", ".join(repr(name) for name in names[:12])
        return f"the columns are {shown}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")

    def _as_it_stands(self, name: str) -> Found | None:
        if name not in self.schema:
            return None
        self.used.add(name)
        return Found(pl.col(name), self.schema[name])

    def _in_a_struct(self, name: str) -> Found | None:
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

    def _with_its_type(self, name: str) -> Found | None:
        column = self.renamed(name)
        if column is None:
            return None
        self.used.add(column)
        return Found(pl.col(column), pl.String(), untyped(column)[1])
