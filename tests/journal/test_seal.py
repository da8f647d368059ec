"""What is written to the journal is what its seal was made over."""

from __future__ import annotations

from pathlib import Path

from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.http.evidence import Reach
from bulk_sender.journal.records import Attempt, AttemptOutcome, Batch, Chunk, Status
from tests.kit.journals import created, opened


def test_a_journal_with_an_outcome_is_sound_when_it_is_opened_again(tmp_path: Path) -> None:
    outcome = Outcome(Verdict.ACCEPTED, http_status=201, dispatch_id="d1", reach=Reach.ANSWERED)
    with created(tmp_path / "run") as journal:
        journal.begin_epoch("send")
        journal.write([Chunk(1, 1, 1, 1, 1, 0, 0, "{}", b"", b"")])
        journal.write([Batch(1, 1, 0, 1), Attempt(1, 1, b"hash")])
        journal.write([AttemptOutcome.of(1, 1, Status.ACCEPTED, outcome, 0.25)])
    with opened(tmp_path / "run") as journal:
        [batch] = journal.batches(1)
        assert (batch.status, batch.verdict) == ("accepted", "accepted")
