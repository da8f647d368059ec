"""The page's own records in SQLite: sends that people prepare, and who did what. Runs are not here.

The audit log only grows, and each entry holds the digest of the one before, so that a changed or removed entry shows.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from bulk_sender.errors import BulkSenderError
from bulk_sender.web.drafts import ConflictError, Draft, Step

FILE = "web.sqlite"
ADDRESS: ContextVar[str] = ContextVar("address", default="")
"""Where the person of this request is. An entry without an address gets it."""
_BUSY_S = 30.0
_FIRST = "0" * 64
"""What the first entry of the audit log holds in place of an earlier digest."""
_MIGRATIONS = (
    """
    CREATE TABLE drafts (
        id TEXT PRIMARY KEY, version INTEGER NOT NULL, step TEXT NOT NULL, person TEXT NOT NULL,
        made_at REAL NOT NULL, touched_at REAL NOT NULL, facts TEXT NOT NULL
    ) STRICT;
    CREATE INDEX drafts_by_time ON drafts (touched_at);
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY, at REAL NOT NULL, who TEXT NOT NULL, address TEXT NOT NULL, did TEXT NOT NULL,
        object TEXT NOT NULL, digest TEXT NOT NULL, told TEXT NOT NULL, before TEXT NOT NULL, own TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
    CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
    """,
)
"""Each brings the file from version N to N + 1 (``user_version``)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One act of a person. ``object``: the draft or run; ``digest``: what it was about; ``told``: why, in words."""

    who: str
    did: str
    object: str = ""
    digest: str = ""
    told: str = ""
    address: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Proof:
    """That the audit log is whole: how many entries it has, and the digest of the last one."""

    entries: int
    digest: str


@dataclass(frozen=True, slots=True)
class Store:
    """The file in the page's private folder. Every call opens it, so any thread may call."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / FILE

    def create(self, draft: Draft, entry: Entry) -> Draft:
        """Add a draft. An empty ``id`` becomes a new one."""
        now = time.time()
        draft = replace(
            draft,
            id=draft.id or secrets.token_urlsafe(12),
            made_at=now,
            touched_at=now,
            touched_by=entry.who,
            since=now,
            hands=(entry.who,),
        )
        with self._changing() as open_file:
            open_file.execute("INSERT INTO drafts VALUES (?, ?, ?, ?, ?, ?, ?)", _as_row(draft))
            _append(open_file, replace(entry, object=draft.id))
        return draft

    def draft(self, id: str) -> Draft | None:
        """Return a draft; None if there is none."""
        with self._open() as open_file:
            found = open_file.execute("SELECT facts FROM drafts WHERE id = ?", (id,)).fetchone()
        return None if found is None else _of_row(found[0])

    def drafts(self) -> list[Draft]:
        """Return all drafts, the one that was touched last first."""
        with self._open() as open_file:
            found = open_file.execute("SELECT facts FROM drafts ORDER BY touched_at DESC, id").fetchall()
        return [_of_row(facts) for (facts,) in found]

    def change(self, id: str, step: Callable[[Draft], Draft], entry: Entry, *, version: int | None = None) -> Draft:
        """Apply a step to a draft and record who did it, in one transaction.

        ``version``: the one that the person saw. Raises ConflictError if it changed meanwhile, or is gone.
        """
        with self._changing() as open_file:
            found = open_file.execute("SELECT facts FROM drafts WHERE id = ?", (id,)).fetchone()
            if found is None:
                raise ConflictError("this send was deleted meanwhile", hint="choose the file again")
            before = _of_row(found[0])
            if version not in (None, before.version):
                raise ConflictError(
                    f"{before.touched_by or 'somebody'} changed this send meanwhile",
                    hint="look at it again",
                    version=before.version,
                )
            after = step(before)
            if after == before:
                return before
            after = replace(after, version=before.version + 1, touched_at=time.time(), touched_by=entry.who)
            open_file.execute(
                "UPDATE drafts SET version = ?2, step = ?3, person = ?4, made_at = ?5, touched_at = ?6, facts = ?7 "
                "WHERE id = ?1",
                _as_row(after),
            )
            _append(open_file, replace(entry, object=id, digest=entry.digest or after.digest))
        return after

    def touch(self, id: str) -> None:
        """Record that bytes of an upload arrived."""
        with self._changing() as open_file:
            found = open_file.execute("SELECT facts FROM drafts WHERE id = ?", (id,)).fetchone()
            if found is not None:
                draft = replace(_of_row(found[0]), touched_at=time.time())
                open_file.execute(
                    "UPDATE drafts SET touched_at = ?, facts = ? WHERE id = ?", (draft.touched_at, _facts(draft), id)
                )

    def delete(self, id: str, entry: Entry, *, unless: Step | None = None) -> bool:
        """Remove a draft; the log keeps that it was there. Whether there was one.

        ``unless``: the step in which it stays. Raises ConflictError if it is in that step.
        """
        with self._changing() as open_file:
            found = open_file.execute("SELECT step FROM drafts WHERE id = ?", (id,)).fetchone()
            if found is not None and found[0] == unless:
                raise ConflictError("this send has begun meanwhile", hint="open the page again")
            is_gone = open_file.execute("DELETE FROM drafts WHERE id = ?", (id,)).rowcount > 0
            if is_gone:
                _append(open_file, replace(entry, object=id))
        return is_gone

    def record(self, entry: Entry) -> None:
        """Add an entry to the audit log."""
        with self._changing() as open_file:
            _append(open_file, entry)

    def audit(self) -> list[Entry]:
        """Return the audit log, oldest first."""
        with self._open() as open_file:
            found = open_file.execute(
                "SELECT who, did, object, digest, told, address, at FROM audit ORDER BY id"
            ).fetchall()
        return [Entry(*row) for row in found]

    def count(self) -> int:
        """Return how many entries the audit log has, without a proof."""
        with self._open() as open_file:
            found: int = open_file.execute("SELECT count(*) FROM audit").fetchone()[0]
        return found

    def verify(self) -> int:
        """Return how many entries the audit log has. Raises BulkSenderError at the first that was changed."""
        return self.proof().entries

    def proof(self) -> Proof:
        """Return that the audit log is whole. Raises BulkSenderError at the first entry that was changed."""
        before, count = _FIRST, 0
        with self._open() as open_file:
            rows = open_file.execute(
                "SELECT id, at, who, address, did, object, digest, told, before, own FROM audit ORDER BY id"
            )
            for id, at, who, address, did, about, digest, told, linked, own in rows:
                count += 1
                entry = Entry(who, did, about, digest, told, address, at)
                if (id, linked, own) != (count, before, _digest(entry, before)):
                    raise BulkSenderError(
                        f"the audit log was changed: entry {count} does not follow from the one before",
                        hint="compare it with a backup of web.sqlite",
                    )
                before = own
        return Proof(count, before)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        try:
            open_file = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
            try:
                self._migrate(open_file)
                yield open_file
            finally:
                open_file.close()
        except sqlite3.Error as error:
            raise BulkSenderError(
                f"the page's own file {self.path} cannot be used: {error}", hint="the log of bulk-sender web says more"
            ) from None

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as open_file:
            open_file.execute("BEGIN IMMEDIATE")
            try:
                yield open_file
            except BaseException:
                if open_file.in_transaction:  # a full disk has ended it already
                    open_file.execute("ROLLBACK")
                raise
            open_file.execute("COMMIT")

    def _migrate(self, open_file: sqlite3.Connection) -> None:
        (version,) = open_file.execute("PRAGMA user_version").fetchone()
        if version > len(_MIGRATIONS):
            raise BulkSenderError(
                f"{self.path} was written by a later version of bulk-sender", hint="use that version, or a later one"
            )
        if version == len(_MIGRATIONS):
            return
        open_file.execute("PRAGMA journal_mode = wal")
        open_file.execute("BEGIN IMMEDIATE")
        (version,) = open_file.execute("PRAGMA user_version").fetchone()  # another thread may have been first
        try:
            for statements in _MIGRATIONS[version:]:
                for statement in _each(statements):
                    open_file.execute(statement)
            open_file.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
        except BaseException:
            open_file.execute("ROLLBACK")
            raise
        open_file.execute("COMMIT")


