"""The contract of an index: what is known of all runs of one folder, without opening their journals.

It lists runs, answers whether the same input went to the same target lately, and remembers runs whose folder is gone.
The journals stay the truth about their runs. A run is in the index before its first request leaves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from bulk_sender.journal.facts import Facts


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One run as the index knows it."""

    name: str
    kind: str
    """``campaign`` or ``canvas``."""
    target: str
    """The campaign's or Canvas' id."""
    endpoint: str
    sandbox: str
    """The weather of a rehearsal, empty for a real send."""
    broadcast: bool
    input_sha256: str
    """The digest over the digests of the input's files, in order."""
    inputs: tuple[str, ...]
    """The names of the input's files."""
    parents: tuple[str, ...]
    """The runs whose rejected rows this one sends again."""
    created_at: str
    state: str = "running"
    """``running`` also when its process ended without closing the run."""
    summary: dict[str, Any] = field(default_factory=dict)
    """The summary at the end of its last process."""
    decisions: tuple[dict[str, Any], ...] = ()
    """What was decided about its rows, kept when its data is removed."""
    pruned_at: str = ""
    """When the run's data was removed; empty while it is there."""

    @classmethod
    def of(cls, name: str, facts: Facts) -> IndexEntry:
        """Return the entry of a run that begins."""
        braze = facts.settings.get("braze", {})
        kind = "canvas" if braze.get("canvas_id") else "campaign"
        return cls(
            name,
            kind,
            str(braze.get(f"{kind}_id") or ""),
            str(braze.get("endpoint") or ""),
            facts.sandbox,
            facts.broadcast,
            input_digest(_contents(facts)),
            tuple(item.name for item in facts.input),
            facts.parents,
            facts.created_at,
        )

    @property
    def reached(self) -> int:
        """How many recipients, or broadcasts, were accepted or are in doubt. 0 while no process has closed the run."""
        if self.broadcast:
            return int((self.summary.get("broadcast") or {}).get("status") in ("accepted", "unknown"))
        return int(self.summary.get("accepted", 0)) + int(self.summary.get("unknown", 0))

    @property
    def last_at(self) -> str:
        """When its last process ended, or when it began."""
        return str(self.summary.get("finished_at") or self.created_at)

    @property
    def may_have_sent(self) -> bool:
        """Whether anyone may have got its message: only a closed account without an acceptance or a doubt denies it."""
        return self.state == "running" or self.reached > 0

    def is_repeated_by(self, other: IndexEntry) -> bool:
        """Whether ``other`` sends the same input to the same target."""
        return (
            not self.sandbox
            and not other.sandbox
            and self.broadcast == other.broadcast
            and (self.kind, self.target, self.endpoint, self.input_sha256)
            == (other.kind, other.target, other.endpoint, other.input_sha256)
        )

    def ended(self, state: str, summary: dict[str, Any]) -> IndexEntry:
        """Return the entry after a process of the run has ended."""
        return replace(self, state=state, summary=summary)


@dataclass(frozen=True, slots=True)
class SentAgain:
    """A rejected row that another run sends again: its line in the parent's file, and its row in the other run."""

    parent: str
    line: int
    child: str
    row: int


class RunIndex(Protocol):
    """What is known of all runs of one folder. Any number of processes may use it at once. Raises JournalError."""

    def begin(
        self, entry: IndexEntry, again: Sequence[SentAgain] = ()
    ) -> AbstractContextManager[tuple[IndexEntry, ...]]:
        """Add a run that is new, together with what the block does, as one step that no other process can enter.

        Yields the runs that sent the same input to the same target, latest first. Nothing is added when the block
        raises. On return the entry is durable.
        """
        ...

    def note(self, entry: IndexEntry) -> None:
        """Add or replace a run's entry; durable on return."""
        ...

    def entry(self, name: str) -> IndexEntry | None:
        """Return a run's entry; None when the index does not know it."""
        ...

    def entries(self) -> list[IndexEntry]:
        """Return all entries, oldest first."""
        ...

    def repeats(self, entry: IndexEntry) -> tuple[IndexEntry, ...]:
        """Return the runs that sent the same input to the same target as ``entry``, latest first."""
        ...

    def children(self, parent: str) -> list[str]:
        """Return the runs that send rejected rows of ``parent`` again, oldest first."""
        ...

    def withdraw(self, child: str, rows: Sequence[int]) -> None:
        """Forget that ``child`` sends these of its rows again: it rejected them, too."""
        ...

    def sent_again(self, parent: str) -> list[SentAgain]:
        """Return the rejected rows of ``parent`` that other runs sent again, in the order of their lines."""
        ...

    def close(self) -> None: ...


def rows_sent_again(index: RunIndex, parent: str) -> int:
    """Return how many rejected rows of ``parent`` other runs have sent again, each counted once."""
    return len({each.line for each in index.sent_again(parent)})


def _contents(facts: Facts) -> Iterable[str]:
    """Return what makes two inputs the same: the digests of the files; for a broadcast, its audience."""
    if facts.broadcast:
        return [json.dumps(facts.settings.get("message", {}).get("audience"), sort_keys=True)]
    return [item.sha256 for item in facts.input]


def input_digest(digests: Iterable[str]) -> str:
    """Return one digest for the digests of an input's files, in order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
