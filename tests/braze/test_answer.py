"""Judge of answers: a table of what Braze documents and what was observed on the wire, and property tests."""

from __future__ import annotations

import json
import random
import string
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulk_sender.braze.answer import Outcome, Verdict, judge, repeated
from bulk_sender.http.credential import Credential
from bulk_sender.http.evidence import Evidence, Reach
from bulk_sender.text.clean import clean

ACCEPTED, REFUSED, UNKNOWN = Verdict.ACCEPTED, Verdict.REFUSED, Verdict.UNKNOWN
UNSENT, THROTTLED, TOO_LARGE = Verdict.UNSENT, Verdict.THROTTLED, Verdict.TOO_LARGE

GOOD = {"dispatch_id": "d1", "message": "success"}
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


def answered(status: int, body: Any = None, **more: Any) -> Evidence:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Evidence(Reach.ANSWERED, status, body=content, **more)


def lost(error: str, reach: Reach, status: int | None = None, cause: str = "") -> Evidence:
    return Evidence(reach, status, error=error, cause=cause)


# --- complete answers (F29 to F50) ------------------------------------------------------------------------------------

ANSWERS: list[tuple[str, int, Any, Verdict, str, str]] = [
    # name, status, body, verdict, stop, code
    ("F29 success", 201, GOOD, ACCEPTED, "", ""),
    ("F30 minor errors", 201, {**GOOD, "errors": [{"index": 0}]}, ACCEPTED, "", "accepted_with_errors"),
    ("F30 a notice", 201, {**GOOD, "notice": "the campaign is paused"}, REFUSED, "not_live", "not_live"),
    ("a notice and errors", 201, {**GOOD, "notice": "paused", "errors": ["minor"]}, REFUSED, "not_live", "not_live"),
    ("a notice without an id", 201, {"message": "success", "notice": "paused"}, REFUSED, "not_live", "not_live"),
    ("a notice without a message", 200, {"notice": "The Canvas is archived."}, REFUSED, "not_live", "not_live"),
    ("a notice, queued", 202, {"message": "queued", "notice": "stopped"}, REFUSED, "not_live", "not_live"),
    ("an empty notice", 201, {**GOOD, "notice": ""}, ACCEPTED, "", ""),
    ("a notice with another message", 201, {"message": "?", "notice": "x"}, UNKNOWN, "not_live", "http_201_unexpected"),
    ("F30 no errors after all", 201, {**GOOD, "errors": []}, ACCEPTED, "", ""),
    ("F31 another message", 201, {**GOOD, "message": "weird"}, UNKNOWN, "", "http_201_unexpected"),
    ("F31 nearly the message", 201, {**GOOD, "message": " success\x1b[0m"}, UNKNOWN, "", "http_201_unexpected"),
    ("F31 in another case", 201, {**GOOD, "message": "Success"}, UNKNOWN, "", "http_201_unexpected"),
    ("F31 message in a list", 201, {**GOOD, "message": ["success"]}, UNKNOWN, "", "http_201_unexpected"),
    ("F31 no message", 201, {"dispatch_id": "d1"}, UNKNOWN, "", "http_201_unexpected"),
    ("F32 no id", 201, {"message": "success"}, ACCEPTED, "", "no_dispatch_id"),
    ("F32 null id", 201, {**GOOD, "dispatch_id": None}, ACCEPTED, "", "no_dispatch_id"),
    ("F32 empty id", 201, {**GOOD, "dispatch_id": ""}, ACCEPTED, "", "no_dispatch_id"),
    ("F32 id of control characters", 201, {**GOOD, "dispatch_id": "\x00\n"}, ACCEPTED, "", "no_dispatch_id"),
    ("F32 number for an id", 201, {**GOOD, "dispatch_id": 12}, ACCEPTED, "", "no_dispatch_id"),
    ("F32 list for an id", 201, {**GOOD, "dispatch_id": ["d1"]}, ACCEPTED, "", "no_dispatch_id"),
    ("F33 half an object", 201, b'{"dispatch', UNKNOWN, "", "http_201_unexpected"),
    ("F33 nothing", 201, b"", UNKNOWN, "", "http_201_unexpected"),
    ("F33 html", 201, HTML, UNKNOWN, "", "http_201_unexpected"),
    ("F33 an array", 201, ["success"], UNKNOWN, "", "http_201_unexpected"),
    ("F33 a string", 201, "success", UNKNOWN, "", "http_201_unexpected"),
    ("F33 not UTF-8", 201, b'{"message": "success\xff"}', UNKNOWN, "", "http_201_unexpected"),
    ("F33 UTF-16", 201, json.dumps(GOOD).encode("utf-16"), UNKNOWN, "", "http_201_unexpected"),
    ("F33 two messages", 201, b'{"message": "no", "message": "success"}', UNKNOWN, "", "http_201_unexpected"),
    ("F33 something behind it", 201, b'{"message": "success"} {}', UNKNOWN, "", "http_201_unexpected"),
    ("F33 too deep", 201, b'{"message": ' + b"[" * 100_000, UNKNOWN, "", "http_201_unexpected"),
    (
        "F33 a number too long",
        201,
        b'{"message": "success", "x": ' + b"9" * 5000 + b"}",
        UNKNOWN,
        "",
        "http_201_unexpected",
    ),
    ("F34 queued", 202, {"message": "queued"}, ACCEPTED, "", "queued"),
    ("F34 success anyway", 202, GOOD, ACCEPTED, "", ""),
    ("F34 queued, with errors", 202, {"message": "queued", "errors": ["x"]}, ACCEPTED, "", "accepted_with_errors"),
    ("F34 queued, but not 202", 201, {"message": "queued"}, UNKNOWN, "", "http_201_unexpected"),
    ("F34 other", 202, {"message": "processing"}, UNKNOWN, "", "http_202_unexpected"),
    ("F35 200", 200, GOOD, ACCEPTED, "", ""),
    ("F35 200, something else", 200, {"status": "up"}, UNKNOWN, "", "http_200_unexpected"),
    ("F35 204", 204, b"", UNKNOWN, "", "http_204_unexpected"),
    ("F35 206 (any 2XX)", 206, GOOD, ACCEPTED, "", ""),
    ("F35 299 (any 2XX)", 299, GOOD, ACCEPTED, "", ""),
    ("F36 bad syntax", 400, {"message": "Bad syntax"}, REFUSED, "", "http_400"),
    ("F36 html", 400, HTML, REFUSED, "", "http_400"),
    ("F37 unknown key", 401, {"message": "Invalid API key"}, REFUSED, "authorization", "http_401"),
    ("F37 no permission", 403, {"message": "Forbidden"}, REFUSED, "authorization", "http_403"),
    ("F37 unknown path", 404, {"message": "Not found"}, REFUSED, "target", "http_404"),
    ("F37 campaign", 400, {"message": "Invalid Campaign ID"}, REFUSED, "target", "http_400"),
    ("F37 no such campaign", 400, {"message": "Campaign does not exist"}, REFUSED, "target", "http_400"),
    (
        "F37 not a campaign's id",
        400,
        {"message": "campaign_id must be a string of the campaign api identifier"},
        REFUSED,
        "target",
        "http_400",
    ),
    ("F37 as an error", 400, {"error": "Invalid Campaign ID"}, REFUSED, "target", "http_400"),
    # any other text may be about one row, whatever it mentions
    ("F37 campaign_id", 400, {"message": "campaign_id is unknown"}, REFUSED, "", "http_400"),
    ("F37 in another case", 400, {"message": "invalid campaign id"}, REFUSED, "", "http_400"),
    ("F37 canvas", 400, {"message": "The Canvas entry properties are too large"}, REFUSED, "", "http_400"),
    ("F37 send id", 400, {"message": "invalid send_id given"}, REFUSED, "", "http_400"),
    ("F37 variation", 400, {"message": "bad message_variation_id"}, REFUSED, "", "http_400"),
    ("a row that names one", 400, {"message": "recipients[3].campaign must be a string"}, REFUSED, "", "http_400"),
    ("parse error", 400, {"error": "message body does not match declared format"}, REFUSED, "", "http_400"),
    ("content type", 415, {"message": "Unsupported Media Type"}, REFUSED, "request", "http_415"),
    ("F37 about a row", 400, {"message": "can't send: campaign_name of x"}, REFUSED, "", "http_400"),
    ("F37 about a row's flag", 400, {"message": "send_to_existing_only"}, REFUSED, "", "http_400"),
    ("F37 campaign, but not 400", 422, {"message": "Invalid Campaign ID"}, REFUSED, "", "http_422"),
    ("F38 too large", 413, {"message": "Too large"}, TOO_LARGE, "", "http_413"),
    ("F38 too large, by a gateway", 413, HTML, TOO_LARGE, "", "http_413"),
    ("F40 throttled", 429, {"message": "Rate limit exceeded"}, THROTTLED, "", "http_429"),
    ("F41 throttled, by a gateway", 429, HTML, THROTTLED, "", "http_429"),
    ("F42 500", 500, {"message": "Internal Server Error"}, UNSENT, "", "http_500"),
    ("F42 503", 503, {"message": "Service Unavailable"}, UNSENT, "", "http_503"),
    ("F43 500 empty", 500, b"", UNKNOWN, "", "http_500"),
    ("F43 500 html", 500, HTML, UNKNOWN, "", "http_500"),
    ("503 in Braze's other form", 503, {"error": "overloaded"}, UNSENT, "", "http_503"),
    ("F43 503 without a text", 503, {"status": "overloaded"}, UNKNOWN, "", "http_503"),
    ("F43 503 with a message that is none", 503, {"message": 5}, UNKNOWN, "", "http_503"),
    ("F43 501", 501, {"message": "Not Implemented"}, UNKNOWN, "", "http_501"),
    ("F43 502", 502, {"message": "Bad Gateway"}, UNKNOWN, "", "http_502"),
    ("F43 504", 504, HTML, UNKNOWN, "", "http_504"),
    ("F44 408", 408, b"", UNKNOWN, "", "http_408"),
    ("F44 425", 425, {"message": "Too Early"}, UNKNOWN, "", "http_425"),
    ("F44 499", 499, b"", UNKNOWN, "", "http_499"),
    ("F45 300", 300, b"", UNKNOWN, "redirect", "http_300"),
    ("F45 301", 301, b"", UNKNOWN, "redirect", "http_301"),
    ("F45 302", 302, b"", UNKNOWN, "redirect", "http_302"),
    ("F45 303", 303, GOOD, UNKNOWN, "redirect", "http_303"),
    ("F45 399", 399, b"", UNKNOWN, "redirect", "http_399"),
    ("F46 307", 307, b"", REFUSED, "redirect", "http_307"),
    ("F46 308", 308, b"", REFUSED, "redirect", "http_308"),
    ("F47 405", 405, {"message": "Method Not Allowed"}, REFUSED, "", "http_405"),
    ("F47 407", 407, b"", REFUSED, "", "http_407"),
    ("F47 422", 422, {"message": "Unprocessable"}, REFUSED, "", "http_422"),
    ("F47 431", 431, b"", REFUSED, "", "http_431"),
    ("F47 498", 498, b"", REFUSED, "", "http_498"),
    ("F48 gzip nobody asked for", 201, b"\x1f\x8b\x08\x00", UNKNOWN, "", "http_201_unexpected"),
    ("F50 anything", 201, {}, UNKNOWN, "", "http_201_unexpected"),
    ("101", 101, b"", UNKNOWN, "", "http_101"),
    ("199", 199, GOOD, UNKNOWN, "", "http_199"),
    ("600", 600, GOOD, UNKNOWN, "", "http_600"),
    ("999", 999, {"message": "?"}, UNKNOWN, "", "http_999"),
]


