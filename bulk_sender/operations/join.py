"""Join a run that another process has started: one more process for it, on this machine or another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import anyio

from bulk_sender import journal as journals
from bulk_sender.errors import RunNotFoundError
from bulk_sender.eventloop import blocking
from bulk_sender.journal.store import RunRef
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.caller import Caller
from bulk_sender.run.execution import execute
from bulk_sender.run.folder import run_folder
from bulk_sender.run.joining import LOOK_S, outcome_of, over, refuse_to_join, resumed
from bulk_sender.run.options import Guards, ResumeSettings, RunName, Watch, named, refuse_unknown, watching
from bulk_sender.run.reopening import ExistingRun
from bulk_sender.run.settings import environment_of, overrides_of
from bulk_sender.run.target import credential_for


async def join_async(
    run: str, *, until_finished: bool = False, watch: Watch = Watch(), **plain: Unpack[ResumeSettings]
) -> Summary:
    """Help to send a run whose journal is in PostgreSQL, beside the process that started it and any others.

    Returns when the run has finished or was stopped; its summary says which. ``until_finished``: wait for the run to
    begin, and after a stop until somebody resumes it. ``concurrency`` is that of this process. All processes keep one
    rate together, and this one also its own ``rate``. The key comes from the environment of this process. The results
    are written by the process that started the run. ``watch`` and the plain keywords mean the same as those of
    ``resume``.

    Raises ConfigError for a run with a journal in a file, which only one process can send.
    """
    refuse_unknown("join", ResumeSettings, plain, "watch")
    ref = RunRef.at(run_folder(Path(named(RunName(), plain).folder), run))
    caller = Caller.of(Guards(), watching(watch, plain), plain)
    while True:
        try:
            summary = await _joined(ref, caller, plain)
        except RunNotFoundError:
            if not until_finished:
                raise
            await anyio.sleep(LOOK_S)
            continue
        if not until_finished or summary.state != "stopped" or summary.lost:
            return summary
        await resumed(ref)


join = blocking(join_async)


async def _joined(ref: RunRef, caller: Caller, plain: Mapping[str, Any]) -> Summary:
    with journals.join(ref) as journal:
        facts = journal.facts()
        existing = ExistingRun(journal, facts)
        existing.refuse_broadcast()
        refuse_to_join(facts, ref.name)
        if (summary := over(journal)) is not None:
            return summary
        config, environment = existing.config(overrides_of(plain)), environment_of(plain)
        caller = caller.observed(config, environment)
        credential = credential_for(None, environment)
        summary = await execute("join", journal, facts, config, credential, caller, None, joins=True)
    summary = await outcome_of(ref, summary)
    return replace(summary, files={"journal": summary.files["journal"]})  # the others are where the run was started
