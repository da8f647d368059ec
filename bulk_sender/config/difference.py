"""Difference between two configurations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def differing_keys(one: Any, other: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of settings that differ. The order of keys does not matter."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one.keys() | other.keys():
            yield from differing_keys(one.get(name), other.get(name), f"{prefix}{name}.")
    elif one != other:
        yield prefix.removesuffix(".")
