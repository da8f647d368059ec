"""Braze's rate limit headers: how long to wait, and how much of the limit is left. Pure."""

from __future__ import annotations

import email.utils
import functools
import re
from collections.abc import Mapping

from bulk_sender.pace.backoff import WAITS, Waits
from bulk_sender.pace.budget import Budget

_DIGITS = re.compile(r"[0-9]{1,12}")
_EARLIEST_EPOCH = 1_000_000_000
"""A smaller ``X-RateLimit-Reset`` is a duration."""


def server_now(headers: Mapping[str, str], wall: float) -> float:
    """Return the server's clock (epoch seconds) from its ``Date`` header, so that a wrong clock here does not matter.

    Without such a header, return ``wall``.
    """
    date = _epoch(headers.get("date", ""))
    return wall if date is None else date


@functools.lru_cache(maxsize=64)  # many answers a second carry the same date
def _epoch(date: str) -> float | None:
    """Return an HTTP date as epoch seconds, and None for anything else."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except Exception:  # the parser has raised a dozen types over the years, and the text comes from outside
        return None


def throttle_wait(headers: Mapping[str, str], wall: float, waits: Waits = WAITS) -> float | None:
    """Return the seconds to wait after a 429, within the bounds of ``waits``; None when no header makes sense.

    Sources: Retry-After (seconds or a date) and X-RateLimit-Reset (UTC epoch seconds).
    """
    now = server_now(headers, wall)
    for name in ("retry-after", "x-ratelimit-retry-after"):
        text = headers.get(name, "").strip()
        until = None if _DIGITS.fullmatch(text) else _epoch(text)
        asked = float(text) if _DIGITS.fullmatch(text) else None if until is None else until - now
        if asked is not None and (wait := waits.clamped(asked)) is not None:
            return wait
    left = _reset_in(headers, now, waits)
    return None if left is None else waits.clamped(left)


def _reset_in(headers: Mapping[str, str], now: float, waits: Waits) -> float | None:
    """Return the seconds until the limit resets; None when the header is absent, past or absurd.

    Braze documents epoch seconds on one page and seconds left on another. A small number cannot be an epoch.
    """
    text = headers.get("x-ratelimit-reset", "").strip()
    if not _DIGITS.fullmatch(text):
        return None
    left = float(text) if float(text) < _EARLIEST_EPOCH else float(text) - now
    return left if 0 <= left <= waits.longest_s else None


def budget(headers: Mapping[str, str], wall: float, waits: Waits = WAITS) -> Budget | None:
    """Return what the rate limit headers say, when all three make sense."""
    limit, remaining = (headers.get(f"x-ratelimit-{name}", "").strip() for name in ("limit", "remaining"))
    left = _reset_in(headers, server_now(headers, wall), waits)
    if left is None or not _DIGITS.fullmatch(limit) or not _DIGITS.fullmatch(remaining) or int(limit) < 1:
        return None
    return Budget(int(limit), int(remaining), left)
