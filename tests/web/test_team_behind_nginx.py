"""A page in team mode behind a real nginx, with the configuration that ``config/deploy`` has for it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import httpx
import pytest
import trustme

from bulk_sender.web.state import State
from bulk_sender.web.store import Store
from bulk_sender.web.tokens import Tokens
from tests.kit import tools
from tests.kit.command import REPOSITORY, Place, end, until

NGINX = tools.find_nginx()
pytestmark = [
    pytest.mark.skipif(NGINX is None and not tools.required(), reason="nginx is not installed"),
    pytest.mark.skipif(sys.platform != "linux", reason="other systems have no second loopback address"),
]
TEMPLATE = REPOSITORY / "config" / "deploy" / "page.conf.template"
PEOPLE = {"ada": "marketing", "bea": "leads", "cyd": ""}
SETTINGS = """
[page]
host = "0.0.0.0"
port = 0
[team]
hosts = ["localhost:{port}"]
believe = ["127.0.0.1/32"]
user_header = "X-Forwarded-Email"
groups_header = "X-Forwarded-Groups"
address_header = "X-Real-IP"
[team.roles]
look = ["everyone"]
prepare = ["marketing"]
approve = ["leads"]
personal = ["leads"]
[api]
enabled = true
"""
MAIN = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/page.conf;
}}
"""


