"""The HTTP client: one request over HTTP/1.1, and the evidence of how far it got.

Each worker has its own transport with one connection: httpcore's shared pool costs more with every connection, and a
connection that misbehaves then affects one batch only. There is nothing between client and transport, because
redirects, cookies, environment and retries must not happen here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import anyio

from bulk_sender.http.bounds import KEEPALIVE_S
from bulk_sender.http.clock import since_boot
from bulk_sender.http.credential import Credential
from bulk_sender.http.evidence import NO_DESCRIPTOR, Evidence, Reach
from bulk_sender.http.exchange import Target, Trace
from bulk_sender.http.settings import HttpSettings
from bulk_sender.http.transport import Transport, transport_factory
from bulk_sender.process_limits import is_shortage


class Client(Protocol):
    """The one seam between the sender and the network."""

    async def post(self, body: bytes) -> Evidence:
        """Make exactly one POST. Raise nothing but cancellation: any trouble is evidence."""

    async def unasked(self, wait_s: float = 0.0) -> bool:
        """Whether bytes ever came that no request had asked for.

        Those that come during the next ``wait_s`` seconds count. Without any, those do that have been read by now:
        ``post`` looks for others before a request leaves.
        """

    async def renew(self) -> None:
        """Use a new connection for the next request."""

    async def aclose(self) -> None: ...


def client_factory(settings: HttpSettings, url: str, credential: Credential) -> Callable[[], Client]:
    """Return a maker of clients that share one TLS context. Raise ConfigError for an unreadable CA bundle."""
    new_transport = transport_factory(credential.routed(settings), is_plain=url.startswith("http:"))
    target = Target.of(url, credential, timeout_s=settings.timeout_s, keepalive=settings.keepalive)
    return lambda: HttpClient(target, credential, new_transport())


class HttpClient:
    """A client over one transport."""

    def __init__(self, target: Target, credential: Credential, transport: Transport) -> None:
        self._target = target
        self._credential = credential
        self._transport = transport
        self._connection = 0
        self._used_at = since_boot()

    async def post(self, body: bytes) -> Evidence:
        return await self._once(self._target, body)

    async def get(self) -> Evidence:
        """Make exactly one GET, which sends nothing. Raise nothing but cancellation."""
        return await self._once(replace(self._target, method="GET"), b"")

    async def _once(self, target: Target, body: bytes) -> Evidence:
        if since_boot() - self._used_at >= KEEPALIVE_S:
            await self.renew()
        else:
            await self._look()
        trace = Trace()
        error: Exception | None = None
        ended = False
        try:
            ended = await self._transport.exchange(target, body, trace)
        except Exception as caught:  # an exception of any type is evidence, not a crash
            error = caught
        self._used_at = since_boot()
        self._connection += trace.connected
        if not (ended and target.keepalive):
            await self.aclose()  # what may still come belongs to this request
        return Evidence(
            reach=Reach.ANSWERED if ended else trace.reach,
            status=trace.status,
            headers=trace.headers,
            body=self._credential.scrub_json(bytes(trace.body)),
            error=type(error).__name__ if error else "",
            cause=_cause(error) if error else "",
            premature=trace.premature,
            elapsed_s=time.monotonic() - trace.started,
            connecting_s=trace.began - trace.started,
            connection=self._connection,
            unasked=self._is_mixed_up,
        )

    @property
    def _is_mixed_up(self) -> bool:
        """Whether unasked bytes came. They are harmless where each request has its own connection."""
        return self._target.keepalive and self._transport.is_mixed_up

    async def unasked(self, wait_s: float = 0.0) -> bool:
        if wait_s > 0:
            await anyio.sleep(wait_s)
            await self._look()
        return self._is_mixed_up

    async def _look(self) -> None:
        if self._transport.surplus():
            await self._transport.look()

    async def renew(self) -> None:
        await self._look()
        await self.aclose()

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(1.0):
            await self._transport.aclose()


def _cause(error: BaseException | None) -> str:
    """Return the type of the innermost exception behind ``error``, or that no file descriptor was left."""
    if is_shortage(error):
        return NO_DESCRIPTOR
    seen = 0
    while error is not None and seen < 10:
        inner = error.__cause__ or error.__context__
        if inner is None:
            return type(error).__name__
        error, seen = inner, seen + 1
    return ""
