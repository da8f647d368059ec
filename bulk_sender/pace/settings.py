"""Settings of the pace."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceSettings:
    """How fast requests may leave."""

    rate_per_s: float
    first_per_s: float | None = None
    """The rate until the server reports its limit; None: ``rate_per_s``."""
    reserve: float = 0.0
    """Share of the workspace's limit that is left to others."""
    ramp_s: float = 60.0
    """Seconds until the full rate is reached once a canary was approved."""
    is_shared: bool = True
    """Whether runs of one workspace share the rate."""
