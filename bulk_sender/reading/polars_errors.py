"""Translation of polars' errors about a file's content to an InputError that names the file.

A polars panic is a ``BaseException``, so it would pass every ``except Exception`` and end in a traceback.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.reading.panics import panics_hidden
from bulk_sender.reading.query import reason

ARROW = "Arrow IPC"
PARQUET = "Parquet"
TABLE = "a table"
"""A frame, or the result of a query: there is no file to look at."""
TROUBLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, UnicodeError, OverflowError)
"""Exceptions that polars raises for content it cannot read."""
_OF_PYTHON = "Detail: Python exception"
"""What Arrow adds to an error that was raised while it read a stream: the beginning of a traceback."""
_UNSUPPORTED = re.compile("not yet implemented|not supported|cannot create series|cannot import|could not import")
"""What a panic says about a type that polars does not have."""
_TWICE = re.compile(r"column with name '(.*)' has more than one occurrence")


class UnknownTypeError(InputError):
    """A table has a column of a type that polars does not have."""


@contextmanager
def reading(name: str, kind: str, *, typed: bool = False) -> Iterator[None]:
    """Raise InputError for an error while ``name`` is read as ``kind``.

    ``typed``: its columns come from a typed file. If that is damaged, polars may panic only when it uses them.
    """
    try:
        with panics_hidden() if typed or kind in (ARROW, PARQUET) else nullcontext():
            yield
    except BaseException as error:
        if isinstance(error, TROUBLE) or is_panic(error):
            raise broken(name, kind, error) from None
        raise


def broken(name: str, kind: str, error: BaseException) -> InputError:
    """Return the error for a file that cannot be read as ``kind``, with the first line of polars' own message."""
    first = reason(error).partition(_OF_PYTHON)[0].rstrip(". ")  # a driver's error may show an address
    if twice := _TWICE.search(str(error)):
        return InputError(f"{name} has two columns {twice[1]!r}", hint="give one of them another name")
    if is_panic(error) and _UNSUPPORTED.search(str(error)):
        return UnknownTypeError(
            f"{name} has a column of a type that cannot be read: {first}",
            hint="leave the column out, or convert it to text where the file is written",
        )
    if is_panic(error):
        first = "its internal structure is damaged"  # a panic's message only makes sense to polars developers
    hint = "" if kind == TABLE else "check that the file is complete and that its name matches its format"
    return InputError(f"{name} cannot be read as {kind}: {first}", hint=hint)


def is_panic(error: BaseException) -> bool:
    """Whether Rust code panicked."""
    return type(error).__name__ == "PanicException"  # by name, because each Rust extension defines its own class
