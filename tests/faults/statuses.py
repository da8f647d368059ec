"""Faults of the answer (F29 to F50): complete HTTP of every kind that Braze, a gateway or another server may send.

Most are rows of a table: a status, a body, headers, and whether the batch was accepted before the answer. A fault
whose name begins with ``accepted_`` sends the same bytes as the plain one, but accepts the batch.
"""

from __future__ import annotations

import gzip
import random
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from typing import Any

from .answer import Body, http_answer, success
from .fault import Expect, Fault, Turn, fault, register
from .mutation import mutate
from .wire import PeerGone

Made = Callable[[str | None], Body]

HTML = "<html><head><title>Bad day</title></head><body><h1>nginx</h1></body></html>"
MINOR = {"type": "'external_user_id' is unknown", "input_array": "recipients"}
ANSI = "\x1b[2J\x1b]0;owned\x07\x1b[31mred\x1b[0m\r\n\x00\x08\x9b31m\u202e=cmd|' /C calc'!A0"


def answering(
    name: str,
    id: str,
    status: int,
    body: Body | Made,
    *,
    expect: Expect,
    also: Iterable[Expect] = (),
    accepts: bool = False,
    headers: Mapping[str, str] | Callable[[], Mapping[str, str]] | None = None,
    chunked: bool = False,
) -> Fault:
    """Return a fault that reads the request, accepts it or not, and answers. ``body`` may ask for the dispatch id."""

    def play(turn: Turn) -> None:
        turn.read_whole()
        dispatch_id = turn.accept() if accepts else None
        content = body(dispatch_id) if callable(body) else body
        turn.answer(http_answer(status, content, headers() if callable(headers) else headers, chunked=chunked))

    return register(Fault(name, id, "answer", accepts, expect, play, frozenset(also)))


# --- accepted, with a success answer ---------------------------------------------------------------

ok = answering("ok", "F29", 201, success, accepts=True, expect="accepted")
answering("ok_200", "F35", 200, success, accepts=True, expect="accepted")
answering("ok_chunked", "F29", 201, success, accepts=True, expect="accepted", chunked=True)
answering("ok_closing", "F29", 201, success, accepts=True, expect="accepted", headers={"Connection": "close"})
answering("ok_with_errors", "F30", 201, lambda id: success(id, errors=[MINOR]), accepts=True, expect="accepted")
answering(
    "ok_with_indexed_errors",
    "F30",
    201,
    lambda id: success(id, errors=[{**MINOR, "index": 0}, {**MINOR, "index": 999}]),
    accepts=True,
    expect="accepted",
    also=["unknown"],
)
answering("ok_with_text_errors", "F30", 201, lambda id: success(id, errors="none"), accepts=True, expect="accepted")
answering(
    "ok_with_ansi_errors",
    "F30",
    201,
    lambda id: success(id, errors=[ANSI, {"type": ANSI, "index": 0}]),
    accepts=True,
    expect="accepted",
    also=["unknown"],
)
answering("no_dispatch_id_201", "F32", 201, {"message": "success"}, accepts=True, expect="accepted")
answering("null_dispatch_id_201", "F32", 201, success(None), accepts=True, expect="accepted")
answering(
    "number_dispatch_id_201",
    "F32",
    201,
    {"message": "success", "dispatch_id": 12},
    accepts=True,
    expect="accepted",
)
answering(
    "list_dispatch_id_201",
    "F32",
    201,
    {"message": "success", "dispatch_id": ["a"]},
    accepts=True,
    expect="accepted",
)
answering("queued_202", "F34", 202, {"message": "queued"}, accepts=True, expect="accepted")


@fault("F24", stage="answer", accepts=True, expect="accepted", also=["unknown"])
def repeated_dispatch_id(turn: Turn, *, dispatch_id: str = "d" * 32) -> None:
    """Accept each batch with the same dispatch id. From the second one on, both are unknown."""
    turn.answer(http_answer(201, success(turn.accept(dispatch_id))))


@fault("F18", stage="answer", accepts=True, expect="accepted")
def informational_then_201(turn: Turn) -> None:
    """100, 102 and 103 before a good 201."""
    dispatch_id = turn.accept()
    turn.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
    turn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
    turn.answer(http_answer(201, success(dispatch_id)))


# --- 2xx with unclear content ---------------------------------------------------------------------

