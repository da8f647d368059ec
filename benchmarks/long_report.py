"""How long the report of a long run takes, and how much memory.

    python benchmarks/long_report.py                    # a million attempts, 50 million rows
    python benchmarks/long_report.py --attempts 100000

It writes a real journal of that many attempts over hours of sending, with pauses, unknown and refused requests, and
rejected rows in one chunk of ``--rejects-in``; then the report is made of it in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from bulk_sender import journal as journals
from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.config.model import Config
from bulk_sender.http.evidence import Reach
from bulk_sender.journal.chunks import chunk_record
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.records import Attempt, AttemptOutcome, Batch, Chunk, PlanComplete, Record
from bulk_sender.journal.store import RunRef
from bulk_sender.planning.plan import ROWS, Planned
from bulk_sender.reading.chunk import Position
from bulk_sender.reading.source import FileIdentity
from bulk_sender.text.times import iso

_START = datetime(2026, 2, 28, 10, tzinfo=UTC)
_IN_A_CHUNK = 500
_MEASURED = """
import json, resource, sys, time
from pathlib import Path
import bulk_sender as bs
from bulk_sender import journal as journals
from bulk_sender.journal.store import RunRef
from bulk_sender.reporting.report.page import write_report

folder = Path(sys.argv[1])
started = time.process_time(), time.perf_counter()
summary = bs.status(folder.name, runs_dir=folder.parent)
account_s = time.process_time() - started[0]
started = time.process_time(), time.perf_counter()
with journals.read(RunRef.at(folder)) as journal:
    write_report(journal, summary, folder / "report.html")
print(json.dumps({
    "account_cpu_s": round(account_s, 2),
    "report_cpu_s": round(time.process_time() - started[0], 2),
    "report_wall_s": round(time.perf_counter() - started[1], 2),
    "max_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    "kb": (folder / "report.html").stat().st_size // 1024,
}))
"""


def write_journal(folder: Path, attempts: int, rejects_in: int) -> None:
    """A run of ``attempts`` requests with 50 recipients each, at Braze's default rate."""
    folder.mkdir(mode=0o700)
    config = Config.parse({"braze": {"campaign_id": "long"}}, where="the benchmark")
    facts = Facts(
        settings=config.frozen_settings(),
        config=config.model_dump_json(exclude_unset=True),
        input=(FileIdentity("people.parquet", 1, "00"),),
        paths=(),
        sandbox="",
        format="csv",
        created_at=iso(_START),
        tool="bulk-sender",
    )
    rng = random.Random(7)
    now_s = 0.0
    chunks = {bad: _chunk(rng, bad) for bad in (False, True)}
    with journals.create(RunRef.at(folder), facts) as journal:
        journal.begin_epoch("send")
        for number in range(1, attempts // _IN_A_CHUNK + 1):
            records: list[Record] = [replace(chunks[number % rejects_in == 0], id=number)]
            for slot in range(_IN_A_CHUNK):
                now_s += rng.uniform(0.5, 1.5) / 69.4 + (rng.uniform(5, 60) if rng.random() < 1e-5 else 0.0)
                records += _request(rng, (number - 1) * _IN_A_CHUNK + slot + 1, number, slot, now_s)
            journal.write(records)
        journal.write([PlanComplete()])
        journal.end_epoch("finished", "", now_s)


def _chunk(rng: random.Random, bad: bool) -> Chunk:
    valid = 50 * _IN_A_CHUNK
    rejected = 250 if bad else 0
    rows = valid + rejected
    wrong = [bad and row % 101 == 50 for row in range(rows)]
    frame = pl.DataFrame(
        {
            "row": range(1, rows + 1),
            "source": ["people.parquet"] * rows,
            "source_row": range(1, rows + 1),
            "identifier_type": ["external_user_id"] * rows,
            "identifier": [f"{rng.getrandbits(128):032x}" for _ in range(rows)],
            "verdict": ["rejected" if it else "valid" for it in wrong],
            "error_code": ["invalid_value" if it else None for it in wrong],
            "error": [f"column 'age': 'x{row % 37}' is not a number" if it else None for row, it in enumerate(wrong)],
            "recipient": [None if it else "{}" for it in wrong],
        },
        schema=ROWS,
    )
    return chunk_record(1, Planned(frame, pl.DataFrame({"\x00row": []}), [], Position()))


def _request(rng: random.Random, number: int, chunk: int, slot: int, now_s: float) -> Iterator[Record]:
    elapsed_s, draw = round(rng.lognormvariate(-2, 0.5), 4), rng.random()
    status, judged = "accepted", Outcome(Verdict.ACCEPTED, "", "", 201, f"{number:032x}", reach=Reach.ANSWERED)
    if draw < 0.0005:
        lost = "no answer came (ReadError)"
        status, judged = "unknown", Outcome(Verdict.UNKNOWN, "no_answer", lost, reach=Reach.BODY_SENT)
    elif draw < 0.002:
        refused = f"refused for reason {number % 7}"
        status, judged = "failed", Outcome(Verdict.REFUSED, "http_400", refused, 400, reach=Reach.ANSWERED)
    yield Batch(number, chunk, slot * 50, 50)
    yield Attempt(number, number, b"\0" * 32, _at(now_s))
    yield AttemptOutcome(number, number, status, judged, elapsed_s, _at(now_s + elapsed_s))


def _at(seconds: float) -> str:
    return iso(_START + timedelta(seconds=seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, default=1_000_000)
    parser.add_argument("--rejects-in", type=int, default=100, help="one chunk of this many has rejected rows")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "long"
        write_journal(folder, chosen.attempts, chosen.rejects_in)
        told = subprocess.run([sys.executable, "-c", _MEASURED, str(folder)], check=True, stdout=subprocess.PIPE)
        print(json.dumps({"attempts": chosen.attempts, "rejects_in": chosen.rejects_in} | json.loads(told.stdout)))


if __name__ == "__main__":
    main()
