"""A journal that was proved is proved again only when its files have changed."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bulk_sender.errors import JournalError
from bulk_sender.journal.records import PlanComplete
from bulk_sender.journal.sqlite import store
from bulk_sender.journal.sqlite.database import JOURNAL
from bulk_sender.journal.sqlite.proved import Proved
from tests.kit.journals import Sent, opened, read, written

Proofs = Callable[[], int]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written(tmp_path / "run", [Sent(0, size=10)]).close()
    return tmp_path / "run"


@pytest.fixture
def proofs(monkeypatch: pytest.MonkeyPatch) -> Proofs:
    """Counts the proofs, of files that count as settled."""
    found: list[Path] = []
    prove = store.prove

    def counted(connection: sqlite3.Connection, folder: Path) -> tuple[bytes, int]:
        found.append(folder)
        return prove(connection, folder)

    monkeypatch.setattr(store, "prove", counted)
    monkeypatch.setattr(store, "_proved", Proved(JOURNAL, f"{JOURNAL}-wal", clock=lambda: time.time_ns() + 10**10))
    return lambda: len(found)


def flip(path: Path) -> None:
    """Change a byte of a row, with all times that a program can set as they were."""
    before = path.stat()
    content = path.read_bytes()
    place = content.index(b'"recipient') if b'"recipient' in content else content.index(b"campaign_id")
    with path.open("r+b") as file:
        file.seek(place + 1)
        file.write(b"X")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_journal_is_proved_once_while_nothing_changes(folder: Path, proofs: Proofs) -> None:
    for _ in range(3):
        with read(folder) as journal:
            assert journal.counts().accepted == 10
    assert proofs() == 1


def test_it_is_proved_again_after_another_process_has_written(folder: Path, proofs: Proofs) -> None:
    read(folder).close()
    with opened(folder) as journal:
        journal.begin_epoch("resume")
    proved = proofs()
    read(folder).close()
    read(folder).close()
    assert proofs() == proved + 1


def test_damage_is_found_although_the_journal_was_proved_before(folder: Path, proofs: Proofs) -> None:
    read(folder).close()
    flip(folder / JOURNAL)
    for _ in range(2):
        with pytest.raises(JournalError, match="damaged"):
            read(folder)
    assert proofs() == 3


def test_a_process_that_sends_proves_it_in_any_case(folder: Path, proofs: Proofs) -> None:
    read(folder).close()
    opened(folder).close()
    assert proofs() == 2


def test_a_journal_that_has_just_changed_is_proved_each_time(
    folder: Path, proofs: Proofs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The times of a file do not tell two changes within one tick of the system's clock apart."""
    monkeypatch.setattr(store, "_proved", Proved(JOURNAL, f"{JOURNAL}-wal"))
    with opened(folder) as journal:
        journal.write([PlanComplete()] if not journal.is_plan_complete() else [])
        journal.begin_epoch("resume")
    before = proofs()
    read(folder).close()
    read(folder).close()
    assert proofs() == before + 2
