"""The contract of a journal: what a store of runs has to offer to those who read and write one.

``bulk_sender.journal`` opens a run and picks its store. Every store passes the tests in ``tests/journal/contract.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self

from bulk_sender.journal.answers import (
    AttemptRef,
    AttemptsOfBatches,
    BatchState,
    BatchStory,
    CanaryStory,
    Counts,
    DecidedRows,
    Doubt,
    DoubtfulBatch,
    EpochStory,
    Gap,
    PlanEnd,
    Refusals,
    Remarks,
    Sending,
    Totals,
    Traffic,
    UnsentChunk,
    Worker,
    WorkLeft,
)
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.index import RunIndex
from bulk_sender.journal.records import Chunk, Ending, Entry


@dataclass(frozen=True, slots=True)
class RunRef:
    """A run by its name and its folder. The folder holds the results; whether it holds the journal, the store knows."""

    name: str
    folder: Path

    @classmethod
    def at(cls, folder: Path) -> Self:
        """Return the run that lives in ``folder`` and has its name."""
        return cls(folder.name, folder)

    @property
    def loss(self) -> str:
        """What is missing of a run whose journal is not there, as the end of a sentence."""
        return f"its folder {self.folder} {'has no journal' if self.folder.exists() else 'is gone'}"


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a process may write nothing more in a run's folder. Both are sentences without their full stop."""

    what: str
    to_do: str
    is_taken_over: bool = False
    """Whether another process has the run now."""


@dataclass(frozen=True, slots=True)
class Made:
    """A schema for journals, and who may use it. ``warnings``: what makes this database less safe than it could be."""

    schema: str
    is_new: bool
    grants: tuple[str, ...]
    warnings: tuple[str, ...]