class Team:
    """nginx, the page behind it, and what its people send."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = Place(folder)
        self.authority = trustme.CA()
        self.port = free_port()
        self.page_port = 0
        self.page: subprocess.Popen[str] | None = None
        self.nginx: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def start(self) -> None:
        state = self.folder / "state"
        self.place.variables |= {"XDG_STATE_HOME": str(state)}
        settings = self.place.write("web.toml", SETTINGS.format(port=self.port))
        self.page = self.place.start("web", "--config", settings)
        assert self.page.stdout is not None
        assert self.page.stdout.readline() == f"https://{self.host}\n"
        [folder] = (state / "bulk-sender").glob("web-*")
        self.page_port = int(folder.name.removeprefix("web-"))
        self._start_nginx()

    def _start_nginx(self) -> None:
        assert NGINX is not None, "nginx is not installed"
        folder = self.folder / "nginx"
        folder.mkdir()
        leaf = self.authority.issue_cert("localhost")
        leaf.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
        leaf.private_key_pem.write_to_path(folder / "key.pem")
        (folder / "users").write_text("".join(f"{name}:{{PLAIN}}of-{name}\n" for name in PEOPLE))
        (folder / "groups").write_text("".join(f'{name} "{groups}";\n' for name, groups in PEOPLE.items()))
        values = {
            "PAGE_LISTEN": f"127.0.0.1:{self.port}",
            "PAGE_HOST": "localhost",
            "PAGE_UPSTREAM": f"127.0.0.1:{self.page_port}",
            "PAGE_FOLDER": str(folder),
        }
        (folder / "page.conf").write_text(Template(TEMPLATE.read_text()).safe_substitute(values))
        user = f"user {pwd.getpwuid(os.getuid()).pw_name} root;" if os.getuid() == 0 else ""
        main = folder / "nginx.conf"
        main.write_text(MAIN.format(folder=folder, user=user))
        self.nginx = subprocess.Popen([NGINX, "-c", str(main), "-p", str(folder), "-e", str(folder / "error.log")])
        until(self._is_listening)

    def _is_listening(self) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self.nginx is not None:
            self.nginx.send_signal(signal.SIGQUIT)
            try:
                self.nginx.wait(10)
            except subprocess.TimeoutExpired:
                self.nginx.kill()
        if self.page is not None:
            end(self.page, signal.SIGTERM)

    def browser(self, name: str = "") -> httpx.Client:
        """Return a browser whose person has typed their password, or nothing."""
        headers = {"Origin": f"https://{self.host}", "Sec-Fetch-Site": "same-origin"}
        login = (name, f"of-{name}") if name else None
        trusted = self.authority_context()
        return httpx.Client(
            base_url=f"https://{self.host}", auth=login, headers=headers, verify=trusted, trust_env=False
        )

    def authority_context(self) -> Any:
        import ssl

        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    def beside(self, source: str) -> httpx.Client:
        """Return a client that reaches the page directly, from an address of this machine."""
        transport = httpx.HTTPTransport(local_address=source)
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.page_port}", transport=transport, headers={"Host": self.host}
        )

    def store(self) -> Store:
        return Store(State(self.folder / "state" / "bulk-sender" / f"web-{self.page_port}").folder)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, runs_dir: Path) -> Iterator[Team]:
    found = Team(tmp_path_factory.mktemp("team"))
    shutil.copytree(runs_dir, found.place.runs)
    try:
        found.start()
        yield found
    finally:
        found.stop()


def test_nobody_without_a_password_reaches_the_page(team: Team) -> None:
    with team.browser() as browser:
        assert browser.get("/").status_code == 401
        assert browser.get("/", auth=("ada", "guess")).status_code == 401
        assert browser.get("/healthz").text == "ok\n"
        assert browser.get("/metrics").status_code == 404
        assert browser.get("/", headers={"X-Forwarded-Email": "bea"}).status_code == 401


@pytest.mark.parametrize(("name", "new", "results"), [("ada", 200, 403), ("bea", 403, 200), ("cyd", 403, 403)])
def test_each_person_has_the_roles_of_their_groups(team: Team, name: str, new: int, results: int) -> None:
    with team.browser(name) as browser:
        home = browser.get("/")
        assert home.status_code == 200
        assert f"<bdi>{name}</bdi>" in home.text
        assert browser.get("/new").status_code == new
        assert browser.get("/runs/calm/files/results").status_code == results


@pytest.mark.parametrize(
    "forged",
    [
        [("X-Forwarded-Email", "bea"), ("X-Forwarded-Groups", "leads")],
        [("X-Forwarded-Email", "bea"), ("X-Forwarded-Email", "bea")],
        [("x-forwarded-groups", "leads,marketing")],
        [("X_Forwarded_Groups", "leads")],
        [("X-Forwarded-Groups ", "leads")],
        [("X-Real-IP", "192.0.2.1"), ("X-Forwarded-Host", "evil.example")],
    ],
    ids=str,
)
def test_what_a_browser_says_of_itself_is_replaced(team: Team, forged: list[tuple[str, str]]) -> None:
    with team.browser("cyd") as browser:
        try:
            home = browser.get("/", headers=forged)
            results = browser.get("/runs/calm/files/results", headers=forged)
        except httpx.LocalProtocolError:  # a header that no browser can send
            return
        if home.status_code == 400:  # nginx refuses it
            return
        assert (home.status_code, results.status_code) == (200, 403)
        assert "<bdi>cyd</bdi>" in home.text


def test_headers_to_the_port_of_the_page_are_believed_from_the_proxy_alone(team: Team) -> None:
    forged = {"X-Forwarded-Email": "bea", "X-Forwarded-Groups": "leads"}
    with team.beside("127.0.0.2") as other, team.beside("127.0.0.1") as proxy:
        assert other.get("/", headers=forged).status_code == 401
        assert "bea" not in other.get("/", headers=forged).text
        assert other.get("/healthz").status_code == 200
        assert proxy.get("/", headers=forged).status_code == 200
        assert proxy.get("/").status_code == 401


def test_a_program_with_a_token_reaches_the_api_and_nothing_else(team: Team) -> None:
    state = State(team.folder / "state" / "bulk-sender" / f"web-{team.page_port}")
    token = Tokens(state.folder / "tokens").make("crm", "look", 1)
    forged = {"X-Forwarded-Email": "bea", "X-Forwarded-Groups": "leads,marketing"}
    with team.browser() as program:
        for own in ({}, forged):
            good, wrong = {"Authorization": f"Bearer {token}"} | own, {"Authorization": "Bearer guess"} | own
            assert [run["run_id"] for run in program.get("/api/v1/runs", headers=good).json()["runs"]]
            assert program.post("/api/v1/runs/calm/stop", headers=good).status_code == 403
            refused = program.get("/api/v1/runs", headers=wrong)
            assert refused.status_code == 401
            assert refused.headers["content-type"] == "application/problem+json"
            for path in ("/", "/runs/calm", "/api/v1/../../runs/calm", "/runs/calm/files/results"):
                assert program.get(path, headers=good).status_code == 401
            for path in ("//api/v1/../../runs/calm", "/api/v1/%2e%2e/%2e%2e/runs/calm", "/runs/../api/v1/../runs/calm"):
                raw = httpx.URL(f"https://{team.host}").copy_with(raw_path=path.encode())
                assert program.get(raw, headers=good).status_code in (400, 401, 404)
        assert program.get("/api/v1/runs", headers=forged).status_code == 401
    with team.browser("ada") as browser:
        assert browser.get("/api/v1/runs/calm").status_code == 200


def test_another_host_is_refused(team: Team) -> None:
    with team.browser("ada") as browser:
        assert browser.get("/", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    ("origin", "site", "code"),
    [("", "", 303), ("https://evil.example", "cross-site", 403), ("null", "same-origin", 403)],
)
def test_forms_come_from_the_address_of_the_proxy(team: Team, origin: str, site: str, code: int) -> None:
    with team.browser("ada") as browser:
        own = {"Origin": origin, "Sec-Fetch-Site": site} if origin else {}
        assert browser.post("/sign-out", headers=own).status_code == code
        plain = browser.post("/sign-out", headers={"Origin": f"http://{team.host}"})
        assert plain.status_code == 403


def test_a_file_arrives_in_parts_and_the_log_says_from_whom(team: Team) -> None:
    part = (b"external_user_id\n" + b"customer-000001\n" * 520_000)[: 8 << 20]
    with team.browser("ada") as browser:
        draft = browser.post("/api/v1/uploads", json={"name": "people.csv", "size": 2 * len(part)}).json()["id"]
        first = browser.put(f"/api/v1/uploads/{draft}?offset=0", content=part)
        assert first.json()["offset"] == len(part)
        assert browser.put(f"/api/v1/uploads/{draft}?offset={len(part)}", content=part).json()["done"]
        large = browser.put(f"/api/v1/uploads/{draft}?offset=0", content=b"x" * (18 << 20))
        assert large.status_code == 413
        browser.post(f"/new/{draft}/delete")
    found = [(entry.who, entry.did, entry.address) for entry in team.store().audit()]
    assert ("ada", "uploaded a file", "127.0.0.1") in found


def test_live_counts_are_not_held_back(team: Team) -> None:
    rehearsal = ["--sandbox", "--rate", "1/second", "--run-id", "slow", "--yes", "--campaign-id", "a" * 8]
    run = team.place.start("send", team.place.people(2000), *rehearsal)
    try:
        with team.browser("cyd") as browser:
            until(lambda: browser.get("/runs/slow").status_code == 200)
            began, events = time.monotonic(), 0
            with browser.stream("GET", "/api/v1/runs/slow/events") as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                for line in stream.iter_lines():
                    events += line.startswith("data: ")
                    if events == 2:
                        break
            assert run.poll() is None
            assert time.monotonic() - began < 30
    finally:
        end(run, signal.SIGINT)
