"""Create a new run with its frozen facts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from bulk_sender import journal as journals
from bulk_sender.config.model import Config
from bulk_sender.journal.facts import Facts, Format
from bulk_sender.journal.store import RunRef, RunWriter
from bulk_sender.reading.identity import FileIdentity
from bulk_sender.reading.layout import Layout
from bulk_sender.reading.spool import FOLDER, Spool
from bulk_sender.run.folder import make_run_folder
from bulk_sender.run.options import Sandbox
from bulk_sender.text.times import now


def new_facts(
    config: Config,
    sandbox: Sandbox | None,
    *,
    files: Sequence[tuple[FileIdentity, str]] = (),
    format: Format = "csv",
    broadcast: bool = False,
    plan: str = "",
    given: dict[str, str] | None = None,
    exclude: Sequence[str | Path] = (),
    left_out: tuple[str, ...] = (),
    parents: tuple[str, ...] = (),
    target_name: str = "",
    layout: Layout | None = None,
) -> Facts:
    """Return the facts of a run that starts now. ``files``: those of its input, with their paths."""
    return Facts(
        settings=config.frozen_settings(),
        config=config.model_dump_json(exclude_unset=True),
        input=tuple(identity for identity, _ in files),
        paths=tuple(path for _, path in files),
        sandbox=sandbox.weather if sandbox is not None else "",
        format=format,
        created_at=now(),
        broadcast=broadcast,
        plan=plan,
        given=given,
        exclude=tuple(map(str, exclude)),
        left_out=left_out,
        parents=parents,
        target_name=target_name,
        layout=layout,
    )


def sandbox_of(facts: Facts) -> Sandbox | None:
    """Return the sandbox that a run is sent to; None for a real send."""
    return Sandbox(weather=facts.sandbox) if facts.sandbox else None


def create(run: RunRef, facts: Facts, spool: Spool | None = None) -> RunWriter:
    """Create a new run's folder and journal. Raises BulkSenderError when either is impossible.

    ``spool``: the stored part of its input, which has its place durably before the journal names it.
    """
    make_run_folder(run)
    if spool is None:
        return journals.create(run, facts)
    place = run.folder / FOLDER
    spool.settle(place)
    try:
        return journals.create(run, facts)
    except BaseException:
        if spool.settled is not None and not journals.exists(run):
            shutil.rmtree(place, ignore_errors=True)
        raise
    finally:
        spool.release()
