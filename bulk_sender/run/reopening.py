"""Open an existing run again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.delivery.worklist import resume_point
from bulk_sender.errors import InputError, RunMismatchError
from bulk_sender.journal.chunks import chunk_rows
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.store import RunReader
from bulk_sender.planning.batches import Payload
from bulk_sender.planning.digest import Bodies
from bulk_sender.planning.prepared import Opened
from bulk_sender.reading.formats import InputFile
from bulk_sender.reading.source import identify


def bodies_of_run(
    journal: RunReader,
    target: Endpoint,
    opened: Opened | None,
    cut_after: int | None,
    on_rows: Callable[[int], None] | None = None,
) -> Bodies:
    """What a run that has begun comes to: the bodies it has in its journal, and those it has still to plan.

    ``opened``: its input, None when that was read to its end. The ``marks`` are those of the pieces still to be
    planned. Raises InputError.
    """
    bodies = Bodies(target)
    with journal.reader() as reading:
        for chunk in reading.chunk_ids():
            # A batch that was refused and split was one request when it was planned.
            recipients = Payload(chunk_rows(reading, chunk, ["recipient"])["recipient"])
            bodies.add(recipients, reading.planned_sizes(chunk))
    bodies.marks.clear()
    if opened is not None:
        for piece in opened.plan(target, cut_after=cut_after, **resume_point(journal, opened)):
            bodies.add(Payload(piece.rows["recipient"]), piece.sizes)
            if on_rows is not None:
                on_rows(int(piece.rows["row"][-1]))
    return bodies


def check_input_unchanged(facts: Facts, folder: Path, *, needed: bool) -> None:
    """Refuse to go on with an input that is not the one the run began with. Raises RunMismatchError, InputError."""
    for identity, path in facts.located(folder):
        if not path.exists() and not needed:
            continue  # everything that is to be sent is in the journal
        if not path.exists():
            raise InputError(f"{path} is gone, but the run has not read it to its end", hint="put it back, then resume")
        size = path.stat().st_size
        if size != identity.size or identify(InputFile(identity.name, path, "")).sha256 != identity.sha256:
            raise RunMismatchError(
                f"{path} has changed since the run began (its size or SHA-256 differs)",
                hint="restore the file, or send the new one as a run of its own",
            )
