"""The transports a client can use, and what holds for each: TLS, limits, and an eye on surplus bytes."""

from __future__ import annotations

import importlib.util
import ssl
from collections.abc import Callable
from typing import Any, Protocol

import certifi
import httpx
from anyio.streams.tls import TLSStream

from bulk_sender.errors import ConfigError
from bulk_sender.http.bounds import KEEPALIVE_S
from bulk_sender.http.settings import HttpSettings


class Transport(Protocol):
    """What the client needs of an httpx transport."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response: ...

    async def aclose(self) -> None: ...

    def surplus(self) -> bool:
        """Whether more bytes came than the answer just read."""


def transport_factory(settings: HttpSettings) -> Callable[[], Transport]:
    """A maker of transports, one for each worker, that share one TLS context.

    Raises ConfigError for a CA bundle that can't be read, or a transport that isn't installed.
    """
    context = tls_context(settings.ca_bundle)
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
            'delivery.transport: "wire" needs httptools', hint="pip install 'bulk-sender[fast]', or leave the key out"
        )
    if wanted == "wire" and settings.proxy:
        raise ConfigError('delivery.transport: "wire" does not go through a proxy', hint="leave the key out")
    return wanted == "wire" or (wanted == "auto" and installed and not settings.proxy)


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """TLS 1.2 or later, certificates always verified, nothing taken from the environment."""
    try:
        context = ssl.create_default_context(cafile=ca_bundle or certifi.where())
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"braze.ca_bundle: {ca_bundle} can't be read as certificates: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # SSLKEYLOGFILE is honoured by create_default_context: it would write the session's secrets to a file.
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
        """Bytes behind the answer that have left the kernel already.

        httpcore looks at the socket before it reuses a connection, but not at what was taken from it and not yet
        asked for: by h11, by TLS (a second record of the same segment), or by anyio. These are private names:
        ``tests/delivery/test_transport.py`` fails when a release moves them, and a connection whose state can't be
        seen counts as one with surplus.
        """
        pool: Any = self._pool
        try:
            return any(
                _holds_bytes(connection._connection)
                for connection in pool.connections
                if connection._connection is not None
            )
        except AttributeError:
            return True


def _holds_bytes(connection: Any) -> bool:
    stream: Any = connection._network_stream._stream
    held = len(connection._h11_state.trailing_data[0])
    if isinstance(stream, TLSStream):
        held += stream._ssl_object.pending() + stream._read_bio.pending
        stream = stream.transport_stream
    return held + len(stream._protocol.read_queue) > 0
