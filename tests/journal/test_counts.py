"""The counts of a run that is being sent: those of one moment, so that they add up."""

from __future__ import annotations

from pathlib import Path

from bulk_sender.journal.answers import Counts
from bulk_sender.journal.records import Batch
from tests.kit import journals


def test_rows_that_are_planned_while_they_are_counted_do_not_spoil_the_sum(tmp_path: Path) -> None:
    writer = journals.created(tmp_path / "r")
    statements = 0

    def plan_before_the_second(_statement: str) -> None:
        nonlocal statements
        statements += 1
        if statements == 2:
            writer.write([journals.rows_chunk(50), Batch(writer.new_batch_id(), 1, 0, 50)])

    with writer, journals.read(tmp_path / "r") as reader:
        reader._connection.set_trace_callback(plan_before_the_second)  # type: ignore[attr-defined]
        assert reader.counts() == Counts()
        reader._connection.set_trace_callback(None)  # type: ignore[attr-defined]
        plan_before_the_second("")
        assert statements == 2
        assert reader.counts() == Counts(rows=50, not_sent=50)
