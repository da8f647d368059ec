"""How fast a run is now, and how long the rest takes at that speed."""

from __future__ import annotations

from collections import deque

_WINDOW_S = 10.0


class Speed:
    """Recipients per second over the last ten seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def take(self, elapsed_s: float, settled: int) -> float:
        """Return the current speed. ``settled``: recipients with an outcome after ``elapsed_s`` seconds."""
        self._seen.append((elapsed_s, settled))
        while len(self._seen) > 2 and self._seen[-1][0] - self._seen[1][0] > _WINDOW_S:
            self._seen.popleft()
        (began, before), (now, after) = self._seen[0], self._seen[-1]
        return (after - before) / (now - began) if now > began else 0.0


def seconds_left(to_send: int | None, speed: float, waiting_s: float) -> float | None:
    """Return how long ``to_send`` recipients take; None while that is unknown, or nothing is sent."""
    if to_send == 0:
        return 0.0
    return to_send / speed + waiting_s if to_send is not None and speed > 0 else None
