"""One exchange between a client and its transport: what goes out, and what the transport notes about it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from bulk_sender._version import __version__
from bulk_sender.http.bounds import CONNECT_TIMEOUT_S, MAX_ANSWER_BYTES
from bulk_sender.http.credential import Credential
from bulk_sender.http.evidence import Reach

Headers = tuple[tuple[bytes, bytes], ...]


class DeadlineExceeded(Exception):
    """The whole exchange took longer than allowed."""


@dataclass(frozen=True, slots=True)
class Target:
    """What all requests of one client have in common: where they go, their headers, and their limits."""

    method: Literal["POST", "GET"]
    scheme: str
    host: str
    port: int
    path: bytes
    headers: Headers = field(repr=False)
    """Those that do not depend on the body. One of them has the key."""
    timeout_s: float
    """For the whole exchange, connecting included."""
    keepalive: bool
    """False: each request has its own connection."""
    most_bytes: int = MAX_ANSWER_BYTES
    """A larger answer is cut off, and does not count as complete."""

    @classmethod
    def of(
        cls,
        url: str,
        credential: Credential,
        *,
        timeout_s: float,
        keepalive: bool = True,
        most_bytes: int = MAX_ANSWER_BYTES,
        method: Literal["POST", "GET"] = "POST",
    ) -> Target:
        """Return the target of requests to ``url``: an http or https address without user and fragment."""
        parts = urlsplit(url)
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        headers = {
            "Host": parts.netloc,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"bulk-sender/{__version__}",
            **({} if keepalive else {"Connection": "close"}),
            "Authorization": credential.authorization,
        }
        return cls(
            method,
            parts.scheme,
            parts.hostname or "",
            parts.port or (443 if parts.scheme == "https" else 80),
            path.encode("ascii"),
            tuple((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()),
            timeout_s,
            keepalive,
            most_bytes,
        )

    @property
    def connect_s(self) -> float:
        """For connecting: the smaller part, so that a slow connection can be distinguished from a lost answer."""
        return min(CONNECT_TIMEOUT_S, self.timeout_s / 2)

    def about(self, body: bytes) -> Headers:
        """Return the headers that depend on the body."""
        if self.method == "GET":
            return ()
        return ((b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body)))


class Trace:
    """How far one request has got, as its transport notes it."""

    __slots__ = ("began", "body", "connected", "headers", "premature", "reach", "started", "status")

    def __init__(self) -> None:
        self.started = self.began = time.monotonic()
        """When the attempt started, and when its request began to be written: in between it connects."""
        self.reach = Reach.NOTHING
        self.connected = False
        """A connection was opened for this request."""
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        """As much of the answer's body as arrived."""
        self.premature = False

    def opened(self) -> None:
        """A connection was opened."""
        self.connected = True
        self.reach = max(self.reach, Reach.CONNECTED)

    def begins(self) -> None:
        """The request is about to be written."""
        self.reach = Reach.HEAD_STARTED
        self.began = time.monotonic()

    def written(self) -> None:
        """The kernel has taken the whole request."""
        self.reach = Reach.BODY_SENT

    def answered(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """The head of the answer is complete."""
        self.status = status
        # A refusal may come early (413); no other answer can be about a request that was not written yet.
        self.premature = self.reach < Reach.BODY_SENT and status < 400
        self.reach = Reach.STATUS_SEEN
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
