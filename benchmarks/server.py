"""A loopback stand-in for Braze's send endpoints that counts what it takes and can keep silent about it.

It accepts every POST with ``201`` and a ``dispatch_id`` of its own, in the shape Braze documents, and counts
requests and recipients. With ``--drop-every N`` it takes every Nth batch just the same, then closes the
connection instead of answering: the lost answer. With ``--keep-ids`` it remembers every external id it was
given, so that ``GET /count`` can say how many people were reached, and how many of them more than once.

One thread and one selector, because the subject under measure needs the rest of the machine: a request of
11 kB costs about 25 µs, 55 µs with ids kept. The port is printed as a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import selectors
import socket
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

_STARTED_NS = time.time_ns()
"""Part of every dispatch_id: a server that is started anew on its port must not repeat itself."""
HOST = "127.0.0.1"
READ_SIZE = 1 << 18
HEAD_END = b"\r\n\r\n"

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)
_EXTERNAL_ID = re.compile(rb'"external_(?:user_)?id"\s*:\s*"?([^",}\s]+)')


@dataclass(slots=True)
class Ledger:
    """What the server took, whether or not it said so."""

    keep_ids: bool
    requests: int = 0
    dropped: int = 0
    recipients: int = 0
    largest_batch: int = 0
    ids: Counter[bytes] = field(default_factory=Counter)

    def take(self, body: bytes) -> None:
        """Count one accepted batch."""
        self.requests += 1
        if self.keep_ids:
            ids = _EXTERNAL_ID.findall(body)
            self.ids.update(ids)
            size = len(ids)
        else:
            size = body.count(b'"external_user_id"')
        self.recipients += size
        self.largest_batch = max(self.largest_batch, size)

    def facts(self) -> dict[str, int]:
        """``distinct`` people were taken, ``doubled`` of them more than once; both 0 unless ids are kept."""
        return {
            "requests": self.requests,
            "dropped": self.dropped,
            "recipients": self.recipients,
            "largest_batch": self.largest_batch,
            "distinct": len(self.ids),
            "doubled": sum(1 for times in self.ids.values() if times > 1),
        }


@dataclass(frozen=True, slots=True)
class Request:
    """One whole HTTP request."""

    head: bytes
    body: bytes

    @property
    def wants_close(self) -> bool:
        return _CLOSE.search(self.head) is not None


class Connection:
    """One client's socket, watched by the selector while open, and the bytes of its unfinished request."""

    __slots__ = ("_continued", "_pending", "_selector", "_socket", "open")

    def __init__(self, accepted: socket.socket, selector: selectors.BaseSelector) -> None:
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(accepted, selectors.EVENT_READ, self)
        self._socket = accepted
        self._selector = selector
        self._pending = b""
        self._continued = False
        self.open = True

    def requests(self) -> Iterator[Request]:
        """Read once and yield every request that is whole by now; closes when the client is gone."""
        try:
            read = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        except ConnectionError:
            read = b""
        if not read:
            self.close()
            return
        self._pending = self._pending + read if self._pending else read
        while self.open and (end := self._pending.find(HEAD_END)) >= 0:
            head = self._pending[: end + 2]
            body, used = _body(head, self._pending, end + len(HEAD_END))
            if body is None:
                self._continue(head)
                return
            self._pending = self._pending[used:]
            self._continued = False
            yield Request(head, body)

    def send(self, answer: bytes, *, close: bool = False) -> None:
        """An answer is far smaller than a socket's buffer; a client that leaves no room for one is cut."""
        try:
            cut = self._socket.send(answer) != len(answer)
        except OSError:
            cut = True
        if cut or close:
            self.close()

    def close(self) -> None:
        if self.open:
            self.open = False
            self._selector.unregister(self._socket)
            self._socket.close()

    def _continue(self, head: bytes) -> None:
        """curl asks before it sends a large body."""
        if not self._continued and _EXPECT.search(head):
            self._continued = True
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")


