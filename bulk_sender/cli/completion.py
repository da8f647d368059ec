"""Shell completion of runs, and of the values that an option knows.

Each function has the form that typer needs for ``autocompletion``. A new process calls it at each press of the tab
key, so it has to be quick, and silent about errors. Where it returns nothing, the shell completes file names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import typer


def runs(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Complete the runs in ``--runs-dir`` if that comes earlier on the line, else in the default folder.

    Some shells show the state beside each.
    """
    from bulk_sender import journal as journals
    from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
    from bulk_sender.errors import BulkSenderError

    runs_dir = Path(ctx.params.get("runs_dir") or DEFAULT_RUNS_DIR)
    try:
        return [(name, _state(runs_dir / name)) for name in journals.run_names(runs_dir) if name.startswith(incomplete)]
    except (OSError, BulkSenderError):
        return []


def _state(folder: Path) -> str:
    """Return how a run last ended, from its summary: opening every journal would take too long."""
    try:
        summary = json.loads((folder / "summary.json").read_bytes())
        return f"{summary['state']}, {summary['accepted']:,} of {summary['rows']:,} accepted"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "has not ended yet"


def weathers(incomplete: str) -> list[str]:
    """Complete the weathers of the sandbox."""
    from bulk_sender.sandbox import WEATHERS

    return among(WEATHERS)(incomplete)


def states(incomplete: str) -> list[str]:
    """Complete the states that a campaign in the sandbox can have."""
    from bulk_sender.sandbox import STATES

    return among(STATES)(incomplete)


def answers(incomplete: str) -> list[str]:
    """Complete the kinds of answers that the sandbox can give."""
    from bulk_sender.sandbox import ANSWERS

    return among(ANSWERS)(incomplete)


def among(words: Sequence[str], *, separator: str = "") -> Callable[[str], list[str]]:
    """Complete one of ``words``; with a ``separator`` several, none of them twice."""

    def complete(incomplete: str) -> list[str]:
        before, between, last = incomplete.rpartition(separator) if separator else ("", "", incomplete)
        taken = before.split(separator) if separator else []
        return [f"{before}{between}{word}" for word in words if word.startswith(last) and word not in taken]

    return complete
