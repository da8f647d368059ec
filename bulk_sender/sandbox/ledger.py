"""Ledger of the requests that the sandbox accepted, to check a sender's results against.

A ledger with a file appends one line per accepted request, in one write, before it sends the answer. So every
acceptance that a sender knows of is in the file, even if the process is killed right after. (The line is in the
system's page cache; it survives the process, but not a crash of the machine.) A ledger opened on an existing
file continues it.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_LINE_START = b'{"at":"'


def user_key(identifier: str, value: Any) -> str:
    """Return a key for a person: ``external_user_id:u1``, ``email:a@example.com``, ``user_alias:LABEL:NAME``.

    E-mail addresses are compared without case, all else with case. A colon in an alias label is escaped, so two aliases
    never share a key. The same person under two kinds of identifier has two keys, because only Braze could tell.
    """
    if identifier == "user_alias":
        label = value["alias_label"].replace("\\", "\\\\").replace(":", "\\:")
        return f"user_alias:{label}:{value['alias_name']}"
    return f"{identifier}:{value.lower() if identifier == 'email' else value}"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One accepted request.

    ``recipients``: the distinct keys (:func:`user_key`) in the order of the request. ``collapsed``: how many
    recipients repeated a person of the same request. ``refused``: how many recipients the answer's ``errors`` name;
    they are sent nothing. ``dropped``: how many updates of attributes Braze drops in silence, by reason. A broadcast
    has none of them.
    """

    at: float
    """The time in seconds since the epoch."""
    target: str
    """``campaign_id`` or ``canvas_id``."""
    target_id: str
    dispatch_id: str
    recipients: tuple[str, ...]
    collapsed: int
    body_sha256: str
    send_id: str | None = None
    broadcast: bool = False
    refused: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)

    def line(self) -> bytes:
        """Return the line for the ledger file: a JSON object and a newline."""
        record: dict[str, Any] = {
            "at": iso_time(self.at),
            self.target: self.target_id,
            "dispatch_id": self.dispatch_id,
            "send_id": self.send_id,
            "broadcast": self.broadcast,
            "recipients": self.recipients,
            "collapsed": self.collapsed,
            "refused": self.refused,
            "dropped": self.dropped,
            "body_sha256": self.body_sha256,
        }
        return json.dumps(record, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Acceptance:
        """Parse a line written by :meth:`line`. Raise :class:`ValueError` when it is not one."""
        try:
            record = json.loads(line)
            target = "canvas_id" if "canvas_id" in record else "campaign_id"
            return cls(
                at=datetime.fromisoformat(record["at"]).timestamp(),
                target=target,
                target_id=record[target],
                dispatch_id=record["dispatch_id"],
                recipients=tuple(record["recipients"]),
                collapsed=record["collapsed"],
                body_sha256=record["body_sha256"],
                send_id=record["send_id"],
                broadcast=record["broadcast"],
                refused=record.get("refused", 0),
                dropped=record.get("dropped", {}),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError("not a ledger line") from error


def iso_time(at: float) -> str:
    """Return a time in UTC as ISO 8601, with milliseconds and ``Z``."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_ledger(path: str | Path) -> Iterator[Acceptance]:
    """Yield the acceptances in a ledger file, without an incomplete last line, whose answer was never sent.

    Raise :class:`ValueError` if the file is not a ledger.
    """
    with Path(path).open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield Acceptance.from_line(line)


@dataclass(frozen=True, slots=True)
class Receipt:
    """How often a person was sent one campaign or Canvas, and the last time (seconds since the epoch)."""

    times: int
    last: float


class Ledger:
    """Counts and acceptances; safe to read from another thread while the sandbox serves.

    With ``keep_recipients=False``, only counts are kept in memory; the file, if any, is still complete, and
    :meth:`receipts` reads it from beginning to end.
    Acceptances include those already in the file; ``requests`` and ``outcomes`` do not, as the file lacks them.
    """

    def __init__(self, file: str | Path | None = None, *, keep_recipients: bool = True) -> None:
        self.keep_recipients = keep_recipients
        self.requests = 0
        """Requests to the two endpoints that send, whatever their outcome."""
        self.accepted_requests = 0
        self.accepted_recipients = 0
        """Messages: the sum of the distinct recipients of each accepted request."""
        self.collapsed = 0
        """Recipients that repeated a person of the same accepted request."""
        self.refused = 0
        """Recipients that an accepted request's answer named in ``errors``. They were sent nothing."""
        self._dropped: Counter[str] = Counter()
        self.broadcasts = 0
        self._outcomes: Counter[str] = Counter()
        self._dispatches: dict[str, int] = {}
        self._receipts: dict[str, dict[str, Receipt]] = {}
        self._lock = threading.Lock()
        self._file = None if file is None else Path(file)
        self._descriptor = None if self._file is None else self._open(self._file)

    def accept(self, acceptance: Acceptance) -> None:
        """Record an acceptance, in the file first. Raise :class:`OSError` when that fails: then nothing is accepted."""
        with self._lock:
            if self._descriptor is not None:
                _append(self._descriptor, acceptance.line())
            self._count(acceptance)

    def arrive(self) -> None:
        """Count a request to an endpoint that sends."""
        with self._lock:
            self.requests += 1

    def end(self, outcome: str) -> None:
        """Count the outcome of a request: its status, or what the weather did to its answer."""
        with self._lock:
            self._outcomes[outcome] += 1

    def close(self) -> None:
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    @property
    def recipients(self) -> dict[str, int]:
        """How many messages each person was sent, over all campaigns, by :func:`user_key`."""
        with self._lock:
            totals: Counter[str] = Counter()
            for receipts in self._receipts.values():
                totals.update({key: receipt.times for key, receipt in receipts.items()})
            return dict(totals)

    @property
    def dispatches(self) -> dict[str, int]:
        """Dispatch id → number of recipients of that request, in the order of acceptance."""
        with self._lock:
            return dict(self._dispatches)

    @property
    def dropped(self) -> dict[str, int]:
        """Number of updates of attributes that were dropped or shortened in silence, by reason."""
        with self._lock:
            return dict(self._dropped)

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of requests by outcome: ``"201"``, ``"429"``, ``"accepted, reset without an answer"``, …"""
        with self._lock:
            return dict(self._outcomes)

    def twice(self) -> dict[str, int]:
        """Return who was sent the same campaign or Canvas more than once, and how often."""
        with self._lock:
            repeated: dict[str, int] = {}
            for receipts in self._receipts.values():
                for key, receipt in receipts.items():
                    if receipt.times > 1:
                        repeated[key] = max(receipt.times, repeated.get(key, 0))
            return repeated

    def received(self, key: str) -> list[tuple[str, Receipt]]:
        """Return what the person of ``key`` was sent: ``("campaign_id:ID", receipt)``."""
        return self.receipts([key])[key]

    def receipts(self, keys: Collection[str]) -> dict[str, list[tuple[str, Receipt]]]:
        """Return what each person of ``keys`` was sent."""
        if self._file is not None and not self.keep_recipients:
            found = self._receipts_in(self._file, frozenset(keys))
        else:
            with self._lock:
                found = {
                    target: {key: receipts[key] for key in keys if key in receipts}
                    for target, receipts in self._receipts.items()
                }
        return {key: [(target, got[key]) for target, got in found.items() if key in got] for key in keys}

    @staticmethod
    def _receipts_in(file: Path, keys: frozenset[str]) -> dict[str, dict[str, Receipt]]:
        found: dict[str, dict[str, Receipt]] = {}
        for acceptance in read_ledger(file):
            if keys.isdisjoint(acceptance.recipients):
                continue
            _note(found, acceptance, keys.intersection(acceptance.recipients))
        return found

    def complaints(self) -> list[str]:
        """Return what did not have its full effect although Braze accepted it. A sender should leave it empty.

        Who was sent the same message twice is known only with the recipients in memory.
        """
        dropped = self.dropped
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in sorted(dropped.items()))
        counted = (
            (self.collapsed, "recipient", "collapsed: the same person twice in one request"),
            (self.refused, "recipient", "refused by index: not sent"),
            (sum(dropped.values()), "attribute update", f"dropped: {reasons}"),
            (len(self.twice()), "person", "sent the same campaign or Canvas more than once"),
        )
        return [f"{_several(count, noun)} {what}" for count, noun, what in counted if count]

    def summary(self) -> list[str]:
        """Return the account in two lines: what was accepted, and what of it had no effect."""
        accepted = (
            f"{_several(self.requests, 'request')}, {self.accepted_requests:,} accepted with "
            f"{_several(self.accepted_recipients, 'recipient')}"
        )
        twice = f", {_several(len(self.twice()), 'person')} sent the same twice" if self.keep_recipients else ""
        lost = (
            f"{_several(self.collapsed, 'recipient')} collapsed, {self.refused:,} refused by index, "
            f"{_several(sum(self.dropped.values()), 'attribute update')} dropped{twice}"
        )
        return [accepted, lost]

    def facts(self) -> dict[str, Any]:
        """Return the ledger as one JSON object, for ``GET /_sandbox/ledger``."""
        known = self.keep_recipients
        return {
            "requests": self.requests,
            "accepted_requests": self.accepted_requests,
            "accepted_recipients": self.accepted_recipients,
            "distinct_recipients": len(self.recipients) if known else None,
            "accepted_more_than_once": self.twice() if known else None,
            "collapsed": self.collapsed,
            "refused_by_index": self.refused,
            "dropped_attribute_updates": self.dropped,
            "broadcasts": self.broadcasts,
            "outcomes": self.outcomes,
            "complaints": self.complaints(),
        }

    def _count(self, acceptance: Acceptance) -> None:
        self.accepted_requests += 1
        self.accepted_recipients += len(acceptance.recipients)
        self.collapsed += acceptance.collapsed
        self.refused += acceptance.refused
        self._dropped.update(acceptance.dropped)
        self.broadcasts += acceptance.broadcast
        if not self.keep_recipients:
            return
        self._dispatches[acceptance.dispatch_id] = len(acceptance.recipients)
        _note(self._receipts, acceptance, acceptance.recipients)

    def _open(self, path: Path) -> int:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            whole = 0
            with path.open("rb") as lines:
                for line in lines:
                    if line.endswith(b"\n"):
                        self._count(Acceptance.from_line(line))
                        whole += len(line)
                    elif not line.startswith(_LINE_START) and not _LINE_START.startswith(line):
                        raise ValueError("not a ledger")
            os.ftruncate(descriptor, whole)  # drop a line cut off by a crash; its answer was never sent
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, ValueError):
                raise ValueError(f"{path} is not a ledger file; it was not changed") from error
            raise
        return descriptor


def _note(receipts: dict[str, dict[str, Receipt]], acceptance: Acceptance, keys: Collection[str]) -> None:
    """Add an acceptance for ``keys`` to the receipts by target and key."""
    of_target = receipts.setdefault(f"{acceptance.target}:{acceptance.target_id}", {})
    first = Receipt(1, acceptance.at)
    for key in keys:
        before = of_target.get(key)
        of_target[key] = first if before is None else Receipt(before.times + 1, acceptance.at)


def _several(count: int, noun: str) -> str:
    plural = "people" if noun == "person" else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def _append(descriptor: int, line: bytes) -> None:
    """Append all of ``line``, or none of it after an error such as a full disk."""
    before = os.fstat(descriptor).st_size
    try:
        written = 0
        while written < len(line):
            written += os.write(descriptor, line[written:])
    except OSError:
        os.ftruncate(descriptor, before)
        raise
