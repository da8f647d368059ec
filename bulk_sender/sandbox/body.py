"""Strict JSON parser for request bodies, and their size.

Python's own parser is more lenient than RFC 8259: it accepts ``NaN`` and ``Infinity``, uses the last of two
equal keys, and keeps a lone surrogate as a character. Each of these would hide a bug of the sender, so here
each is bad syntax.
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
    """The body is not valid JSON. ``str(error)`` says why, and quotes only key names."""


def parse(body: bytes) -> Any:
    """Return the JSON value of ``body`` (UTF-8). Raise :class:`BadSyntaxError`."""
    value = _parse_canonical(body)
    return _parse_any(body) if value is None else value


def size_of(value: Any) -> int:
    """Return the number of bytes of a parsed value as compact JSON in UTF-8."""
    if _ORJSON is not None:
        try:
            return len(_ORJSON.dumps(value))
        except (ValueError, TypeError):  # a big integer, for example
            pass
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def _parse_canonical(body: bytes) -> Any:
    """Return the value if orjson is installed and would write exactly ``body``, else None.

    A byte-exact round trip proves that no key is repeated and no number was changed. For compact JSON this
    takes a third of the time of checking every pair in Python.
    """
    if _ORJSON is None:
        return None
    try:
        value = _ORJSON.loads(body)
        return value if _ORJSON.dumps(value) == body else None
    except (ValueError, TypeError):  # invalid JSON, or nested deeper than orjson can write
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
    except ValueError:  # CPython limits the digits of an integer
        raise BadSyntaxError("a number with too many digits") from None
    if "\\ud" in text or "\\uD" in text:  # raw UTF-8 cannot contain a lone surrogate, only an escape can
        _refuse_lone_surrogates(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        [(repeated, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise BadSyntaxError(f"the key {repeated!r} occurs twice in one object")
    return keys


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise BadSyntaxError("a number beyond the range of a double")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise BadSyntaxError(f"{name} is not JSON")


def _refuse_lone_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise BadSyntaxError("a lone surrogate is not a character") from None


_ORJSON: ModuleType | None = None
if importlib.util.find_spec("orjson"):  # the extra "sandbox"
    _ORJSON = importlib.import_module("orjson")
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant)
