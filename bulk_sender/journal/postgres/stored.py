"""Rows of chunks that lie in a store, under the names of their SHA-256.

A record in the database has the digest in place of the rows. It is sealed like every record, so the rows are proved by
it: whatever the store returns, only the bytes that were planned are used.
"""

from __future__ import annotations

import hashlib
from functools import cached_property

from bulk_sender.errors import JournalError, StoreError
from bulk_sender.objects import Objects, objects_at

_MARK = b"bulk-sender object 1\n"


def address(store: str, run: str, key: bytes) -> str:
    """Return where the rows of one run lie, and nothing else. ``key``: that of its seals, which is only this run's."""
    return f"{store.rstrip('/')}/{run}-{hashlib.sha256(key).hexdigest()[:16]}"


class StoredRows:
    """The rows of one run that lie below ``url``; empty for a run whose rows are in the database."""

    def __init__(self, url: str) -> None:
        self.url = url

    @cached_property
    def _objects(self) -> Objects:
        if not self.url:
            raise JournalError("the journal has rows in a store, and does not say in which")
        return objects_at(self.url)

    def put(self, rows: bytes) -> bytes:
        """Put rows into the store, if there is one. Return what the record has instead. Raise StoreError."""
        if not self.url:
            return rows
        digest = hashlib.sha256(rows)
        self._objects.put(digest.hexdigest(), rows)
        return _MARK + digest.digest()

    def get(self, recorded: bytes) -> bytes:
        """Return the rows of a record. Raise StoreError when the store has no such rows, or others."""
        if not recorded.startswith(_MARK):
            return recorded
        digest = recorded.removeprefix(_MARK)
        rows = self._objects.get(digest.hex())
        if hashlib.sha256(rows).digest() != digest:
            raise StoreError(
                f"the object {digest.hex()} in the store {self.url} is not what was put there",
                hint="restore it from a backup or an earlier version; nothing is sent from it",
            )
        return rows

    def remove(self) -> None:
        """Remove all objects of the run. Raise StoreError."""
        if self.url:
            self._objects.remove_all()
