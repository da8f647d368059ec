"""A faster transport: one connection, HTTP/1.1, parsed by httptools (extra ``fast``).

It notes the same steps as the plain transport, and raises errors of the same names, so the same rules judge its
evidence, and it passes the same fault tests. It is cheaper because it writes head and body at once, parses in C, and
has no objects between a request and its bytes. It is stricter because a byte that no request asked for closes the
connection at once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

import httptools
from httpcore import ConnectError, ConnectTimeout, ReadError, ReadTimeout, RemoteProtocolError, WriteTimeout

from bulk_sender.http.bounds import MAX_ANSWER_BYTES
from bulk_sender.http.exchange import Headers, Target, Trace
from bulk_sender.http.unasked import is_unasked, watch

MAX_HEAD_BYTES = 100 * 1024
"""The most bytes of a head, as in h11; 1xx answers count too."""
_TIMED_OUT = 408
"""What some servers send before they close an idle connection; see ``is_unasked``."""
_LOOK_AGAIN_S = 0.005
"""How often to check whether the kernel has taken the rest of a large body."""


class _Connection(asyncio.Protocol):
    """One socket, and the answer that is being read from it.

    Requests are written to ``transport``. ``_raw`` is the socket's own transport below TLS; what its buffer holds is
    unsent, too.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._raw: asyncio.Transport | None = None
        self.transport: asyncio.Transport | None = None
        self.readable: Callable[[], bool] = lambda: False
        """Whether the kernel has bytes, or an end, to read."""
        self.usable = True
        self._is_lost = False
        """The transport has closed. In Python 3.11, aborting one that closed after it had written its rest raises."""
        self.unasked = False
        """Bytes came that no request had asked for."""
        self._parser: httptools.HttpResponseParser | None = None
        self._over: asyncio.Future[None] | None = None
        """Done when the answer is complete, or never will be; then ``error`` says why."""
        self._reset()

    def _reset(self) -> None:
        self.error: Exception | None = None
        self.status = 0
        self.version = "1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.written = False
        """The kernel has taken every byte of the request."""
        self.early = False
        """The answer began before that."""
        self.head_seen = self.complete = self._keep = self._length_known = False
        self._is_doubled = False
        """More than an empty line came behind the answer: another one, or anything else."""
        self._received = 0

    # --- asyncio's side -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = self._raw = cast(asyncio.Transport, transport)  # uvloop's has the methods, not the base class
        self.readable = watch(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            self.unasked = self.unasked or is_unasked(data)  # no request is open, so this cannot be an answer
            self.close()
            return
        if not self.written:
            self._look()
            self.early = not self.written
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except Exception as error:  # HttpParserError, HttpParserUpgrade, and whatever its callbacks raise
            if self.complete:
                self._is_doubled = True
            else:
                self._fail(RemoteProtocolError(type(error).__name__))
        if self._is_doubled:
            self.unasked = self.unasked or self._parser.get_status_code() != _TIMED_OUT
            self.close()
        if not self.head_seen and self._received > MAX_HEAD_BYTES:
            self._fail(RemoteProtocolError("the answer's head is too large"))
        elif self._received > MAX_HEAD_BYTES + MAX_ANSWER_BYTES:
            self._fail(ReadError("the answer is too large"))

    def eof_received(self) -> bool:
        self._ended()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if exc is None:
            self._ended()
        else:
            self._fail(ReadError(type(exc).__name__))

    # --- the parser's side --------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.complete:
            self._is_doubled = True
        else:
            self.status, self.headers = 0, []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.complete or self._parser is None:
            return
        self.status = self._parser.get_status_code()
        self.version = self._parser.get_http_version()
        self.head_seen = self.status >= 200
        self._length_known = any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self.headers)

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self.body += body
            if len(self.body) > MAX_ANSWER_BYTES:
                self._fail(ReadError("the answer is too large"))

    def on_message_complete(self) -> None:
        if self.complete or self.error is not None or self._parser is None or not self.head_seen:
            return
        self._keep = self._parser.should_keep_alive() and self._length_known
        self._finish()

    # --- the transport's side -----------------------------------------------------------------------------------

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Start TLS, keeping the socket's own transport. Raise OSError."""
        assert self._raw is not None
        try:
            self.transport = await self._loop.start_tls(self._raw, self, context, server_hostname=host)
        except BaseException:
            self._raw.abort()
            raise
        if self.transport is None:  # only by its type; asyncio returns one or raises
            raise ConnectionResetError

    async def exchange(self, request: bytes, seconds: float) -> None:
        """Write a request and wait up to ``seconds`` for the whole answer. Raise httpcore's errors.

        The caller must call ``end`` afterwards, also after an error. An answer that is complete before the whole
        request was written (an early 413) ends the writing.
        """
        assert self.transport is not None
        self._reset()
        self._parser = httptools.HttpResponseParser(self)
        self._over = self._loop.create_future()
        deadline = self._loop.call_later(seconds, self._too_late)
        try:
            self.transport.write(request)
            self._look()
            while not self.written and not self._over.done():
                await asyncio.wait([self._over], timeout=_LOOK_AGAIN_S)
                self._look()
            await self._over
        finally:
            deadline.cancel()
        if self.error is not None:
            raise self.error

    def end(self) -> None:
        """Make the connection ready for the next request, or close it."""
        self._parser = None
        if not (self.complete and self._keep and self.written and not self.early):
            self.close()

    def close(self) -> None:
        self.usable = False
        if self.transport is not None and not self._is_lost:
            self.transport.abort()

    def _look(self) -> None:
        """Note that the request is written: nothing of it is left outside the kernel, and nothing was dropped."""
        assert self.transport is not None
        assert self._raw is not None
        left = self.transport.get_write_buffer_size() + self._raw.get_write_buffer_size()
        self.written = self.written or (left == 0 and not self.transport.is_closing() and self.error is None)

    def _too_late(self) -> None:
        self._look()
        self._fail(ReadTimeout("") if self.written else WriteTimeout(""))

    def _ended(self) -> None:
        """Handle a close by the peer: the end of an answer without a length, or a lost answer."""
        if self.complete:
            self.usable = False
        elif self.head_seen and not self._length_known and self.error is None:
            self._finish()
        else:
            self._fail(RemoteProtocolError("closed before the answer was complete"))

    def _finish(self) -> None:
        self.complete = True
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def _fail(self, error: Exception) -> None:
        self.error = self.error or error
        if self._over is not None and not self._over.done():
            self._over.set_result(None)
        self.close()