class RunReader(Protocol):
    """One run, to be read. Not thread-safe: one thread at a time may use it. Queries raise JournalError."""

    @property
    def run(self) -> RunRef: ...

    def reader(self) -> RunReader:
        """Open another reader of the same run, for use beside this one in another thread."""
        ...

    def prove_chunk(self, chunk: int) -> None:
        """Prove what is recorded about a chunk, where opening a run may not have proved all of it.

        Raises JournalError when a record is damaged.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    # --- how the run was started, and how far it is planned -----------------------------------------------------

    def facts(self) -> Facts:
        """Return how the run was started."""
        ...

    def is_plan_complete(self) -> bool:
        """Whether every row of the input is in a chunk."""
        ...

    def plan_end(self) -> PlanEnd | None:
        """Return where planning continues; None when nothing is planned yet."""
        ...

    def chunk_ids(self) -> list[int]:
        """Return the chunks in the order of the input."""
        ...

    def chunks_with_rejects(self) -> list[int]:
        """Return the chunks that have rejected rows."""
        ...

    def chunks_with(self, statuses: Collection[str], *, code: str | None = None, after: int = 0) -> list[int]:
        """Return the chunks that have rows of one of these statuses, and rows after row ``after``, in order.

        ``code``: only chunks in which a batch of one of these statuses has this error code. The codes of rejected rows
        and duplicates are in a chunk's rows, so every chunk that has such rows is returned.
        """
        ...

    def chunk_of(self, row: int) -> int | None:
        """Return the chunk whose rows include ``row``; None when no chunk does."""
        ...

    def frame(self, chunk: int) -> bytes:
        """Return the planned rows of a chunk, as `journal.chunks` packed them."""
        ...

    def rejects(self, chunk: int) -> bytes:
        """Return the rejected rows of a chunk with their own columns, as an Arrow file."""
        ...

    def planned_sizes(self, chunk: int) -> list[int]:
        """Return the sizes of a chunk's batches as they were planned, before any was split."""
        ...

    # --- what holds now -----------------------------------------------------------------------------------------

    def counts(self, *, in_flight: str = "unknown") -> Counts:
        """Return the rows by status.

        ``in_flight``: the status of rows whose request has no outcome yet. That is ``unknown``, as nobody may be left
        to record it; beside a process that waits for its answers, they may count as ``not_sent``.
        """
        ...

    def totals(self) -> Totals:
        """Return the run's figures."""
        ...

    def has_unsent(self) -> bool:
        """Whether a planned batch has to be sent, for the first time or again."""
        ...

    def unsent_chunks(self) -> list[UnsentChunk]:
        """Return the chunks with such batches, in the order of the input."""
        ...

    def unsent_batches(self, chunk: int) -> list[BatchState]:
        """Return a chunk's batches that have to be sent, in the order of their rows."""
        ...

    def batches(self, chunk: int) -> list[BatchState]:
        """Return what holds for each batch of a chunk, in the order of their rows."""
        ...

    def batches_with(self, *statuses: str) -> list[BatchState]:
        """Return what holds for each batch of one of these statuses, in the order of their rows."""
        ...

    def doubtful_batches(self) -> list[DoubtfulBatch]:
        """Return the unknown batches with the times of their attempts, in the order of their rows."""
        ...

    def doubts(self) -> tuple[Doubt, ...]:
        """Return the evidence about the unknown rows, most rows first."""
        ...

    def refusals(self, most: int) -> Refusals:
        """Return why rows failed or are unknown: up to ``most`` reasons, most rows first."""
        ...

    def remarks(self, most: int) -> Remarks:
        """Return what Braze said beside accepting, without naming a row: up to ``most`` texts, most rows first."""
        ...

    # --- what happened ------------------------------------------------------------------------------------------

    def story(self, chunk: int, slot: int) -> tuple[BatchStory, ...]:
        """Return everything that happened with the valid row in ``slot`` of a chunk, by batch."""
        ...

    def dispatched(self, most: int) -> dict[str, tuple[AttemptRef, ...]]:
        """Return the latest ``most`` dispatch_ids, oldest first, each with what was accepted first under it.

        That is one attempt, or the inherited attempts of the accepted parts of its batch.
        """
        ...

    def has_attempts_since(self, at: str) -> bool:
        """Whether a request left at ``at`` or later."""
        ...

    def attempts_of_batches(self) -> tuple[AttemptsOfBatches, ...]:
        """Return how many batches took one request, how many took two, and so on."""
        ...

    def batches_split(self) -> int:
        """Return how many batches were replaced by their halves. Parts that inherit an attempt do not count."""
        ...

    def epochs(self) -> tuple[EpochStory, ...]:
        """Return every start of a process, in order."""
        ...

    def workers(self) -> tuple[Worker, ...]:
        """Return the processes that sent the run since somebody last started or resumed it; empty for a store
        that lets only one process at a time have a run."""
        ...

    def decided(self) -> tuple[DecidedRows, ...]:
        """Return what was decided, in the order of time."""
        ...

    def last_ending(self) -> Ending | None:
        """Return how the latest epoch ended; None while it has not, or when its process died."""
        ...

    def canaries(self) -> tuple[CanaryStory, ...]:
        """Return the run's canaries in the order in which they were asked for. The last one counts."""
        ...

    # --- the requests over time ---------------------------------------------------------------------------------

    def sendings(self) -> tuple[Sending, ...]:
        """Return what was sent without a break, in the order of time: by one epoch, or by several that overlap.

        An epoch that sent nothing is left out.
        """
        ...

    def traffic(self, sending: Sending, since: datetime | None, until: datetime | None) -> Traffic:
        """Return the requests of ``sending`` that left at ``since`` or later and before ``until``; None: its end."""
        ...

    def gaps(self, sending: Sending, shortest_s: float) -> tuple[Gap, ...]:
        """Return the times of at least ``shortest_s`` seconds between two requests of ``sending``, in order."""
        ...


class Team(Protocol):
    """The processes that send one run together, for one of them. Any thread may call this at any time.

    One process has started or resumed the run: it plans, asks and closes. The others have joined. Each chunk has a
    lease, and only the process that holds it sends the chunk's batches. A process without a sign of life for a while is
    fenced by any other: from then on it can write nothing, its open attempts are unknown, and others take its chunks.
    ``RunWriter.write`` takes ``Lease`` and ``CanaryReleased`` beside records. Methods raise JournalError, also when
    this process was fenced.
    """

    @property
    def stopped(self) -> str:
        """Why all processes are to stop, at most a second old; empty while they are not."""
        ...

    def open_leases(self, canary: int | None) -> None:
        """Let every chunk with unsent batches be taken; with a canary that waits for its answer, only its own.

        For the process that plans, before anything else.
        """
        ...

    def take(self, has: Collection[int]) -> int | None:
        """Take the lowest open chunk; None when there is none. ``has``: the chunks that this process knows it has.

        Ids that are given out afterwards are higher than those of all earlier attempts in the chunk.
        """
        ...

    def left(self) -> WorkLeft:
        """Return what is left to do, and who is there to do it."""
        ...

    def stop(self, reason: str) -> None:
        """Make all processes stop. The first reason stands."""
        ...

    def fence(self, epoch: int) -> None:
        """Give up a process that is known to be dead, as ``RunWriter.fence`` does. Nothing relies on that it is."""
        ...

    def leave(self, reason: str, elapsed_s: float) -> bool:
        """End this process's epoch while others have the run. Return False when there are none: it has to be closed."""
        ...

    def settle(self) -> None:
        """Before the run is closed, record what no process could see alone.

        An attempt that was given up and turned out to be accepted becomes so, unless somebody has decided about it.
        Acceptances that share one dispatch_id become unknown.
        """
        ...

    def on_the_way_s(self, attempts: Iterable[AttemptRef], longest_s: float) -> float:
        """Return for how many seconds requests of these attempts may still be on their way to Braze.

        That is so for ``longest_s`` after their process was fenced; 0.0 when none can be.
        """
        ...


