"""The default folder of runs, and what to know about another one."""

from __future__ import annotations

DEFAULT_RUNS_DIR = "bulk-sender-runs"

ANOTHER_RUNS_DIR = (
    "choose another folder with --runs-dir. It does not know whom the runs in this one have reached: to send the same "
    "there would message them twice, unless --exclude names these runs"
)
"""A hint: no folder knows of the runs in another."""