@pytest.mark.parametrize(
    ("name", "status", "body", "verdict", "stop", "code"), ANSWERS, ids=[row[0] for row in ANSWERS]
)
def test_the_verdict_on_a_complete_answer(
    name: str, status: int, body: Any, verdict: Verdict, stop: str, code: str
) -> None:
    outcome = judge(answered(status, body))
    assert (outcome.verdict, outcome.stop, outcome.code) == (verdict, stop, code)
    assert outcome.http_status == status
    assert outcome.reach is Reach.ANSWERED
    assert outcome.may_send_again is (verdict not in (ACCEPTED, UNKNOWN))
    assert bool(outcome.message) is bool(code), "only unusual outcomes have a message"
    assert outcome.dispatch_id == ("d1" if verdict is ACCEPTED and body.get("dispatch_id") == "d1" else "")


@pytest.mark.parametrize("status", [500, 503])
def test_a_documented_server_error_is_unknown_with_server_errors_hold(status: int) -> None:
    outcome = judge(answered(status, {"message": "Service Unavailable"}), server_errors="hold")
    assert outcome.verdict is UNKNOWN
    assert (outcome.code, outcome.message, outcome.likely) == (f"http_{status}", "Service Unavailable", "")


def test_the_outcome_says_what_is_likely() -> None:
    assert judge(answered(201, b"{")).likely == "accepted"
    assert judge(answered(204)).likely == "accepted"
    assert judge(answered(408)).likely == "not_accepted"
    assert judge(answered(502)).likely == ""
    assert judge(answered(201, GOOD)).likely == ""


