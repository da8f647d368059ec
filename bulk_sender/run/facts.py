"""Create a new run with its frozen facts."""

from __future__ import annotations

from bulk_sender import journal as journals
from bulk_sender.journal.facts import Facts as Facts
from bulk_sender.journal.store import RunRef, RunWriter
from bulk_sender.run.folder import make_run_folder


def create(run: RunRef, facts: Facts) -> RunWriter:
    """Create a new run's folder and journal. Raises BulkSenderError when either is impossible."""
    make_run_folder(run)
    return journals.create(run, facts)
