"""HTTP/1.1 on one connection, with h11 over asyncio streams, so that an answer can be cut off anywhere.

A web framework always completes an answer. Here the answer is a sequence of bytes, so the weather can send half
of its head, half of its body or nothing, and end the connection with FIN or RST.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import h11

_READ_SIZE = 64 * 1024
_LINGER_BYTES = 64 * 1024 * 1024
_LINGER_S = 5.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with 0 s makes close send RST

Headers = Sequence[tuple[bytes, bytes]]


class TooLargeError(Exception):
    """The request's body is larger than the limit."""


class BadRequestError(Exception):
    """The client did not send valid HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request's head. Header names are in lower case; the last of several equal headers counts."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    query: str = ""
    """What follows the ``?`` of the target, still encoded."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer that was not sent yet. ``outcome``: what the ledger calls it; the status if empty."""

    status: int
    body: bytes
    headers: Headers = ()
    content_type: bytes = b"application/json"
    outcome: str = ""

    @classmethod
    def of(cls, status: int, content: Mapping[str, Any], headers: Headers = (), *, outcome: str = "") -> Answer:
        """Return an answer with a JSON object."""
        return cls(status, json.dumps(content, separators=(",", ":")).encode(), headers, outcome=outcome)


class Connection:
    """A client's connection. Requests are read and answered one after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body_cap: int) -> None:
        self._reader = reader
        self._writer = writer
        self._body_cap = body_cap
        self._http = h11.Connection(h11.SERVER)
        self._method = b""
        self._over = False

    async def next_request(self) -> Request | None:
        """Return the next request's head, or None when the client is gone or the connection cannot be reused."""
        if self._over:
            return None
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        if self._http.our_state is not h11.IDLE:
            return None
        event = await self._next_event()
        if not isinstance(event, h11.Request):
            return None
        self._method = event.method
        path, _, query = event.target.decode("ascii", "replace").partition("?")
        return Request(event.method.decode(), path, dict(event.headers), query)

    async def body(self, request: Request) -> bytes:
        """Return the complete body. Raise :class:`TooLargeError` as soon as it is announced or read as too large."""
        if int(request.headers.get(b"content-length", b"0")) > self._body_cap:
            raise TooLargeError
        if self._http.they_are_waiting_for_100_continue:
            self._writer.write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        parts: list[bytes] = []
        size = 0
        while isinstance(event := await self._next_event(), h11.Data):
            size += len(event.data)
            if size > self._body_cap:
                raise TooLargeError
            parts.append(event.data)
        if not isinstance(event, h11.EndOfMessage):
            raise BadRequestError("the body ended early")
        return b"".join(parts)

    async def send(self, answer: Answer, date: float) -> None:
        """Send the complete answer; ``date`` (seconds since the epoch) is its Date header."""
        unread = self._http.their_state is h11.SEND_BODY
        head, body = self._bytes(answer, date)
        self._writer.write(head + body)
        await self._writer.drain()
        if unread:
            await self._linger()

    async def send_half_head(self, answer: Answer, date: float) -> None:
        head, _ = self._bytes(answer, date)
        await self._send_then_close(head[: len(head) // 2])

    async def send_half_body(self, answer: Answer, date: float) -> None:
        head, body = self._bytes(answer, date)
        await self._send_then_close(head + body[: len(body) // 2])

    def close(self) -> None:
        """End the connection with FIN, after sending what was already written."""
        self._over = True
        self._writer.close()

    def reset(self) -> None:
        """End the connection immediately with RST."""
        self._over = True
        connected: socket.socket | None = self._writer.get_extra_info("socket")
        if connected is not None and not self._writer.transport.is_closing():
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._writer.transport.abort()

    async def _linger(self) -> None:
        """Close after a request whose body was not read: send FIN, then read and discard the rest.

        Closing with unread bytes would reset the connection, and the client would lose the answer. Limited to
        64 MiB and 5 s.
        """
        self._writer.write_eof()
        discarded = 0
        try:
            async with asyncio.timeout(_LINGER_S):
                while discarded < _LINGER_BYTES and (chunk := await self._reader.read(_READ_SIZE)):
                    discarded += len(chunk)
        except TimeoutError:
            pass
        self.close()

    async def _send_then_close(self, part: bytes) -> None:
        self._writer.write(part)
        await self._writer.drain()
        self.close()

    async def _next_event(self) -> object:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise BadRequestError(str(error)) from None
            if event is not h11.NEED_DATA:
                return event
            self._http.receive_data(await self._reader.read(_READ_SIZE))

    def _bytes(self, answer: Answer, date: float) -> tuple[bytes, bytes]:
        headers = [
            (b"date", formatdate(date, usegmt=True).encode()),
            (b"content-type", answer.content_type),
            (b"content-length", b"%d" % len(answer.body)),
            *answer.headers,
        ]
        head = self._http.send(h11.Response(status_code=answer.status, headers=headers, reason=b"")) or b""
        body = b""
        if self._method != b"HEAD":
            body = self._http.send(h11.Data(data=answer.body)) or b""
        self._http.send(h11.EndOfMessage())
        return head, body
