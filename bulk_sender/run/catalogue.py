"""The runs of a folder as their index knows them, kept in step with the journals."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bulk_sender import journal as journals
from bulk_sender.config.duration import parse_duration
from bulk_sender.config.model import Config
from bulk_sender.errors import BulkSenderError, ConfigError, GuardrailError, JournalError
from bulk_sender.journal.chunks import chunk_rejects
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.index import IndexEntry, RunIndex, SentAgain
from bulk_sender.journal.store import RunReader, RunRef, RunWriter
from bulk_sender.reading.spool import Spool
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.facts import create
from bulk_sender.run.folder import make_parent
from bulk_sender.run.standing import standing
from bulk_sender.text.numbers import roughly, several

_log = logging.getLogger("bulk_sender")


@contextmanager
def catalogue(runs_dir: Path) -> Iterator[RunIndex]:
    """Open the index of a folder that exists. Runs that it does not know, of an earlier release, are added."""
    with closing(journals.index(runs_dir)) as index:
        known = {entry.name for entry in index.entries()}
        for name in journals.run_names(runs_dir):
            if name not in known:
                _adopt(index, RunRef.at(runs_dir / name))
        yield index


def _adopt(index: RunIndex, run: RunRef) -> None:
    """Add a run from its journal. One that cannot be read is left out, and refused with the reason when it is named."""
    if (entry := _entry_of(run)) is not None:
        index.note(entry)
        if entry.parents and entry.state != "running":
            with journals.read(run) as journal:
                _withdraw(index, journal)


def _entry_of(run: RunRef) -> IndexEntry | None:
    with suppress(BulkSenderError), journals.read(run) as journal:
        entry = IndexEntry.of(run.name, journal.facts())
        if journals.holder(run) is not None:
            return entry
        summary = standing(journal)
        return entry.ended(summary.state, summary.to_dict())
    return None


def entries_of_journals(runs_dir: Path) -> list[IndexEntry]:
    """Return the entries of all runs as their journals have them, oldest first, without the index."""
    found = (_entry_of(RunRef.at(runs_dir / name)) for name in journals.run_names(runs_dir))
    return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.created_at)


def _withdraw(index: RunIndex, journal: RunReader) -> None:
    """Rows that this run rejected once more were not sent again."""
    if journal.facts().parents:
        for chunk in journal.chunks_with_rejects():
            index.withdraw(journal.run.name, chunk_rejects(journal, chunk)["\x00row"].to_list())


def refreshed(index: RunIndex, runs_dir: Path, entry: IndexEntry) -> IndexEntry:
    """Return an entry as the run stands now. The process of an open one may have ended without closing it."""
    run = RunRef.at(runs_dir / entry.name)
    if entry.state != "running" or not journals.exists(run) or journals.holder(run) is not None:
        return entry
    _adopt(index, run)
    return index.entry(entry.name) or entry


def make_runs_folder(runs_dir: Path) -> bool:
    """Make a folder for runs, with its index. Return whether it is new. Raises BulkSenderError."""
    is_new = not journals.has_index(runs_dir)
    make_parent(RunRef.at(runs_dir / "run"))
    journals.index(runs_dir).close()
    return is_new


def refuse_missing_folder(runs_dir: Path) -> None:
    """Raise ConfigError when the folder of all runs does not exist, though a run was named that may be in it."""
    if not journals.is_there(runs_dir):
        raise ConfigError(
            f"the folder of the runs, {runs_dir}, does not exist",
            hint=f"if its disk is not mounted, mount it; if this is the first run, bulk-sender runs init {runs_dir}",
        )


def refuse_gone(run: RunRef) -> None:
    """Raise GuardrailError for a run that the index knows and whose folder is gone: it may have sent everything."""
    entry = None if journals.exists(run) else known(run)
    if entry is not None and not entry.pruned_at:
        raise GuardrailError(
            f"run {run.name!r} began at {entry.created_at}, and {run.loss}: "
            "who already got the message is not known any more",
            hint="put the folder back, then repeat this command; a run of another name would send to everyone again",
        )
    if entry is not None:
        raise GuardrailError(
            f"run {run.name!r} has ended, and its data was removed at {entry.pruned_at}: nothing was sent",
            hint="bulk-sender runs shows its counts. A run of another name would send to everyone again",
        )


def known(run: RunRef) -> IndexEntry | None:
    """Return what the index knows of a run; None when there is no index, or it does not know the run."""
    if not journals.has_index(run.folder.parent):
        return None
    with closing(journals.index(run.folder.parent)) as index:
        return index.entry(run.name)


def sent_lately(index: RunIndex, runs_dir: Path, entry: IndexEntry, window: timedelta) -> tuple[IndexEntry, ...]:
    """Return the runs that sent the same input to the same target within ``window``, or still do, latest first."""
    if not window:
        return ()
    since = datetime.now(UTC) - window
    found = [refreshed(index, runs_dir, each) for each in index.repeats(entry)]
    return tuple(
        each
        for each in found
        if each.may_have_sent
        and (
            datetime.fromisoformat(each.last_at) >= since
            or journals.holder(RunRef.at(runs_dir / each.name)) is not None
        )
    )


def sent_since(journal: RunReader, config: Config) -> tuple[IndexEntry, ...]:
    """Return the runs that began after this one and may have reached whom it has left, latest first.

    They sent the same input to the same target lately, or, at any time, another one without the people of this run.
    """
    facts, runs_dir = journal.facts(), journal.run.folder.parent
    if facts.sandbox:
        return ()
    with catalogue(runs_dir) as index:
        entry = IndexEntry.of(journal.run.name, facts)
        window = parse_duration(config.guard.repeat_within)
        found = {each.name: each for each in sent_lately(index, runs_dir, entry, window)}
        for each in index.entries() if window else ():
            if each.created_at > facts.created_at and each.name not in found and _leaves_out(each, entry, runs_dir):
                found[each.name] = each
        later = [each for each in found.values() if each.created_at > facts.created_at]
        return tuple(sorted(later, key=lambda each: each.last_at, reverse=True))


def _leaves_out(other: IndexEntry, entry: IndexEntry, runs_dir: Path) -> bool:
    """Whether ``other`` sent to the same target and left out whom the run of ``entry`` had reached by then."""
    is_alike = (other.kind, other.target, other.endpoint) == (entry.kind, entry.target, entry.endpoint)
    if other.sandbox or other.broadcast or not is_alike or not other.may_have_sent:
        return False
    with suppress(BulkSenderError), journals.read(RunRef.at(runs_dir / other.name)) as journal:
        return any(entry.name in Path(each).parts[-2:] for each in journal.facts().exclude)
    return False


def refuse_sent_since(repeats: Sequence[IndexEntry], journal: RunReader) -> None:
    """Raise GuardrailError when another run may have reached whom this one has left."""
    if repeats:
        name = journal.run.name
        raise GuardrailError(
            f"{told_since(repeats[0], journal)}, after run {name} began: nothing was sent",
            hint=f"leave run {name} as it is, or add --again: then people whom both runs reach get the message twice",
        )


def refuse_repeat(repeats: Sequence[IndexEntry]) -> None:
    """Raise GuardrailError when the same input went to the same target lately."""
    if repeats:
        raise GuardrailError(f"{told(repeats[0])}: nothing was sent", hint=what_to_do(repeats[0]))


def told_since(entry: IndexEntry, journal: RunReader) -> str:
    """Say what was sent after a run began, in one sentence without its full stop."""
    is_same = entry.input_sha256 == IndexEntry.of(journal.run.name, journal.facts()).input_sha256
    return told(entry) if is_same else told(entry, "an input, without the people whom this run had reached,")


def told(entry: IndexEntry, what: str = "") -> str:
    """Say what was sent before, in one sentence without its full stop."""
    what = what or ("this broadcast" if entry.broadcast else "this input")
    kind = "Canvas" if entry.kind == "canvas" else "campaign"
    began = datetime.fromisoformat(entry.created_at)
    when = f"{roughly((datetime.now(UTC) - began).total_seconds())} ago"
    how = "still open" if entry.state == "running" else entry.state
    if not entry.broadcast and entry.summary:
        how += f", {several(int(entry.summary.get('accepted', 0)), 'recipient')} accepted"
        how += f", {entry.summary['unknown']:,} in doubt" if entry.summary.get("unknown") else ""
    return f"{what} was sent to this {kind} {when} (run {entry.name}, {how})"


def what_to_do(entry: IndexEntry) -> str:
    """Say how to go on after a repeat was refused."""
    if entry.broadcast:
        return "--again sends it once more, also to people who have it"
    rest = "" if entry.state == "finished" else f"bulk-sender resume {entry.name} sends what it has left; "
    return (
        f"{rest}--exclude {entry.name} sends only to people who did not get it; "
        "--again sends it to everyone once more, also to those who have it"
    )


@dataclass(frozen=True, slots=True)
class Earlier:
    """The runs that sent the same input to the same target as a new one."""

    lately: tuple[IndexEntry, ...] = ()
    """Those within ``[guard] repeat_within``, latest first."""
    known: frozenset[str] = frozenset()
    """The names of all."""

    def without(self, names: Iterable[str]) -> Earlier:
        """Return the same without the runs of these names: the new run leaves out whom they reached."""
        left = set(names)
        return Earlier(tuple(each for each in self.lately if each.name not in left), self.known | left)


def earlier_runs(run: RunRef, facts: Facts, config: Config) -> Earlier:
    """Return what a new run would repeat; nothing for a rehearsal."""
    runs_dir = run.folder.parent
    if facts.sandbox or not journals.is_there(runs_dir):
        return Earlier()
    with catalogue(runs_dir) as index:
        entry = IndexEntry.of(run.name, facts)
        known = frozenset(each.name for each in index.repeats(entry))
        return Earlier(sent_lately(index, runs_dir, entry, parse_duration(config.guard.repeat_within)), known)


@contextmanager
def created(
    run: RunRef,
    facts: Facts,
    *,
    again: bool,
    known: frozenset[str],
    sent_again: Sequence[SentAgain] = (),
    spool: Spool | None = None,
) -> Iterator[RunWriter]:
    """Create a run and its place in the index, in one step that no other process can enter.

    ``known``: the runs of the same input and target that were looked at before. Raises GuardrailError when there is
    another one now, unless ``again``. ``spool`` stores a part of the input, and moves to the run's folder.
    """
    make_parent(run)
    entry = IndexEntry.of(run.name, facts)
    with catalogue(run.folder.parent) as index, index.begin(entry, sent_again) as repeats:
        if not again:
            refuse_repeat([each for each in repeats if each.name not in known])
        journal = create(run, facts, spool)
    with journal:
        yield journal


def note_beginning(journal: RunWriter) -> None:
    """Record that a process sends for the run, before its first request. Raises JournalError."""
    with closing(journals.index(journal.run.folder.parent)) as index:
        known = index.entry(journal.run.name)
        if known is None or known.state != "running":
            index.note(replace(known or IndexEntry.of(journal.run.name, journal.facts()), state="running"))


def note_loss(journal: RunWriter, facts: Facts) -> None:
    """Keep a run in the index whose journal this process has lost: the index may have been deleted together with it.

    Trouble is only logged. Without the folder of all runs there is no place for an index, and one in a database is out
    of reach together with the journal.
    """
    run = journal.run
    is_lost = journal.lost is not None and not journal.lost.is_taken_over
    if not is_lost or journal.team is not None or not journals.is_there(run.folder.parent):
        return
    try:
        with closing(journals.index(run.folder.parent)) as index:
            if index.entry(run.name) is None:
                index.note(IndexEntry.of(run.name, facts))
    except JournalError as error:
        _log.warning("%s", error)


def note_end(journal: RunWriter, summary: Summary) -> None:
    """Record how the run stands. Trouble is only logged: the next reader asks the journal.

    A run that this process has lost stays open in the index. Once its folder is found again, its journal is read, and
    without the folder the same command is refused.
    """
    if summary.lost:
        return
    try:
        with closing(journals.index(journal.run.folder.parent)) as index:
            known = index.entry(journal.run.name) or IndexEntry.of(journal.run.name, journal.facts())
            index.note(known.ended(summary.state, summary.to_dict()))
            _withdraw(index, journal)
    except JournalError as error:
        _log.warning("%s", error)
