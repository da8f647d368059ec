"""Lines of NDJSON: which are sound JSON objects, and which of those have the shape of a schema."""

from __future__ import annotations

import json
import math
from itertools import chain
from typing import Any

import polars as pl

from bulk_sender.reading.names import repeated_names
from bulk_sender.reading.types import type_of

MAX_DEPTH = 32
"""A line with deeper nesting is malformed, because its column type would be just as deep."""
_SHOWN = 80


def is_suspicious(block: bytes) -> bool:
    """Whether polars might accept invalid JSON: it turns a lone surrogate into a NUL."""
    return b"\\ud" in block or b"\\uD" in block or b"\x00" in block or b"\x01" in block


def unsound(lines: list[bytes]) -> list[str]:
    """Return what is wrong with each line, whatever the schema is; empty for a sound line."""
    texts = pl.Series([line.decode() for line in lines], dtype=pl.String)
    repeated = repeated_names(texts)
    return [
        "is not a JSON object" if not ok else "has one name twice in an object" if twice else ""
        for ok, twice in zip(_sound(texts), repeated, strict=True)
    ]


def _sound(texts: pl.Series) -> list[bool]:
    """Return which lines are JSON objects, by a strict parser that rejects lone surrogates and deep nesting."""
    bare = texts.str.strip_chars(" \t\r")
    strict = bare.str.starts_with("{") & bare.str.json_path_match("$").is_not_null()
    return [
        ok and (text.count("{") + text.count("[") <= MAX_DEPTH or _nesting(text) <= MAX_DEPTH)
        for ok, text in zip(strict, texts, strict=True)
    ]


def _nesting(text: str) -> int:
    deepest = depth = 0
    quoted = escaped = False
    for letter in text:
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = letter == "\\", letter != '"'
        elif letter == '"':
            quoted = True
        elif letter in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "}]":
            depth -= 1
    return deepest


def repeats_names(block: bytes) -> bool:
    """Whether an object in a block has one name twice."""
    return bool(repeated_names(pl.Series(block.decode().split("\n"), dtype=pl.String)).any())


def fits(line: bytes, schema: pl.Schema) -> bool:
    """Whether a sound line has objects, lists and scalars where the schema has them, and no infinite number."""
    found = json.loads(line.decode(), parse_int=len)  # Python refuses to read thousands of digits
    return all(_has_shape(found.get(name), dtype) for name, dtype in schema.items())


def misfit(line: bytes) -> str:
    """Return what is wrong with a sound line that does not fit the schema."""
    if _mixes([json.loads(line.decode(), parse_int=len)]):
        return "has values of different structures in one list"
    return "has a different structure than the lines before it"


def _mixes(values: list[Any]) -> bool:
    """Whether values that need one type, such as the items of a list, are objects, lists and scalars side by side."""
    present = [value for value in values if value is not None]
    objects = [value for value in present if isinstance(value, dict)]
    lists = [value for value in present if isinstance(value, list)]
    if 0 < len(objects) < len(present) or 0 < len(lists) < len(present):
        return True
    if any(_mixes([value[name] for value in objects if name in value]) for name in dict.fromkeys(chain(*objects))):
        return True
    return bool(lists) and _mixes(list(chain(*lists)))


def _has_shape(value: object, dtype: pl.DataType) -> bool:
    if value is None:
        return True
    if isinstance(dtype, pl.Struct):
        return isinstance(value, dict) and all(
            _has_shape(value.get(field.name), type_of(field.dtype)) for field in dtype.fields
        )
    if isinstance(dtype, pl.List):
        inner = type_of(dtype.inner)
        return isinstance(value, list) and all(_has_shape(item, inner) for item in value)
    return not isinstance(value, dict | list) and value != math.inf and value != -math.inf


def shown(line: bytes) -> str:
    """Return the beginning of a line for a message, without control characters."""
    text = "".join(
        letter if letter.isprintable() else "\u2423" for letter in line[: 4 * _SHOWN].decode("utf-8", "ignore")
    )
    return repr(text[:_SHOWN] + ("…" if len(text) > _SHOWN else ""))