def test_the_message_for_an_answer() -> None:
    assert judge(answered(201, {**GOOD, "dispatch_id": "d" * 300})).dispatch_id == "d" * 199 + "…"
    assert (
        judge(answered(201, {**GOOD, "errors": [{"index": 3, "type": "é"}]})).message == '[{"index": 3, "type": "é"}]'
    )
    assert judge(answered(201, {**GOOD, "notice": "the campaign\n is paused"})).message == "the campaign is paused"
    assert judge(answered(201, {"message": "weird"})).message == "HTTP 201 with the message 'weird'"
    assert judge(answered(201, {"message": 5})).message == "HTTP 201 with the message '5'"
    assert judge(answered(201, b"")).message == "HTTP 201 with no message that Braze documents"
    assert (
        judge(answered(202, {"message": "queued"})).message == "Braze is under maintenance and has queued the request"
    )
    assert judge(answered(201, {"message": "success"})).message == "Braze accepted the request without a dispatch_id"
    notice = {"notice": "the Canvas\n is paused", "errors": [{"index": 3}]}
    assert judge(answered(201, {**GOOD, **notice})).message == 'the Canvas is paused (errors: [{"index": 3}])'
    assert judge(answered(400, {"message": "Bad syntax"})).message == "Bad syntax"
    assert judge(answered(400, {"error": "Bad syntax"})).message == "Bad syntax"
    assert judge(answered(400, {"message": "", "error": "Bad syntax"})).message == "Bad syntax"
    assert judge(answered(400, b"Bad Request")).message == "Bad Request"
    assert judge(answered(400, HTML)).message == "HTTP 400 without a message"
    assert judge(answered(408, b"")).message == "the server stopped waiting"
    assert judge(answered(408, {"message": "slow"})).message == "slow"
    assert judge(answered(502, HTML)).message == "HTTP 502 from something that is not Braze"
    assert judge(answered(502, {"message": "Bad Gateway"})).message == "Bad Gateway"
    assert judge(answered(301)).message == judge(answered(307)).message == "the host redirects elsewhere"


