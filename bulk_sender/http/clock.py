"""A clock for how old a connection is."""

from __future__ import annotations

import sys
import time

if sys.platform == "win32":
    since_boot = time.monotonic  # it counts the time in which the machine was suspended
else:
    _CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # only Linux has two; elsewhere one counts both

    def since_boot() -> float:
        """Return seconds that also pass while the machine is suspended, when servers close what stays idle."""
        return time.clock_gettime(_CLOCK)