answering("weird_message_201", "F31", 201, {"message": "weird"}, expect="unknown")
answering(
    "accepted_weird_message_201",
    "F31",
    201,
    lambda id: {"dispatch_id": id, "message": "weird"},
    accepts=True,
    expect="unknown",
)
answering("list_message_201", "F31", 201, {"message": ["success"]}, expect="unknown")
answering("malformed_201", "F33", 201, b'{"dispatch', accepts=True, expect="unknown")
answering("empty_201", "F33", 201, b"", accepts=True, expect="unknown")
answering("html_201", "F33", 201, HTML, expect="unknown")
answering("array_201", "F33", 201, b'["success"]', accepts=True, expect="unknown")
answering("not_utf8_201", "F33", 201, b'{"message": "succ\xe9\xff"}', accepts=True, expect="unknown")
answering("deep_json_201", "F33", 201, b'{"message": ' + b"[" * 100_000, accepts=True, expect="unknown")
answering("empty_object_201", "F50", 201, {}, expect="unknown")
answering("weird_200", "F35", 200, {"status": "up"}, expect="unknown")
answering("html_200", "F35", 200, HTML, expect="unknown")
answering("other_202", "F34", 202, {"message": "processing"}, accepts=True, expect="unknown")
answering("empty_204", "F35", 204, b"", accepts=True, expect="unknown")
answering("success_206", "F35", 206, success, accepts=True, expect="unknown", also=["accepted"])


@fault("F48", stage="answer", accepts=True, expect="unknown")
def huge_201(turn: Turn, *, size: int = 1_500_000) -> None:
    """Accept the batch; a 201 whose JSON is good and larger than anyone should read."""
    answer = http_answer(201, success(turn.accept(), padding="x" * size))
    try:
        turn.answer(answer)
    except PeerGone:  # a client may stop reading at its limit
        turn.wire.reset()


@fault("F48", stage="answer", accepts=True, expect="unknown")
def bad_gzip(turn: Turn) -> None:
    """Accept the batch; a 201 that claims to be gzip and is not."""
    turn.accept()
    turn.answer(http_answer(201, b"\x1f\x8b this is not gzip", {"Content-Encoding": "gzip"}))


@fault("F48", stage="answer", accepts=True, expect="unknown")
def gzip_bomb(turn: Turn, *, megabytes: int = 64) -> None:
    """Accept the batch; a 201 of about ``megabytes`` kB that unpacks to a thousand times that."""
    turn.accept()
    packed = gzip.compress(b'{"message": "success", "padding": "' + b"0" * (megabytes * 1_000_000), 6)
    turn.answer(http_answer(201, packed, {"Content-Encoding": "gzip"}))


# --- refused: documented as "nothing was sent" ----------------------------------------------------


def _refusal(status: int, message: str, *, expect: Expect = "refused", name: str = "", id: str = "F47") -> Fault:
    return answering(name or f"status_{status}", id, status, {"message": message}, expect=expect)


_refusal(400, "Bad syntax", id="F36")
answering(
    "campaign_400",
    "F36",
    400,
    {"message": "Invalid Campaign ID", "errors": ["no API-triggered campaign of this id"]},
    expect="stop",
    also=["refused"],
)
answering("ansi_400", "F36", 400, {"message": ANSI, "errors": [ANSI, {"type": ANSI}]}, expect="refused")
answering("html_400", "F36", 400, HTML, expect="refused")
answering("huge_message_400", "F36", 400, {"message": "no " * 100_000}, expect="refused")
_refusal(403, "Forbidden", expect="stop", id="F37")
_refusal(404, "Not Found", expect="stop", id="F37")
_refusal(405, "Method Not Allowed")
_refusal(413, "Request Entity Too Large", id="F38")
_refusal(415, "Unsupported Media Type", expect="stop")
_refusal(422, "Unprocessable Entity")
_refusal(431, "Request Header Fields Too Large")


@fault("F37", stage="answer", expect="stop")
def status_401(turn: Turn) -> None:
    """Refuse the key, and quote it in the message, as Braze was seen to do."""
    turn.read_whole()
    key = turn.head.headers.get("authorization", "").removeprefix("Bearer ")
    turn.answer(http_answer(401, {"message": f"Invalid API key: {key}", "errors": [{"key": key}]}))


def _early_413(turn: Turn) -> None:
    turn.read_head(greedy=False)
    turn.send(http_answer(413, {"message": "Request Entity Too Large"}, {"Connection": "close"}))


@fault("F38", stage="write", expect="refused", also=["unknown"])
def early_413_fin(turn: Turn) -> None:
    """Answer 413 after the head and throw the body away: a small batch always gets to see the 413."""
    _early_413(turn)
    turn.wire.finish()


@fault("F38", stage="write", expect="refused", also=["unknown"])
def early_413_rst(turn: Turn) -> None:
    """Answer 413 after the head and reset: the RST may overtake the answer."""
    _early_413(turn)
    turn.wire.reset()


# --- 429 ------------------------------------------------------------------------------------------


def _throttled(name: str, headers: Callable[[], Mapping[str, str]], id: str = "F41") -> Fault:
    body = {"message": "Rate limit exceeded"}
    return answering(name, id, 429, body, expect="throttled", headers=headers)


