"""Team mode: whose headers are believed, whom they name, and what that person may do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bulk_sender.errors import ConfigError
from bulk_sender.web import settings
from bulk_sender.web.app import make_app
from bulk_sender.web.gate import API, Gate
from bulk_sender.web.roles import NEEDED, Role
from bulk_sender.web.session import Sessions
from bulk_sender.web.settings import allowed_hosts
from bulk_sender.web.site import Site
from bulk_sender.web.state import State
from bulk_sender.web.team import Team
from tests.web.test_gate import GUARDED, ROUTES, filled
from tests.web.visitor import PORT

SEND = "send.example.com"
PROXY = ("10.0.0.7", 51234)
FACTS: dict[str, Any] = {
    "hosts": [SEND],
    "believe": ["10.0.0.7/32", "fd00::/64"],
    "user_header": "X-Forwarded-Email",
    "groups_header": "X-Forwarded-Groups",
    "address_header": "X-Real-IP",
    "roles": {"look": ["everyone"], "prepare": ["marketing"], "approve": ["leads"], "personal": ["leads"]},
}
ADA = [("X-Forwarded-Email", "ada@example.com"), ("X-Forwarded-Groups", "leads")]
OURS = [("Origin", f"https://{SEND}"), ("Sec-Fetch-Site", "same-origin")]
Pairs = list[tuple[str, str]]


def team(**changed: Any) -> Team:
    return Team.model_validate(FACTS | changed)


class Asked:
    """A page in team mode, asked over connections from chosen addresses."""

    def __init__(self, folder: Path, runs_dir: Path) -> None:
        state = State(folder / "state")
        access = team()
        self.site = Site(runs_dir, state, Sessions(state, PORT), access.url, team=True, access=access, has_api=True)
        self.app: Gate = make_app(self.site, allowed_hosts(PORT, access))

    def ask(
        self, path: str, headers: Pairs, *, method: str = "GET", host: str = SEND, peer: tuple[str, int] | None = PROXY
    ) -> tuple[int, str]:
        sent: list[dict[str, Any]] = []

        answered = asyncio.Event()

        async def send(message: Any) -> None:
            sent.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                answered.set()

        bodies = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Any:
            for body in bodies:
                return body
            await answered.wait()
            return {"type": "http.disconnect"}

        raw = [(name.lower().encode(), value.encode("utf-8")) for name, value in [("Host", host), *headers]]
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": raw,
            "client": peer,
        }
        asyncio.run(self.app(scope, receive, send))
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], body.decode("utf-8", "replace")

    def status(self, path: str, headers: Pairs, **more: Any) -> int:
        return self.ask(path, headers, **more)[0]


@pytest.fixture
def page(tmp_path: Path, runs_dir: Path) -> Asked:
    return Asked(tmp_path, runs_dir)


def test_a_person_of_the_proxy_is_there_with_the_roles_of_their_groups(page: Asked) -> None:
    code, text = page.ask("/", ADA)
    assert code == 200
    assert "ada@example.com" in text
    assert "/new" not in text  # leads may not prepare
    assert page.status("/runs/calm/files/results", ADA) == 200
    assert page.status("/new", ADA) == 403


@pytest.mark.parametrize(
    ("groups", "roles"),
    [
        ("", {Role.LOOK}),
        ("others", {Role.LOOK}),
        ("marketing", {Role.LOOK, Role.PREPARE}),
        ("marketing,leads", {Role.LOOK, Role.PREPARE, Role.APPROVE, Role.PERSONAL}),
        (" others ,  leads", {Role.LOOK, Role.APPROVE, Role.PERSONAL}),
        ("Leads", {Role.LOOK}),
        ("leads2", {Role.LOOK}),
    ],
)
def test_groups_give_roles(groups: str, roles: set[Role]) -> None:
    from starlette.datastructures import Headers

    person = team().person(Headers({"x-forwarded-email": "ada@example.com", "x-forwarded-groups": groups}))
    assert person is not None
    assert person.roles == roles


def test_without_everyone_a_stranger_to_all_groups_may_do_nothing() -> None:
    from starlette.datastructures import Headers

    found = team(roles={"prepare": ["marketing"]})
    headers = {"x-forwarded-email": "ada@example.com"}
    person = found.person(Headers(headers))
    assert person is not None
    assert person.roles == frozenset()
    other = found.person(Headers(headers | {"x-forwarded-groups": "marketing"}))
    assert other is not None
    assert other.roles == {Role.LOOK, Role.PREPARE}


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize("peer", [("10.0.0.8", 1), ("127.0.0.1", 1), ("fd01::1", 1), None], ids=str)
def test_headers_from_another_address_are_not_believed(page: Asked, method: str, path: str, peer: Any) -> None:
    code, text = page.ask(path, [*ADA, *OURS], method=method, peer=peer)
    assert code == 401
    assert ("send a token" if path.startswith(API) else "X-Forwarded-Email") in text
    assert "--link" not in text


@pytest.mark.parametrize("peer", [("10.0.0.7", 1), ("::ffff:10.0.0.7", 1), ("fd00::9", 1)], ids=str)
def test_headers_from_the_proxy_are_believed(page: Asked, peer: Any) -> None:
    assert page.status("/", ADA, peer=peer) == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-Forwarded-Email", "")],
        [("X-Forwarded-Email", "  ")],
        [("X-Forwarded-Email", "ada@example.com"), ("X-Forwarded-Email", "eve@example.com")],
        [("X-Forwarded-Email", "ada@example.com"), ("X-Forwarded-Email", "ada@example.com")],
        [("X-Forwarded-Email", "ada@example.com, eve@example.com")],
        [("X-Forwarded-Email", "ada@example.com;eve@example.com")],
        [("X-Forwarded-Email", "a" * 255)],
        [("X-Forwarded-Email", "ada\x00@example.com")],
        [("X-Forwarded-Email", "ada\x1b[31m@example.com")],
        [("X-Forwarded-Email", "ada\u202e@example.com")],
        [("X-Forwarded-Email", "ada\u200b@example.com")],
        [("X_Forwarded_Email", "ada@example.com")],
        [("X-Forwarded_Email", "ada@example.com")],
        [("X-Forwarded-User", "ada@example.com")],
        [("Cookie", "X-Forwarded-Email=ada@example.com")],
        [*ADA, ("X-Forwarded-Groups", "leads")],
        [ADA[0], ("X-Forwarded-Groups", "a," * 10_000)],
        [ADA[0], ("X-Forwarded-Groups", "le\x00ads")],
    ],
    ids=lambda headers: str(headers)[:60],
)
def test_headers_that_do_not_name_one_person_name_nobody(page: Asked, headers: Pairs) -> None:
    code, text = page.ask("/", headers)
    assert code == 401
    assert "must send the header X-Forwarded-Email" in text
    assert "ada" not in text


@pytest.mark.parametrize("name", ["Ada@Example.com", "ada@example.com ", "ＡＤＡ@example.com"])
def test_one_person_has_one_spelling(page: Asked, name: str) -> None:
    code, text = page.ask("/", [("X-Forwarded-Email", name)])
    assert code == 200
    assert "ada@example.com" in text


def test_bytes_that_are_not_text_name_nobody() -> None:
    from starlette.datastructures import Headers

    assert team().person(Headers(raw=[(b"x-forwarded-email", b"\xff\xfe")])) is None
    found = team().person(Headers(raw=[(b"x-forwarded-email", "zoë@example.com".encode())]))
    assert found is not None
    assert found.name == "zoë@example.com"


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("headers", [[], [("X-Forwarded-Host", SEND)], [("Forwarded", f"host={SEND}")]], ids=str)
def test_another_host_is_refused_whatever_the_proxy_says_of_it(
    page: Asked, method: str, path: str, headers: Pairs
) -> None:
    assert page.status(path, [*ADA, *OURS, *headers], method=method, host="evil.example") == 421


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (OURS, 303),
        (OURS[:1], 303),
        ([("Origin", f"http://{SEND}"), ("Sec-Fetch-Site", "same-origin")], 403),
        ([("Origin", "https://evil.example")], 403),
        ([("Sec-Fetch-Site", "cross-site")], 403),
        ([], 403),
        ([("Origin", "https://evil.example"), ("X-Forwarded-Host", "evil.example")], 403),
    ],
    ids=str,
)
def test_forms_come_from_the_https_address_of_the_proxy(page: Asked, headers: Pairs, code: int) -> None:
    assert page.status("/sign-out", [*ADA, *headers], method="POST") == code


def test_health_needs_nobody(page: Asked) -> None:
    for host in (SEND, f"127.0.0.1:{PORT}"):
        assert page.ask("/healthz", [], host=host, peer=("192.0.2.1", 1)) == (200, "ok\n")


def test_a_link_does_not_sign_in(page: Asked) -> None:
    token = page.site.state.new_token()
    assert page.status(f"/login?token={token}", []) == 401
    assert page.site.state.redeem(token)
    assert page.status("/login", ADA) == 303


def test_a_cookie_does_not_sign_in(page: Asked) -> None:
    cookie = page.site.sessions.begin().partition(";")[0]
    assert page.status("/", [("Cookie", cookie)]) == 401


@pytest.mark.parametrize("role", [Role.LOOK, Role.PREPARE, Role.APPROVE, Role.PERSONAL])
def test_each_route_needs_its_role(page: Asked, role: Role) -> None:
    """One group a role; each other role includes ``look``."""
    access = team(roles={each: [f"may-{each}"] for each in ("look", "prepare", "approve", "personal")})
    object.__setattr__(page.app, "identify", access.person)
    headers = [ADA[0], ("X-Forwarded-Groups", f"may-{role.value}"), *OURS]
    for (method, path), needed in NEEDED.items():
        is_refused = page.status(filled(path), headers, method=method) == 403
        needs_two = "/runs/{run}/fix" in path and role is Role.PREPARE  # and the right to see personal data
        assert is_refused == (needs_two or needed not in (Role.PUBLIC, Role.LOOK, role)), (method, path)


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        (PROXY, [("X-Real-IP", "192.0.2.9")], "192.0.2.9"),
        (PROXY, [("X-Real-IP", "192.0.2.9"), ("X-Real-IP", "192.0.2.8")], "10.0.0.7"),
        (PROXY, [("X-Real-IP", "192.0.2.9, 192.0.2.8")], "10.0.0.7"),
        (PROXY, [("X-Real-IP", "<script>")], "10.0.0.7"),
        (PROXY, [], "10.0.0.7"),
    ],
    ids=str,
)
def test_the_audit_log_has_the_address_that_the_proxy_saw(page: Asked, peer: Any, headers: Pairs, address: str) -> None:
    assert page.status("/sign-out", [*ADA, *OURS, *headers], method="POST", peer=peer) == 303
    entry = page.site.store.audit()[-1]
    assert (entry.who, entry.did, entry.address) == ("ada@example.com", "signed out", address)


TEXT = """
[team]
hosts = ["send.example.com"]
believe = ["127.0.0.1/32"]
user_header = "X-Forwarded-Email"
groups_header = "X-Forwarded-Groups"
[team.roles]
look = ["everyone"]
"""


def test_the_table_of_the_design_is_read(tmp_path: Path) -> None:
    path = tmp_path / "web.toml"
    path.write_text(TEXT)
    found = settings.load(path).team
    assert found is not None
    assert found.url == "https://send.example.com"
    assert found.roles.look == ("everyone",)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('["send.example.com"]', "[]", "team.hosts: "),
        ('"send.example.com"', '"https://send.example.com"', "is not a host"),
        ('"send.example.com"', '"*"', "is not a host"),
        ('"127.0.0.1/32"', '"127.0.0.1/8"', "is not a network"),
        ('"127.0.0.1/32"', '"0.0.0.0/0"', "is every address"),
        ('"127.0.0.1/32"', '"::/0"', "is every address"),
        ('["127.0.0.1/32"]', "[]", "team.believe: "),
        ('"X-Forwarded-Email"', '"Host"', "cannot be used"),
        ('"X-Forwarded-Email"', '"X Forwarded"', "cannot be used"),
        ('"X-Forwarded-Email"', '"X_Forwarded_Email"', "cannot be used"),
        ('"X-Forwarded-Email"', '"x-forwarded-groups"', "each header must have another name"),
        ('user_header = "X-Forwarded-Email"', "", "team.user_header: field required"),
        ('look = ["everyone"]', 'lok = ["everyone"]', "unknown key team.roles.lok"),
        ('look = ["everyone"]', 'look = ["a,b"]', "is not the name of a group"),
        ("[team.roles]\nlook", "[team.rules]\nlook", "team.r"),
        ('user_header = "X', 'sign_out = "//evil.example"\nuser_header = "X', "write a path of the proxy"),
        ('user_header = "X', 'sign_out = "javascript:x"\nuser_header = "X', "write a path of the proxy"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in TEXT
    path = tmp_path / "web.toml"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        settings.load(path)
    assert told in str(caught.value)
