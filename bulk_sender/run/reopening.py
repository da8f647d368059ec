"""A run of this name exists: is it the same, is it finished, or is the call refused?

The one place that decides this for ``send``, ``resume``, ``retry`` and ``broadcast``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio

from bulk_sender import journal as journals
from bulk_sender.braze.endpoint import Endpoint, unaddressed
from bulk_sender.config.model import Config
from bulk_sender.delivery.planned import resume_point
from bulk_sender.errors import GuardrailError, InputError, RunHeldError, RunMismatchError
from bulk_sender.http.credential import Credential
from bulk_sender.journal.answers import BatchState
from bulk_sender.journal.chunks import chunk_payload
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.records import RESEND
from bulk_sender.journal.store import RunReader, RunRef, RunWriter
from bulk_sender.planning.batches import Payload
from bulk_sender.planning.digest import BodyDigest
from bulk_sender.planning.excluded import Excluded
from bulk_sender.planning.prepared import PreparedInput
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import FOLDER as SPOOLED
from bulk_sender.reporting.account import refresh_files
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.caller import Caller
from bulk_sender.run.canary import Canary, canary_of
from bulk_sender.run.catalogue import note_end, refuse_sent_since, sent_since, told_since
from bulk_sender.run.execution import execute, forget_stored_input
from bulk_sender.run.facts import sandbox_of
from bulk_sender.run.folder import remove_inputs_left_over
from bulk_sender.run.input_again import RISK_OF_ANOTHER_RUN, GivenAgain, RestGoneError, locate_again, refuse_changed
from bulk_sender.run.options import Guards
from bulk_sender.run.preview import preview_of_rest
from bulk_sender.run.settings import load_config
from bulk_sender.run.stages import Stages
from bulk_sender.run.standing import decide, ended


def refuse_held(run: RunRef) -> None:
    """Raise RunHeldError at once if another process holds the run, before a large input is read.

    Opening the journal decides for good.
    """
    held_by = journals.holder(run)
    if held_by is not None:
        raise RunHeldError(
            f"run {run.name!r} is held by {held_by}",
            hint="wait for that process to end, or stop it, then try again",
        )


@contextmanager
def reopened(run: RunRef, asked: Facts | None = None, *, take_over: bool = False) -> Iterator[ExistingRun]:
    """Open a run that exists, for this process alone.

    ``take_over``: shut out the processes that have it, where its store can. ``asked``: the facts of a call that would
    start a run of this name. Raises RunMismatchError if they are not the facts that the run was started with.
    """
    with journals.open(run, take_over=take_over) as journal:
        facts = journal.facts()
        if asked is not None and (different := facts.difference(asked)):
            raise RunMismatchError(
                f"run {run.name!r} exists, with another {', '.join(different)}", hint=_mismatch_hint(journal, facts)
            )
        yield ExistingRun(journal, facts)


def _mismatch_hint(journal: RunReader, facts: Facts) -> str:
    """Return what to do when the call is not the one that started the run.

    Another run messages everybody again whom this one has reached, so it is never the first proposal, and never made
    without saying so.
    """
    name = journal.run.name
    if facts.broadcast:
        return "repeat the broadcast with its own configuration"
    again = f"{RISK_OF_ANOTHER_RUN} leave them out with --exclude {name}"
    if (summary := ended(journal)) is not None and summary.state == "finished":
        return f"it has finished, and bulk-sender status {name} shows it. {again}"
    return f"continue with what it was started with: bulk-sender resume {name}, or bs.resume({name!r}). {again}"


@dataclass(frozen=True, slots=True)
class ExistingRun:
    """A run that was started before, opened by ``reopened``."""

    journal: RunWriter
    facts: Facts

    def finished(self) -> Summary | None:
        """Return the summary of a finished run, with its files complete; None when there is more to do."""
        summary = ended(self.journal)
        if summary is None or summary.state != "finished":
            return None
        forget_stored_input(self.journal)  # its process may have been killed before
        refreshed = refresh_files(self.journal, summary)
        if refreshed is not summary:
            note_end(self.journal, refreshed)
        return refreshed

    @property
    def is_complete(self) -> bool:
        """Whether the input was read to its end: every row is in the journal."""
        return self.journal.is_plan_complete()

    @property
    def has_unsent(self) -> bool:
        """Whether rows are left to send."""
        return self.journal.has_unsent() or not self.is_complete

    def refuse_broadcast(self) -> None:
        """Raise GuardrailError for a broadcast: only ``broadcast`` resumes it, and nothing sends it again."""
        if self.facts.broadcast:
            name = self.journal.run.name
            raise GuardrailError(
                f"run {name!r} is a broadcast, which is neither resumed nor retried",
                hint=f"bulk-sender broadcast --run-id {name} sends it if it was proved unsent, after its confirmation; "
                "resolve records what you know of an unknown one",
            )

    def config(self, overrides: Mapping[str, Any]) -> Config:
        """Return the run's configuration with ``overrides``. They may change how it is delivered, never what."""
        config = load_config(self.facts.revived(), overrides)
        if different := self.facts.difference(replace(self.facts, settings=config.frozen_settings())):
            raise RunMismatchError(
                f"{', '.join(different)} cannot be changed for a run that has begun",
                hint="leave that out: the run keeps what it was started with",
            )
        return config

    def plan_digest(self, guards: Guards, config: Config) -> str:
        """Return the digest of the plan file that the run has to match, empty without one.

        Raises ConfigError for an invalid file, GuardrailError if it was made of other input or settings.
        """
        if guards.plan_file is None:
            return ""
        from bulk_sender.planning.plan_file import PlanFile  # here: few runs have one

        plan_file = PlanFile.read(Path(guards.plan_file))
        is_rehearsal = sandbox_of(self.facts) is not None
        plan_file.refuse_other_terms(self.facts.input, config, guards.canary, sandbox=is_rehearsal)
        return plan_file.bodies_sha256

    async def resume(
        self,
        command: str,
        config: Config,
        credential: Credential,
        caller: Caller,
        *,
        plan: str = "",
        again: Sequence[BatchState] = (),
        why: str = "",
        given: GivenAgain | None = None,
    ) -> Summary:
        """Send what the run has left, and these batches ``again``.

        ``plan``: the digest of a plan file that all requests have to match. ``given``: the input of the command, if it
        has one. Nothing is decided before every check has passed and the caller has agreed. Without the rest of the
        input, what the journal has is sent, and the run stops.
        """
        guards = caller.guards
        caller = await caller.looking_ahead(config, credential, sandbox_of(self.facts))
        repeats = await anyio.to_thread.run_sync(sent_since, self.journal, config)
        if not guards.again and guards.confirm_again is None:
            refuse_sent_since(repeats, self.journal)
        since = tuple(told_since(each, self.journal) for each in repeats)
        canary = canary_of(self.journal, guards.canary)
        prepared, gone = None, ""
        notes: tuple[str, ...] = ()
        try:
            if self.is_complete and given is None:
                await anyio.to_thread.run_sync(refuse_changed, self.facts, self.journal.run.folder)
            if not self.is_complete:
                prepared = await anyio.to_thread.run_sync(self._input, config, given)
        except RestGoneError as error:
            if not again and not self.journal.has_unsent():
                raise
            gone = f"{error}: only what the journal has was sent; {error.hint}"
            notes = (f"{error}: only what the journal has can be sent; {error.hint}",)
        await anyio.to_thread.run_sync(remove_inputs_left_over, self.journal.run.folder.parent)
        prepared = await self._approved(prepared, config, caller, plan, canary, is_gone=bool(gone))
        await caller.agree(
            lambda: preview_of_rest(self.journal, self.facts, config, again, repeats=since, notes=notes),
            config,
            guards.confirm_again if repeats and not guards.again else guards.confirm,
        )
        if again:
            decide(self.journal, {RESEND: again}, why or command, caller.by)
        return await execute(
            command, self.journal, self.facts, config, credential, caller, prepared, canary=canary, gone=gone
        )

    async def _approved(
        self,
        prepared: PreparedInput | None,
        config: Config,
        caller: Caller,
        plan: str,
        canary: Canary,
        *,
        is_gone: bool,
    ) -> PreparedInput | None:
        """Return the input, bound to the plan if there is one. A run that was started with a plan has to match it."""
        digest = plan or self.facts.plan
        only_journal = self.is_complete or is_gone
        if not digest or (only_journal and digest == self.facts.plan):  # its rows were checked when they were planned
            return prepared
        target = unaddressed(config.braze, config.message)
        bodies = await anyio.to_thread.run_sync(
            bodies_of_run, self.journal, target, prepared, canary.planned, Stages(caller.watch).counting
        )
        if bodies.sha256 != digest:
            raise GuardrailError(
                f"the requests of run {self.journal.run.name!r}, sent and unsent, are not those of its plan "
                f"(SHA-256 {bodies.sha256[:12]}…, in the plan {digest[:12]}…): nothing more was sent",
                hint="repeat the send that started it, with its --plan and --canary and the same release",
            )
        return prepared.approved(bodies) if prepared is not None else None

    def _input(self, config: Config, given: GivenAgain | None) -> PreparedInput:
        """Open the run's files again. Raises RestGoneError, RunMismatchError, InputError, ConfigError."""
        folder = self.journal.run.folder
        located = locate_again(self.facts, folder, given)
        try:
            out = Excluded.kept(self.facts.left_out, folder / SPOOLED)
        except InputError as error:
            raise RestGoneError(str(error), hint=error.hint) from None
        source = Input(located.files, ReadSettings.of(config.input), stamps=located.stamps)
        return PreparedInput.of(source, config).leaving_out(out)


def bodies_of_run(
    journal: RunReader,
    target: Endpoint,
    prepared: PreparedInput | None,
    canary: int | None,
    on_rows: Callable[[int], None] | None = None,
) -> BodyDigest:
    """Digest all bodies of a run: those in its journal, then those still to be planned.

    ``prepared``: its input, None when that was read to its end. The ``marks`` are those of the pieces still to be
    planned. Raises InputError.
    """
    bodies = BodyDigest(target)
    with journal.reader() as reading:
        for chunk in reading.chunk_ids():
            # A batch that was refused and split was one request when it was planned.
            bodies.add(chunk_payload(reading, chunk), reading.planned_sizes(chunk))
    bodies.marks.clear()
    if prepared is not None:
        for piece in prepared.plan(target, canary=canary, **resume_point(journal, prepared)):
            bodies.add(Payload.of(piece.rows["recipient"]), piece.sizes)
            if on_rows is not None:
                on_rows(int(piece.rows["row"][-1]))
    return bodies