# --- no complete answer (0.1, F01 to F28)------------------------------------------------------------------------------

NEVER_LEFT = ["PoolTimeout", "ConnectTimeout", "ConnectError", "UnsupportedProtocol", "InvalidURL", "ProxyError"]
AMBIGUOUS = [
    *("ReadError", "ReadTimeout", "RemoteProtocolError", "WriteError", "WriteTimeout", "CloseError"),
    *("DecodingError", "LocalProtocolError", "DeadlineExceeded", "Cancelled", "TimeoutError", "KeyboardInterrupt", ""),
]


@pytest.mark.parametrize("reach", [Reach.NOTHING, Reach.CONNECTED])
@pytest.mark.parametrize("error", NEVER_LEFT)
def test_a_request_that_was_never_sent_may_be_sent_again(error: str, reach: Reach) -> None:
    outcome = judge(lost(error, reach))
    assert (outcome.verdict, outcome.code, outcome.stop) == (UNSENT, "not_connected", "")
    assert outcome.message == f"no connection ({error})"
    assert (outcome.error, outcome.reach, outcome.http_status) == (error, reach, None)


@pytest.mark.parametrize("reach", [Reach.HEAD_STARTED, Reach.BODY_SENT, Reach.STATUS_SEEN])
@pytest.mark.parametrize("error", NEVER_LEFT)
def test_type_and_trace_must_agree(error: str, reach: Reach) -> None:
    assert judge(lost(error, reach)).verdict is UNKNOWN


