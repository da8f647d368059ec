"""The moment after which a run must not start any more: a job that a scheduler catches up on may be too late."""

from __future__ import annotations

import re
from datetime import datetime, time
from zoneinfo import ZoneInfo

from bulk_sender.errors import ConfigError, GuardrailError

_ZONED = re.compile(r"(?P<time>\S+)\s+(?P<zone>[A-Za-z][A-Za-z0-9_+\-/]+)")
_HINT = "write it like 2026-11-24T18:00+01:00, 18:00 (today, this machine's time) or 18:00 Europe/Paris"


def parse_deadline(text: str, now: datetime) -> datetime:
    """``text`` as a moment. ``now`` (with a time zone) says which day a mere hour means.

    An hour or a date without an offset is read in the zone written after it, else in this machine's own time zone.
    Raises ConfigError.
    """
    zoned = _ZONED.fullmatch(text.strip())
    try:
        zone = ZoneInfo(zoned["zone"]) if zoned else None
    except Exception:
        raise ConfigError(f"not after {text!r}: {zoned and zoned['zone']!r} is no time zone", hint=_HINT) from None
    moment = zoned["time"] if zoned else text.strip()
    try:
        if "T" in moment or " " in moment:
            parsed = datetime.fromisoformat(moment)
        else:
            parsed = datetime.combine(now.astimezone(zone).date(), time.fromisoformat(moment))
    except ValueError:
        raise ConfigError(f"not after {text!r} is no moment", hint=_HINT) from None
    if parsed.tzinfo is not None:
        return parsed
    return parsed.replace(tzinfo=zone) if zone else parsed.astimezone()


def moment_of(not_after: datetime | str | None) -> datetime | None:
    """What a caller gave, with a time zone: this machine's own where none was said. Raises ConfigError."""
    if isinstance(not_after, str):
        return parse_deadline(not_after, datetime.now().astimezone())
    return not_after.astimezone() if not_after is not None and not_after.tzinfo is None else not_after


def refuse_late(deadline: datetime | None, start: datetime) -> None:
    """``start``: when the first request could leave. Raises GuardrailError when that is after ``deadline``."""
    if deadline is not None and start > deadline:
        raise GuardrailError(
            f"this run was not to start after {deadline:%Y-%m-%d %H:%M %Z}, and its first request could leave at "
            f"{start.astimezone(deadline.tzinfo):%Y-%m-%d %H:%M %Z}: nothing was sent",
            hint="its moment has passed; if it shall go out all the same, give a later --not-after, or none",
        )
