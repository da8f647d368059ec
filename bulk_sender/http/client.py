"""The HTTP client: one request over HTTP/1.1, and the evidence of how far it got.

Each worker has its own transport with one connection: httpcore's shared pool costs more with every connection, and a
connection that misbehaves then affects one batch only. The transport is called directly, because redirects, cookies,
environment and retries of a client must not happen here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, cast

import anyio
import httpx

from bulk_sender._version import __version__
from bulk_sender.http.bounds import CONNECT_TIMEOUT_S, KEEPALIVE_S, MAX_ANSWER_BYTES
from bulk_sender.http.clock import since_boot
from bulk_sender.http.credential import Credential
from bulk_sender.http.evidence import NO_DESCRIPTOR, Evidence, Reach
from bulk_sender.http.settings import HttpSettings
from bulk_sender.http.transport import Transport, transport_factory
from bulk_sender.process_limits import is_shortage


class Client(Protocol):
    """The one seam between the sender and the network."""

    async def post(self, body: bytes) -> Evidence:
        """Make exactly one POST. Raise nothing but cancellation: any trouble is evidence."""

    async def unasked(self, wait_s: float = 0.0) -> bool:
        """Whether bytes ever came that no request had asked for, looking for them during ``wait_s`` seconds."""

    async def renew(self) -> None:
        """Use a new connection for the next request."""

    async def aclose(self) -> None: ...


def client_factory(settings: HttpSettings, url: str, credential: Credential) -> Callable[[], Client]:
    """Return a maker of clients that share one TLS context. Raise ConfigError for an unreadable CA bundle."""
    new_transport = transport_factory(credential.routed(settings), is_plain=url.startswith("http:"))
    return lambda: HttpxClient(url, credential, new_transport, timeout=settings.timeout_s, keepalive=settings.keepalive)


class _Trace:
    """What httpx's trace extension reported about one request. A proxy's CONNECT does not count."""

    __slots__ = ("_tunnel", "began", "connected", "headers", "premature", "reach", "started", "status")

    def __init__(self) -> None:
        self.started = self.began = time.monotonic()
        """When the attempt started, and when its request began to be written: in between it connects."""
        self.reach = Reach.NOTHING
        self.connected = False
        """A connection was opened for this request."""
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.premature = False
        self._tunnel = False

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        if event == "http11.send_request_headers.started":
            self._tunnel = getattr(info.get("request"), "method", b"POST") == b"CONNECT"
            self._reached(Reach.CONNECTED if self._tunnel else Reach.HEAD_STARTED)
            self.began = time.monotonic()
        elif event.endswith(".connect_tcp.complete"):
            self.connected = True
            self._reached(Reach.CONNECTED)
        elif self._tunnel:
            return
        elif event == "http11.send_request_body.complete":
            self._reached(Reach.BODY_SENT)
        elif event == "http11.receive_response_headers.complete":
            _, status, _, headers = info["return_value"][:4]
            self.status = int(status)
            # A refusal may come early (413); no other answer can be about a request that was not written yet.
            self.premature = self.reach < Reach.BODY_SENT and self.status < 400
            self._reached(Reach.STATUS_SEEN)
            self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}

    def _reached(self, reach: Reach) -> None:
        self.reach = max(self.reach, reach)


class HttpxClient:
    """A client over one of httpx's asynchronous transports."""

    def __init__(
        self,
        url: str,
        credential: Credential,
        new_transport: Callable[[], Transport],
        *,
        timeout: float,
        keepalive: bool = True,
        most_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        """``keepalive``: False opens a connection for each request.

        ``most_bytes``: a larger answer is cut off, and does not count as complete.
        """
        self._url = httpx.URL(url)
        self._most_bytes = most_bytes
        self._headers = [
            ("Host", self._url.netloc.decode("ascii")),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", f"bulk-sender/{__version__}"),
            *([] if keepalive else [("Connection", "close")]),
        ]
        self._keepalive = keepalive
        self._connection = 0
        self._unasked = False
        self._used_at = since_boot()
        self._credential = credential
        self._timeout = timeout
        # Connecting gets the smaller part, so that a slow connection can be distinguished from a lost answer.
        self._timeouts = httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT_S, timeout / 2)).as_dict()
        self._new_transport = new_transport
        self._transport = new_transport()

    async def post(self, body: bytes) -> Evidence:
        return await self._once("POST", body)

    async def get(self) -> Evidence:
        """Make exactly one GET, which sends nothing. Raise nothing but cancellation."""
        return await self._once("GET", b"")

    async def _once(self, method: str, body: bytes) -> Evidence:
        trace = _Trace()
        answer = bytearray()
        error: BaseException | None = None
        ended = False
        if since_boot() - self._used_at >= KEEPALIVE_S or self._transport.surplus():
            await self.renew()
        with anyio.move_on_after(self._timeout) as deadline:
            try:
                ended = await self._exchange(method, body, trace, answer)
            except Exception as caught:  # an exception of any type is evidence, not a crash
                error = caught
        self._used_at = since_boot()
        self._connection += trace.connected
        if not ended:
            await self._hang_up()  # what may still come belongs to this request
        elif not self._keepalive or self._unasked or self._transport.surplus():
            await self.renew()  # the rest must not answer the next request
        name = type(error).__name__ if error else "DeadlineExceeded" if deadline.cancelled_caught else ""
        return Evidence(
            reach=Reach.ANSWERED if ended else trace.reach,
            status=trace.status,
            headers=trace.headers,
            body=self._credential.scrub_json(bytes(answer)),
            error=name,
            cause=_cause(error),
            premature=trace.premature,
            elapsed_s=time.monotonic() - trace.started,
            connecting_s=trace.began - trace.started,
            connection=self._connection,
            unasked=self._unasked,
        )

    async def _exchange(self, method: str, body: bytes, trace: _Trace, answer: bytearray) -> bool:
        """Send and receive. Return True when the answer is complete and belongs to this request."""
        about_body = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))] if body else []
        request = httpx.Request(
            method,
            self._url,
            headers=[*self._headers, ("Authorization", self._credential.authorization), *about_body],
            stream=httpx.ByteStream(body),  # as content, httpx would look for missing headers
            extensions={"trace": trace, "timeout": self._timeouts},
        )
        response = await self._transport.handle_async_request(request)
        try:
            if response.extensions.get("http_version") not in (b"HTTP/1.1", b"HTTP/1.0"):
                return False
            async for part in cast(httpx.AsyncByteStream, response.stream):
                answer += part
                if len(answer) > self._most_bytes:
                    return False
            await self._look()
        finally:
            await response.aclose()
        return True

    async def unasked(self, wait_s: float = 0.0) -> bool:
        if wait_s > 0:
            await anyio.sleep(wait_s)
        if self._transport.surplus():
            await self.renew()
        return self._unasked

    async def renew(self) -> None:
        await self._look()
        await self._hang_up()

    async def _hang_up(self) -> None:
        await self.aclose()
        self._transport = self._new_transport()

    async def _look(self) -> None:
        """Note bytes that no request had asked for. They are harmless where each request has its own connection."""
        if self._keepalive and not self._unasked and self._transport.surplus():
            self._unasked = await self._transport.unasked()

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(1.0), suppress(Exception):
            await self._transport.aclose()  # also when it is broken


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
