"""A faster transport behind httpx's interface: one connection, HTTP/1.1, parsed by httptools (extra ``fast``).

It reports the same trace events as httpx's own transport, so the same rules judge its evidence, and it passes the same
fault tests. It is cheaper because it writes head and body at once, parses in C, and has no pool and no locks. It is
stricter because a byte that no request asked for closes the connection at once.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import httptools
import httpx

from bulk_sender.http.bounds import MAX_ANSWER_BYTES
from bulk_sender.http.transport import is_unasked

Trace = Callable[[str, dict[str, Any]], Awaitable[None]]

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
        self._poll = select.poll()
        self.usable = True
        self.unasked = False
        """Bytes came that no request had asked for."""
        self._parser: httptools.HttpResponseParser | None = None
        self._over: asyncio.Future[None] | None = None
        """Done when the answer is complete, or never will be; then ``error`` says why."""
        self._reset()

    def _reset(self) -> None:
        self.error: Exception | None = None
        self.status = 0
        self.version = b"HTTP/1.1"
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
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

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
                self._fail(httpx.RemoteProtocolError(type(error).__name__))
        if self._is_doubled:
            self.unasked = self.unasked or self._parser.get_status_code() != _TIMED_OUT
            self.close()
        if not self.head_seen and self._received > MAX_HEAD_BYTES:
            self._fail(httpx.RemoteProtocolError("the answer's head is too large"))
        elif self._received > MAX_HEAD_BYTES + MAX_ANSWER_BYTES:
            self._fail(httpx.ReadError("the answer is too large"))

    def eof_received(self) -> bool:
        self._ended()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            self._ended()
        else:
            self._fail(httpx.ReadError(type(exc).__name__))

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
        self.version = b"HTTP/" + self._parser.get_http_version().encode()
        self.head_seen = self.status >= 200
        self._length_known = any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self.headers)

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self.body += body
            if len(self.body) > MAX_ANSWER_BYTES:
                self._fail(httpx.ReadError("the answer is too large"))

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

    def fresh(self) -> bool:
        """Whether this connection may carry a request: open, and silent since its last answer."""
        return self.usable and not self.readable()

    def readable(self) -> bool:
        """Whether the kernel has bytes, or an end, to read. Not ``select``, which fails from descriptor 1024 on."""
        return bool(self._poll.poll(0))

    async def exchange(self, request: bytes, seconds: float) -> None:
        """Write a request and wait up to ``seconds`` for the whole answer. Raise httpx's errors.

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
        if self.transport is not None:
            self.transport.abort()

    def _look(self) -> None:
        """Note that the request is written: nothing of it is left outside the kernel, and nothing was dropped."""
        assert self.transport is not None
        assert self._raw is not None
        left = self.transport.get_write_buffer_size() + self._raw.get_write_buffer_size()
        self.written = self.written or (left == 0 and not self.transport.is_closing() and self.error is None)

    def _too_late(self) -> None:
        self._look()
        self._fail(httpx.ReadTimeout("") if self.written else httpx.WriteTimeout(""))

    def _ended(self) -> None:
        """Handle a close by the peer: the end of an answer without a length, or a lost answer."""
        if self.complete:
            self.usable = False
        elif self.head_seen and not self._length_known and self.error is None:
            self._finish()
        else:
            self._fail(httpx.RemoteProtocolError("closed before the answer was complete"))

    def _finish(self) -> None:
        self.complete = True
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def _fail(self, error: Exception) -> None:
        self.error = self.error or error
        if self._over is not None and not self._over.done():
            self._over.set_result(None)
        self.close()


class WireTransport(httpx.AsyncBaseTransport):
    """An ``httpx.AsyncBaseTransport`` with one connection, for one worker. Raises httpx's own exceptions."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._connection: _Connection | None = None
        self._unasked = False
        """A connection that is closed by now had bytes that no request had asked for."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        trace: Trace = request.extensions["trace"]
        timeouts: dict[str, float] = request.extensions["timeout"]
        connection = await self._connected(request.url, timeouts["connect"], trace)
        await trace("http11.send_request_headers.started", {})
        try:
            await connection.exchange(_head(request) + request.read(), timeouts["read"])
        finally:
            connection.end()
            if connection.written and not connection.early:
                await trace("http11.send_request_body.complete", {})
            if connection.head_seen:
                told = (connection.version, connection.status, b"", connection.headers)
                await trace("http11.receive_response_headers.complete", {"return_value": told})
        return httpx.Response(
            connection.status,
            headers=connection.headers,
            stream=_Body(bytes(connection.body)),
            extensions={"http_version": connection.version},
        )

    async def _connected(self, url: httpx.URL, connect_s: float, trace: Trace) -> _Connection:
        """Return the open connection, or a new one that has not been used."""
        known = self._connection
        if known is not None and known.fresh():
            return known
        await self.unasked()
        tls = url.scheme == "https"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(connect_s):
                _, connection = await loop.create_connection(_Connection, url.host, url.port or (443 if tls else 80))
                if tls:
                    await connection.secure(self._context, url.host)
        except TimeoutError:
            raise httpx.ConnectTimeout("") from None
        except OSError as error:  # ssl.SSLError among them
            raise httpx.ConnectError("") from error
        await trace("connection.connect_tcp.complete", {})
        if not connection.usable or (not tls and connection.readable()):
            # Closed at once, or it sent bytes first (over TLS these may be session tickets). Nothing was written.
            connection.close()
            raise httpx.ConnectError("")
        self._connection = connection
        return connection

    def surplus(self) -> bool:
        known = self._connection
        return self._unasked or (known is not None and (known.unasked or (known.usable and known.readable())))

    async def unasked(self) -> bool:
        if self._connection is not None and self._connection.usable:
            await asyncio.sleep(_LOOK_AGAIN_S)  # let the event loop read what is in the kernel
        await self.aclose()
        return self._unasked

    async def aclose(self) -> None:
        if self._connection is not None:
            self._unasked = self._unasked or self._connection.unasked
            self._connection.close()
            self._connection = None


class _Body(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


def _head(request: httpx.Request) -> bytes:
    lines = [b"POST " + request.url.raw_path + b" HTTP/1.1"]
    lines.extend(name + b": " + value for name, value in request.headers.raw)
    return b"\r\n".join([*lines, b"", b""])
