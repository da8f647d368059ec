"""Times as text: UTC, ISO 8601, to the millisecond, with a ``Z``.

One form everywhere, so that texts sort like the times that they stand for.
"""

from __future__ import annotations

from datetime import UTC, datetime


def iso(moment: datetime) -> str:
    """Return ``2026-02-28T10:15:02.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """Return the current time in that form."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def clock(moment: str | datetime) -> str:
    """Return ``2026-02-28 10:15:02``, as a reader wants it, from either form of a time in UTC."""
    return str(moment)[:19].replace("T", " ")
