"""Addresses of PostgreSQL databases, and the names of schemas in them."""

from __future__ import annotations

import re

DEFAULT_SCHEMA = "bulk_sender"
DEFAULT_TTL_S = 15.0

_SCHEMES = ("postgresql:", "postgres:")
_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def is_address(text: str) -> bool:
    """Whether a text names a PostgreSQL database: ``postgresql:`` alone, or with ``//user@host/database``."""
    return text in _SCHEMES or any(text.startswith(f"{scheme}//") for scheme in _SCHEMES)


def has_password(address: str) -> bool:
    """Whether an address has a password in it."""
    return without_password(address) != address


def without_password(address: str) -> str:
    """Return an address without its password."""
    from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

    try:
        parts = urlsplit(address)
    except ValueError:
        return address.partition(":")[0] + ":"
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    kept = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if "password" not in key]
    is_plain = not colon and "password" not in parts.query
    return address if is_plain else urlunsplit(parts._replace(netloc=f"{name}{at}{host}", query=urlencode(kept)))


def is_schema_name(text: str) -> bool:
    """Whether a schema can have this name: it needs no quotes in SQL."""
    return _SCHEMA_NAME.fullmatch(text) is not None
