"""The gate in front of every route: who may ask for what, and the headers of every answer.

Pure ASGI, in this order: host, origin of requests that change something, session, read-only mode, role.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bulk_sender.text.clean import clean
from bulk_sender.web.roles import NEEDED, Person, Role
from bulk_sender.web.store import ADDRESS

SAFE = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = (
    "sandbox allow-same-origin allow-downloads; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""For the report, whose style is inline. It may run no script and send no form. With its own origin, a link in it to
the results carries the cookie."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with no-referrer Chromium sends "Origin: null" with our own forms
    "Cache-Control": "no-store",
}
"""On every answer that does not have its own."""

_log = logging.getLogger("bulk_sender.web")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer of the gate: its status, and the reason for people."""

    status: HTTPStatus
    reason: str


WRONG_HOST = Refusal(HTTPStatus.MISDIRECTED_REQUEST, "host")
FROM_ELSEWHERE = Refusal(HTTPStatus.FORBIDDEN, "elsewhere")
NOT_SIGNED_IN = Refusal(HTTPStatus.UNAUTHORIZED, "session")
READ_ONLY = Refusal(HTTPStatus.FORBIDDEN, "read_only")
NOT_ALLOWED = Refusal(HTTPStatus.FORBIDDEN, "role")

API = "/api/v1/"
"""Where programs ask, each with a token, and everything is answered as JSON."""

Identify = Callable[[Headers], Person | None]
Answer = Callable[[Refusal, Scope], ASGIApp]


def _peer(scope: Scope) -> str:
    return str(scope["client"][0]) if scope.get("client") else ""


@dataclass(frozen=True, slots=True)
class Gate:
    """``hosts``: the ``Host`` headers that are answered. ``identify``: who sent these headers, or None.

    ``believes``: whether the other end of a connection may say who somebody is. ``address``: where a person is, for the
    audit log. ``answers``: how often each status was answered.
    """

    app: ASGIApp
    routes: Sequence[BaseRoute]
    hosts: frozenset[str]
    identify: Identify
    answer: Answer
    read_only: bool = False
    scheme: str = "http"
    bearer: Callable[[str], Person | None] | None = None
    """Whose token it is; None while programs may not ask."""
    believes: Callable[[Scope], bool] = lambda scope: True
    address: Callable[[Scope], str] = _peer
    answers: Counter[int] = field(default_factory=Counter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        answer = self.app if refusal is None else self.answer(refusal, scope)
        await answer(scope, receive, _Logged(scope, send, self.answers))

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return WRONG_HOST
        token = self._token(scope, headers)
        if token is None and scope["method"] not in SAFE and not self._is_from_here(headers, hosts[0]):
            return FROM_ELSEWHERE
        scope["person"] = person = self._person(scope, headers) if token is None else self._program(token)
        ADDRESS.set(self.address(scope))
        is_known, role = self._role(scope)
        if role is Role.PUBLIC:
            return None
        if person is None:
            return NOT_SIGNED_IN
        if self.read_only and scope["method"] not in SAFE:
            return READ_ONLY
        if is_known and (role is None or not person.may(role)):
            return NOT_ALLOWED
        return None

    def _token(self, scope: Scope, headers: Headers) -> str | None:
        """Return the token of a program. No browser sends one by itself, so such a request cannot be a trick."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        return token.strip() if scope["path"].startswith(API) and kind.lower() == "bearer" else None

    def _person(self, scope: Scope, headers: Headers) -> Person | None:
        return self.identify(headers) if self.believes(scope) else None

    def _program(self, token: str) -> Person | None:
        return self.bearer(token) if self.bearer is not None else None

    def _is_from_here(self, headers: Headers, host: str) -> bool:
        """Whether a page of this server made the request. A browser sends at least one of the two headers."""
        site, origin = headers.getlist("sec-fetch-site"), headers.getlist("origin")
        if not site and not origin:
            return False
        return site in ([], ["same-origin"]) and origin in ([], [f"{self.scheme}://{host}".lower()])

    def _role(self, scope: Scope) -> tuple[bool, Role | None]:
        """Return whether a route takes the request, and the role that it needs."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        for route in self.routes:
            if isinstance(route, Route) and route.matches(scope)[0] is Match.FULL:
                return True, NEEDED.get((method, route.path))
        return False, None


class _Logged:
    """Adds the headers to an answer, and logs it. A query may have a token or an identifier, and is never logged."""

    def __init__(self, scope: Scope, send: Send, answers: Counter[int]) -> None:
        self._scope, self._send, self._answers = scope, send, answers
        self._began = time.monotonic()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            self._answers[message["status"]] += 1
            took = 1000 * (time.monotonic() - self._began)
            path = clean(self._scope["path"], 200)
            _log.info("%s %s %d, %.0f ms", clean(self._scope["method"], 20), path, message["status"], took)
        await self._send(message)
