"""The moment after which a run must not begin.

A scheduler that catches up on missed jobs may start one too late.
"""

from __future__ import annotations

import re
from datetime import datetime, time
from zoneinfo import ZoneInfo

from bulk_sender.errors import ConfigError, GuardrailError

_ZONED = re.compile(r"(?P<time>\S+)\s+(?P<zone>[A-Za-z][A-Za-z0-9_+\-/]+)")
_HINT = "write it like 2026-11-24T18:00+01:00, 18:00 (today, this machine's time) or 18:00 Europe/Paris"


def parse_deadline(text: str, now: datetime) -> datetime:
    """Return ``text`` as a moment. ``now`` (with a time zone) decides which day a bare time means.

    A time or a date without an offset is in the zone written after it, else in this machine's own time zone.
    Raises ConfigError.
    """
    zoned = _ZONED.fullmatch(text.strip())
    try:
        zone = ZoneInfo(zoned["zone"]) if zoned else None
    except Exception:
        raise ConfigError(f"not after {text!r}: {zoned and zoned['zone']!r} is not a time zone", hint=_HINT) from None
    moment = zoned["time"] if zoned else text.strip()
    try:
        if "T" in moment or " " in moment:
            parsed = datetime.fromisoformat(moment)
        else:
            parsed = datetime.combine(now.astimezone(zone).date(), time.fromisoformat(moment))
    except ValueError:
        raise ConfigError(f"not after {text!r} is not a valid time", hint=_HINT) from None
    if parsed.tzinfo is not None:
        return parsed
    return parsed.replace(tzinfo=zone) if zone else parsed.astimezone()


def moment_of(not_after: datetime | str | None) -> datetime | None:
    """Return a caller's deadline with a time zone, this machine's own by default. Raises ConfigError."""
    if isinstance(not_after, str):
        return parse_deadline(not_after, datetime.now().astimezone())
    return not_after.astimezone() if not_after is not None and not_after.tzinfo is None else not_after


def refuse_late(deadline: datetime | None, start: datetime) -> None:
    """Raise GuardrailError when ``start``, the time of the first request, is after ``deadline``."""
    if deadline is not None and start > deadline:
        raise GuardrailError(
            f"this run must not start after {deadline:%Y-%m-%d %H:%M %Z}, but its first request could leave only at "
            f"{start.astimezone(deadline.tzinfo):%Y-%m-%d %H:%M %Z}: nothing was sent",
            hint="the deadline has passed; to send anyway, set a later --not-after",
        )
