"""Watches the other processes of a run, to notice one that has not been heard of for long.

A process that works, or only waits, commits at least once a second. Whether it is truly dead is not known, and need not
be: the fence makes it so. Nothing rests on clocks but when that happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_LOOKS_PER_TTL = 5
_LONGEST_PAUSE_S = 2.0
_MISSED_LOOKS = 3


@dataclass(slots=True)
class _Seen:
    commit_no: int
    still_s: float = 0.0
    """For how long it has stood still while this process looked on."""


class Peers:
    """``ttl_s``: how long a process may stand still, in this process's own, uninterrupted observation."""

    def __init__(self, ttl_s: float) -> None:
        self.pause_s = min(_LONGEST_PAUSE_S, ttl_s / _LOOKS_PER_TTL)
        """How long to wait between two looks."""
        self._ttl_s = ttl_s
        self._seen: dict[int, _Seen] = {}
        self._last: tuple[float, int] | None = None

    def silent(self, commits: Mapping[int, int], now: float, connection: int) -> list[int]:
        """Return the epochs that stood still for too long. ``commits``: the commits of each epoch until now.

        ``now``: seconds on a clock that does not jump. ``connection``: the number of the connection that was asked. A
        new one starts the watch again, so that a restart of the database accuses nobody; so does a pause of this
        process.
        """
        before, connected = self._last or (now, connection)
        self._last = now, connection
        passed_s = now - before
        if connection != connected or passed_s > _MISSED_LOOKS * self.pause_s:
            self._seen.clear()
        for gone in set(self._seen) - set(commits):
            del self._seen[gone]
        for epoch, commit_no in commits.items():
            seen = self._seen.get(epoch)
            if seen is None or seen.commit_no != commit_no:
                self._seen[epoch] = _Seen(commit_no)
            else:
                seen.still_s += passed_s
        return [epoch for epoch, seen in self._seen.items() if seen.still_s >= self._ttl_s]
