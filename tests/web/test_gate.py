"""The gate: every route with a wrong host, a foreign origin, no session, an old one, and in read-only mode."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from bulk_sender.web import session
from bulk_sender.web.gate import API, HEADERS, POLICY
from bulk_sender.web.pages import Pages
from bulk_sender.web.rendering import stylesheet
from bulk_sender.web.roles import NEEDED, Person, Role
from tests.web.visitor import HOST, OURS, PORT, URL, Visitor

VALUES = {
    "{draft}": "draft",
    "{run}": "calm",
    "{row:int}": "3",
    "/files/{name}": "/files/summary",
    "/{name}.{kind}": "/results.csv",
    "/static/{name}": f"/static/{stylesheet().name}",
}


def filled(path: str) -> str:
    for name, value in VALUES.items():
        path = path.replace(name, value)
    return path


ROUTES = sorted((method, filled(path)) for method, path in NEEDED)
PUBLIC = sorted((method, filled(path)) for (method, path), role in NEEDED.items() if role is Role.PUBLIC)
GUARDED = [route for route in ROUTES if route not in PUBLIC]
UNSAFE = [route for route in ROUTES if route[0] != "GET"]
OTHER_ANSWERS = {
    ("POST", "/runs/calm/report"): 303,
    ("POST", "/runs/calm/stop"): 303,
    ("POST", "/runs/calm/resume"): 303,
    ("POST", "/runs/calm/first-rows"): 303,
    ("GET", "/people"): 303,
    ("POST", "/runs/calm/decide"): 303,
    ("POST", "/runs/calm/ask"): 303,
    ("POST", "/runs/calm/retry"): 303,
    ("POST", "/runs/calm/fix"): 303,
    ("POST", "/runs/calm/fix/upload"): 400,
    ("POST", "/runs/calm/personal"): 303,
    ("POST", "/settings/key"): 404,
    ("GET", "/metrics"): 404,
    ("POST", "/new"): 400,
    ("POST", "/new/from-server"): 400,
    ("POST", "/new/draft/delete"): 303,
    ("GET", "/new/draft"): 404,
    ("POST", "/new/draft"): 404,
    ("POST", "/new/draft/preview"): 404,
    ("GET", "/new/draft/check"): 404,
    ("POST", "/new/draft/check"): 404,
    ("GET", "/new/draft/fix"): 404,
    ("POST", "/new/draft/fix"): 404,
    ("GET", "/new/draft/progress"): 404,
    ("POST", "/new/draft/stop"): 404,
    ("GET", "/new/draft/rejected"): 404,
    ("GET", "/new/draft/rehearse"): 404,
    ("POST", "/new/draft/rehearse"): 404,
    ("GET", "/new/draft/test"): 404,
    ("POST", "/new/draft/test"): 404,
    ("POST", "/new/draft/test/send"): 404,
    ("POST", "/api/v1/runs/calm/stop"): 200,
    ("GET", "/new/draft/review"): 404,
    ("GET", "/new/draft/look"): 404,
    ("POST", "/new/draft/options"): 404,
    ("POST", "/new/draft/ask"): 404,
    ("POST", "/new/draft/send"): 404,
    ("GET", "/new/draft/owner"): 404,
    ("POST", "/new/draft/owner"): 404,
    ("GET", "/approvals/draft"): 404,
    ("GET", "/approvals/draft/look"): 404,
    ("POST", "/approvals/draft"): 404,
    ("POST", "/api/v1/uploads"): 400,
    ("GET", "/api/v1/uploads/draft"): 404,
    ("PUT", "/api/v1/uploads/draft"): 404,
    ("GET", "/api/v1/drafts/draft"): 404,
    ("PUT", "/api/v1/drafts/draft"): 400,
    ("POST", "/api/v1/drafts/draft/check"): 404,
    ("POST", "/api/v1/drafts/draft/launch"): 400,
}
"""Of requests with an empty body, about a draft that is not there: they came through the gate."""
ANSWERS = {"/files/summary": 200, "/sign-out": 303, "/results.csv": 303, "/login": 303, "/live": 303}


def allowed(method: str, path: str) -> int:
    """What a signed-in person gets."""
    if (method, path) in OTHER_ANSWERS:
        return OTHER_ANSWERS[method, path]
    return next((code for end, code in ANSWERS.items() if path.endswith(end)), 200)


def test_every_route_has_a_role_and_every_role_a_route(stranger: Visitor) -> None:
    found = set()
    for route in Pages(stranger.site).routes():
        assert isinstance(route, Route)
        found |= {(method, route.path) for method in route.methods or () if method != "HEAD"}
    assert found == set(NEEDED)


def test_the_routes_of_the_application_are_those_of_the_gate(stranger: Visitor) -> None:
    assert list(stranger.app.routes) == list(stranger.app.app.routes)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_signed_in_person_is_answered(visitor: Visitor, method: str, path: str) -> None:
    answer = visitor.ask(method, path, OURS)
    assert answer.status_code == allowed(method, path)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8799", "127.0.0.1", "127.0.0.1:8798", "localhost.evil.example:8799", f"x@{HOST}"],
)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_another_host_is_refused(onlooker: Visitor, method: str, path: str, host: str) -> None:
    answer = onlooker.ask(method, path, {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 421
    assert "This address is not served" in answer.text


@pytest.mark.parametrize("host", [f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}", f"127.0.0.1:{PORT}"])
def test_the_names_of_this_machine_are_answered(visitor: Visitor, host: str) -> None:
    assert visitor.ask("GET", "/", {"Host": host}).status_code == 200
    assert visitor.ask("POST", "/sign-out", {"Host": host, "Origin": f"http://{host.lower()}"}).status_code == 303


FOREIGN = [
    {},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": f"https://{HOST}"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": f"http://localhost:{PORT}"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": URL},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": URL},
    {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize(("method", "path"), UNSAFE)
def test_a_request_from_elsewhere_that_changes_something_is_refused(
    onlooker: Visitor, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = onlooker.ask(method, path, headers)
    assert answer.status_code == 403
    assert "This request came from elsewhere" in answer.text


@pytest.mark.parametrize("headers", [{"Origin": URL}, {"Sec-Fetch-Site": "same-origin"}, OURS], ids=str)
@pytest.mark.parametrize(("method", "path"), UNSAFE)
def test_a_form_of_the_page_is_answered(visitor: Visitor, method: str, path: str, headers: dict[str, str]) -> None:
    assert visitor.ask(method, path, headers).status_code == allowed(method, path)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_nobody_without_a_session_is_answered(passer_by: Visitor, method: str, path: str) -> None:
    answer = passer_by.ask(method, path, OURS)
    assert answer.status_code == 401
    assert ("web token" if path.startswith(API) else "bulk-sender web --link") in answer.text
    assert "calm" not in answer.text


@pytest.mark.parametrize("path", ["/nowhere", "/runs/nobody", "/runs/calm/rows/x", "//evil.example"])
def test_an_unknown_address_says_nothing_to_strangers(passer_by: Visitor, path: str) -> None:
    assert passer_by.get(f"{URL}{path}").status_code == 401


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_a_session_ends_after_twelve_hours(
    onlooker: Visitor, method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + session.LASTS_S + 1
    monkeypatch.setattr("bulk_sender.web.session.time.time", lambda: later)
    assert onlooker.ask(method, path, OURS).status_code == 401


def test_a_session_lasts_almost_twelve_hours(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.time() + session.LASTS_S - 60
    monkeypatch.setattr("bulk_sender.web.session.time.time", lambda: later)
    assert visitor.get("/").status_code == 200


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, runs_dir: Path) -> Visitor:
    """A person at a page in read-only mode."""
    return Visitor(tmp_path_factory.mktemp("locked") / "state", runs_dir, read_only=True, has_api=True).signed_in()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"])
@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES} | {"/nowhere"}))
def test_read_only_mode_refuses_all_but_get(locked: Visitor, method: str, path: str) -> None:
    answer = locked.ask(method, path, OURS)
    assert answer.status_code == 403 or (("GET", path) in PUBLIC and answer.status_code == 405)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_read_only_mode_answers_get(locked: Visitor, method: str, path: str) -> None:
    wanted = 403 if method != "GET" else allowed(method, path)
    assert locked.ask(method, path, OURS).status_code == wanted


def test_read_only_mode_is_said(locked: Visitor) -> None:
    assert "Read-only mode" in locked.get("/").text


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_a_person_without_the_role_is_refused(visitor: Visitor, method: str, path: str) -> None:
    object.__setattr__(visitor.app, "identify", lambda headers: Person("nobody", frozenset()))
    answer = visitor.ask(method, path, OURS)
    assert answer.status_code == 403
    assert "You may not do this" in answer.text


@pytest.mark.parametrize(
    ("path", "code"), [("/runs/calm", 200), ("/runs/calm/rows/3", 200), ("/runs/calm/files/results", 403)]
)
def test_who_may_only_look_gets_no_personal_data(visitor: Visitor, path: str, code: int) -> None:
    object.__setattr__(visitor.app, "identify", lambda headers: Person("a colleague", frozenset({Role.LOOK})))
    assert visitor.get(path).status_code == code


def test_a_route_without_a_role_is_refused(visitor: Visitor) -> None:
    async def unwanted(request: object) -> None:
        raise AssertionError("it was reached")

    object.__setattr__(visitor.app, "routes", [Route("/unlisted", unwanted)])
    assert visitor.get("/unlisted").status_code == 403


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("is_signed_in", [True, False])
def test_every_answer_has_the_headers(
    onlooker: Visitor, passer_by: Visitor, method: str, path: str, is_signed_in: bool
) -> None:
    answer = (onlooker if is_signed_in else passer_by).ask(method, path, OURS)
    for name, value in HEADERS.items():
        is_own = (path.endswith("/report") and method == "GET" and name.startswith("Content")) or (
            path.startswith("/static") and name == "Cache-Control"
        )
        if not (is_own and answer.status_code == 200):
            assert answer.headers[name] == value, name
    assert "server" not in answer.headers


def test_refusals_have_the_headers_too(visitor: Visitor) -> None:
    for answer in (visitor.ask("GET", "/", {"Host": "evil.example"}), visitor.ask("POST", "/sign-out")):
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["Cache-Control"] == "no-store"


def test_nothing_inline_and_nothing_from_elsewhere_is_allowed() -> None:
    rules = dict(rule.strip().partition(" ")[::2] for rule in POLICY.split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in POLICY
    assert {source for value in rules.values() for source in value.split()} == {"'none'", "'self'", "data:"}


@pytest.mark.parametrize("hosts", [[], [HOST, HOST], [HOST, "evil.example"]])
def test_a_request_without_one_host_is_refused(visitor: Visitor, hosts: list[str]) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("a body was read")

    headers = [(b"host", host.encode()) for host in hosts]
    scope = {"type": "http", "method": "GET", "path": "/healthz", "query_string": b"", "headers": headers}
    asyncio.run(visitor.app(scope, receive, send))
    assert sent[0]["status"] == 421


def test_a_websocket_is_closed(visitor: Visitor) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(visitor.app({"type": "websocket", "path": "/", "headers": []}, None, send))  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]
