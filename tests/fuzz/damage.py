"""Random damage to input files."""

from __future__ import annotations

import bz2
import gzip
import random

from tests.fuzz.samples import zipped
from tests.kit import zstd

_ENCODINGS = ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "shift_jis", "cp1251", "utf-7"]
_TOKENS = [
    b'"',
    b'""',
    b"\x00",
    b"\r",
    b"\n",
    b"\r\n",
    b",",
    b";",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"{",
    b"}",
    b"[" * 300,
    b"9" * 5000,
    b"NaN",
    b"1e999",
    b"-0",
    b"null",
    b"\x1a",
    b"A" * 100_000,
    b'{"a":' * 200,
    b"\xe2\x80\xa8",
    b"PK\x03\x04",
    b"PAR1",
]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return the file with up to six kinds of damage."""
    for _ in range(rng.choice([0, 1, 1, 2, 3, 6])):
        data = rng.choice(_DAMAGES)(data, rng)
    if rng.random() < 0.2:
        data = _packed(data, rng)
        if rng.random() < 0.3:
            data = rng.choice(_DAMAGES)(data, rng)
    return data[: 4 << 20]


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 4, 40])):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(_TOKENS) + data[at:]


def _drop(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice([1, 2, 50, 5000]) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    part = data[at : at + rng.choice([1, 10, 1000])]
    return data[:at] + part * rng.choice([2, 20]) + data[at:]


def _shuffle_lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def _recode(data: bytes, rng: random.Random) -> bytes:
    return data.decode("utf-8", "replace").encode(rng.choice(_ENCODINGS), "replace")


def _widen(data: bytes, rng: random.Random) -> bytes:
    first, _, rest = data.partition(b"\n")
    return first + b",c" * rng.choice([1, 3000]) + b"\n" + rest


def _packed(data: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(4)
    if kind == 0:
        return gzip.compress(data)
    if kind == 1:
        return bz2.compress(data)
    return zstd.compress(data) if kind == 2 else zipped(data, rng)


_DAMAGES = [_flip, _flip, _cut, _insert, _insert, _drop, _repeat, _shuffle_lines, _recode, _widen]
