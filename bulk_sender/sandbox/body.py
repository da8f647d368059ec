"""Bytes of a request body → parsed JSON, as strictly as JSON is defined.

Python's own reader is lenient where RFC 8259 is not: it takes ``NaN`` and ``Infinity``, lets the last of
two equal keys win, and keeps half a surrogate pair as a character. Each of these would hide a sender's
mistake, so here each is bad syntax.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
from collections import Counter
from types import ModuleType
from typing import Any, NoReturn


class BadSyntaxError(ValueError):
    """The body isn't JSON. ``str(error)`` says why, and quotes nothing but key names."""


def parse(body: bytes) -> Any:
    """The JSON value that ``body`` (UTF-8) spells. Raises :class:`BadSyntaxError`."""
    value = _parse_canonical(body)
    return _parse_any(body) if value is None else value


def _parse_canonical(body: bytes) -> Any:
    """The value when orjson is there and ``body`` is just what it would have written; else None.

    Whatever survives the round trip to the byte had no key twice and no number bent. Compact JSON does, at
    a third of the cost of looking at every pair in Python.
    """
    if _ORJSON is None:
        return None
    try:
        value = _ORJSON.loads(body)
        return value if _ORJSON.dumps(value) == body else None
    except (ValueError, TypeError):  # bad JSON, or nested deeper than orjson writes
        return None


def _parse_any(body: bytes) -> Any:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadSyntaxError(f"not UTF-8 at byte {error.start}") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadSyntaxError(f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise BadSyntaxError("nested too deeply") from None
    except BadSyntaxError:
        raise
    except ValueError:  # CPython's cap on the digits of an integer
        raise BadSyntaxError("a number with too many digits") from None
    if "\\ud" in text or "\\uD" in text:  # only an escape can spell half a pair: raw UTF-8 can't
        _refuse_half_pairs(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        [(repeated, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise BadSyntaxError(f"the key {repeated!r} stands twice in one object")
    return keys


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise BadSyntaxError("a number beyond the range of a double")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise BadSyntaxError(f"{name} is not JSON")


def _refuse_half_pairs(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise BadSyntaxError("half a surrogate pair is not a character") from None


_ORJSON: ModuleType | None = None
if importlib.util.find_spec("orjson"):  # the extra "sandbox"
    _ORJSON = importlib.import_module("orjson")
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant)
