"""Answers of Braze that a rehearsal can choose, other than the usual ones.

They concern requests that Braze's rules allow; any other is refused as usual. In a state other than live, Braze answers
with a ``notice`` and sends nothing.

``usual``
    201 with a ``dispatch_id``.
``errors``
    201 with a minor error in ``errors`` that names nobody. Everybody is sent the message.
``errors-by-index``
    201 with an error that names the first recipient of the request by ``index``. All others are sent the message.
``queued``
    202 ``queued`` without a ``dispatch_id``. Everybody is sent the message.
``error-body``
    400 with the text in ``error`` instead of ``message``. Nobody is sent the message.
``unauthorized``
    401 that quotes the key, with empty rate limit headers; all endpoints. Nobody is sent the message.
``retry-after-only``
    Every third request is refused with 429 and nothing but ``X-Ratelimit-Retry-After``, the others have no rate limit
    headers either.
``seconds-to-go``
    ``X-RateLimit-Reset`` is the number of seconds left, also in a 429, which has no ``Retry-After``.
``varnish``
    Every third request is answered by a cache in front of Braze: 503 with an HTML page and ``Retry-After``. Everybody
    is sent the message.

Source: recorded or documented answers; ``docs/reference/sandbox.md`` names the source of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bulk_sender.sandbox.ratelimit import Allowance
from bulk_sender.sandbox.wire import Answer, Headers

ANSWERS = (
    "usual",
    "errors",
    "errors-by-index",
    "queued",
    "error-body",
    "unauthorized",
    "retry-after-only",
    "seconds-to-go",
    "varnish",
)
EVERY = 3
"""``retry-after-only`` and ``varnish`` meet the first of so many requests."""
TOO_LONG = "'external_id' must be fewer than 988 bytes"
RATE_LIMITED = {"message": "Rate Limited"}

_MINOR = "the message of one channel could not be personalized"
_VARNISH = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html>
  <head><title>503 first byte timeout</title></head>
  <body>
    <h1>Error 503 first byte timeout</h1>
    <p>first byte timeout</p>
    <h3>Guru Mediation:</h3>
    <p>Details: cache-sandbox 1800000000 1</p>
    <hr>
    <p>Varnish cache server</p>
  </body>
</html>
"""
_NOTICES = {
    "paused": "The {what} is paused. Resume the {what} to ensure trigger requests will take effect.",
    "archived": "The {what} is archived. Unarchive the {what} to ensure trigger requests will take effect.",
    # Braze documents that these two send nothing, but not the text.
    "stopped": "The {what} is stopped. Resume the {what} to ensure trigger requests will take effect.",
    "draft": "The {what} is a draft. Launch the {what} to ensure trigger requests will take effect.",
}


def headers(allowance: Allowance, answers: str) -> Headers:
    """Return the rate limit headers of an answer."""
    if answers == "retry-after-only":
        return () if allowance.granted else [(b"x-ratelimit-retry-after", b"%d" % allowance.retry_after_s)]
    if answers == "seconds-to-go":
        shown = dict(allowance.headers()) | {b"x-ratelimit-reset": b"%d" % allowance.retry_after_s}
        shown.pop(b"retry-after", None)
        return list(shown.items())
    return allowance.headers()


def unauthorized(key: str) -> Answer:
    """Return the recorded 401 for a key that Braze does not know: it quotes the key, and its headers are empty."""
    empty = [(name, b"") for name in (b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset")]
    return Answer.of(401, {"message": f"Invalid App Group API Identifier: {key}"}, empty)


def not_sent(target: str, state: str, answers: str, shown: Headers) -> Answer:
    """Return the success of a campaign or Canvas that is not live. Nothing is sent, and there is no ``dispatch_id``."""
    content: dict[str, Any] = {
        "message": "success",
        "notice": _NOTICES[state].format(what="Canvas" if target == "canvas_id" else "campaign"),
    }
    if answers == "errors":
        content["errors"] = [_MINOR]
    return Answer.of(201, content, shown, outcome=f"201 with a notice, not sent: {state}")


def refused(answers: str, turn: int, shown: Headers) -> Answer | None:
    """Return the refusal that ``answers`` means for the request number ``turn``, from 0; None if it is taken."""
    if answers == "error-body":
        return Answer.of(400, {"error": "message body does not match declared format"}, shown)
    if answers == "retry-after-only" and turn % EVERY == 0:
        return Answer.of(429, RATE_LIMITED, [(b"x-ratelimit-retry-after", b"1")])
    return None


def success(answers: str, turn: int, dispatch_id: str, too_long: Sequence[int], shown: Headers) -> Answer:
    """Return the answer to an accepted request. ``too_long``: indexes of recipients that Braze did not take."""
    if answers == "varnish" and turn % EVERY == 0:
        cache = [(b"server", b"Varnish"), (b"via", b"1.1 varnish"), (b"retry-after", b"1")]
        return Answer(503, _VARNISH.encode(), cache, b"text/html; charset=utf-8", outcome="503 from a cache, accepted")
    if answers == "queued":
        return Answer.of(202, {"message": "queued"}, shown)
    content: dict[str, Any] = {"dispatch_id": dispatch_id, "message": "success"}
    errors: list[Any] = [{"type": TOO_LONG, "input_array": "recipients", "index": index} for index in too_long]
    if answers == "errors":
        errors.append(_MINOR)
    if errors:
        content["errors"] = errors
    return Answer.of(201, content, shown)
