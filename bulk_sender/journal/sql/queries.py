"""The journal's named queries, in SQL that every store understands.

A store runs a statement with ``?`` for its values, over tables with the names and columns of ``rows`` and the query
``state``. Text compares by its bytes.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, Self

from bulk_sender.braze.answer import WITH_ERRORS
from bulk_sender.journal.answers import (
    AttemptRef,
    AttemptsOfBatches,
    AttemptStory,
    BatchState,
    BatchStory,
    CanaryAnswer,
    CanaryStory,
    Counts,
    DecidedRows,
    DecisionStory,
    Doubt,
    DoubtfulBatch,
    EpochStory,
    Gap,
    PlanEnd,
    Refusal,
    Refusals,
    Remark,
    Remarks,
    Sending,
    Totals,
    Traffic,
    UnsentChunk,
    Worker,
    accepted_first,
)
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.records import PROCESS_ENDED, Ending
from bulk_sender.journal.sql import sendings
from bulk_sender.journal.sql.rows import CANARY_FACTS, PLAN_COMPLETE
from bulk_sender.journal.sql.seal import Value
from bulk_sender.journal.sql.state import INHERITED
from bulk_sender.journal.store import RunRef

_STATE = """
SELECT batch, chunk, first, size, parent, status, attempts, attempt, sent_at, body_sha256, verdict, http_status,
       dispatch_id, code, message, likely, decided, decided_why
FROM state
"""
"""The columns of ``BatchState``, in its order."""

_TROUBLED = """
SELECT batch FROM outcome WHERE status IN ('failed', 'unknown')
UNION SELECT batch FROM decision
UNION SELECT a.batch FROM attempt a LEFT JOIN outcome o ON o.attempt = a.id WHERE o.attempt IS NULL
"""
"""The batches that may have ended badly: to ask ``state`` about all batches of a large run would take seconds."""

_WITH_STATUS = {
    ("accepted", "not_sent"): "EXISTS (SELECT 1 FROM state WHERE state.chunk = chunk.id AND {0})",
    ("failed", "unknown"): f"id IN (SELECT chunk FROM state WHERE batch IN ({_TROUBLED}) AND {{0}})",
}
"""How to find the chunks whose batches have these statuses: the usual ones chunk by chunk, the rare ones at once."""

_SETTLED = "CASE WHEN status = 'unknown' AND verdict IS NULL AND decided IS NULL THEN ? ELSE status END"
"""The status of a batch in ``state``, with another one while its request has no outcome."""

_REASON = "status, http_status, code, message, likely, decided"
_REFUSED = f"""
SELECT status, http_status, coalesce(code, '') AS code, coalesce(message, '') AS message,
       coalesce(likely, '') AS likely, coalesce(decided, '') AS decided, batch, size
FROM state WHERE batch IN ({_TROUBLED}) AND status IN ('failed', 'unknown') AND size > 0
"""
"""Without a broadcast's batch, which has no rows to give a reason for."""

_REMARKED = f"""
SELECT batch, parent, size, message, body_sha256 FROM state
WHERE batch IN (SELECT batch FROM outcome WHERE code = '{WITH_ERRORS}')
  AND status = 'accepted' AND code = '{WITH_ERRORS}'
"""
_REQUESTS = "count(DISTINCT CASE WHEN body_sha256 IS NULL THEN parent ELSE batch END)"
"""The requests behind batches of ``state``: parts that inherit an attempt were in the same one."""


