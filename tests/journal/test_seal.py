"""What is written to the journal is what its seal was made over, in this release as in earlier ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.http.evidence import Reach
from bulk_sender.journal.records import Attempt, AttemptOutcome, Batch, Chunk, Status
from bulk_sender.journal.sql.rows import TABLES
from bulk_sender.journal.sql.seal import Value, seal
from tests.kit.journals import created, opened

AT = "2026-02-28T10:15:00.000Z"
SEALS: dict[str, tuple[tuple[Value, ...], str]] = {
    "run": (("run_id", '"r"'), "b9deb76182201c94"),
    "epoch": ((1, "send", AT, 7, "host", "user"), "4e60393243091b4c"),
    "ending": ((1, AT, "stopped", "é\ud800", 1.5), "99eec3b81bed044b"),
    "chunk": ((1, 1, 2, 2, 2, 0, 0, "{}", b"rows", b""), "465b4cb91fb035f9"),
    "batch": ((1, 1, 0, 2, None, 0), "e00508d13a7d3c72"),
    "attempt": ((1, 1, 1, b"\0" * 32, AT), "e1b8ec53065c72ee"),
    "outcome": ((1, 1, 1, "accepted", "accepted", 201, "d'1", "", "", 5, "", 0.1234, AT), "d832527e81715035"),
    "decision": ((1, 1, 1, "failed", AT, "user", "why"), "95284d9eddd092bc"),
}
"""As version 1 of the journal made them."""


@pytest.mark.parametrize("table", TABLES)
def test_seals_stay_as_they_were_so_that_old_journals_open(table: str) -> None:
    values, expected = SEALS[table]
    assert seal(table, values, bytes(range(16))).hex() == expected


def test_a_journal_with_an_outcome_is_sound_when_it_is_opened_again(tmp_path: Path) -> None:
    outcome = Outcome(Verdict.ACCEPTED, http_status=201, dispatch_id="d1", reach=Reach.ANSWERED)
    with created(tmp_path / "run") as journal:
        journal.begin_epoch("send")
        journal.write([Chunk(1, 1, 1, 1, 1, 0, 0, "{}", b"", b"")])
        journal.write([Batch(1, 1, 0, 1), Attempt(1, 1, b"hash")])
        journal.write([AttemptOutcome(1, 1, Status.ACCEPTED, outcome, 0.25)])
    with opened(tmp_path / "run") as journal:
        [batch] = journal.batches(1)
        assert (batch.status, batch.verdict) == ("accepted", "accepted")
