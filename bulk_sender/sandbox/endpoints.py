"""Endpoints of the sandbox: they take a request, write the ledger and return the answer. No sockets, no waiting.

They check in the most likely order of Braze: path (404), method (405), key (401), syntax (400), rate limit
(429), rules (400), campaign (400). Every answer has the rate limit headers, but they are empty in a 401 for an unknown
key, as recorded.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from bulk_sender.sandbox import answers
from bulk_sender.sandbox.answers import RATE_LIMITED
from bulk_sender.sandbox.body import BadSyntaxError, parse
from bulk_sender.sandbox.details import Message
from bulk_sender.sandbox.export import export
from bulk_sender.sandbox.ledger import Acceptance, Ledger, user_key
from bulk_sender.sandbox.losses import losses
from bulk_sender.sandbox.ratelimit import Allowance, Clock, KeyedRateLimit, RateLimit
from bulk_sender.sandbox.rehearsal import Rehearsal
from bulk_sender.sandbox.rules import (
    CAMPAIGN,
    CANVAS,
    IDENTIFIERS,
    Trigger,
    Violation,
    send_id_request,
    too_long,
    violations,
    wrong_id,
)
from bulk_sender.sandbox.weather import NOT_TAKEN, Fate
from bulk_sender.sandbox.wire import Answer, Headers, Request

EXPORT_PATH = "/users/export/ids"
SEND_ID_PATH = "/sends/id/create"
LEDGER_PATH = "/_sandbox/ledger"
REHEARSAL_PATH = "/_sandbox/rehearsal"
DETAILS = {"/campaigns/details": "campaign_id", "/canvas/details": "canvas_id"}
"""Path → the parameter that names what it is about."""
TRIGGERS = {trigger.path: trigger for trigger in (CAMPAIGN, CANVAS)}
METHODS = (
    dict.fromkeys((*TRIGGERS, EXPORT_PATH, SEND_ID_PATH), ("POST",))
    | dict.fromkeys((*DETAILS, LEDGER_PATH), ("GET",))
    | {REHEARSAL_PATH: ("GET", "POST")}
)
_OWN = (LEDGER_PATH, REHEARSAL_PATH)
"""Paths that Braze does not have; they need no key."""
_MAX_ERRORS = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """The workspace's rate limits."""

    sends: RateLimit
    """250,000 requests an hour that name recipients, for campaigns and Canvas together, and for details."""
    audiences: RateLimit
    """250 requests a minute that name recipients and an audience."""
    broadcasts: RateLimit
    """250 requests a minute without recipients."""
    same_audience: KeyedRateLimit
    """10 requests a minute without recipients, for one target and one audience."""
    exports: RateLimit
    """250 requests a minute to ``/users/export/ids``."""
    send_ids: RateLimit
    """100 requests a day to ``/sends/id/create``."""