@pytest.mark.parametrize("reach", [reach for reach in Reach if reach < Reach.ANSWERED])
@pytest.mark.parametrize("error", AMBIGUOUS)
def test_every_other_end_is_unknown(error: str, reach: Reach) -> None:
    outcome = judge(lost(error, reach))
    assert (outcome.verdict, outcome.code, outcome.stop) == (UNKNOWN, "no_answer", "")
    assert outcome.message.endswith(f"({error or 'no error'})")


@pytest.mark.parametrize("cause", ["SSLCertVerificationError", "CertificateError"])
def test_a_certificate_that_cannot_be_trusted_stops_the_run(cause: str) -> None:
    outcome = judge(lost("ConnectError", Reach.CONNECTED, cause=cause))
    assert (outcome.verdict, outcome.stop, outcome.code) == (UNSENT, "certificate", "certificate")
    assert outcome.message == "the host's certificate cannot be trusted"


def test_a_name_without_an_address_stops_the_run() -> None:
    outcome = judge(lost("ConnectError", Reach.NOTHING, cause="gaierror"))
    assert (outcome.verdict, outcome.stop, outcome.code) == (UNSENT, "host", "unknown_host")
    assert outcome.message == "the host's name cannot be resolved"


def test_a_cause_proves_nothing_after_the_request_began() -> None:
    for cause in ("gaierror", "SSLCertVerificationError"):
        assert judge(lost("ConnectError", Reach.HEAD_STARTED, cause=cause)).verdict is UNKNOWN


@pytest.mark.parametrize(
    ("reach", "status", "likely", "text"),
    [
        (
            Reach.HEAD_STARTED,
            None,
            "not_accepted",
            "the connection broke before the whole request was written (E)",
        ),
        (Reach.BODY_SENT, None, "", "the request was sent, but no answer came (E)"),
        (Reach.STATUS_SEEN, 201, "accepted", "HTTP 201 began, but the answer was never complete (E)"),
        (Reach.STATUS_SEEN, 200, "accepted", "HTTP 200 began, but the answer was never complete (E)"),
        (Reach.STATUS_SEEN, 300, "", "HTTP 300 began, but the answer was never complete (E)"),
        (Reach.STATUS_SEEN, 199, "", "HTTP 199 began, but the answer was never complete (E)"),
        (Reach.STATUS_SEEN, 399, "", "HTTP 399 began, but the answer was never complete (E)"),
        (Reach.STATUS_SEEN, 400, "not_accepted", "HTTP 400 began, but the answer was never complete (E)"),
        (Reach.STATUS_SEEN, 429, "not_accepted", "HTTP 429 began, but the answer was never complete (E)"),
        (Reach.STATUS_SEEN, None, "", "the request was sent, but no answer came (E)"),
        (Reach.ANSWERED, None, "", "the request was sent, but no answer came (E)"),
    ],
)
def test_the_outcome_records_how_far_the_request_got(reach: Reach, status: int | None, likely: str, text: str) -> None:
    outcome = judge(lost("E", reach, status))
    assert (outcome.verdict, outcome.likely, outcome.message) == (UNKNOWN, likely, text)
    assert (outcome.reach, outcome.http_status, outcome.error) == (reach, status, "E")


