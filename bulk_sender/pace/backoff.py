"""Pauses between attempts: exponential backoff with full jitter, and the bounds of a wait that a server asks for."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """The lengths of all pauses, in seconds. A test passes shorter ones; nothing else changes them."""

    backoff_base_s: float = 1.0
    """The longest pause after the first failure; it doubles with each further one."""
    backoff_cap_s: float = 60.0
    unreached_cap_s: float = 10.0
    """The cap while no connection has ever worked."""
    unreached_s: float = 100.0
    """A run ends when its first connection has not worked for this long: within two minutes in all."""
    shortest_s: float = 1.0
    """The least that a rate limit makes requests wait."""
    longest_s: float = 3600.0
    """A header that asks for a longer wait is ignored."""

    def backoff(self, failures: int, rng: random.Random, *, reached: bool = True) -> float:
        """Return a random pause of at most ``base * 2^(failures - 1)`` seconds, and never more than the cap.

        ``reached``: whether any connection has worked yet.
        """
        cap_s = self.backoff_cap_s if reached else min(self.backoff_cap_s, self.unreached_cap_s)
        return rng.uniform(0.0, min(cap_s, self.backoff_base_s * 2 ** min(failures - 1, 16)))

    def clamped(self, seconds: float) -> float | None:
        """Return a wait that a header asked for, at least the shortest; None when it makes no sense.

        A wait that ended up to a minute ago is the clocks' disagreement, not nonsense.
        """
        return max(self.shortest_s, seconds) if -60 <= seconds <= self.longest_s else None


WAITS = Waits()
"""What a real run uses."""
