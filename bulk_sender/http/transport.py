"""The transports that a client can use: TLS settings, limits, and detection of surplus bytes."""

from __future__ import annotations

import importlib.util
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import certifi
import httpx
from anyio.streams.tls import TLSStream

from bulk_sender.errors import ConfigError
from bulk_sender.http.bounds import KEEPALIVE_S
from bulk_sender.http.settings import HttpSettings

_READ_S = 0.05
"""How long to wait for bytes that are known to be there: they may turn out to be no more than a TLS record."""


class Transport(Protocol):
    """What the client needs from an httpx transport."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response: ...

    async def aclose(self) -> None: ...

    def surplus(self) -> bool:
        """Whether there may be more to read than the answer just read: bytes, the connection's end, or a TLS record."""

    async def unasked(self) -> bool:
        """Whether a connection had bytes that no request had asked for. It may not be used afterwards."""


def is_unasked(data: bytes) -> bool:
    """Whether bytes outside an answer are more than what servers send to end an idle connection.

    That is a 408, as some do before they close (RFC 9110, 15.5.9), or an empty line.
    """
    text = data.lstrip(b"\r\n")
    return bool(text) and not text.startswith((b"HTTP/1.1 408 ", b"HTTP/1.0 408 "))


def transport_factory(settings: HttpSettings, *, is_plain: bool = False) -> Callable[[], Transport]:
    """Return a function that makes transports, one for each worker, with one shared TLS context.

    ``is_plain``: the server is asked without TLS, as on this machine, so that certificates are read only for a proxy.
    Raise ConfigError for an unreadable CA bundle, or a transport that is not installed.
    """
    needs_certificates = not is_plain or settings.ca_bundle or settings.proxy
    context = tls_context(settings.ca_bundle) if needs_certificates else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    proxy = httpx.Proxy(settings.proxy) if settings.proxy else None
    if _wants_wire(settings):
        from bulk_sender.http.fast_transport import WireTransport

        return lambda: WireTransport(context)
    return lambda: PlainTransport(context, proxy)


def _wants_wire(settings: HttpSettings) -> bool:
    wanted = settings.transport
    installed = importlib.util.find_spec("httptools") is not None
    if wanted == "wire" and not installed:
        raise ConfigError(
            'delivery.transport: "wire" needs httptools', hint="pip install httptools uvloop, or leave the key out"
        )
    if wanted == "wire" and settings.proxy:
        raise ConfigError('delivery.transport: "wire" cannot use a proxy', hint="leave the key out")
    return wanted == "wire" or (wanted == "auto" and installed and not settings.proxy)


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Return a context for TLS 1.2 or later that always verifies certificates and ignores the environment.

    Reading the certificates takes 60 ms of CPU, so a process reads a bundle once.
    """
    path = Path(ca_bundle or certifi.where())
    try:
        found = path.stat()
        return _tls_context(path, found.st_mtime_ns, found.st_size)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"braze.ca_bundle: {ca_bundle} cannot be read as certificates: {error}") from None


@lru_cache(maxsize=4)
def _tls_context(path: Path, modified_ns: int, size: int) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=path)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # create_default_context obeys SSLKEYLOGFILE, which would write the session's secrets to a file.
    context.keylog_filename = None  # type: ignore[assignment]
    return context


class PlainTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport: HTTP/1.1 only, one connection, no retries, nothing from the environment."""

    def __init__(self, context: ssl.SSLContext, proxy: httpx.Proxy | None) -> None:
        super().__init__(
            verify=context,
            trust_env=False,
            http1=True,
            http2=False,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_S),
            proxy=proxy,
            retries=0,
        )

    def surplus(self) -> bool:
        """Whether there may be more to read, in the kernel or above it.

        httpcore checks the socket before it reuses a connection, but not the bytes that h11, TLS (a second record in
        the same segment) or anyio have read and not used. These are private names: ``tests/http/test_transport.py``
        fails when a release moves them, and a connection whose state cannot be seen counts as one with surplus.
        """
        try:
            return any(_holds_bytes(connection) for connection in self._connections())
        except AttributeError:
            return True

    async def unasked(self) -> bool:
        try:
            connections = self._connections()
            return any([await _has_unasked(connection) for connection in connections])
        except AttributeError:
            return False

    def _connections(self) -> list[Any]:
        """The open connections; behind a proxy each is wrapped in another.

        The pool closes an idle one that is readable, and nobody would see what it holds. So the client alone does that.
        """
        pool: Any = self._pool
        wrapped = [connection for connection in pool.connections if connection._connection is not None]
        for connection in wrapped:
            connection.has_expired = _never
        opened = [connection._connection for connection in wrapped]
        return [getattr(connection, "_connection", connection) for connection in opened]


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
