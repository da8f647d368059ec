"""Judge an answer: what the evidence of one POST means for its batch. One pure function, ``judge``.

Only two things prove that Braze did not accept a batch: the request never left (no connection, or nothing written),
or a complete, documented refusal. A body that was never finished is recorded as a hint, but proves nothing. Everything
else is ``unknown``, whatever the exception's type or text. A socket that accepts bytes proves nothing, and "server
disconnected without sending a response" is also raised after half an answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from bulk_sender.http.evidence import JOURNAL_LOST, NO_DESCRIPTOR, Evidence, Reach
from bulk_sender.text.clean import clean


class Verdict(StrEnum):
    """The result of an attempt."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """Braze sent nothing, and would refuse the same request again."""
    TOO_LARGE = "too_large"
    UNSENT = "unsent"
    """Braze sent nothing; another attempt may succeed."""
    THROTTLED = "throttled"
    """Braze sent nothing; another attempt may succeed after a wait, and this one does not count."""
    UNKNOWN = "unknown"


Stop = Literal[
    "", "authorization", "target", "request", "not_live", "redirect", "certificate", "host", "repeated", "mixed_up"
]
Likely = Literal["", "accepted", "not_accepted"]


@dataclass(frozen=True, slots=True)
class RowError:
    """One entry of ``errors[]`` in an answer of success. ``index``: the recipient it names, None for none."""

    index: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """``stop`` names why the run cannot continue; ``likely`` is a hint for people, and never acted on."""

    verdict: Verdict
    code: str = ""
    message: str = ""
    http_status: int | None = None
    dispatch_id: str = ""
    stop: Stop = ""
    likely: Likely = ""
    reach: Reach = Reach.NOTHING
    error: str = ""
    errors: tuple[RowError, ...] = ()
    """What ``errors[]`` says beside success; ``row_errors.parts`` tells which rows it concerns."""

    @property
    def may_send_again(self) -> bool:
        """Whether it is proved that Braze did not accept the batch."""
        return self.verdict not in (Verdict.ACCEPTED, Verdict.UNKNOWN)


STALE = "StaleIntent"
"""The ``error`` of a POST that was not made, because too much time had passed since its intent was written."""
_NEVER_LEFT = frozenset(
    {
        "PoolTimeout",
        "ConnectTimeout",
        "ConnectError",
        "UnsupportedProtocol",
        "InvalidURL",
        "ProxyError",
        JOURNAL_LOST,
        STALE,
    }
)
_ABOUT_THE_TARGET = frozenset(
    {
        "Invalid Campaign ID",
        "Campaign does not exist",
        "campaign_id must be a string of the campaign api identifier",
        "canvas_id must be a string of the Canvas api identifier",
    }
)
"""The only texts that decide anything, because they are documented or recorded for this endpoint and its siblings.

