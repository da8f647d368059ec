"""What is written to the journal is what its seal was made over."""

from __future__ import annotations

from pathlib import Path

from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.http.evidence import Reach
from bulk_sender.journal.records import Batch, Status
from bulk_sender.journal.sqlite.store import Journal


def test_a_journal_with_an_outcome_is_sound_when_it_is_opened_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    outcome = Outcome(Verdict.ACCEPTED, http_status=201, dispatch_id="d1", reach=Reach.ANSWERED)
    with Journal.create(folder, {}) as journal:
        journal.begin_epoch("send")
        journal.write([("chunk", (1, 1, 1, 1, 1, 0, 0, "{}", b"", b""))])
        journal.write([journal.batch_record(Batch(1, 1, 0, 1)), journal.attempt_record(1, 1, b"hash")])
        journal.write([journal.outcome_record(1, 1, Status.ACCEPTED, outcome, 0.25)])
    with Journal.hold(folder) as journal:
        assert journal.query("SELECT status, verdict FROM outcome") == [{"status": "accepted", "verdict": "accepted"}]
