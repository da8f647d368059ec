"""Hours in which sending is allowed: ``"09:00-20:00 Europe/Paris"``, or only on some weekdays. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(
    r"(?:(?P<days>[a-z,\-]+)\s+)?(?P<start>\d{1,2}:\d{2})\s*-\s*(?P<end>\d{1,2}:\d{2})\s+(?P<zone>[A-Za-z0-9_+\-/]+)",
    re.IGNORECASE,
)
_EXAMPLE = "write it like 09:00-20:00 Europe/Paris or mon-fri 09:00-20:00 Europe/Paris"


@dataclass(frozen=True, slots=True)
class SendingHours:
    """From ``start`` (included) to ``end`` (excluded), local time of ``zone``, on ``days`` (0 is Monday).

    Hours that end before they start pass midnight, and belong to the day on which they start.
    """

    start: time
    end: time
    zone: ZoneInfo
    days: frozenset[int] = frozenset(range(7))

    @classmethod
    def parse(cls, text: str) -> SendingHours:
        """Raises ValueError with an example of the expected form."""
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a valid window: {_EXAMPLE}")
        try:
            start, end = (time.fromisoformat(match[part].zfill(5)) for part in ("start", "end"))
        except ValueError:
            raise ValueError(f"{text!r} has a time that is not valid: {_EXAMPLE}") from None
        if start == end:
            raise ValueError(f"{text!r} is empty: it ends when it starts; remove the window to send at any time")
        try:
            zone = ZoneInfo(match["zone"])
        except Exception:
            raise ValueError(
                f"{match['zone']!r} is not a time zone of the IANA database, such as Europe/Paris"
            ) from None
        return cls(start, end, zone, _days(match["days"]))

    def wait_s(self, now: datetime) -> float:
        """Return the seconds from ``now`` (with a time zone) until sending is allowed; 0.0 within the hours."""
        local = now.astimezone(self.zone)
        for ahead in range(-1, 9):
            day = local.date() + timedelta(days=ahead)
            if day.weekday() not in self.days:
                continue
            opens = datetime.combine(day, self.start, self.zone)
            last = day + timedelta(days=1) if self.end < self.start else day
            closes = datetime.combine(last, self.end, self.zone)
            # Subtract in UTC: local times would miss a change of the clocks.
            if now < closes.astimezone(UTC):
                return max(0.0, (opens.astimezone(UTC) - now.astimezone(UTC)).total_seconds())
        raise AssertionError("sending hours begin at least once a week")


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.partition("-")
        if first[:3] not in _DAYS or (last and last[:3] not in _DAYS):
            raise ValueError(f"{part!r} is not a weekday: {_EXAMPLE}")
        begin, end = _DAYS.index(first[:3]), _DAYS.index((last or first)[:3])
        found.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return frozenset(found)