class Endpoints:
    """The paths of the sandbox.

    ``keys`` and ``campaigns`` (campaign or Canvas ids), when given, are the only valid ones. ``rehearsal`` may be
    replaced at any time, from any thread.
    """

    def __init__(
        self,
        ledger: Ledger,
        limits: Limits,
        clock: Clock,
        keys: Collection[str] | None,
        campaigns: Collection[str] | None,
        rehearsal: Rehearsal,
        message: Message,
    ) -> None:
        self.rehearsal = rehearsal
        self._turn = 0  # number of the next request that Braze's rules allow
        self._message = message
        self._ledger = ledger
        self._limits = limits
        self._clock = clock
        self._keys = None if keys is None else frozenset(keys)
        self._campaigns = None if campaigns is None else frozenset(campaigns)

    def early(self, request: Request) -> Answer | None:
        """Return a refusal that does not depend on the body, or None."""
        methods = METHODS.get(request.path)
        own = {EXPORT_PATH: self._limits.exports, SEND_ID_PATH: self._limits.send_ids}
        headers = self._headers(own.get(request.path, self._limits.sends).look())
        if methods is None:
            return Answer.of(404, {"message": "Not Found"}, headers)
        if request.method not in methods:
            allowed = (b"allow", ", ".join(methods).encode())
            return Answer.of(405, {"message": "Method Not Allowed"}, [*headers, allowed])
        if request.path in _OWN:
            return None
        scheme, _, key = request.headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not key:
            return Answer.of(401, {"message": "Missing API key"}, headers)
        if (self._keys is not None and key not in self._keys) or self.rehearsal.answers == "unauthorized":
            return answers.unauthorized(key)
        content_type = request.headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if request.method == "POST" and content_type != b"application/json":
            return Answer.of(415, {"message": "Content-Type must be application/json"}, headers)
        return None

    def too_large(self) -> Answer:
        return Answer.of(413, {"message": "Request Entity Too Large"}, self._headers(self._limits.sends.look()))

    def answer(self, request: Request, body: bytes, fate: Fate = Fate.ANSWERED) -> Answer:
        """Return the answer to a request that :meth:`early` did not refuse."""
        if request.path == LEDGER_PATH:
            return Answer.of(200, self._ledger.facts(), self._headers(self._limits.sends.look()))
        if request.path in DETAILS:
            return self._details(DETAILS[request.path], request)
        if request.path == REHEARSAL_PATH and request.method == "GET":
            return self._rehearsal({})
        try:
            content = parse(body)
        except BadSyntaxError as error:
            return _bad_syntax(error, self._headers(self._limits.sends.look()))
        if request.path == EXPORT_PATH:
            return self._export(content)
        if request.path == SEND_ID_PATH:
            return self._send_id(content)
        if request.path == REHEARSAL_PATH:
            return self._rehearsal(content)
        return self._trigger(TRIGGERS[request.path], content, body, fate)

    def _trigger(self, trigger: Trigger, content: Any, body: bytes, fate: Fate) -> Answer:
        limit = self._limit_of(content)
        if fate is Fate.EMPTIED:
            limit.empty()
        allowance = limit.take()
        if allowance.granted and limit is self._limits.broadcasts:
            same = self._limits.same_audience.take(_audience_key(trigger, content))
            allowance = allowance if same.granted else same
        if not allowance.granted:
            return Answer.of(429, RATE_LIMITED, self._headers(allowance))
        headers = self._headers(allowance)
        if fate in NOT_TAKEN:
            return _in_bad_weather(fate, headers)
        found = violations(content, trigger)
        if found:
            return _refusal(found, headers)
        if self._campaigns is not None and content[trigger.target] not in self._campaigns:
            text = "Invalid Campaign ID" if trigger is CAMPAIGN else wrong_id(trigger.target)
            return Answer.of(400, {"message": text}, headers)
        return self._allowed(trigger, content, body, fate, headers)

    def _allowed(self, trigger: Trigger, content: dict[str, Any], body: bytes, fate: Fate, headers: Headers) -> Answer:
        """Answer a request that Braze's rules allow, as the rehearsal says."""
        rehearsal, turn = self.rehearsal, self._turn
        self._turn += 1
        if rehearsal.state != "live":
            return answers.not_sent(trigger.target, rehearsal.state, rehearsal.answers, headers)
        if (refusal := answers.refused(rehearsal.answers, turn, headers)) is not None:
            return refusal
        refused = set(too_long(content))
        if rehearsal.answers == "errors-by-index" and content.get("recipients"):
            refused.add(0)
        acceptance = _acceptance(self._clock(), trigger, content, body, refused)
        try:
            self._ledger.accept(acceptance)
        except OSError:
            return Answer.of(500, {"message": "Internal Server Error"}, headers)
        if fate is Fate.GATEWAY_TIMEOUT:
            return _in_bad_weather(fate, headers)
        return answers.success(rehearsal.answers, turn, acceptance.dispatch_id, sorted(refused), headers)

    def _limit_of(self, content: Any) -> RateLimit:
        if type(content) is not dict or "recipients" not in content:
            return self._limits.broadcasts
        return self._limits.audiences if "audience" in content else self._limits.sends

    def _headers(self, allowance: Allowance) -> Headers:
        return answers.headers(allowance, self.rehearsal.answers)

    def _details(self, target: str, request: Request) -> Answer:
        allowance = self._limits.sends.take()
        if not allowance.granted:
            return Answer.of(429, RATE_LIMITED, self._headers(allowance))
        if not self.rehearsal.details:
            text = "You do not have permission to access this resource"
            return Answer.of(403, {"message": text}, self._headers(allowance))
        asked = parse_qs(request.query).get(target, [""])[-1]
        if not asked or (self._campaigns is not None and asked not in self._campaigns):
            return Answer.of(400, {"message": wrong_id(target)}, self._headers(allowance))
        return Answer.of(200, self._message.details(target, self.rehearsal.state), self._headers(allowance))

    def _send_id(self, content: Any) -> Answer:
        allowance = self._limits.send_ids.take()
        headers = self._headers(allowance)
        if not allowance.granted:
            return Answer.of(429, RATE_LIMITED, headers)
        if breaches := send_id_request(content, "body"):
            return Answer.of(400, {"message": breaches[0][1]}, headers)
        if self._campaigns is not None and content["campaign_id"] not in self._campaigns:
            return Answer.of(400, {"message": "Invalid Campaign ID"}, headers)
        send_id = content.get("send_id") or secrets.token_hex(16)
        return Answer.of(201, {"message": "success", "send_id": send_id}, headers)

    def _rehearsal(self, changes: Any) -> Answer:
        headers = self._headers(self._limits.sends.look())
        try:
            self.rehearsal = self.rehearsal.changed(changes)
        except ValueError as error:
            return Answer.of(400, {"message": str(error)}, headers)
        return Answer.of(200, self.rehearsal.facts(), headers)

    def _export(self, content: Any) -> Answer:
        allowance = self._limits.exports.take()
        if not allowance.granted:
            return Answer.of(429, RATE_LIMITED, self._headers(allowance))
        status, answer = export(content, self._ledger)
        return Answer.of(status, answer, self._headers(allowance))


