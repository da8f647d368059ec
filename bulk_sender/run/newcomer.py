"""A run that is about to begin: whom it leaves out, what it repeats, and its place among the other runs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from bulk_sender.journal.facts import Facts
from bulk_sender.journal.store import RunRef, RunWriter
from bulk_sender.planning.prepared import PreparedInput
from bulk_sender.reading.spool import Spool
from bulk_sender.run.catalogue import Earlier, created, earlier_runs, refuse_repeat
from bulk_sender.run.leaving_out import Family, excluded, family_of
from bulk_sender.run.options import Guards


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that does not exist yet, compared with those that do."""

    run: RunRef
    facts: Facts
    prepared: PreparedInput
    """The input, without the people to leave out."""
    family: Family
    earlier: Earlier
    """The runs that it repeats."""

    @classmethod
    def of(cls, run: RunRef, facts: Facts, prepared: PreparedInput, guards: Guards, spool: Spool) -> Self:
        """Raises BulkSenderError when the people to leave out are not known."""
        runs_dir, config, is_rehearsal = run.folder.parent, prepared.config, bool(facts.sandbox)
        family = family_of(prepared.source, runs_dir, run.name, is_rehearsal=is_rehearsal, anyway=guards.again)
        out = excluded(guards.exclude, family, config, runs_dir, spool, is_rehearsal=is_rehearsal)
        facts = replace(facts, left_out=out.names, parents=family.parents)
        left_out = [Path(each).name for each in guards.exclude] + [each.name for each in family.runs]
        earlier = earlier_runs(run, facts, config).without(left_out)
        return cls(run, facts, prepared.leaving_out(out), family, earlier)

    def refuse_repeat(self, guards: Guards) -> None:
        """Raise GuardrailError when the run repeats another, and nobody can be asked whether it should."""
        if not guards.again and guards.confirm_again is None:
            refuse_repeat(self.earlier.lately)

    def created(self, guards: Guards, spool: Spool) -> AbstractContextManager[RunWriter]:
        """Create the run, unless another process has begun to send the same in the meantime: GuardrailError."""
        earlier, family = self.earlier.known, self.family.again
        return created(self.run, self.facts, again=guards.again, known=earlier, sent_again=family, spool=spool)
