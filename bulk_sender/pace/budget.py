"""The request budget that a server reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """The workspace's limit as one answer reported it; ``left_s`` is the time to its reset by the server's clock."""

    limit: int
    remaining: int
    left_s: float
