"""Probe: one POST over httpx's asynchronous transport, with all evidence that a client can collect.

It uses the transport directly, without a client that follows redirects, retries or decodes.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Any

import httpx

SMALL = b'{"recipients": [{"external_user_id": "user-1"}], "padding": "%s"}' % (b"x" * 6_000)
LARGE = b'{"recipients": [{"external_user_id": "user-1"}], "padding": "%s"}' % (b"x" * 16_000_000)


@dataclass
class Evidence:
    """What a client can know. ``raised`` is the exception's type name, or "" after a complete answer."""

    raised: str = ""
    text: str = ""
    status: int | None = None
    content: bytes = b""
    http_version: str = ""
    events: list[str] = field(default_factory=list)

    @property
    def headers_started(self) -> bool:
        return any(event.endswith("send_request_headers.started") for event in self.events)

    @property
    def body_complete(self) -> bool:
        return any(event.endswith("send_request_body.complete") for event in self.events)


def transport(tls: ssl.SSLContext | None = None, **more: Any) -> httpx.AsyncHTTPTransport:
    """HTTP/1.1 only, no retries, no environment, no proxy."""
    verify: ssl.SSLContext | bool = False if tls is None else tls
    return httpx.AsyncHTTPTransport(verify=verify, http1=True, http2=False, retries=0, trust_env=False, **more)


async def post(
    over: httpx.AsyncHTTPTransport,
    url: str,
    body: bytes = SMALL,
    *,
    patience: float = 5.0,
    connect: float = 5.0,
    deadline: float = 10.0,
    headers: dict[str, str] | None = None,
    raw: bool = False,
) -> Evidence:
    """POST once.

    In seconds, ``patience`` bounds each wait for the pool, a write or a read, and ``connect`` TCP and TLS
    (both are httpx's); ``deadline`` bounds the whole (asyncio's). ``raw`` reads the body without decoding
    its Content-Encoding.
    """
    seen = Evidence()

    async def trace(event: str, info: dict[str, Any]) -> None:
        seen.events.append(event)

    request = httpx.Request(
        "POST",
        f"{url}/campaigns/trigger/send",
        content=body,
        headers={"Content-Type": "application/json", "Accept-Encoding": "identity", **(headers or {})},
        extensions={"timeout": httpx.Timeout(patience, connect=connect).as_dict(), "trace": trace},
    )
    try:
        async with asyncio.timeout(deadline):
            response = await over.handle_async_request(request)
            seen.status = response.status_code
            seen.http_version = response.extensions["http_version"].decode()
            try:
                if raw:
                    seen.content = b"".join([part async for part in response.aiter_raw()])
                else:
                    seen.content = await response.aread()
            finally:
                await response.aclose()
    except (httpx.HTTPError, httpx.StreamError, TimeoutError) as error:
        seen.raised, seen.text = type(error).__name__, str(error)
    return seen


def post_once(url: str, body: bytes = SMALL, *, tls: ssl.SSLContext | None = None, **more: Any) -> Evidence:
    """Send one POST on a new transport, in a new event loop."""

    async def once() -> Evidence:
        async with transport(tls) as over:
            return await post(over, url, body, **more)

    return asyncio.run(once())