@pytest.mark.parametrize("status", [200, 201, 202, 301, 400, 429, 503])
def test_an_answer_that_began_too_early_is_not_an_answer(status: int) -> None:
    outcome = judge(answered(status, GOOD, premature=True))
    assert (outcome.verdict, outcome.code) == (UNKNOWN, "premature_answer")
    assert outcome.message == "an answer arrived before its request was written"


def test_a_repeated_dispatch_id_revokes_the_acceptance() -> None:
    outcome = repeated(judge(answered(201, GOOD)), earlier=7)
    assert (outcome.verdict, outcome.code, outcome.stop, outcome.likely) == (
        UNKNOWN,
        "repeated_dispatch_id",
        "repeated",
        "accepted",
    )
    assert (outcome.dispatch_id, outcome.http_status) == ("d1", 201)
    assert outcome.message == "the dispatch_id was already given to batch 7"
    assert not outcome.may_send_again


def test_may_send_again_is_a_closed_list() -> None:
    assert {verdict for verdict in Verdict if Outcome(verdict).may_send_again} == {
        REFUSED,
        TOO_LARGE,
        UNSENT,
        THROTTLED,
    }


# --- properties -------------------------------------------------------------------------------------------------------

REACHES = st.sampled_from(list(Reach))
NAMES = st.sampled_from([*NEVER_LEFT, *AMBIGUOUS]) | st.text(string.ascii_letters, max_size=20)
CAUSES = st.sampled_from(["", "gaierror", "SSLCertVerificationError", "OSError"]) | st.text(max_size=10)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["success", "queued"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.fixed_dictionaries({}, optional={"message": VALUES, "dispatch_id": VALUES, "errors": VALUES})
BODIES = st.binary(max_size=200) | OBJECTS.map(lambda found: json.dumps(found).encode())
POLICIES: st.SearchStrategy[Literal["retry", "hold"]] = st.sampled_from(["retry", "hold"])
EVIDENCE = st.builds(
    Evidence,
    reach=REACHES,
    status=st.none() | st.integers(-1, 1000),
    body=BODIES,
    error=NAMES,
    cause=CAUSES,
    premature=st.booleans(),
)


def documented_refusal(evidence: Evidence, server_errors: str) -> bool:
    """Whether a complete answer is documented by Braze as "nothing was sent": an independent implementation."""
    status = evidence.status or 0
    if evidence.premature or evidence.reach is not Reach.ANSWERED:
        return False
    if status in (500, 503) and server_errors == "retry":
        try:
            return isinstance(json.loads(evidence.body)["message"], str)
        except (ValueError, TypeError, KeyError):
            return False
    return status in (307, 308) or (400 <= status <= 499 and status not in (408, 425, 499))


@given(EVIDENCE, POLICIES)
def test_nothing_is_sent_again_without_proof(evidence: Evidence, server_errors: Literal["retry", "hold"]) -> None:
    if judge(evidence, server_errors=server_errors).may_send_again:
        never_left = evidence.reach <= Reach.CONNECTED and evidence.error in NEVER_LEFT and not evidence.premature
        assert never_left or documented_refusal(evidence, server_errors)


@given(EVIDENCE, POLICIES)
def test_nothing_is_accepted_without_the_documented_message(
    evidence: Evidence, server_errors: Literal["retry", "hold"]
) -> None:
    if judge(evidence, server_errors=server_errors).verdict is ACCEPTED:
        assert evidence.reach is Reach.ANSWERED
        assert not evidence.premature
        assert evidence.status is not None
        assert 200 <= evidence.status < 300
        assert json.loads(evidence.body)["message"] in ("success", "queued")


@given(st.text(max_size=30).filter(lambda name: name not in NEVER_LEFT), REACHES, CAUSES)
def test_an_unexpected_exception_is_unknown(error: str, reach: Reach, cause: str) -> None:
    assert judge(Evidence(reach, error=error, cause=cause)).verdict is UNKNOWN


CONTROLS = [chr(code) for code in (*range(32), *range(0x7F, 0xA0), *range(0x200B, 0x2010), *range(0x2028, 0x202F))]
CONTROLS += [chr(code) for code in (0x61C, *range(0x2060, 0x206A), 0xFEFF, 0xD800, 0xDFFF)]
CONTROLS += ["\x1b[31m", "\x1b]0;title\x07", "\x1b]8;;http://a\x1b\\", "\x9b1m", "\r\n"]
NASTY = st.lists(st.sampled_from([*CONTROLS, "a", "é", "😀", " "]) | st.text(max_size=3), max_size=40).map("".join)


@given(NASTY, st.integers(200, 599))
@example("\x1b[" + "1" * 5000 + "m", 400)
@example("\x1b]0;" + "t" * 5000, 400)
def test_no_control_character_survives(text: str, status: int) -> None:
    outcome = judge(answered(status, {"message": text, "dispatch_id": text, "errors": [text, {text: text}]}))
    for shown in (outcome.message, outcome.dispatch_id, outcome.code):
        assert not any(control in shown for control in CONTROLS), ascii(shown)
        assert len(shown) <= 560
        shown.encode("utf-8")
    success = judge(answered(201, {"message": "success", "dispatch_id": text, "errors": [text]}))
    assert not any(control in success.message + success.dispatch_id for control in CONTROLS)
    assert len(success.dispatch_id) <= 200


@given(st.binary(max_size=400), st.integers(100, 999))
@example(b'{"message": "success", "errors": ' + b"[" * 900 + b"]" * 900 + b"}", 201)
@example(b'{"message": ' + b"[" * 900 + b"]" * 900 + b"}", 400)
@example(b'{"message": "\\ud800"}', 400)
@example(b'{"message": NaN, "dispatch_id": -Infinity}', 201)
@example(b"\xef\xbb\xbf{}", 201)
def test_arbitrary_bytes_never_make_it_raise(body: bytes, status: int) -> None:
    judge(answered(status, body))


def test_deep_nesting_never_makes_it_raise() -> None:
    for depth in range(100, 1200, 7):
        for status in (201, 400, 503):
            for name in (b"message", b"errors", b"dispatch_id"):
                nested = b"[" * depth + b"]" * depth
                judge(answered(status, b'{"message": "success", "x": 0, "%s": %s}' % (name, nested)))
                judge(answered(status, b'{"%s": %s}' % (name, nested)))


def test_text_is_shortened_to_one_line() -> None:
    assert clean("a" * 500) == "a" * 500
    assert clean("a" * 501) == "a" * 499 + "…"
    assert clean("ab\r\n  c\td", 10) == "ab c d"
    assert clean("abcdef", 5) == "abcd…"
    assert clean("abcde", 5) == "abcde"
    assert clean(" " * 19 + "a" + "b" * 9, 5) == "a"
    assert clean(None) == ""
    assert clean("") == ""
    assert clean(False) == "false"
    assert clean({"é": 1}) == '{"é": 1}'
    assert clean(object()) == "an unreadable object"
    assert clean("\ud800x") == "?x"
    assert clean("a\x00b") == "a b"


# --- damaged answers --------------------------------------------------------------------------------------------------


def test_a_damaged_body_never_turns_a_refusal_into_an_acceptance_nor_the_reverse() -> None:
    """Judge ten thousand damaged bodies with their true status, and compare with what the server did."""
    from tests.faults import mutate

    rng = random.Random(20260228)
    good = json.dumps({"dispatch_id": "0" * 32, "message": "success"}).encode()
    refusals = [(status, json.dumps({"message": "Bad syntax"}).encode()) for status in (400, 429, 500, 503, 413)]
    for _ in range(5_000):
        taken = judge(answered(201, mutate(good, rng)))
        assert not taken.may_send_again
        status, body = rng.choice(refusals)
        assert judge(answered(status, mutate(body, rng))).verdict is not ACCEPTED


def test_the_key_is_removed_before_judging() -> None:
    credential = Credential.check("canary-key-0123456789")
    body = credential.scrub('{"message": "Invalid API key: canary-key-0123456789"}')
    assert "canary" not in judge(answered(401, body.encode())).message
