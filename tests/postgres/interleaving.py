"""A fence against commits at random moments: ``python -m tests.postgres.interleaving --rounds 10000 --seed 1``.

One connection commits intents of a process as fast as it can, another one fences that process. Behind the fence there
must be no intent: each one of the process has the outcome that the fence gave it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from bulk_sender.journal.place import Place
from bulk_sender.journal.postgres.commits import Commits, TakenOverError, insert_epoch
from bulk_sender.journal.postgres.runs import PostgresRuns
from bulk_sender.journal.postgres.session import connect
from bulk_sender.journal.postgres.writer import PostgresWriter
from bulk_sender.journal.records import Attempt, Batch, Epoch
from bulk_sender.journal.sql.rows import row_of
from bulk_sender.journal.store import RunRef
from tests.journal.contract import chunk
from tests.kit.journals import run_facts
from tests.kit.postgres import running


def interleave(place: Place, folder: Path, rounds: int, seed: str) -> tuple[int, int]:
    """Return how many intents were written, and how many of them behind a fence."""
    rng = random.Random(seed)
    with (
        PostgresRuns(place).create(RunRef.at(folder), run_facts()) as writer,
        connect(place) as connection,
    ):
        writer.begin_epoch("send")
        writer.write([chunk(1, 50), Batch(1, 1, 0, 50)])
        [(number, key)] = connection.execute("SELECT id, seal_key FROM run").fetchall()
        ids = iter(range(1, 1 << 40))
        for epoch in range(2, rounds + 2):
            began = row_of(Epoch(epoch, "join", "2026-01-01T00:00:00.000Z", 1, "host", "user"), epoch)
            with connection.transaction():
                insert_epoch(connection, number, key, began, f"claim {epoch}", "node", [])
            commits = Commits(number, epoch, f"claim {epoch}", key, number=0, records=1)
            until = threading.Event()

            def commit(commits: Commits = commits, epoch: int = epoch, until: threading.Event = until) -> None:
                try:
                    while not until.is_set():
                        rows = [row_of(Attempt(next(ids), 1, b"\0" * 32), epoch) for _ in range(rng.randint(1, 3))]
                        commits.made(commits.make(connection, rows))
                except TakenOverError:
                    pass

            committing = threading.Thread(target=commit)
            committing.start()
            time.sleep(rng.uniform(0.0, 0.006))
            writer.fence(epoch)
            committing.join(0.02)  # a process that is not stopped by its fence goes on for a while
            until.set()
            committing.join()
        return _counted(writer)


def _counted(writer: PostgresWriter) -> tuple[int, int]:
    [found] = writer._rows(
        "SELECT count(*), count(*) - count(o.attempt) FROM attempt a LEFT JOIN outcome o ON o.attempt = a.id"
    )
    return found[0], found[1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.postgres.interleaving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--seed", default=str(int(time.time())))
    options = parser.parse_args()
    with running() as server, tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        intents, behind = interleave(server.place(), Path(folder) / "runs" / "winter", options.rounds, options.seed)
    print(f"seed {options.seed}: {options.rounds} fences, {intents} intents, {behind} behind a fence")
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if behind else 0


if __name__ == "__main__":
    sys.exit(main())