Braze says "Don't parse error-message text". Any other 400 may be about one row: it is split, whatever its text.
"""
WITH_ERRORS = "accepted_with_errors"
"""The code of an accepted request whose answer has ``errors[]``."""
HELD_UP = "held_up"
"""The code of a request that did not leave because this process, or its machine, was held up before it could."""
SHORT = "no_descriptor"
"""The code of a request that could not leave because this process may open no more files."""
_MOST_RAW = 200
_CERTIFICATE_ERRORS = frozenset({"SSLCertVerificationError", "CertificateError"})


def judge(evidence: Evidence, *, server_errors: Literal["retry", "hold"] = "retry") -> Outcome:
    """Return what ``evidence`` means. Never raise, whatever the server answered."""
    outcome = _judge(evidence, server_errors)
    return mixed_up(outcome) if evidence.unasked else outcome


def _judge(evidence: Evidence, server_errors: Literal["retry", "hold"]) -> Outcome:
    if evidence.premature:
        return _unknown(evidence, "premature_answer", "an answer arrived before its request was written")
    if evidence.reach is Reach.ANSWERED and evidence.status is not None:
        return _answered(evidence, evidence.status, server_errors)
    if evidence.error in _NEVER_LEFT and evidence.reach <= Reach.CONNECTED:
        return _never_left(evidence)
    return _cut_off(evidence)


def _answered(evidence: Evidence, status: int, server_errors: str) -> Outcome:
    answer = _object(evidence.body)
    text = _text_of(answer)
    message = clean(text) or _raw_text(evidence.body)
    if 200 <= status < 300:
        return _success(evidence, status, answer or {}, clean(text))
    if status in (408, 425, 499):
        return _unknown(evidence, f"http_{status}", message or "the server stopped waiting", "not_accepted")
    if 400 <= status < 500:
        return _client_error(evidence, status, message or f"HTTP {status} without a message")
    if status in (500, 503) and isinstance(text, str) and server_errors == "retry":
        return _outcome(evidence, Verdict.UNSENT, f"http_{status}", message)
    if status in (307, 308):
        return _outcome(evidence, Verdict.REFUSED, f"http_{status}", "the host redirects elsewhere", stop="redirect")
    if 300 <= status < 400:
        return _unknown(evidence, f"http_{status}", "the host redirects elsewhere", stop="redirect")
    return _unknown(evidence, f"http_{status}", message or f"HTTP {status} from something that is not Braze")


def _success(evidence: Evidence, status: int, answer: dict[str, Any], message: str) -> Outcome:
    """Accept a 2XX only with a message that Braze documents: ``success``, or 202 ``queued`` during maintenance.

    With a ``notice`` Braze sends nothing, because the campaign or Canvas is paused, stopped or archived
    (post_send_triggered_canvases).
    """
    queued = status == 202 and answer.get("message") == "queued"
    if notice := clean(answer.get("notice")):
        if not queued and answer.get("message") not in ("success", None):
            return _unknown(evidence, f"http_{status}_unexpected", f"{message}; {notice}", stop="not_live")
        beside = clean(answer.get("errors") or "")
        text = f"{notice} (errors: {beside})" if beside else notice
        return _outcome(evidence, Verdict.REFUSED, "not_live", text, stop="not_live")
    if not queued and answer.get("message") != "success":
        what = f"the message {message!r}" if message else "no message that Braze documents"
        return _unknown(evidence, f"http_{status}_unexpected", f"HTTP {status} with {what}", "accepted")
    dispatch_id = clean(answer["dispatch_id"], 200) if isinstance(answer.get("dispatch_id"), str) else ""
    code, note = "", ""
    errors: tuple[RowError, ...] = ()
    if answer.get("errors"):
        code, note = WITH_ERRORS, clean(answer["errors"])
        errors = _row_errors(answer["errors"])
    elif queued:
        code, note = "queued", "Braze is under maintenance and has queued the request"
    elif not dispatch_id:
        code, note = "no_dispatch_id", "Braze accepted the request without a dispatch_id"
    return Outcome(Verdict.ACCEPTED, code, note, status, dispatch_id, reach=evidence.reach, errors=errors)


def _row_errors(found: Any) -> tuple[RowError, ...]:
    """Return the entries of ``errors[]``. Its form is not documented: an entry may be a text, an object or anything."""
    return tuple(map(_row_error, found if isinstance(found, list) else [found]))


def _row_error(found: Any) -> RowError:
    if not isinstance(found, dict):
        return RowError(None, clean(found))
    index = found.get("index")
    is_named = type(index) is int and index >= 0 and found.get("input_array", "recipients") == "recipients"
    text = next((found[name] for name in ("type", "message", "error") if isinstance(found.get(name), str)), None)
    return RowError(index if is_named else None, clean(text or found))


def repeated(outcome: Outcome, earlier: int) -> Outcome:
    """Return ``outcome`` as unknown, because batch ``earlier`` has the same dispatch_id.

    One of the two answers does not belong to its request, and nobody can tell which.
    """
    return replace(
        outcome,
        verdict=Verdict.UNKNOWN,
        code="repeated_dispatch_id",
        message=f"the dispatch_id was already given to batch {earlier}",
        stop="repeated",
        likely="accepted",
    )


def mixed_up(outcome: Outcome) -> Outcome:
    """Return ``outcome`` as unknown, because the answer may be that of another request on the same connection."""
    return replace(
        outcome,
        verdict=Verdict.UNKNOWN,
        code="unasked_bytes",
        message="bytes came on this connection that no request had asked for",
        stop="mixed_up",
        likely="accepted" if outcome.verdict is Verdict.ACCEPTED else "",
        errors=(),
    )


def _client_error(evidence: Evidence, status: int, message: str) -> Outcome:
    """Judge a 4XX: a documented refusal of the whole request. Braze sent nothing."""
    code = f"http_{status}"
    if status == 429:
        return _outcome(evidence, Verdict.THROTTLED, code, message)
    if status == 413:
        return _outcome(evidence, Verdict.TOO_LARGE, code, message)
    if status in (401, 403):
        return _outcome(evidence, Verdict.REFUSED, code, message, stop="authorization")
    if status == 404 or (status == 400 and message in _ABOUT_THE_TARGET):
        return _outcome(evidence, Verdict.REFUSED, code, message, stop="target")
    if status == 415:
        return _outcome(evidence, Verdict.REFUSED, code, message, stop="request")
    return _outcome(evidence, Verdict.REFUSED, code, message)


def _never_left(evidence: Evidence) -> Outcome:
    if evidence.error == JOURNAL_LOST:
        return _outcome(evidence, Verdict.UNSENT, "journal_lost", "it did not leave, because the journal was lost")
    if evidence.error == STALE:
        return _outcome(evidence, Verdict.UNSENT, HELD_UP, "it did not leave, because this process had been held up")
    if evidence.cause in _CERTIFICATE_ERRORS:
        return _outcome(
            evidence,
            Verdict.UNSENT,
            "certificate",
            "the host's certificate cannot be trusted",
            stop="certificate",
        )
    if evidence.cause == "gaierror":
        return _outcome(evidence, Verdict.UNSENT, "unknown_host", "the host's name cannot be resolved", stop="host")
    if evidence.cause == NO_DESCRIPTOR:
        return _outcome(evidence, Verdict.UNSENT, SHORT, "no file descriptor was left for a connection (ulimit -n)")
    return _outcome(evidence, Verdict.UNSENT, "not_connected", f"no connection ({evidence.error})")


def _cut_off(evidence: Evidence) -> Outcome:
    """Judge a POST without a complete answer: unknown. How far it got helps the operator to decide."""
    likely: Likely = ""
    if evidence.reach is Reach.STATUS_SEEN and evidence.status is not None:
        likely = "accepted" if 200 <= evidence.status < 300 else "not_accepted" if evidence.status >= 400 else ""
        text = f"HTTP {evidence.status} began, but the answer was never complete"
    elif evidence.reach >= Reach.BODY_SENT:
        text = "the request was sent, but no answer came"
    else:
        likely = "not_accepted"
        text = "the connection broke before the whole request was written"
    return _unknown(evidence, "no_answer", f"{text} ({evidence.error or 'no error'})", likely)


def _outcome(evidence: Evidence, verdict: Verdict, code: str, message: str, *, stop: Stop = "") -> Outcome:
    return Outcome(verdict, code, message, evidence.status, stop=stop, reach=evidence.reach, error=evidence.error)


def _unknown(evidence: Evidence, code: str, message: str, likely: Likely = "", *, stop: Stop = "") -> Outcome:
    return Outcome(
        Verdict.UNKNOWN,
        code,
        message,
        evidence.status,
        stop=stop,
        likely=likely,
        reach=evidence.reach,
        error=evidence.error,
    )


def _text_of(answer: dict[str, Any] | None) -> Any:
    """Return Braze's text: ``message``, or ``error``, which it uses for what it cannot parse."""
    if answer is None:
        return None
    return answer.get("error") if answer.get("message") in (None, "") else answer["message"]


def _raw_text(body: bytes) -> str:
    """Return a body that is neither JSON nor a web page, as a short line of text."""
    text = body.decode("utf-8", "replace").lstrip()
    return "" if text[:1] in ("", "<", "{", "[") else clean(text, _MOST_RAW)


def _object(body: bytes) -> dict[str, Any] | None:
    """Return the body as a JSON object, or None; deep nesting, huge numbers and bad UTF-8 never raise.

    An object that has a name twice is None too: parsers differ on which one counts.
    """
    try:
        parsed = _DECODER.decode(body.decode())
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a name twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unambiguous)
