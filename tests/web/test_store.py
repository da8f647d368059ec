"""The page's own file: drafts with versions, the audit log and its chain, privacy, and migrations."""

from __future__ import annotations

import sqlite3
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from bulk_sender.errors import BulkSenderError
from bulk_sender.web import drafts
from bulk_sender.web.drafts import ConflictError, Draft, IllegalStepError, Step
from bulk_sender.web.store import Entry, Store

NEW = Draft("", "a.csv", 10, "ann")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state")


def upload(draft: Draft) -> Draft:
    return drafts.uploaded(draft, "f" * 64, "ann")


def test_a_draft_comes_back_as_it_was(store: Store) -> None:
    made = store.create(NEW, Entry("ann", "chose a file"))
    assert len(made.id) == 16
    assert Store(store.folder).draft(made.id) == made
    changed = store.change(made.id, upload, Entry("ben", "uploaded"), version=1)
    assert (changed.version, changed.step, changed.touched_by) == (2, Step.UPLOADED, "ben")
    assert store.draft(made.id) == changed
    assert store.draft("nobody") is None


def test_drafts_are_listed_the_last_touched_first(store: Store) -> None:
    first, second = (store.create(replace(NEW, name=name), Entry("ann", "chose")) for name in ("1.csv", "2.csv"))
    assert [each.name for each in store.drafts()] == ["2.csv", "1.csv"]
    store.touch(first.id)
    assert [each.name for each in store.drafts()] == ["1.csv", "2.csv"]
    assert store.drafts()[0].version == 1
    assert store.delete(second.id, Entry("ann", "deleted"))
    assert not store.delete(second.id, Entry("ann", "deleted"))
    assert [each.name for each in store.drafts()] == ["1.csv"]


def test_who_saw_an_earlier_version_changes_nothing(store: Store) -> None:
    made = store.create(NEW, Entry("ann", "chose"))
    store.change(made.id, upload, Entry("ben", "uploaded"), version=1)
    with pytest.raises(ConflictError, match="ben changed this send meanwhile"):
        store.change(made.id, lambda draft: drafts.mapped(draft, {}, "ann"), Entry("ann", "mapped"), version=1)
    with pytest.raises(ConflictError, match="deleted meanwhile"):
        store.change("nobody", upload, Entry("ann", "uploaded"))
    assert store.draft(made.id).step is Step.UPLOADED  # type: ignore[union-attr]


def test_a_refused_step_is_not_in_the_log(store: Store) -> None:
    made = store.create(NEW, Entry("ann", "chose"))
    with pytest.raises(IllegalStepError):
        store.change(made.id, drafts.asked, Entry("ann", "asked"))
    assert [entry.did for entry in store.audit()] == ["chose"]


def test_of_many_changes_of_one_version_one_succeeds(store: Store) -> None:
    made = store.change(store.create(NEW, Entry("ann", "chose")).id, upload, Entry("ann", "uploaded"))
    done: list[str] = []

    def change(name: str) -> None:
        try:
            store.change(
                made.id, lambda draft: drafts.mapped(draft, {"x": name}, name), Entry(name, "mapped"), version=2
            )
        except ConflictError:
            return
        done.append(name)

    threads = [threading.Thread(target=change, args=[f"p{number}"]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 1
    assert store.draft(made.id).config == {"x": done[0]}  # type: ignore[union-attr]
    assert store.verify() == 3


def test_the_log_says_who_did_what_in_order(store: Store) -> None:
    made = store.create(NEW, Entry("ann", "chose", address="127.0.0.1"))
    store.change(made.id, upload, Entry("ann", "uploaded"))
    store.record(Entry("ben", "looked", "run-1", told="why"))
    found = store.audit()
    assert [(entry.who, entry.did, entry.object) for entry in found] == [
        ("ann", "chose", made.id),
        ("ann", "uploaded", made.id),
        ("ben", "looked", "run-1"),
    ]
    assert found[0].at <= found[1].at <= found[2].at
    assert store.verify() == 3
    assert Store(store.folder / "other").verify() == 0


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET who = 'eve' WHERE id = 2",
        "UPDATE audit SET at = at + 1 WHERE id = 2",
        "DELETE FROM audit WHERE id = 2",
        "DELETE FROM audit WHERE id = 1",
    ],
)
def test_a_changed_log_is_detected_and_sqlite_refuses_to_change_it(store: Store, change: str) -> None:
    for number in range(3):
        store.record(Entry("ann", f"act {number}"))
    with sqlite3.connect(store.path) as file:
        with pytest.raises(sqlite3.IntegrityError, match="only grows"):
            file.execute(change)
        for trigger in ("audit_is_not_changed", "audit_is_not_removed"):
            file.execute(f"DROP TRIGGER {trigger}")
        file.execute(change)
    file.close()
    with pytest.raises(BulkSenderError, match="the audit log was changed"):
        store.verify()


def test_the_file_is_private(store: Store) -> None:
    store.record(Entry("ann", "act"))
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    for path in store.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_file_of_a_later_version_is_refused(store: Store) -> None:
    store.record(Entry("ann", "act"))
    with sqlite3.connect(store.path) as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(BulkSenderError, match="written by a later version"):
        store.drafts()


def test_a_file_that_is_not_a_database_is_an_error_with_its_path(store: Store) -> None:
    store.folder.mkdir()
    store.path.write_bytes(b"not a database" * 100)
    with pytest.raises(BulkSenderError, match=r"web\.sqlite cannot be used"):
        store.drafts()


def test_a_link_in_place_of_the_file_is_not_followed(store: Store, tmp_path: Path) -> None:
    store.folder.mkdir()
    store.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises((OSError, BulkSenderError)):
        store.drafts()
    assert not (tmp_path / "elsewhere").exists()
