"""The seal over each record.

Each record carries a seal over all its values, because the integrity checks of databases do not notice a flipped byte
inside a value.
"""

from __future__ import annotations

import hashlib

Value = str | int | float | bytes | None


SEAL_KEY = "seal_key"
"""The fact that holds a run's key. Each run has a random one, so a record of another run's journal never fits."""


def seal(table: str, values: tuple[Value, ...], key: bytes = b"") -> bytes:
    """Return eight bytes over a record's table and values. Blobs enter as their digests. ``key`` is not a secret."""
    if bytes not in map(type, values):
        # As ``_plain``, without a call for each value.
        plain = [str.__repr__(value) if isinstance(value, str) else repr(value) for value in values]
        text = table + "\x1f".join(plain) + "\x1f"
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest()
    parts = [
        b"b" + hashlib.sha256(value).digest()
        if isinstance(value, bytes)
        else _plain(value).encode("utf-8", "surrogatepass")
        for value in values
    ]
    sealed = table.encode() + b"\x1f".join(parts) + b"\x1f"
    return hashlib.blake2b(sealed, digest_size=8, key=key).digest()


def _plain(value: Value) -> str:
    # Without the first case an enum's member would be sealed as such, and read back as plain text.
    return str.__repr__(value) if isinstance(value, str) else repr(value)