def _body(head: bytes, data: bytes, start: int) -> tuple[bytes | None, int]:
    """The body that begins at ``start`` and the offset behind it; ``None`` while it is not whole."""
    if length := _LENGTH.search(head):
        end = start + int(length[1])
        return (data[start:end], end) if len(data) >= end else (None, 0)
    if not _CHUNKED.search(head):
        return b"", start
    parts: list[bytes] = []
    while (line_end := data.find(b"\r\n", start)) >= 0:
        size = int(data[start:line_end].split(b";")[0], 16)
        start = line_end + 2 + size + 2
        if len(data) < start:
            break
        if size == 0:
            return b"".join(parts), start
        parts.append(data[line_end + 2 : line_end + 2 + size])
    return None, 0


def _answer(status: bytes, payload: bytes, *, close: bool) -> bytes:
    # The limits are generous on purpose: a client that paces itself by these headers must not wait here.
    reset = int(time.time()) // 3600 * 3600 + 3600
    return (
        b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
        b"X-RateLimit-Limit: 1000000000\r\nX-RateLimit-Remaining: 999999999\r\nX-RateLimit-Reset: %d\r\n"
        b"Connection: %s\r\n\r\n%s" % (status, len(payload), reset, b"close" if close else b"keep-alive", payload)
    )


class Server:
    """Answers until the process is ended."""

    def __init__(
        self, listener: socket.socket, ledger: Ledger, *, drop_every: int, latency_s: float, arrivals: str | None = None
    ) -> None:
        self._arrivals = open(arrivals, "wb", buffering=1 << 12) if arrivals else None  # noqa: SIM115, PTH123
        self._listener = listener
        self._ledger = ledger
        self._drop_every = drop_every
        self._latency_s = latency_s
        self._late: deque[tuple[float, Connection, bytes, bool]] = deque()
        self._selector = selectors.DefaultSelector()

    def serve_forever(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ)
        while True:
            timeout = max(0.0, self._late[0][0] - time.monotonic()) if self._late else None
            for key, _ in self._selector.select(timeout):
                if key.data is None:
                    Connection(self._listener.accept()[0], self._selector)
                else:
                    for request in key.data.requests():
                        self._serve(key.data, request)
            while self._late and self._late[0][0] <= time.monotonic():
                _, connection, answer, close = self._late.popleft()
                if connection.open:
                    connection.send(answer, close=close)

    def _serve(self, connection: Connection, request: Request) -> None:
        if request.head.startswith(b"POST "):
            self._take(connection, request)
        elif request.head.startswith(b"GET /count "):
            if self._arrivals is not None:
                self._arrivals.flush()
            facts = json.dumps(self._ledger.facts()).encode()
            connection.send(_answer(b"200 OK", facts, close=True), close=True)
        else:
            connection.send(_answer(b"404 Not Found", b'{"message":"no such path"}', close=True), close=True)

    def _take(self, connection: Connection, request: Request) -> None:
        if self._arrivals is not None:
            self._arrivals.write(struct.pack("<d", time.monotonic()))
            if self._ledger.requests < 10:
                self._arrivals.flush()
        self._ledger.take(request.body)
        number = self._ledger.requests
        if self._drop_every and number % self._drop_every == 0:
            self._ledger.dropped += 1
            connection.close()
            return
        close = request.wants_close
        dispatch_id = b"%016x%016x" % (_STARTED_NS, number)
        answer = _answer(b"201 Created", b'{"dispatch_id":"%s","message":"success"}' % dispatch_id, close=close)
        if self._latency_s:
            self._late.append((time.monotonic() + self._latency_s, connection, answer, close))
        else:
            connection.send(answer, close=close)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--keep-ids", action="store_true", help="remember external ids: distinct and doubled")
    parser.add_argument("--drop-every", type=int, default=0, metavar="N", help="take every Nth batch without an answer")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="answer this much later")
    parser.add_argument("--arrivals", metavar="FILE", help="write when each request came: doubles, monotonic seconds")
    options = parser.parse_args()
    with socket.create_server((HOST, options.port), backlog=1024) as listener:
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
        try:
            Server(
                listener,
                Ledger(keep_ids=options.keep_ids),
                drop_every=options.drop_every,
                latency_s=options.latency_ms / 1000,
                arrivals=options.arrivals,
            ).serve_forever()
        except KeyboardInterrupt:
            sys.exit(130)


if __name__ == "__main__":
    main()
