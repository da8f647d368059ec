"""Pauses between attempts."""

from __future__ import annotations

import random


def backoff(failures: int, rng: random.Random, *, base: float = 1.0, cap: float = 60.0) -> float:
    """Full jitter: between nothing and ``base · 2^(failures-1)``, at most ``cap`` seconds."""
    return rng.uniform(0.0, min(cap, base * 2 ** min(failures - 1, 16)))
