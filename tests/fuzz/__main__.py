"""Fuzz test: damage sample files, check and send each, and stop at the first unexpected result.

    python -m tests.fuzz --files 10000 --seed 1

For every file, only ``BulkSenderError`` is raised, within 10 seconds of CPU time, and no panic of a library is shown.
The valid rows can be sent to the sandbox; the six counts add up to the rows and match those of ``check``. The seed and
the number determine a case: ``--first N --files 1`` repeats it.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulk_sender import BulkSenderError
from bulk_sender.operations.check import check
from bulk_sender.operations.send import send
from bulk_sender.planning.report import CheckReport
from tests.fuzz.damage import damaged
from tests.fuzz.samples import SAMPLES

LIMIT_S = 10.0
_CONFIGS: list[dict[str, object]] = [
    {},
    {"recipient": {"external_user_id": "external_user_id", "attributes": {"all": "attributes.tags:list"}}},
    {"input": {"filter": "external_user_id > '00010'", "nulls": "send"}},
    {"input": {"encoding": "cp1252", "delimiter": ","}},
    {"input": {"header": False}, "recipient": {"external_user_id": "column_1"}},
    {
        "recipient": {
            "external_user_id": "external_user_id",
            "trigger_properties": {"name": {"column": "trigger_properties.name", "type": "json"}},
        }
    },
    {"recipient": {"external_user_id": {"column": "trigger_properties.name", "type": "string"}}},
]


def one(seed: int, number: int, folder: Path) -> str:
    """Run one case and return how it ended. Raise AssertionError or any unexpected exception."""
    rng = random.Random(f"{seed}:{number}")
    ending = rng.choice(list(SAMPLES))
    data = damaged(SAMPLES[ending](rng), rng)
    if rng.random() < 0.1:
        ending = rng.choice([*SAMPLES, "txt", "tsv", "csv.gz", "zip", "json", "ndjson.zst"])
    path = folder / f"{number}.{ending}"
    path.write_bytes(data)
    config = rng.choice(_CONFIGS)
    began = time.process_time()
    try:
        report = check(path, config=config)
    except BulkSenderError as error:
        ended = type(error).__name__
        assert str(error), "an error without a message"
    else:
        ended = "reported"
        assert report.valid + report.rejected + report.duplicate == report.rows, report
        assert sum(report.identifiers.values()) == report.valid, report
        _send(path, config, report)
    took = time.process_time() - began
    assert took < LIMIT_S, f"took {took:.1f} s of CPU time"
    path.unlink()
    return ended


def _send(path: Path, config: dict[str, object], report: CheckReport) -> None:
    """Send the file, and assert that the results match those that ``check`` predicted."""
    runs_dir = path.parent / "runs"
    summary = send(path, config=config, sandbox=True, rate="100000/second", runs_dir=runs_dir, environment={})
    counts = (summary.accepted, summary.rejected, summary.duplicate, summary.failed, summary.unknown, summary.not_sent)
    assert sum(counts) == summary.rows, summary
    assert summary.state == "finished", summary
    assert counts == (report.valid, report.rejected, report.duplicate, 0, 0, 0), (summary, report)
    shutil.rmtree(runs_dir)


@contextmanager
def no_panic_shown() -> Iterator[None]:
    """Assert that nothing written to file descriptor 2, where Rust writes, is a panic."""
    usual = os.dup(2)
    with tempfile.TemporaryFile() as shown:
        os.dup2(shown.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(usual, 2)
            os.close(usual)
        shown.seek(0)
        text = shown.read()
    assert b"panicked" not in text, text.decode(errors="replace")[:500]


def run(files: int, seed: int, first: int = 0) -> Counter[str]:
    """Run ``files`` cases from number ``first`` on, and return how many ended how."""
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + files):
            try:
                with no_panic_shown():
                    ends[one(seed, number, Path(folder))] += 1
            except BaseException:
                print(f"case {number} of seed {seed}: python -m tests.fuzz --seed {seed} --first {number} --files 1")
                raise
    return ends


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr)
    print(dict(run(options.files, options.seed, options.first)))


if __name__ == "__main__":
    main()
