"""What the writers of all stores have in common: ids, and decisions that are final."""

from __future__ import annotations

import getpass
import itertools
import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping

from bulk_sender.errors import GuardrailError
from bulk_sender.journal.answers import AttemptRef
from bulk_sender.journal.records import RESEND, Chunk, Decision, Entry, Status
from bulk_sender.journal.sql.queries import SqlReader
from bulk_sender.text.times import now


class SqlWriter(SqlReader):
    """One run's journal, to be read and written by one process at a time."""

    @abstractmethod
    def write(self, records: Iterable[Entry]) -> None: ...

    def _number_from_here(self) -> None:
        """Continue the ids after those in the journal."""
        self._next: dict[str, Iterator[int]] = {
            table: itertools.count(int(self._value(f"SELECT coalesce(max(id), 0) + 1 FROM {table}")))
            for table in ("chunk", "batch", "attempt", "decision")
        }

    def stored(self, chunk: Chunk) -> Chunk:
        return chunk

    def new_chunk_id(self) -> int:
        return next(self._next["chunk"])

    def new_batch_id(self) -> int:
        return next(self._next["batch"])

    def new_attempt_id(self) -> int:
        return next(self._next["attempt"])

    def new_decision_id(self) -> int:
        return next(self._next["decision"])

    def decide(self, verdicts: Mapping[AttemptRef, str], why: str, by: str) -> int:
        """Record a decision about each attempt. Raises GuardrailError for a second one about the same."""
        for ref, status in verdicts.items():
            self._refuse_second_decision(ref, {Status.FAILED.value} if status == RESEND else set())
        at = now()
        decisions = [
            Decision(self.new_decision_id(), ref.batch, ref.attempt, status, by, why, at)
            for ref, status in verdicts.items()
        ]
        self.write(decisions)
        return len(decisions)

    def _refuse_second_decision(self, ref: AttemptRef, allowed: set[str]) -> None:
        decided = self._rows(
            # An acceptance that the program took back is a doubt, not yet a decision.
            "SELECT status, at, \"user\" FROM decision WHERE attempt = ? AND status <> 'unknown' ORDER BY id DESC",
            ref.attempt,
        )
        if decided and not allowed.issuperset(status for status, _, _ in decided):
            status, at, by = decided[0]
            raise GuardrailError(
                f"batch {ref.batch}: attempt {ref.attempt} was decided to be {status!r} at {at} by {by}",
                hint="decisions are final; bulk-sender explain shows them",
            )


def user() -> str:
    """Return the account of this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"