def _reset(value: str) -> Mapping[str, str]:
    return {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": value}


answering("html_429", "F41", 429, HTML, expect="throttled")
_throttled("status_429", lambda: _reset(str(int(time.time()) + 1)), id="F40")
_throttled("retry_after_seconds_429", lambda: {"Retry-After": "1"}, id="F40")
_throttled("retry_after_date_429", lambda: {"Retry-After": formatdate(time.time() + 1, usegmt=True)}, id="F40")
_throttled("retry_after_absurd_429", lambda: {"Retry-After": "999999999"})
_throttled("retry_after_negative_429", lambda: {"Retry-After": "-1"})
_throttled("retry_after_text_429", lambda: {"Retry-After": "soon"})
_throttled("x_retry_after_429", lambda: {"X-RateLimit-Retry-After": "1"}, id="F40")
_throttled("reset_past_429", lambda: _reset(str(int(time.time()) - 3600)))
_throttled("reset_year_3000_429", lambda: _reset("32503680000"))
_throttled("reset_negative_429", lambda: _reset("-1"))
_throttled("reset_float_429", lambda: _reset(f"{time.time() + 1:.3f}"))
_throttled("reset_text_429", lambda: _reset("in a while"))
_throttled("reset_milliseconds_429", lambda: _reset(str(int(time.time() * 1000) + 1000)))
_throttled("reset_nan_429", lambda: _reset("nan"))
_throttled("reset_infinite_429", lambda: _reset("inf"))
_throttled("reset_empty_429", lambda: _reset(""))


@fault("F41", stage="answer", expect="throttled")
def bare_429(turn: Turn) -> None:
    """429 without a single header that says until when, and without ``Date``."""
    turn.read_whole()
    turn.answer(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n")


@fault("F40", stage="answer", expect="throttled")
def reset_with_skewed_date_429(turn: Turn, *, skew: float = 3600.0, wait: float = 1.0) -> None:
    """429 from a server whose clock is ``skew`` seconds ahead: by its own ``Date``, ``wait`` is meant."""
    turn.read_whole()
    there = time.time() + skew
    headers = {"Date": formatdate(there, usegmt=True), **_reset(str(int(there + wait)))}
    turn.answer(http_answer(429, {"message": "Rate limit exceeded"}, headers))


# --- server errors, or a server other than Braze ---------------------------------------------------


def _either_way(name: str, id: str, status: int, body: Body, expect: Expect, **more: Any) -> None:
    answering(name, id, status, body, expect=expect, **more)
    answering(f"accepted_{name}", id, status, body, expect=expect, accepts=True, **more)


_either_way("json_500", "F42", 500, {"message": "Internal Server Error"}, "refused")
_either_way("json_503", "F42", 503, {"message": "Service Unavailable"}, "refused")
_either_way("empty_500", "F43", 500, b"", "unknown")
_either_way("html_500", "F43", 500, HTML, "unknown")
_either_way("html_503", "F43", 503, HTML, "unknown")
_either_way("error_503", "F42", 503, {"error": "overloaded"}, "refused")
_either_way("no_message_503", "F43", 503, {"status": "overloaded"}, "unknown")
_either_way("html_502", "F43", 502, HTML, "unknown")
_either_way("json_502", "F43", 502, {"message": "Bad Gateway"}, "unknown")
_either_way("html_504", "F43", 504, HTML, "unknown")
_either_way("json_504", "F43", 504, {"message": "Gateway Timeout"}, "unknown")
_either_way("status_408", "F44", 408, b"", "unknown", headers={"Connection": "close"})
_either_way("status_599", "F43", 599, {"message": "?"}, "unknown")
_either_way("status_999", "F26", 999, {"message": "?"}, "unknown")

# --- elsewhere ------------------------------------------------------------------------------------


def _redirect(status: int, id: str, expect: Expect) -> None:
    def play(turn: Turn, *, location: str = "http://127.0.0.1:9/campaigns/trigger/send") -> None:
        turn.read_whole()
        turn.answer(http_answer(status, b"", {"Location": location}))

    register(Fault(f"redirect_{status}", id, "answer", False, expect, play, frozenset()))


_redirect(301, "F45", "unknown")
_redirect(302, "F45", "unknown")
_redirect(303, "F45", "unknown")
_redirect(307, "F46", "stop")
_redirect(308, "F46", "stop")


# --- damaged --------------------------------------------------------------------------------------


def _damaged(name: str, status: int, message: str | None, also: Expect) -> None:
    def play(turn: Turn, *, seed: int = 0) -> None:
        turn.read_whole()
        body = success(turn.accept()) if message is None else {"message": message}
        rng = random.Random(f"{seed}:{turn.index}")
        turn.send(mutate(http_answer(status, body), rng, keep_status_line=True))
        turn.wire.finish()

    register(Fault(name, "F26", "read", message is None, "unknown", play, frozenset([also])))


_damaged("damaged_201", 201, None, "accepted")
_damaged("damaged_400", 400, "Bad syntax", "refused")
_damaged("damaged_429", 429, "Rate limit exceeded", "throttled")
