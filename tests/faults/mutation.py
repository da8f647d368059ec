"""Random damage to the bytes of an answer, for property tests of the judge.

The ledger says whether the batch was accepted, so a property test does not need to interpret the bytes.
"""

from __future__ import annotations

import random

_SPLICES = [
    b"Content-Length: 0\r\n",
    b"Content-Length: 7\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Content-Encoding: br\r\n",
    b"Connection: close\r\n",
    b"Content-Type: text/html\r\n",
    b"Retry-After: -5\r\n",
    b"X-RateLimit-Reset: 99999999999999\r\n",
    b" folded continuation\r\n",
    b"No colon here\r\n",
    b": no name\r\n",
    b"X-Nul: \x00\r\n",
]
_INSERTS = [
    b"\r\n",
    b"\n",
    b"\x00",
    b"\xff\xfe",
    b'"',
    b"{",
    b"}",
    b"0\r\n\r\n",
    b"HTTP/1.1 201 Created\r\n\r\n",
    b" ",
]


def mutate(answer: bytes, rng: random.Random, *, keep_status_line: bool = False) -> bytes:
    """Return a damaged copy of an answer.

    One to three of: a flipped bit, a deletion, an insertion, a duplication, a cut, a spliced header. Always
    differs from ``answer``. With ``keep_status_line`` the first line survives: a status that turned into
    another valid status is a lie that no client can see through, so a property over verdicts leaves it
    alone.
    """
    kept = answer.index(b"\r\n") + 2 if keep_status_line and b"\r\n" in answer else 0
    spoilt = answer
    while spoilt == answer:
        for _ in range(rng.randint(1, 3)):
            if len(spoilt) > kept:
                spoilt = spoilt[:kept] + _spoil(spoilt[kept:], rng)
        if len(answer) <= kept:
            return answer + b"\x00"
    return spoilt


def _spoil(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    span = rng.choice([1, 1, 2, rng.randint(1, 40)])
    match rng.choice(["flip", "delete", "insert", "duplicate", "truncate", "splice"]):
        case "flip":
            return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        case "delete":
            return data[:at] + data[at + span :]
        case "insert":
            piece = rng.choice([*_INSERTS, rng.randbytes(span)])
            return data[:at] + piece + data[at:]
        case "duplicate":
            return data[: at + span] + data[at:]
        case "truncate":
            return data[:at]
        case _:
            ends = [end + 2 for end in range(len(data)) if data[end : end + 2] == b"\r\n"]
            at = rng.choice(ends or [0])
            return data[:at] + rng.choice(_SPLICES) + data[at:]