def _each(statements: str) -> Iterator[str]:
    """Yield statements one by one: ``executescript`` would end the transaction."""
    kept = ""
    for line in statements.splitlines(keepends=True):
        kept += line
        if sqlite3.complete_statement(kept):
            yield kept
            kept = ""


def _append(open_file: sqlite3.Connection, entry: Entry) -> None:
    last = open_file.execute("SELECT id, own FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    id, before = last if last is not None else (0, _FIRST)
    entry = replace(entry, at=time.time(), address=entry.address or ADDRESS.get())
    told = (entry.at, entry.who, entry.address, entry.did, entry.object, entry.digest, entry.told)
    open_file.execute(
        "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (id + 1, *told, before, _digest(entry, before)),
    )


def _digest(entry: Entry, before: str) -> str:
    told = json.dumps([before, asdict(entry)], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _as_row(draft: Draft) -> tuple[str | int | float, ...]:
    return draft.id, draft.version, draft.step.value, draft.person, draft.made_at, draft.touched_at, _facts(draft)


def _facts(draft: Draft) -> str:
    return json.dumps(asdict(draft), ensure_ascii=True)


def _of_row(facts: str) -> Draft:
    found: dict[str, Any] = json.loads(facts)
    known = {each.name for each in fields(Draft)}
    kept: dict[str, Any] = {
        name: tuple(value) if type(value) is list else value for name, value in found.items() if name in known
    }
    return Draft(**kept | {"step": Step(found["step"])})