class RunWriter(RunReader, Protocol):
    """One run, to be read and written by this process.

    A writer begins an epoch before it sends. A store may allow several live writers of a run, each with its own epoch,
    or only one. Ids are given out without I/O, so that the event loop can ask for them while another thread writes: a
    store with several writers takes them in blocks. Within one writer they ascend.
    """

    is_locked_out: bool
    """Whether the last ``write`` failed for a cause that smaller writes would meet, too: they need not be tried."""

    lost: Loss | None
    """How this process has lost the run: its journal is not there any more, or another process has taken over.

    None while it has the run. Afterwards no request may leave, and no file may be written in the run's folder.
    """

    is_late: Callable[[], bool]
    """Whether this process has to end now, so that the store may wait for nothing. The sender sets it.

    Any thread may call it.
    """

    @property
    def team(self) -> Team | None:
        """The processes that send the run together; None where a store lets only one process have it."""
        ...

    def look(self) -> Loss | None:
        """Look whether the journal is still there, and return ``lost``. Any thread may call this at any time."""
        ...

    @property
    def epoch(self) -> int:
        """This writer's epoch, 0 before it began one."""
        ...

    def begin_epoch(self, command: str, by: str = "") -> int:
        """Begin an epoch and, in the same transaction, recover every epoch whose process is known to be dead.

        ``by``: who started it; the account of this process by default.

        An attempt of a dead epoch without an outcome becomes unknown. Attempts of live epochs stay as they are.
        Raises JournalError.
        """
        ...

    def fence(self, epoch: int) -> None:
        """Declare another epoch dead: its writer can write nothing more, and its open attempts become unknown."""
        ...

    def write(self, records: Iterable[Entry]) -> None:
        """Add records, all or none; they are durable on return, in the order of the calls.

        Raises JournalError when they are not, and when this writer's epoch was fenced or taken over.
        """
        ...

    def stored(self, chunk: Chunk) -> Chunk:
        """Return a chunk as it has to be written, after its rows were put where the store of runs keeps them.

        It takes as long as that takes, so any thread may call this. Raises StoreError.
        """
        ...

    def new_chunk_id(self) -> int:
        """Return the id of the next chunk. Chunks have no gaps: each id has to be used before another writer plans."""
        ...

    def new_batch_id(self) -> int: ...

    def new_attempt_id(self) -> int: ...

    def new_decision_id(self) -> int: ...

    def decide(self, verdicts: Mapping[AttemptRef, str], why: str, by: str) -> int:
        """Record a decision about each attempt, all or none; ``by``: whose it is. Returns how many.

        A verdict is ``accepted``, ``failed`` or ``resend``. A decision is final: raises GuardrailError for a second one
        about the same attempt. Only an attempt that was decided to have failed may still be sent again.
        """
        ...

    def end_epoch(self, state: str, reason: str, elapsed_s: float) -> None:
        """Record the end of this writer's epoch."""
        ...


class RunStore(Protocol):
    """All runs whose journals are in one place. ``runs_dir``: the folder of their results."""

    def announce(self, run: RunRef) -> None: ...

    def create(self, run: RunRef, facts: Facts) -> RunWriter: ...

    def open_to_write(self, run: RunRef, *, take_over: bool = False) -> RunWriter: ...

    def join(self, run: RunRef) -> RunWriter: ...

    def open_to_read(self, run: RunRef) -> RunReader: ...

    def holder(self, run: RunRef) -> str | None: ...

    def exists(self, run: RunRef) -> bool: ...

    def is_unfinished(self, run: RunRef) -> bool: ...

    def location(self, run: RunRef) -> Path: ...

    def files(self, run: RunRef) -> list[Path]: ...

    def remove(self, run: RunRef) -> None: ...

    def run_names(self, runs_dir: Path) -> Iterable[str]: ...

    def index(self, runs_dir: Path) -> RunIndex: ...

    def has_index(self, runs_dir: Path) -> bool: ...

    def is_there(self, runs_dir: Path) -> bool: ...