class SqlReader(ABC):
    """One run's journal, to be read. Not thread-safe: one thread at a time may use it."""

    def __init__(self, run: RunRef) -> None:
        self.run = run
        self._facts: Facts | None = None

    @abstractmethod
    def _rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]:
        """Run a statement. Raises JournalError."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _value(self, sql: str, *values: Value) -> Any:
        """The first column of the first row, None without one."""
        return next((row[0] for row in self._rows(sql, *values)), None)

    # --- how the run was started, and how far it is planned -----------------------------------------------------

    def facts(self) -> Facts:
        if self._facts is None:
            stored = self._rows("SELECT name, value FROM run")
            self._facts = Facts.of({name: json.loads(value) for name, value in stored})
        return self._facts

    def _is_noted(self, name: str) -> bool:
        return bool(self._value("SELECT value FROM run WHERE name = ?", name) == "true")

    def is_plan_complete(self) -> bool:
        return self._is_noted(PLAN_COMPLETE)

    def canaries(self) -> tuple[CanaryStory, ...]:
        found: dict[int, CanaryStory] = {}
        answers: dict[int, list[CanaryAnswer]] = {}
        stored = self._rows("SELECT name, value FROM run WHERE name LIKE 'canary %' OR name LIKE 'held in epoch %'")
        for name, value in stored:
            if (match := CANARY_FACTS.fullmatch(name)) is None:
                continue
            facts = json.loads(value)
            number = int(match[1] or match[4])
            story = found.get(number, CanaryStory(number, 0))
            if match[3]:
                answers.setdefault(number, []).append(CanaryAnswer(int(match[3]), **facts))
            elif match[4]:
                story = replace(story, held_at="")
            elif match[2]:
                story = replace(story, held_at=facts["at"])
            else:
                story = replace(story, rows=facts["rows"])
            found[number] = story
        ordered = {number: sorted(given, key=lambda one: one.epoch) for number, given in answers.items()}
        return tuple(replace(found[number], answers=tuple(ordered.get(number, ()))) for number in sorted(found))

    def plan_end(self) -> PlanEnd | None:
        sql = "SELECT last_row, resume, (SELECT sum(rows) FROM chunk) FROM chunk ORDER BY id DESC LIMIT 1"
        return next((PlanEnd(*row) for row in self._rows(sql)), None)

    def chunk_ids(self) -> list[int]:
        return [row[0] for row in self._rows("SELECT id FROM chunk ORDER BY id")]

    def chunks_with_rejects(self) -> list[int]:
        return [row[0] for row in self._rows("SELECT id FROM chunk WHERE rejected > 0 ORDER BY id")]

    def chunks_with(self, statuses: Collection[str], *, code: str | None = None, after: int = 0) -> list[int]:
        found = [f"{name} > 0" for name in ("rejected", "duplicate") if name in statuses]
        values: list[Value] = [after]
        for alike, condition in _WITH_STATUS.items():
            if wanted := [name for name in alike if name in statuses]:
                marks = ",".join("?" * len(wanted))
                own = f"status IN ({marks})" + ("" if code is None else " AND code = ?")
                found.append(condition.format(own))
                values += [*wanted, *([] if code is None else [code])]
        sql = f"SELECT id FROM chunk WHERE last_row > ? AND ({' OR '.join(found) or '1 = 0'}) ORDER BY id"
        return [row[0] for row in self._rows(sql, *values)]

    def chunk_of(self, row: int) -> int | None:
        found: int | None = self._value("SELECT id FROM chunk WHERE first_row <= ? AND last_row >= ?", row, row)
        return found

    def frame(self, chunk: int) -> bytes:
        return bytes(self._value("SELECT frame FROM chunk WHERE id = ?", chunk))

    def rejects(self, chunk: int) -> bytes:
        return bytes(self._value("SELECT rejects FROM chunk WHERE id = ?", chunk))

    def planned_sizes(self, chunk: int) -> list[int]:
        sql = "SELECT size FROM batch WHERE chunk = ? AND parent IS NULL ORDER BY first"
        return [row[0] for row in self._rows(sql, chunk)]

    # --- what holds now -----------------------------------------------------------------------------------------

    def counts(self, *, in_flight: str = "unknown") -> Counts:
        # One statement sees one moment: a process that sends adds chunks between two.
        planned = (
            f"SELECT '{name}', coalesce(sum({name}), 0) FROM chunk" for name in ("rows", "rejected", "duplicate")
        )
        settled = f"SELECT {_SETTLED} AS settled, sum(size) FROM state GROUP BY 1"
        return Counts(**dict(self._rows(" UNION ALL ".join((*planned, settled)), in_flight)))

    def totals(self) -> Totals:
        [sums] = self._rows(
            "SELECT (SELECT count(*) FROM state), (SELECT count(*) FROM attempt) -"
            f" (SELECT count(*) FROM ({INHERITED}) AS inherited), (SELECT min(at) FROM epoch),"
            " (SELECT max(at) FROM ending),"
            " (SELECT coalesce(sum(elapsed_s), 0) FROM ending WHERE state <> 'left')"
        )
        return Totals(*sums)

    def has_unsent(self) -> bool:
        return bool(self._rows("SELECT 1 FROM state WHERE status = 'not_sent' LIMIT 1"))

    def unsent_chunks(self) -> list[UnsentChunk]:
        found = self._rows(
            "SELECT id, (SELECT coalesce(sum(rows), 0) FROM chunk AS earlier WHERE earlier.id < chunk.id)"
            " FROM chunk WHERE id IN (SELECT chunk FROM state WHERE status = 'not_sent') ORDER BY id"
        )
        return [UnsentChunk(*row) for row in found]

    def unsent_batches(self, chunk: int) -> list[BatchState]:
        return self._states("WHERE status = 'not_sent' AND chunk = ? ORDER BY first, batch", chunk)

    def batches(self, chunk: int) -> list[BatchState]:
        return self._states("WHERE chunk = ? ORDER BY first, batch", chunk)

    def batches_with(self, *statuses: str) -> list[BatchState]:
        marks = ",".join("?" * len(statuses))
        return self._states(f"WHERE status IN ({marks}) ORDER BY chunk, first, batch", *statuses)

    def _states(self, where: str, *values: Value) -> list[BatchState]:
        return [BatchState(*row) for row in self._rows(_STATE + where, *values)]

    def doubtful_batches(self) -> list[DoubtfulBatch]:
        found = self._rows(
            "SELECT batch, chunk, first, size, attempt, coalesce((SELECT min(a.at) FROM attempt a"
            " LEFT JOIN outcome o ON o.attempt = a.id WHERE a.batch = state.batch"
            " AND coalesce(o.status, 'unknown') = 'unknown'), sent_at), sent_at"
            " FROM state WHERE status = 'unknown' ORDER BY chunk, first, batch"
        )
        return [DoubtfulBatch(*row) for row in found]

    def doubts(self) -> tuple[Doubt, ...]:
        found = self._rows(
            "SELECT sum(size) AS rows, count(*), coalesce(message, ?) AS message, coalesce(likely, '') AS likely,"
            " min(sent_at), max(sent_at) FROM state WHERE status = 'unknown'"
            " GROUP BY 3, 4 ORDER BY rows DESC, message, likely",
            PROCESS_ENDED,
        )
        return tuple(Doubt(*row) for row in found)

    def refusals(self, most: int) -> Refusals:
        [sums] = self._rows(
            "SELECT count(*), coalesce(sum(rows), 0)"
            f" FROM (SELECT sum(size) AS rows FROM ({_REFUSED}) AS refused GROUP BY {_REASON}) AS reasons"
        )
        found = self._rows(
            f"SELECT {_REASON}, reasons.rows, reasons.requests, batch.chunk, batch.first, batch.size FROM ("
            f"SELECT {_REASON}, sum(size) AS rows, count(*) AS requests, min(batch) AS earliest"
            f" FROM ({_REFUSED}) AS refused GROUP BY {_REASON} ORDER BY rows DESC, earliest LIMIT ?"
            ") AS reasons JOIN batch ON batch.id = reasons.earliest ORDER BY reasons.rows DESC, reasons.earliest",
            most,
        )
        return Refusals(tuple(Refusal(*row) for row in found), *sums)

    def remarks(self, most: int) -> Remarks:
        [sums] = self._rows(f"SELECT coalesce(sum(size), 0), {_REQUESTS} FROM ({_REMARKED}) AS remarked")
        found = self._rows(
            f"SELECT message, sum(size) AS rows, {_REQUESTS} FROM ({_REMARKED}) AS remarked"
            " GROUP BY message ORDER BY rows DESC, message LIMIT ?",
            most,
        )
        return Remarks(tuple(Remark(*row) for row in found), *sums)

    # --- what happened ------------------------------------------------------------------------------------------

    def story(self, chunk: int, slot: int) -> tuple[BatchStory, ...]:
        found = self._rows(
            "SELECT id, size, parent FROM batch WHERE chunk = ? AND first <= ? AND first + size > ? ORDER BY id",
            *(chunk, slot, slot),
        )
        return tuple(
            BatchStory(batch, size, parent, self._attempts(batch), self._decisions(batch))
            for batch, size, parent in found
        )

    def _attempts(self, batch: int) -> tuple[AttemptStory, ...]:
        found = self._rows(
            "SELECT a.id, a.at, a.epoch, a.body_sha256, o.status, o.verdict, o.http_status, o.dispatch_id,"
            " o.code, o.message, o.reach, o.likely, o.elapsed_s, o.at"
            " FROM attempt a LEFT JOIN outcome o ON o.attempt = a.id WHERE a.batch = ? ORDER BY a.id",
            batch,
        )
        return tuple(
            AttemptStory(number, at, epoch, digest.hex(), *answer) for number, at, epoch, digest, *answer in found
        )

    def _decisions(self, batch: int) -> tuple[DecisionStory, ...]:
        sql = 'SELECT attempt, status, at, "user", why FROM decision WHERE batch = ? ORDER BY id'
        return tuple(DecisionStory(*row) for row in self._rows(sql, batch))

    def dispatched(self, most: int) -> dict[str, tuple[AttemptRef, ...]]:
        latest = self._rows(
            "SELECT dispatch_id, outcome.batch, attempt, length(body_sha256) = 0 AND status = 'accepted'"
            " FROM outcome JOIN attempt ON attempt.id = outcome.attempt"
            " WHERE dispatch_id <> '' ORDER BY attempt DESC LIMIT ?",
            most,
        )
        return accepted_first(
            (name, AttemptRef(batch, attempt), part) for name, batch, attempt, part in reversed(latest)
        )

    def has_attempts_since(self, at: str) -> bool:
        return bool(self._rows("SELECT 1 FROM attempt WHERE at >= ? LIMIT 1", at))

    def attempts_of_batches(self) -> tuple[AttemptsOfBatches, ...]:
        found = self._rows(
            f"SELECT made, count(*) FROM (SELECT count(*) AS made FROM attempt WHERE id NOT IN ({INHERITED})"
            " GROUP BY batch) AS counted"
            " GROUP BY made ORDER BY made"
        )
        return tuple(AttemptsOfBatches(*row) for row in found)

    def batches_split(self) -> int:
        sql = (
            "SELECT count(DISTINCT parent) FROM batch WHERE parent IS NOT NULL"
            f" AND id NOT IN (SELECT batch FROM attempt WHERE id IN ({INHERITED}))"
        )
        return int(self._value(sql))

    def epochs(self) -> tuple[EpochStory, ...]:
        found = self._rows(
            'SELECT epoch.id, command, epoch.at, "user", host, state, reason, elapsed_s'
            " FROM epoch LEFT JOIN ending ON ending.epoch = epoch.id ORDER BY epoch.id"
        )
        return tuple(EpochStory(*row) for row in found)

    def workers(self) -> tuple[Worker, ...]:
        return ()

    def decided(self) -> tuple[DecidedRows, ...]:
        found = self._rows(
            'SELECT status, "user", why, at, sum(size) FROM decision JOIN batch ON batch.id = decision.batch'
            ' GROUP BY status, "user", why, at ORDER BY at, min(decision.id)'
        )
        return tuple(DecidedRows(*row) for row in found)

    def last_ending(self) -> Ending | None:
        found = self._rows(
            "SELECT epoch, at, state, reason, elapsed_s FROM ending"
            " WHERE epoch >= coalesce((SELECT max(id) FROM epoch WHERE command <> 'join'), 0) AND state <> 'left'"
            " ORDER BY epoch DESC LIMIT 1"
        )
        return next((Ending(*row) for row in found), None)

    # --- the requests over time ---------------------------------------------------------------------------------

    def sendings(self) -> tuple[Sending, ...]:
        return tuple(sendings.sendings(self._rows, self._strands()))

    def _strands(self) -> Iterable[tuple[int, int, int]]:
        """Return the epoch, first and last attempt of each stretch of ids whose requests left in their order."""
        return sendings.strands(self._rows)

    def traffic(self, sending: Sending, since: datetime | None, until: datetime | None) -> Traffic:
        return sendings.traffic(self._rows, sending, since, until)

    def gaps(self, sending: Sending, shortest_s: float) -> tuple[Gap, ...]:
        return tuple(sendings.gaps(self._rows, sending, shortest_s))
