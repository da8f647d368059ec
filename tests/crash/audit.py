"""What a run says against what the server truly took."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import polars as pl

from bulk_sender.journal.sqlite.database import JOURNAL
from bulk_sender.reporting import rows as frames
from bulk_sender.reporting.files import write_results
from tests.faults import Ledger
from tests.kit.journals import opened, read
from tests.kit.scene import Scene
from tests.kit.tables import table

STATUSES = ("accepted", "rejected", "duplicate", "failed", "unknown", "not_sent")


@dataclass(frozen=True)
class Audit:
    """The counts that have to be 0, and how many rows are in doubt.

    ``lost``: rows of the input without a status; ``twice``: recipients taken more than once; ``ghosts``: rows said to
    be accepted that were not taken; ``orphans``: rows said not to be accepted that were; ``unannounced``: requests
    received that the journal has no intent for.
    """

    rows: int
    lost: int
    twice: int
    ghosts: int
    orphans: int
    unannounced: int
    doubt: int

    @property
    def wrong(self) -> dict[str, int]:
        """What must not be, and is."""
        names = [item.name for item in fields(self) if item.name not in ("rows", "doubt")]
        return {name: count for name in names if (count := getattr(self, name))}


def audit(scene: Scene, ledger: Ledger, *, before: int = 0) -> Audit:
    """Compare the journal, as it is now, with the ledger. ``before``: bodies the ledger had before this run."""
    bodies = ledger.bodies[before:]  # first: what is read while the journal is, is announced by then
    taken = ledger.accepted_ids()
    with read(scene.folder) as journal:
        counted = asdict(journal.counts())
        assert sum(counted[name] for name in STATUSES) == counted["rows"], counted
        results = pl.concat([pl.DataFrame(schema=frames.RESULTS), *frames.results(journal)])
        intents = {row["body_sha256"].hex() for row in table(scene.folder, "attempt")}
        complete = journal.is_plan_complete()
    said = Counter(results["status"].to_list())
    assert {name: said[name] for name in STATUSES} == {name: counted[name] for name in STATUSES}
    given = sum(len(path.read_text().splitlines()) - 1 for path in scene.inputs)
    by_status = {
        name: {row for (row,) in results.filter(status=name).select("identifier").iter_rows()} for name in STATUSES
    }
    mine = set(results["identifier"].drop_nulls())
    return Audit(
        rows=len(results),
        lost=given - len(results) if complete else 0,
        twice=sum(taken[name] > 1 for name in mine),
        ghosts=len(by_status["accepted"] - taken.keys()),
        orphans=sum(name in taken for status in ("failed", "not_sent") for name in by_status[status]),
        unannounced=sum(body not in intents for body in bodies),
        doubt=len(by_status["unknown"]),
    )


def results_digest(scene: Scene) -> str:
    """Of a results file made now, from the journal alone, in another place."""
    with tempfile.TemporaryDirectory() as place, read(scene.folder) as journal:
        path = Path(place) / "results.csv"
        write_results(journal, path, "csv")
        return hashlib.sha256(path.read_bytes()).hexdigest()


def file_digest(scene: Scene) -> str:
    """Of the results file that the run itself wrote."""
    return hashlib.sha256((scene.folder / "results.csv").read_bytes()).hexdigest()


def recovered_states(scene: Scene, times: int) -> list[str]:
    """What holds for each batch after ``times`` recoveries in a row, on a copy of the run's folder."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / scene.run_id
        shutil.copytree(scene.folder, folder)
        for _ in range(times):
            with opened(folder) as journal:
                journal.begin_epoch("recovery")
        with read(folder) as journal:
            return [str(batch) for chunk in journal.chunk_ids() for batch in journal.batches(chunk)]


def journal_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{JOURNAL}*"))


def is_sound(folder: Path) -> bool:
    """By SQLite's own measure."""
    connection = sqlite3.connect(f"file:{folder / JOURNAL}?mode=ro", uri=True)
    try:
        return connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        connection.close()
