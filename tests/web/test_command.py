"""``bulk-sender web`` as people start it: one line of output, signals, and what it refuses."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.kit.command import Here, Place, end

LINK = re.compile(r"http://127\.0\.0\.1:(\d+)/login\?token=[\w-]{43}\n")

PROFILE = '[profiles.live]\nendpoint = "https://rest.iad-01.braze.com"\nkey_file = "/key"\n'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Place(tmp_path)


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(capsys, monkeypatch)


@pytest.fixture
def page(place: Place) -> Iterator[subprocess.Popen[str]]:
    process = place.start("web", "--port", "0", "--no-browser")
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_it_prints_one_link_serves_and_ends_on_sigterm(place: Place, here: Here, page: subprocess.Popen[str]) -> None:
    assert page.stdout is not None
    line = page.stdout.readline()
    found = LINK.fullmatch(line)
    assert found, line
    url = f"http://127.0.0.1:{found[1]}"
    with httpx.Client(base_url=url, follow_redirects=True, trust_env=False) as browser:
        assert browser.get("/healthz").text == "ok\n"
        assert browser.get("/").status_code == 401
        assert browser.get(line.strip()).status_code == 200
        assert "No runs yet" in browser.get("/").text

        again = here.run(place, "web", "--link", "--port", found[1], XDG_STATE_HOME=os.environ["XDG_STATE_HOME"])
        assert again.code == 0
        assert LINK.fullmatch(again.out)
        with httpx.Client(base_url=url, trust_env=False) as other:
            assert other.get(again.out.strip()).status_code == 200

        busy = here.run(place, "web", "--no-browser", "--port", found[1])
        assert busy.code == 2
        assert "cannot listen" in busy.err
        assert "--link" in busy.err

        ended = end(page, signal.SIGTERM)  # the browser's connection is still open
    assert ended.code == 0
    assert ended.out == ""
    assert "GET /login 200" in ended.err
    assert "token" not in ended.err
    assert here.run(place, "web", "--link", "--port", found[1]).code == 2


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_an_address_that_others_can_reach_is_refused(place: Place, here: Here, host: str) -> None:
    ended = here.run(place, "web", "--no-browser", "--host", host)
    assert ended.code == 2
    assert "without [team] the page serves this machine only" in ended.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[team]\nhosts = []\n", "team.hosts: "),
        ("[pages]\n", "unknown table 'pages'"),
        ("[profiles.live]\n", "profiles.live.endpoint: field required"),
        ('[profiles.live]\nendpoint = "https://rest.iad-01.braze.com"\nkey_file = "key"\n', "is not an absolute path"),
        ('[profiles.live]\nendpoint = "http://rest.iad-01.braze.com"\nkey_file = "/key"\n', "profiles.live.endpoint: "),
        (PROFILE + 'window = "at night"\n', "profiles.live.window: "),
        (PROFILE + 'rate = "fast"\n', "profiles.live.rate: "),
        (PROFILE + "second_person_above = -1\n", "profiles.live.second_person_above: "),
        (PROFILE + "canery = 1\n", "unknown key profiles.live.canery"),
        ("[page]\nprot = 1\n", "unknown key page.prot"),
        ('[page]\nport = "1"\n', "page.port"),
        ("[page]\nmost_runs = 0\n", "page.most_runs"),
        ("[page\n", "is not a TOML file"),
        ('[page]\nhost = "0.0.0.0"\n', "this machine only"),
    ],
)
def test_a_wrong_file_is_refused(place: Place, here: Here, text: str, told: str) -> None:
    ended = here.run(place, "web", "--no-browser", "--config", place.write("web.toml", text))
    assert ended.code == 2
    assert told in ended.err


def test_a_file_that_is_not_there_is_refused(place: Place, here: Here) -> None:
    ended = here.run(place, "web", "--no-browser", "--config", "nowhere.toml")
    assert ended.code == 2
    assert "nowhere.toml cannot be read" in ended.err


def test_without_the_extra_it_says_how_to_install_it(place: Place, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import util

    found = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name, *more: None if name == "starlette" else found(name, *more))
    ended = here.run(place, "web", "--no-browser")
    assert ended.code == 2
    assert "the page needs starlette, which is not installed" in ended.err
    assert "pip install starlette uvicorn" in ended.err


def test_it_serves_on_the_port_of_its_file_and_ends_on_ctrl_c(place: Place) -> None:
    config = place.write("web.toml", "[page]\nport = 0\nread_only = true\n")
    process = place.start("web", "--no-browser", "--config", config)
    try:
        assert process.stdout is not None
        assert LINK.fullmatch(process.stdout.readline())
        assert list((place.folder / "state" / "bulk-sender").glob("web-*/address"))
    finally:
        ended = end(process, signal.SIGINT)
    assert ended.code == 0
