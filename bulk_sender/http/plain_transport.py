"""The transport of every install: httpx's own."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, cast

import anyio
import httpx
from anyio.streams.tls import TLSStream

from bulk_sender.http.bounds import KEEPALIVE_S
from bulk_sender.http.exchange import DeadlineExceeded, Target, Trace
from bulk_sender.http.unasked import is_unasked, watch

_READ_S = 0.05
"""How long to wait for bytes that are known to be there: they may turn out to be no more than a TLS record."""


class PlainTransport:
    """httpx's own transport: HTTP/1.1 only, one connection, no retries, nothing from the environment."""

    def __init__(self, context: ssl.SSLContext, proxy: str | None) -> None:
        self.is_mixed_up = False
        self._context = context
        self._proxy = httpx.Proxy(proxy) if proxy else None
        self._opened: httpx.AsyncHTTPTransport | None = None
        self._looks: dict[Any, Callable[[], bool]] = {}
        """A look at the socket of each open connection: to find the socket takes longer."""

    async def exchange(self, target: Target, body: bytes, trace: Trace) -> bool:
        with anyio.move_on_after(target.timeout_s):
            return await self._exchange(target, body, trace)
        raise DeadlineExceeded

    async def _exchange(self, target: Target, body: bytes, trace: Trace) -> bool:
        if self._opened is None:
            self._opened = self._open()
        response = await self._opened.handle_async_request(_request(target, body, trace))
        try:
            if response.extensions.get("http_version") not in (b"HTTP/1.1", b"HTTP/1.0"):
                return False
            async for part in cast(httpx.AsyncByteStream, response.stream):
                trace.body += part
                if len(trace.body) > target.most_bytes:
                    return False
            # Before the response is closed: the pool would close a connection that is readable.
            has_surplus = target.keepalive and self.surplus()
            if has_surplus:
                await self._note_unasked()
        finally:
            await response.aclose()
        if has_surplus:
            await self.aclose()
        return True

    def _open(self) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(
            verify=self._context,
            trust_env=False,
            http1=True,
            http2=False,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_S),
            proxy=self._proxy,
            retries=0,
        )

    def surplus(self) -> bool:
        """Whether there may be more to read, in the kernel or above it.

        httpcore has a look at the socket before it reuses a connection, but not at the bytes that h11, TLS (a second
        record in the same segment) or anyio have read and not used. These are private names:
        ``tests/http/test_transport.py`` fails when a release moves them, and a connection whose state cannot be seen
        counts as one with surplus.
        """
        try:
            return any(map(self._holds_bytes, self._connections()))
        except AttributeError:
            return True

    async def look(self) -> None:
        await self._note_unasked()
        await self.aclose()

    async def _note_unasked(self) -> None:
        with suppress(AttributeError):
            found = [await _has_unasked(connection) for connection in self._connections()]
            self.is_mixed_up = self.is_mixed_up or any(found)

    async def aclose(self) -> None:
        opened, self._opened = self._opened, None
        self._looks.clear()
        if opened is not None:
            with suppress(Exception):
                await opened.aclose()

    def _connections(self) -> list[Any]:
        """The open connections; behind a proxy each is wrapped in another.

        The pool closes an idle one that is readable, and nobody would see what it holds. So only this class does that.
        """
        if self._opened is None:
            return []
        pool: Any = self._opened._pool
        wrapped = [connection for connection in pool.connections if connection._connection is not None]
        for connection in wrapped:
            connection.has_expired = _never
        inner = [connection._connection for connection in wrapped]
        return [getattr(connection, "_connection", connection) for connection in inner]

    def _holds_bytes(self, connection: Any) -> bool:
        network: Any = connection._network_stream
        stream = network._stream
        held = len(connection._h11_state.trailing_data[0])
        if isinstance(stream, TLSStream):
            held += stream._ssl_object.pending() + stream._read_bio.pending
            stream = stream.transport_stream
        if network not in self._looks:
            self._looks[network] = watch(network.get_extra_info("socket"))
        return held + len(stream._protocol.read_queue) > 0 or self._looks[network]()


def _request(target: Target, body: bytes, trace: Trace) -> httpx.Request:
    seconds = target.timeout_s
    return httpx.Request(
        target.method,
        _url(target.scheme, target.host, target.port, target.path),
        headers=[*target.headers, *target.about(body)],
        stream=httpx.ByteStream(body),  # as content, httpx would look for missing headers
        extensions={
            "trace": _Report(trace),
            "timeout": {"connect": target.connect_s, "read": seconds, "write": seconds, "pool": seconds},
        },
    )


@lru_cache(maxsize=4)
def _url(scheme: str, host: str, port: int, path: bytes) -> httpx.URL:
    return httpx.URL(scheme=scheme, host=host, port=port, raw_path=path)


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


async def _has_unasked(connection: Any) -> bool:
    """Read what is left. Under TLS that may be no more than a session ticket or the end of the connection."""
    held: bytes = connection._h11_state.trailing_data[0]
    with suppress(Exception):  # a broken connection has nothing more to say
        held += await connection._network_stream.read(1024, timeout=_READ_S)
    return is_unasked(held)
