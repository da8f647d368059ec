"""What a client needs from a transport, which transports there are, and their TLS settings."""

from __future__ import annotations

import importlib.util
import ssl
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import certifi

from bulk_sender.errors import ConfigError
from bulk_sender.http.exchange import Target, Trace
from bulk_sender.http.settings import HttpSettings


class Transport(Protocol):
    """One connection at a time, opened when a request needs it. Nothing is ever sent twice."""

    @property
    def is_mixed_up(self) -> bool:
        """Whether any of its connections had bytes that no request had asked for, as far as it has read them."""

    async def exchange(self, target: Target, body: bytes, trace: Trace) -> bool:
        """Make one request, and note in ``trace`` how far it got. Return True when the answer is complete.

        What came together with the answer and does not belong to it is noted in ``is_mixed_up``. The time limits are
        ``target``'s. Raise for any trouble; the type of the exception, or of the one behind it, is evidence.
        """

    def surplus(self) -> bool:
        """Whether there may be more to read than the answers so far: bytes, the connection's end, or a TLS record."""

    async def look(self) -> None:
        """Close a connection that has a surplus, and note in ``is_mixed_up`` what it was. Never raises."""

    async def aclose(self) -> None:
        """Close the connection, also a broken one. The next request opens another. Never raises."""


def transport_factory(settings: HttpSettings, *, is_plain: bool = False) -> Callable[[], Transport]:
    """Return a function that makes transports, one for each worker, with one shared TLS context.

    ``is_plain``: the server is asked without TLS, as on this machine, so that certificates are read only for a proxy.
    Raise ConfigError for an unreadable CA bundle, or a transport that is not installed.
    """
    needs_certificates = not is_plain or settings.ca_bundle or settings.proxy
    context = tls_context(settings.ca_bundle) if needs_certificates else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if _wants_wire(settings):
        from bulk_sender.http.fast_transport import WireTransport

        return lambda: WireTransport(context)
    from bulk_sender.http.plain_transport import PlainTransport

    return lambda: PlainTransport(context, settings.proxy)


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
