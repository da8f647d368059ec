"""Ledger of what a fault server received and accepted, independent of what clients know.

``requests`` has everything received, including incomplete requests. ``accepted`` has the batches that the server
accepted; each is one NDJSON line, written and flushed before any byte of the answer is sent, so that the file is
correct even after either side was killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One accepted request. ``time`` is in epoch seconds; ``request`` counts over the server, from 1."""

    time: float
    connection: int
    request: int
    target: str
    body_sha256: str
    recipients: int
    external_user_ids: tuple[str, ...]
    dispatch_id: str | None
    script: str
    fault: str

    def line(self) -> str:
        """The entry as one line of NDJSON."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Entry:
        """The entry of one line of NDJSON; ``ValueError`` for a torn or foreign line."""
        values = json.loads(line)
        if not isinstance(values, dict) or set(values) != {field.name for field in fields(cls)}:
            raise ValueError(f"not a ledger line: {line[:80]!r}")
        return cls(**{**values, "external_user_ids": tuple(values["external_user_ids"])})


@dataclass(frozen=True)
class Seen:
    """One request as the server saw it; ``received`` is how many bytes of its body were read."""

    index: int
    connection: int
    nth: int
    fault: str = ""
    method: str = ""
    target: str = ""
    received: int = 0
    complete: bool = False
    body_sha256: str | None = None
    external_user_ids: tuple[str, ...] = ()
    accepted: bool = False
    dispatch_id: str | None = None
    answered: int = 0


@dataclass(frozen=True)
class Connection:
    """One TCP connection. ``handshake`` is ``plain``, ``done``, or how the TLS handshake failed."""

    number: int
    time: float
    handshake: str = "plain"
    alpn: str | None = None
    closed: bool = False


class Ledger:
    """The record of one server, safe to read from any thread. Without a ``file`` it is in memory only."""

    def __init__(self, file: Path | None = None, *, script: str = "", fsync: bool = False) -> None:
        self._script = script
        self._fsync = fsync
        self._changed = threading.Condition()
        self._requests: dict[int, Seen] = {}
        self._connections: dict[int, Connection] = {}
        self._accepted: list[Entry] = []
        self._bodies: list[str] = []
        self._file = None if file is None else Path(file).open("a", encoding="utf-8")  # noqa: SIM115

    @property
    def requests(self) -> list[Seen]:
        """Every request seen, in the order of their index, half-read ones included."""
        with self._changed:
            return [self._requests[index] for index in sorted(self._requests)]

    @property
    def accepted(self) -> list[Entry]:
        """Return the requests that the server accepted, in order."""
        with self._changed:
            return list(self._accepted)

    @property
    def bodies(self) -> list[str]:
        """Return the SHA-256 of every completely read body, in order, whether accepted or not."""
        with self._changed:
            return list(self._bodies)

    @property
    def connections(self) -> list[Connection]:
        """Every TCP connection, failed handshakes included."""
        with self._changed:
            return [self._connections[number] for number in sorted(self._connections)]

    def accepted_ids(self) -> Counter[str]:
        """Return how often each ``external_user_id`` was accepted; more than once means a duplicate message."""
        return count_ids(self.accepted)

    def wait(self, holds: Callable[[Ledger], bool], timeout: float) -> bool:
        """Wait until ``holds(ledger)``, at most ``timeout`` seconds; False when it never did."""
        with self._changed:  # re-entrant, as the predicate reads this ledger
            return self._changed.wait_for(lambda: holds(self), timeout)

    # --- written by the server only ---

    def opened(self, number: int, **known: Any) -> None:
        """A connection came up, or more of it is known."""
        with self._telling():
            before = self._connections.get(number) or Connection(number, time.time())
            self._connections[number] = replace(before, **known)

    def saw(self, index: int, connection: int, nth: int, **known: Any) -> None:
        """A request began, or more of it is known."""
        with self._telling():
            before = self._requests.get(index) or Seen(index, connection, nth)
            self._requests[index] = replace(before, **known)

    def read_whole(self, index: int, connection: int, nth: int, body: bytes) -> None:
        """A request's body was read to its last byte."""
        digest = hashlib.sha256(body).hexdigest()
        with self._telling():
            self._bodies.append(digest)
            self.saw(
                index,
                connection,
                nth,
                received=len(body),
                complete=True,
                body_sha256=digest,
                external_user_ids=external_user_ids(body),
            )

    def accept(self, index: int, body: bytes, dispatch_id: str | None, fault: str) -> None:
        """Accept this request. On return the line is flushed (and synced, if configured)."""
        with self._telling():
            seen = self._requests[index]
            if not seen.complete or seen.accepted:
                raise AssertionError(f"a request is accepted once, and only when read whole: {seen}")
            entry = Entry(
                time=time.time(),
                connection=seen.connection,
                request=index,
                target=seen.target,
                body_sha256=hashlib.sha256(body).hexdigest(),
                recipients=len(_recipients(body)),
                external_user_ids=external_user_ids(body),
                dispatch_id=dispatch_id,
                script=self._script,
                fault=fault,
            )
            if self._file is not None:
                self._file.write(entry.line())
                self._file.flush()
                if self._fsync:
                    os.fsync(self._file.fileno())
            self._accepted.append(entry)
            self.saw(index, seen.connection, seen.nth, accepted=True, dispatch_id=dispatch_id)

    def close(self) -> None:
        """Close the file. What was recorded stays readable."""
        with self._changed:
            if self._file is not None:
                self._file.close()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        with self._changed:
            yield
            self._changed.notify_all()


def read_ledger(file: Path) -> list[Entry]:
    """The entries of a ledger's file, from any process. A last line torn by a kill is left out."""
    text = Path(file).read_text(encoding="utf-8")
    whole, _, _torn = text.rpartition("\n")
    return [Entry.from_line(line) for line in whole.splitlines()]


def count_ids(entries: list[Entry]) -> Counter[str]:
    """How often each ``external_user_id`` stands in the entries."""
    return Counter(name for entry in entries for name in entry.external_user_ids)


def external_user_ids(body: bytes) -> tuple[str, ...]:
    """The ``external_user_id`` of each recipient in a request's body, in order; empty for any other body."""
    names = (recipient.get("external_user_id") for recipient in _recipients(body))
    return tuple(name for name in names if isinstance(name, str))


def _recipients(body: bytes) -> list[dict[str, Any]]:
    try:
        recipients = json.loads(body)["recipients"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    if not isinstance(recipients, list):
        return []
    return [recipient for recipient in recipients if isinstance(recipient, dict)]
