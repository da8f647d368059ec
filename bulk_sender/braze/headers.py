"""What Braze's rate limit headers say: the time to wait and the budget left."""

from __future__ import annotations

import email.utils
import functools
import re
from collections.abc import Mapping

from bulk_sender.pace.budget import LONGEST_WAIT_S, SHORTEST_WAIT_S, Budget

_DIGITS = re.compile(r"[0-9]{1,12}")


def server_now(headers: Mapping[str, str], wall: float) -> float:
    """The server's clock (epoch seconds) from its ``Date``, else ours: a skewed clock here must not matter."""
    told = _epoch(headers.get("date", ""))
    return wall if told is None else told


@functools.lru_cache(maxsize=64)  # answers come many a second, and say the same one
def _epoch(date: str) -> float | None:
    """An HTTP date as epoch seconds; None for anything else."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except Exception:  # the parser has raised a dozen types over the years, on text that a stranger chose
        return None


def throttle_wait(headers: Mapping[str, str], wall: float) -> float | None:
    """Seconds to wait after a 429, clamped to one second … one hour; None when no header makes sense.

    Sources: Retry-After (seconds or a date) and X-RateLimit-Reset (UTC epoch seconds).
    """
    now = server_now(headers, wall)
    for name in ("retry-after", "x-ratelimit-retry-after"):
        text = headers.get(name, "").strip()
        until = None if _DIGITS.fullmatch(text) else _epoch(text)
        told = float(text) if _DIGITS.fullmatch(text) else None if until is None else until - now
        if told is not None and (wait := _clamped(told)) is not None:
            return wait
    left = _reset_in(headers, now)
    return None if left is None else _clamped(left)


def _clamped(seconds: float) -> float | None:
    return max(SHORTEST_WAIT_S, seconds) if -60 <= seconds <= LONGEST_WAIT_S else None


def _reset_in(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until the window starts anew; None when absent, past or absurd."""
    text = headers.get("x-ratelimit-reset", "").strip()
    if not _DIGITS.fullmatch(text):
        return None
    left = float(text) - now
    return left if 0 <= left <= LONGEST_WAIT_S else None


def budget(headers: Mapping[str, str], wall: float) -> Budget | None:
    """What the rate-limit headers say, when all three make sense."""
    limit, remaining = (headers.get(f"x-ratelimit-{name}", "").strip() for name in ("limit", "remaining"))
    left = _reset_in(headers, server_now(headers, wall))
    if left is None or not _DIGITS.fullmatch(limit) or not _DIGITS.fullmatch(remaining) or int(limit) < 1:
        return None
    return Budget(int(limit), int(remaining), left)
