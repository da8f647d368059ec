"""Tickets that show personal data on one page, once: a person with the right to see it gives a reason first.

They are in memory alone. After a restart, and when a page is loaded again, its data is masked.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field

LASTS_S = 60.0
LONGEST_REASON = 200
SHORTEST_REASON = 3


@dataclass(slots=True)
class Disclosures:
    """The tickets that were not used yet. Any thread may call."""

    _tickets: dict[str, tuple[str, str, float]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def give(self, person: str, path: str) -> str:
        """Return a ticket for one person and the page at ``path``, for a minute."""
        ticket, now = secrets.token_urlsafe(18), time.monotonic()
        with self._lock:
            self._tickets = {each: facts for each, facts in self._tickets.items() if facts[2] > now}
            self._tickets[ticket] = (person, path, now + LASTS_S)
        return ticket

    def take(self, ticket: str, person: str, path: str) -> bool:
        """Whether a ticket is for this person and page. After that it is used, whatever the answer."""
        with self._lock:
            found = self._tickets.pop(ticket, None)
        return found is not None and found[:2] == (person, path) and found[2] > time.monotonic()
