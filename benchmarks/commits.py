"""What a request costs a journal, by the size of its commits: ``python benchmarks/commits.py`` prints a table.

CPU time for the intent and the outcome of a request, in a journal in a file and in one in PostgreSQL, with every commit
synced. The least of ``--rounds`` counts for each: other programs can only add to it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from subjects import HERE
from workers import database_cpu_s

sys.path.insert(0, str(HERE.parent))
from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.journal.place import VARIABLE
from bulk_sender.journal.records import Attempt, AttemptOutcome, Batch, PlanComplete
from bulk_sender.journal.store import RunWriter
from tests.kit.journals import created, rows_chunk
from tests.kit.postgres import Server, running

SIZES = (1, 8, 32, 128)
_BATCH = 50


def journal_with(folder: Path, requests: int) -> tuple[RunWriter, list[Batch]]:
    """Return a new run's journal with its plan."""
    journal = created(folder)
    journal.write([rows_chunk(requests * _BATCH)])
    batches = [Batch(journal.new_batch_id(), 1, number * _BATCH, _BATCH) for number in range(requests)]
    journal.write([*batches, PlanComplete()])
    journal.begin_epoch("send")
    return journal, batches


def cost_us(folder: Path, requests: int, size: int, database: Server | None = None) -> tuple[float, float]:
    """Return the microseconds for each request, of this process and of the database: ``size`` requests a commit.

    A commit has as many intents as outcomes: those of the requests before.
    """
    journal, batches = journal_with(folder, requests)
    before_s = 0.0 if database is None else database_cpu_s(database)
    began_s = time.process_time()
    ended: list[AttemptOutcome] = []
    for first in range(0, requests, size):
        intents = [Attempt(journal.new_attempt_id(), each.id, os.urandom(32)) for each in batches[first : first + size]]
        journal.write([*ended, *intents])
        ended = [
            AttemptOutcome(
                each.id, each.batch, "accepted", Outcome(Verdict.ACCEPTED, "", "", 201, os.urandom(12).hex())
            )
            for each in intents
        ]
    journal.write(ended)
    ours_s = time.process_time() - began_s
    theirs_s = 0.0 if database is None else database_cpu_s(database) - before_s
    journal.end_epoch("finished", "", 1.0)
    journal.close()
    return ours_s * 1e6 / requests, theirs_s * 1e6 / requests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print("| requests a commit | SQLite | PostgreSQL, client | PostgreSQL, server |")
    print("| ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder, running(shared_buffers="128MB") as database:
        place = Path(folder)
        found: dict[int, list[tuple[float, float, float]]] = {size: [] for size in SIZES}
        for number in range(arguments.rounds):
            for size in SIZES:
                os.environ.pop(VARIABLE, None)
                (place / "files").mkdir(exist_ok=True)
                in_file, _ = cost_us(place / "files" / f"{number}-{size}", arguments.requests, size)
                (place / "database").mkdir(exist_ok=True)
                made = database.place()
                os.environ |= {VARIABLE: made.address, f"{VARIABLE}_SCHEMA": made.schema}
                client, server = cost_us(place / "database" / f"{number}-{size}", arguments.requests, size, database)
                found[size].append((in_file, client, server))
        for size, costs in found.items():
            print("| " + " | ".join([str(size), *(f"{min(each):.0f}" for each in zip(*costs, strict=True))]) + " |")


if __name__ == "__main__":
    main()
