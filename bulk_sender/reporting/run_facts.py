"""How a run was started: what was sent where, from which files, and by whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from bulk_sender.journal.index import IndexEntry
from bulk_sender.journal.store import RunReader


@dataclass(frozen=True, slots=True)
class InputFacts:
    """A file of a run's input as it was when the run began.

    ``name`` is as the caller wrote it, ``path`` where the file was, and ``size`` in bytes.
    """

    name: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Start:
    """A process that sent for a run, or is sending, on ``host``.

    ``by``: who started it, as the caller said; by default the account of the operating system.

    ``state``, ``reason`` and ``elapsed_s``: how it ended; None while it sends, and when it was killed.
    """

    command: str
    at: str
    by: str
    host: str
    state: str | None = None
    reason: str | None = None
    elapsed_s: float | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """How a run was started. None of it changes while the run is sent, except ``starts``."""

    run_id: str
    kind: str
    """``campaign`` or ``canvas``."""
    target: str
    """The campaign's or Canvas' id."""
    target_name: str
    """Its name when the run began; empty when Braze did not say."""
    endpoint: str
    sandbox: str
    """The weather of a rehearsal in the built-in sandbox; empty for a real send."""
    broadcast: bool
    """Whether the run is one request to a segment or audience, without rows."""
    files: tuple[InputFacts, ...]
    plan: str
    """The digest of the plan file that the run had to match; empty without one."""
    given: Mapping[str, str] | None
    """The options of a command that sends in the same way; None when no command can express them."""
    exclude: tuple[str, ...]
    """The runs and files whose people were left out."""
    parents: tuple[str, ...]
    """The runs whose rejected rows this one sends again."""
    created_at: str
    tool: str
    """The release that began the run."""
    starts: tuple[Start, ...]
    """Every process that sent, in order. The first one began the run."""

    @classmethod
    def of(cls, journal: RunReader) -> Self:
        """Return the facts of a run."""
        facts = journal.facts()
        entry = IndexEntry.of(journal.run.name, facts)
        return cls(
            run_id=entry.name,
            kind=entry.kind,
            target=entry.target,
            target_name=facts.target_name,
            endpoint=entry.endpoint,
            sandbox=facts.sandbox,
            broadcast=facts.broadcast,
            files=tuple(
                InputFacts(item.name, str(path), item.size, item.sha256)
                for item, path in facts.located(journal.run.folder)
            ),
            plan=facts.plan,
            given=facts.given,
            exclude=facts.exclude,
            parents=facts.parents,
            created_at=facts.created_at,
            tool=facts.tool,
            starts=tuple(
                Start(it.command, it.at, it.user, it.host, it.state, it.reason, it.elapsed_s) for it in journal.epochs()
            ),
        )
