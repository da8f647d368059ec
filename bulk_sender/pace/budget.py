"""The request budget that a server reports."""

from __future__ import annotations

from dataclasses import dataclass

SHORTEST_WAIT_S = 1.0


LONGEST_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Budget:
    """The workspace's limit as one answer told it: ``left_s`` by the server's own clock."""

    limit: int
    remaining: int
    left_s: float
