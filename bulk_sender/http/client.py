"""One POST over HTTP/1.1, and the evidence of how far it got.

Each worker has a transport of its own with one connection: httpcore's shared pool costs more with every connection
it holds, and a connection that misbehaves then concerns one batch only. The transport is called directly: a client's
redirects, cookies, environment and retries are exactly what must not happen here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, cast

import anyio
import httpx

from bulk_sender._version import __version__
from bulk_sender.http.bounds import CONNECT_TIMEOUT_S, MAX_ANSWER_BYTES
from bulk_sender.http.credential import Credential
from bulk_sender.http.evidence import Evidence, Reach
from bulk_sender.http.settings import HttpSettings
from bulk_sender.http.transport import Transport, transport_factory


class Client(Protocol):
    """The one seam between the sender and the network."""

    async def post(self, body: bytes) -> Evidence:
        """Exactly one POST. Raises nothing but cancellation: trouble is evidence."""

    async def aclose(self) -> None: ...


def client_factory(settings: HttpSettings, url: str, credential: Credential) -> Callable[[], Client]:
    """A maker of clients that share one TLS context. Raises ConfigError for a CA bundle that can't be read."""
    new_transport = transport_factory(settings)
    return lambda: HttpxClient(url, credential, new_transport, timeout=settings.timeout_s)


class _Trace:
    """What httpx's trace extension told of one request. A proxy's CONNECT is no request of ours."""

    __slots__ = ("_tunnel", "headers", "premature", "reach", "status")

    def __init__(self) -> None:
        self.reach = Reach.NOTHING
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.premature = False
        self._tunnel = False

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        if event == "http11.send_request_headers.started":
            self._tunnel = getattr(info.get("request"), "method", b"POST") == b"CONNECT"
            self._reached(Reach.CONNECTED if self._tunnel else Reach.HEAD_STARTED)
        elif event.endswith(".connect_tcp.complete"):
            self._reached(Reach.CONNECTED)
        elif self._tunnel:
            return
        elif event == "http11.send_request_body.complete":
            self._reached(Reach.BODY_SENT)
        elif event == "http11.receive_response_headers.complete":
            _, status, _, headers = info["return_value"][:4]
            self.status = int(status)
            # A refusal may come early (413); nothing else can speak of a request that was not yet written.
            self.premature = self.reach < Reach.BODY_SENT and self.status < 400
            self._reached(Reach.STATUS_SEEN)
            self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}

    def _reached(self, reach: Reach) -> None:
        self.reach = max(self.reach, reach)


class HttpxClient:
    """A client over one of httpx's asynchronous transports."""

    def __init__(
        self, url: str, credential: Credential, new_transport: Callable[[], Transport], *, timeout: float
    ) -> None:
        self._url = httpx.URL(url)
        self._headers = [
            ("Host", self._url.netloc.decode("ascii")),
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", f"bulk-sender/{__version__}"),
        ]
        self._credential = credential
        self._timeout = timeout
        # Connecting gets the smaller part: when it is what takes too long, that must be told from a lost answer.
        self._timeouts = httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT_S, timeout / 2)).as_dict()
        self._new_transport = new_transport
        self._transport = new_transport()

    async def post(self, body: bytes) -> Evidence:
        trace = _Trace()
        started = time.monotonic()
        answer = bytearray()
        error: BaseException | None = None
        ended = False
        with anyio.move_on_after(self._timeout) as deadline:
            try:
                ended = await self._exchange(body, trace, answer)
            except Exception as caught:  # an exception of any type is evidence, never a crash
                error = caught
        if not ended:
            await self._renew()
        name = type(error).__name__ if error else "DeadlineExceeded" if deadline.cancelled_caught else ""
        return Evidence(
            reach=Reach.ANSWERED if ended else trace.reach,
            status=trace.status,
            headers=trace.headers,
            body=self._credential.scrub_json(bytes(answer)),
            error=name,
            cause=_cause(error),
            premature=trace.premature,
            elapsed_s=time.monotonic() - started,
        )

    async def _exchange(self, body: bytes, trace: _Trace, answer: bytearray) -> bool:
        """Send, receive; True when the answer came to its end and is this request's own."""
        request = httpx.Request(
            "POST",
            self._url,
            headers=[
                *self._headers,
                ("Authorization", self._credential.authorization),
                ("Content-Length", str(len(body))),
            ],
            stream=httpx.ByteStream(body),  # as content it would have httpx look for headers that are missing
            extensions={"trace": trace, "timeout": self._timeouts},
        )
        response = await self._transport.handle_async_request(request)
        try:
            if response.extensions.get("http_version") not in (b"HTTP/1.1", b"HTTP/1.0"):
                return False
            async for part in cast(httpx.AsyncByteStream, response.stream):
                answer += part
                if len(answer) > MAX_ANSWER_BYTES:
                    return False
        finally:
            surplus = self._transport.surplus()
            await response.aclose()
        if surplus:
            # The peer said more than one answer. What it said belongs to no request of ours: hang up, so that the
            # next request can't be answered by it.
            await self._renew()
        return True

    async def _renew(self) -> None:
        await self.aclose()
        self._transport = self._new_transport()

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(1.0), suppress(Exception):
            await self._transport.aclose()  # of what is broken too


def _cause(error: BaseException | None) -> str:
    """The type of the innermost exception behind ``error``."""
    seen = 0
    while error is not None and seen < 10:
        inner = error.__cause__ or error.__context__
        if inner is None:
            return type(error).__name__
        error, seen = inner, seen + 1
    return ""
