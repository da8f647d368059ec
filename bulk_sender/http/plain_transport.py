"""The transport of every install: httpx's own connection, or its proxy's, without the pool and the objects above it.

That is httpcore: HTTP/1.1 only, one connection, no retries, nothing from the environment.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable
from contextlib import suppress
from typing import Any, cast

import anyio
import httpcore
from anyio.streams.tls import TLSStream

from bulk_sender.http.bounds import KEEPALIVE_S
from bulk_sender.http.exchange import DeadlineExceeded, Target, Trace
from bulk_sender.http.transport import is_unasked

_READ_S = 0.05
"""How long to wait for bytes that are known to be there: they may turn out to be no more than a TLS record."""


class PlainTransport:
    """A transport over httpcore."""

    def __init__(self, context: ssl.SSLContext, proxy: str | None) -> None:
        self.is_mixed_up = False
        self._context = context
        self._proxy = proxy
        self._opened: httpcore.AsyncConnectionInterface | httpcore.AsyncConnectionPool | None = None

    async def exchange(self, target: Target, body: bytes, trace: Trace) -> bool:
        with anyio.move_on_after(target.timeout_s):
            return await self._exchange(target, body, trace)
        raise DeadlineExceeded

    async def _exchange(self, target: Target, body: bytes, trace: Trace) -> bool:
        seconds = target.timeout_s
        request = httpcore.Request(
            target.method,
            httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path),
            headers=[*target.headers, *target.about(body)],
            content=body,
            extensions={
                "trace": _Report(trace),
                "timeout": {"connect": target.connect_s, "read": seconds, "write": seconds, "pool": seconds},
            },
        )
        opened = self._opened
        if opened is None or (isinstance(opened, httpcore.AsyncConnectionInterface) and not opened.is_available()):
            await self.aclose()
            opened = self._opened = self._open(request.url.origin)
        response = await opened.handle_async_request(request)
        try:
            if response.extensions.get("http_version") not in (b"HTTP/1.1", b"HTTP/1.0"):
                return False
            async for part in cast(AsyncIterable[bytes], response.stream):
                trace.body += part
                if len(trace.body) > target.most_bytes:
                    return False
            if target.keepalive and self.surplus():  # before the response is closed, and perhaps its connection
                await self.look()
        finally:
            await response.aclose()
        return True

    def _open(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface | httpcore.AsyncConnectionPool:
        if self._proxy is None:
            return httpcore.AsyncHTTPConnection(origin, ssl_context=self._context)
        return _through(self._proxy, self._context)

    def surplus(self) -> bool:
        """Whether there may be more to read, in the kernel or above it.

        httpcore has a look at the socket before it reuses a connection, but not at the bytes that h11, TLS (a second
        record in the same segment) or anyio have read and not used. These are private names:
        ``tests/http/test_transport.py`` fails when a release moves them, and a connection whose state cannot be seen
        counts as one with surplus.
        """
        try:
            return any(map(_holds_bytes, self._connections()))
        except AttributeError:
            return True

    async def look(self) -> None:
        with suppress(AttributeError):
            found = [await _has_unasked(connection) for connection in self._connections()]
            self.is_mixed_up = self.is_mixed_up or any(found)
        await self.aclose()

    async def aclose(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            with suppress(Exception):  # of a broken connection
                await opened.aclose()

    def _connections(self) -> list[Any]:
        """The open connections; behind a proxy each is wrapped in another."""
        opened: Any = self._opened
        if opened is None:
            return []
        if not isinstance(opened, httpcore.AsyncConnectionPool):
            return [] if opened._connection is None else [opened._connection]
        everyone: list[Any] = opened.connections
        wrapped = [connection for connection in everyone if connection._connection is not None]
        for connection in wrapped:
            # The pool closes an idle one that is readable, and nobody would see what it holds.
            connection.has_expired = _never
        inner = [connection._connection for connection in wrapped]
        return [getattr(connection, "_connection", connection) for connection in inner]


def _through(proxy: str, context: ssl.SSLContext) -> httpcore.AsyncHTTPProxy:
    """Return a pool of one connection through a proxy, whose address may have a user and a password."""
    import httpx

    known = httpx.Proxy(proxy)
    url = known.url
    return httpcore.AsyncHTTPProxy(
        proxy_url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        proxy_auth=known.raw_auth,
        ssl_context=context,
        proxy_ssl_context=context if url.scheme == "https" else None,
        max_connections=1,
        max_keepalive_connections=1,
        keepalive_expiry=KEEPALIVE_S,
    )


class _Report:
    """Notes in a trace what httpcore's trace extension reports. A proxy's CONNECT does not count."""

    __slots__ = ("_is_tunnel", "_trace")

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._is_tunnel = False

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        if event == "http11.send_request_headers.started":
            self._is_tunnel = info["request"].method == b"CONNECT"
            if self._is_tunnel:
                self._trace.opened()
            else:
                self._trace.begins()
        elif event == "connection.connect_tcp.complete":
            self._trace.opened()
        elif self._is_tunnel:
            return
        elif event == "http11.send_request_body.complete":
            self._trace.written()
        elif event == "http11.receive_response_headers.complete":
            _, status, _, headers = info["return_value"][:4]
            self._trace.answered(int(status), headers)


def _never() -> bool:
    return False


def _holds_bytes(connection: Any) -> bool:
    network: Any = connection._network_stream
    stream = network._stream
    held = len(connection._h11_state.trailing_data[0])
    if isinstance(stream, TLSStream):
        held += stream._ssl_object.pending() + stream._read_bio.pending
        stream = stream.transport_stream
    return held + len(stream._protocol.read_queue) > 0 or network.get_extra_info("is_readable")


async def _has_unasked(connection: Any) -> bool:
    """Read what is left. Under TLS that may be no more than a session ticket or the end of the connection."""
    held: bytes = connection._h11_state.trailing_data[0]
    with suppress(Exception):  # a broken connection has nothing more to say
        held += await connection._network_stream.read(1024, timeout=_READ_S)
    return is_unasked(held)
