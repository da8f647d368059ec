"""Compare two configurations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def differing_keys(one: Any, other: Any, prefix: str = "") -> Iterator[str]:
    """The dotted names of what differs between two settings; the order of keys makes no difference here."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one.keys() | other.keys():
            yield from differing_keys(one.get(name), other.get(name), f"{prefix}{name}.")
    elif one != other:
        yield prefix.removesuffix(".")
