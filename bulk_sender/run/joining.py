"""One more process for a run that others have: whether it may help, and how the run ended that it has left."""

from __future__ import annotations

from dataclasses import replace

import anyio

from bulk_sender import journal as journals
from bulk_sender._version import __version__
from bulk_sender.errors import GuardrailError, RunMismatchError
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.store import RunReader, RunRef
from bulk_sender.reporting.account import summarize
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.facts import sandbox_of
from bulk_sender.run.standing import ended, files, standing

LOOK_S = 0.5


def refuse_to_join(facts: Facts, name: str) -> None:
    """Raise RunMismatchError or GuardrailError for a run that this process cannot help to send."""
    mine = f"bulk-sender {__version__}"
    if facts.tool != mine:  # its requests might differ
        raise RunMismatchError(
            f"run {name!r} was started with {facts.tool}, and this is {mine}",
            hint=f"install {facts.tool} for this process",
        )
    if sandbox_of(facts) is not None:
        raise GuardrailError(
            f"run {name!r} is a rehearsal, whose sandbox is inside the process that started it",
            hint="to rehearse with several processes, serve a sandbox for all of them: bulk-sender sandbox",
        )


def over(journal: RunReader) -> Summary | None:
    """Return how the run ended; None while it goes on. To this process, an interrupted run is a stopped one."""
    found = ended(journal)
    return found if found is None or found.state == "finished" else replace(found, state="stopped", signal=0)


async def outcome_of(run: RunRef, summary: Summary) -> Summary:
    """Return how a run ended that this process has left, once its last process has closed it."""
    while summary.state == "running":
        summary = await anyio.to_thread.run_sync(_looked, run)
        if summary.state == "running":
            await anyio.sleep(LOOK_S)
    return summary


def _looked(run: RunRef) -> Summary:
    with journals.read(run) as journal:
        if (found := over(journal)) is not None:
            return found
        if (held_by := journals.holder(run)) is not None:
            return summarize(journal, "running", held_by, files(journal))
        return standing(journal)  # the others have died: what the journal says is all there is


async def resumed(run: RunRef) -> None:
    """Wait until somebody has resumed a stopped run."""
    while True:
        if await anyio.to_thread.run_sync(_is_resumed, run):
            return
        await anyio.sleep(LOOK_S)


def _is_resumed(run: RunRef) -> bool:
    with journals.read(run) as journal:
        found = over(journal)
        return journals.holder(run) is not None if found is None else found.state == "finished"