def _acceptance(
    at: float, trigger: Trigger, content: dict[str, Any], body: bytes, refused: Collection[int]
) -> Acceptance:
    recipients = [each for index, each in enumerate(content.get("recipients", ())) if index not in refused]
    lost = Counter(
        reason for each in recipients for reason in losses(each.get("attributes", {}), canvas=trigger is not CAMPAIGN)
    )
    # Braze sends one message to a person who occurs twice in a request.
    distinct = dict.fromkeys(_key(recipient) for recipient in recipients)
    return Acceptance(
        at=at,
        target=trigger.target,
        target_id=content[trigger.target],
        dispatch_id=secrets.token_hex(16),
        recipients=tuple(distinct),
        collapsed=len(recipients) - len(distinct),
        body_sha256=hashlib.sha256(body).hexdigest(),
        send_id=content.get("send_id"),
        broadcast=content.get("broadcast", False),
        refused=len(refused),
        dropped=dict(lost),
    )


def _key(recipient: dict[str, Any]) -> str:
    for identifier in IDENTIFIERS:
        if identifier in recipient:
            return user_key(identifier, recipient[identifier])
    raise AssertionError("the rules accepted a recipient without an identifier")


def _audience_key(trigger: Trigger, content: Any) -> str:
    about = [content.get(trigger.target), content.get("audience")] if type(content) is dict else []
    return json.dumps([trigger.path, *about], sort_keys=True)


def _bad_syntax(error: BadSyntaxError, headers: Headers) -> Answer:
    """Return Braze's answer to invalid JSON. The field ``sandbox``, which Braze does not have, says what is invalid."""
    text = "Error while parsing request body. Please check your syntax."
    return Answer.of(400, {"error": text, "sandbox": str(error)}, headers)


def _refusal(found: list[Violation], headers: Headers) -> Answer:
    """Return a 400 with the violations.

    ``errors`` has the structure of ``/users/track``, because Braze documents none for these endpoints.
    """
    errors = [
        {"type": violation.sentence}
        if violation.index is None
        else {"type": violation.sentence, "input_array": "recipients", "index": violation.index}
        for violation in found[:_MAX_ERRORS]
    ]
    return Answer.of(400, {"message": found[0].sentence, "errors": errors}, headers)


def _in_bad_weather(fate: Fate, headers: Headers) -> Answer:
    """Return a 5xx: JSON with a message from Braze itself, or an HTML page without Braze's headers from a gateway."""
    if fate is Fate.ERROR:
        return Answer.of(500, {"message": "Internal Server Error"}, headers)
    if fate is Fate.UNAVAILABLE:
        return Answer.of(503, {"message": "Service Unavailable"}, headers)
    status, title = (502, "502 Bad Gateway") if fate is Fate.BAD_GATEWAY else (504, "504 Gateway Time-out")
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\r\n"
    return Answer(status, page.encode(), content_type=b"text/html")