class WireTransport:
    """A transport with its own connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._was_mixed_up = False
        """What ``is_mixed_up`` says of the connections before this one."""
        self._context = context
        self._connection: _Connection | None = None
        self._target: Target | None = None
        self._head = b""
        """The part of the head that all requests to this target have in common."""

    @property
    def is_mixed_up(self) -> bool:
        return self._was_mixed_up or (self._connection is not None and self._connection.unasked)

    async def exchange(self, target: Target, body: bytes, trace: Trace) -> bool:
        if self._target is not target:
            self._target = target
            self._head = b"%b %b HTTP/1.1\r\n%b" % (target.method.encode(), target.path, _lines(target.headers))
        connection = self._connection
        if connection is None or not connection.usable:
            connection = await self._connected(target, trace)
        trace.begins()
        try:
            left_s = target.timeout_s - (trace.began - trace.started)
            await connection.exchange(b"%b%b\r\n%b" % (self._head, _lines(target.about(body)), body), left_s)
        finally:
            connection.end()
            if connection.written and not connection.early:
                trace.written()
            if connection.head_seen:
                trace.answered(connection.status, connection.headers)
            trace.body = connection.body
        if connection.unasked:
            await self.aclose()
        return connection.version in ("1.1", "1.0")

    async def _connected(self, target: Target, trace: Trace) -> _Connection:
        """Return a new connection."""
        await self.aclose()
        tls = target.scheme == "https"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(target.connect_s):
                _, connection = await loop.create_connection(_Connection, target.host, target.port)
                if tls:
                    await connection.secure(self._context, target.host)
        except TimeoutError:
            raise ConnectTimeout from None
        except OSError as error:  # ssl.SSLError among them
            raise ConnectError from error
        trace.opened()
        if not connection.usable or (not tls and connection.readable()):
            # Closed at once, or it sent bytes first (over TLS these may be session tickets). Nothing was written.
            connection.close()
            raise ConnectError
        self._connection = connection
        return connection

    def surplus(self) -> bool:
        known = self._connection
        return known is not None and (known.unasked or (known.usable and known.readable()))

    async def look(self) -> None:
        if self._connection is not None and self._connection.usable:
            await asyncio.sleep(_LOOK_AGAIN_S)  # let the event loop read what is in the kernel
        await self.aclose()

    async def aclose(self) -> None:
        if self._connection is not None:
            self._was_mixed_up = self.is_mixed_up
            self._connection.close()
            self._connection = None


def _lines(headers: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])
