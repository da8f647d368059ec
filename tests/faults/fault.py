"""Faults, and the turn (one request on one connection) that a fault is played on."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from .ledger import Ledger
from .wire import PeerGone, Wire

Stage = Literal["accept", "write", "await", "read", "answer"]
Expect = Literal["accepted", "refused", "unknown", "unsent", "stop", "throttled"]


@dataclass(frozen=True)
class Head:
    """A request's first lines; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]

    @classmethod
    def parse(cls, raw: bytes) -> Head:
        first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        try:
            method, target, _version = first.split(" ", 2)
        except ValueError:
            raise PeerGone("not HTTP") from None
        pairs = (line.partition(":") for line in lines)
        return cls(method, target, {name.lower(): value.strip() for name, _, value in pairs})

    @property
    def length(self) -> int:
        """Return the bytes of the body. Only ``Content-Length`` is supported, because the sender uses nothing else."""
        if "transfer-encoding" in self.headers:
            raise PeerGone("a chunked request: this server reads Content-Length only")
        return int(self.headers.get("content-length", "0"))


class Turn:
    """One request: the script looks at it to choose a fault, the fault is played on it.

    ``index`` counts requests over the server, ``nth`` within the connection, ``connection`` the
    connections, each from 1. ``head`` and ``body`` are read off the wire when first asked for, and not
    before: a fault that must strike before the request is read has to be chosen by number.
    """

    def __init__(self, wire: Wire, ledger: Ledger, *, index: int, connection: int, nth: int) -> None:
        self.wire = wire
        self.index = index
        self.connection = connection
        self.nth = nth
        self.dispatch_id: str | None = None
        self.fault = "script"
        self.keep_alive = False
        self._ledger = ledger
        self._head: Head | None = None
        self._body = b""
        self._complete = False
        self._answered = 0
        self._begun = False

    @property
    def begun(self) -> bool:
        """Whether a byte of this request was read, or the turn was already counted as a request."""
        return self._begun

    def note(self, **known: Any) -> None:
        """Write what is known into the ledger; the first note makes the turn a request."""
        self._begun = True
        self._ledger.saw(self.index, self.connection, self.nth, **known)

    def read_head(self, *, greedy: bool = True) -> Head:
        """Read the request's head. If not ``greedy``, the body's bytes stay unread in the kernel."""
        if self._head is None:
            first = self.wire.receive(1)
            self.note(fault=self.fault)
            raw = first + self.wire.receive_until(b"\r\n\r\n", limit=65536, greedy=greedy)
            self._head = Head.parse(raw)
            self.note(method=self._head.method, target=self._head.target)
        return self._head

    @property
    def head(self) -> Head:
        """The request's head, read when first asked for."""
        return self.read_head()

    def read_body(self, upto: int) -> bytes:
        """Read the body up to a total of ``upto`` bytes, and return what was read so far."""
        length = self.read_head(greedy=False).length
        while len(self._body) < min(upto, length):
            self._body += self.wire.receive(min(upto, length) - len(self._body))
            self.note(received=len(self._body))
        return self._body

    @property
    def body(self) -> bytes:
        """The whole body, read to its last byte when first asked for."""
        if self._complete:
            return self._body
        length = self.head.length
        parts = [self._body]
        size = len(self._body)
        while size < length:
            parts.append(self.wire.receive(length - size))
            size += len(parts[-1])
        self._body = b"".join(parts)
        self._complete = True
        self._ledger.read_whole(self.index, self.connection, self.nth, self._body)
        return self._body

    @property
    def json(self) -> Any:
        """The body as JSON, or None when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def accept(self, dispatch_id: str | None = "") -> str | None:
        """Read and accept the whole request, which then counts as sent. "" creates a new id."""
        body = self.body
        self.dispatch_id = uuid.uuid4().hex if dispatch_id == "" else dispatch_id
        self._ledger.accept(self.index, body, self.dispatch_id, self.fault)
        return self.dispatch_id

    def read_whole(self) -> None:
        """Read the whole request without accepting it."""
        _ = self.body

    def send(self, data: bytes) -> None:
        """Send bytes of an answer unchanged, and count them in the ledger."""
        self.wire.send(data)
        self._answered += len(data)
        self.note(answered=self._answered)

    def answer(self, raw: bytes, *, slice_size: int = 0, delay: float = 0.0) -> None:
        """Send a complete answer; the connection stays open unless one side asked to close it.

        With a ``slice_size`` in bytes, it is sent in slices, ``delay`` seconds apart.
        """
        head = raw.partition(b"\r\n\r\n")[0].lower()
        closing = b"connection: close" in head or self.head.headers.get("connection", "").lower() == "close"
        for start in range(0, len(raw), slice_size or len(raw)):
            self.send(raw[start : start + (slice_size or len(raw))])
            if delay:
                self.wire.hang(delay)
        self.keep_alive = not closing


Play = Callable[..., None]


@dataclass(frozen=True)
class Fault:
    """One thing a server can do to a request.

    ``id`` is its row in the fault catalogue, ``stage`` the point of the exchange where it strikes,
    ``accepts`` whether the server truly takes the batch. ``expect`` is what a careful client has to make of
    it; ``also`` holds other verdicts that stand as well, where the kernel's timing or the rules leave room.
    """

    name: str
    id: str
    stage: Stage
    accepts: bool
    expect: Expect
    play: Play = field(repr=False, compare=False)
    also: frozenset[Expect] = frozenset()

    def using(self, **parameters: Any) -> Fault:
        """The same fault with other parameters: ``FAULTS["hang_after_read"].using(seconds=2)``."""
        told = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
        return replace(self, name=f"{self.name}({told})", play=partial(self.play, **parameters))

    def allows(self, verdict: str) -> bool:
        """Whether a client may come to this verdict."""
        return verdict == self.expect or verdict in self.also


FAULTS: dict[str, Fault] = {}


def register(fault: Fault) -> Fault:
    """Add a fault to the catalogue; each name once."""
    if fault.name in FAULTS:
        raise ValueError(f"two faults named {fault.name}")
    FAULTS[fault.name] = fault
    return fault


def fault(
    id: str,
    *,
    stage: Stage,
    expect: Expect,
    accepts: bool = False,
    also: Iterable[Expect] = (),
) -> Callable[[Play], Fault]:
    """Register the decorated function as a fault under its own name."""

    def add(play: Play) -> Fault:
        return register(Fault(play.__name__, id, stage, accepts, expect, play, frozenset(also)))

    return add
