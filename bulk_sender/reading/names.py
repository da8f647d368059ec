"""Detection of JSON objects that have one name twice.

Every parser keeps another of the two values, so nobody can say what such a text means.
"""

from __future__ import annotations

import json
from typing import Any

import polars as pl

_NAME = r'"(?:[^"\\]|\\.)*"\s*:'


def repeated_names(texts: pl.Series) -> pl.Series:
    """Return which texts have an object, at any depth, with one name twice. The texts are valid JSON or null.

    Only a text with the same name in several places is parsed, because these may be several objects.
    """
    names = texts.str.extract_all(_NAME)
    # A name may be written in two ways, but only with an escape.
    suspects = (names.list.n_unique() < names.list.len()) | names.list.join("").str.contains("\\", literal=True)
    found = [at for at in suspects.arg_true() if _has_repeated_name(texts[at])]
    return pl.int_range(len(texts), eager=True).is_in(found)


def _has_repeated_name(text: str) -> bool:
    try:
        json.loads(text, object_pairs_hook=_refuse_repeated)
    except _RepeatedError:
        return True
    except (ValueError, RecursionError):  # not JSON, or nested too deeply, which others report
        return False
    return False


class _RepeatedError(Exception):
    """An object has one name twice."""


def _refuse_repeated(members: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in members}) < len(members):
        raise _RepeatedError
