"""The border to polars: whatever it raises over a file's content becomes an InputError that names the file.

A panic of polars is a ``BaseException``, so that it would pass every ``except Exception`` and end in a traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.reading.panics import panics_unheard

ARROW = "Arrow IPC"
TROUBLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, UnicodeError, OverflowError)
"""What polars raises over content that it can't read."""


@contextmanager
def reading(name: str, kind: str) -> Iterator[None]:
    """Raises InputError for trouble with ``name`` while it is read as ``kind``."""
    try:
        with panics_unheard() if kind == ARROW else nullcontext():  # of all formats only this one makes it panic
            yield
    except BaseException as error:
        if isinstance(error, TROUBLE) or _is_panic(error):
            raise broken(name, kind, error) from None
        raise


def broken(name: str, kind: str, error: BaseException) -> InputError:
    """The words for a file that can't be read as what it should be; only the error's first line is shown."""
    lines = str(error).splitlines()
    first = (lines[0][:200] if lines else "") or type(error).__name__
    if _is_panic(error):
        first = "its inner structure is damaged"  # a panic's words are for those who know the engine's source
    return InputError(
        f"{name} can't be read as {kind}: {first}",
        hint="is the file complete, and of the format its name says?",
    )


def _is_panic(error: BaseException) -> bool:
    return type(error).__name__ == "PanicException"  # each extension has one of its own
