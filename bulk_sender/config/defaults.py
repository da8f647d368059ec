"""Default paths."""

from __future__ import annotations

DEFAULT_RUNS_DIR = "bulk-sender-runs"
