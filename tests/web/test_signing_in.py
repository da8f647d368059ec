"""One-time links, and the cookies that follow them."""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from bulk_sender.errors import BulkSenderError
from bulk_sender.web import state as states
from bulk_sender.web.session import Sessions
from bulk_sender.web.state import State
from tests.web.visitor import PORT, Visitor


def test_a_link_signs_in_once(stranger: Visitor) -> None:
    path = f"/login?token={stranger.state.new_token()}"
    first, second = stranger.get(path), stranger.get(path)
    assert first.status_code == 200
    assert "bs_8799=" in first.headers["set-cookie"]
    assert second.status_code == 401
    assert "set-cookie" not in second.headers


def test_of_two_requests_at_the_same_time_one_succeeds(tmp_path: Path) -> None:
    state = State(tmp_path)
    token, found = state.new_token(), []
    threads = [threading.Thread(target=lambda: found.append(state.redeem(token))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [False] * 19 + [True]


@pytest.mark.parametrize("token", ["", "x", "%00", "%2e%2e%2fkey", "é" * 40, "a" * 5000])
def test_another_token_does_not_sign_in(stranger: Visitor, token: str) -> None:
    stranger.state.new_token()
    assert stranger.get(f"/login?token={token}").status_code == 401


def test_a_token_has_256_bits_and_is_stored_nowhere(tmp_path: Path) -> None:
    tokens = {State(tmp_path).new_token() for _ in range(20)}
    assert len(tokens) == 20
    assert min(map(len, tokens)) >= 43
    held = b"".join(path.read_bytes() + path.name.encode() for path in tmp_path.rglob("*") if path.is_file())
    assert not any(token.encode() in held for token in tokens)


def test_a_link_lasts_an_hour(stranger: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    token, now = stranger.state.new_token(), time.time()
    monkeypatch.setattr("bulk_sender.web.state.time.time", lambda: now + states.LINK_LASTS_S + 5)
    assert stranger.get(f"/login?token={token}").status_code == 401


def test_looking_at_a_link_does_not_use_it_up(stranger: Visitor) -> None:
    path = f"/login?token={stranger.state.new_token()}"
    assert stranger.ask("HEAD", path).status_code == 200
    assert stranger.get(path).status_code == 200


def test_a_signed_in_person_keeps_a_link_for_others(visitor: Visitor) -> None:
    token = visitor.state.new_token()
    assert visitor.get(f"/login?token={token}").headers["location"] == "/"
    assert visitor.state.redeem(token)


def test_the_cookie_is_for_this_page_alone(stranger: Visitor) -> None:
    words = stranger.get(f"/login?token={stranger.state.new_token()}").headers["set-cookie"].split("; ")
    assert set(words[1:]) == {"Max-Age=43200", "Path=/", "HttpOnly", "SameSite=Strict"}


def test_with_https_the_cookie_is_secure(tmp_path: Path) -> None:
    words = Sessions(State(tmp_path), PORT, is_https=True).begin()
    assert words.startswith("__Host-bs_8799=")
    assert words.endswith("; Secure")


@pytest.mark.parametrize("place", range(4))
def test_a_cookie_that_was_changed_is_not_a_session(visitor: Visitor, place: int) -> None:
    value = visitor.cookie.partition("=")[2]
    at = [0, value.index(".") + 1, value.rindex(".") + 1, len(value) - 1][place]
    other = "1" if value[at] != "1" else "2"
    visitor.cookie = f"bs_8799={value[:at]}{other}{value[at + 1 :]}"
    assert visitor.get("/").status_code == 401


@pytest.mark.parametrize(
    "cookie", ["bs_8799=", "bs_8799=..", "bs_8799=9999999999.x.y", "bs_8799=é", "x" * 10_000, "=;=,"]
)
def test_text_that_is_not_a_cookie_is_not_a_session(stranger: Visitor, cookie: str) -> None:
    assert not stranger.sessions.is_open(cookie)


def test_a_cookie_of_another_page_is_not_a_session(visitor: Visitor, tmp_path: Path) -> None:
    value = visitor.cookie.partition("=")[2]
    assert visitor.sessions.is_open(visitor.cookie)
    assert not Sessions(visitor.state, 8800).is_open(f"bs_8800={value}")
    assert not Sessions(State(tmp_path / "other"), PORT).is_open(visitor.cookie)


def test_a_session_outlives_a_restart_and_a_link_does_not(visitor: Visitor) -> None:
    again = State(visitor.state.folder)
    token = again.new_token()
    again.forget_links()
    assert Sessions(again, PORT).is_open(visitor.cookie)
    assert not again.redeem(token)


def test_signing_out_ends_the_session_even_for_a_copy_of_its_cookie(visitor: Visitor) -> None:
    answer = visitor.press("/sign-out")
    assert answer.status_code == 303
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert visitor.get("/").status_code == 401
    assert not Sessions(State(visitor.state.folder), PORT).is_open(visitor.cookie)  # after a restart of the page


def test_ended_sessions_are_forgotten_when_they_would_be_over_anyway(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.end_session("first", 3600)
    [path] = (tmp_path / "ended").iterdir()
    os.utime(path, (0, 0))
    state.end_session("second", 3600)
    assert (state.has_ended("first"), state.has_ended("second")) == (False, True)


def test_the_signing_key_is_in_no_text_about_the_page(visitor: Visitor) -> None:
    told = repr(visitor.site)
    assert repr(visitor.sessions.key)[2:-1] not in told
    assert "key=" not in told


def test_all_files_are_private(tmp_path: Path) -> None:
    state = State(tmp_path / "web-1")
    state.key()
    state.new_token()
    with state.held("http://127.0.0.1:1"):
        pass
    for path in [state.folder, *state.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_key_that_was_cut_short_is_replaced(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.key()
    (tmp_path / "key").write_bytes(b"short")
    assert len(state.key()) == 32
    assert state.key() == state.key()


def test_the_lock_says_whether_a_page_runs(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert state.address() is None
    with state.held("http://127.0.0.1:8799"):
        assert State(tmp_path).address() == "http://127.0.0.1:8799"
        with pytest.raises(BulkSenderError, match="already running"), State(tmp_path).held("http://other"):
            raise AssertionError("two pages hold one port")
    assert State(tmp_path).address() is None


def test_the_log_has_neither_token_nor_search(stranger: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    token = stranger.state.new_token()
    with caplog.at_level(logging.INFO, "bulk_sender.web"):
        stranger.get(f"/login?token={token}")
        stranger.signed_in().get("/runs/calm?q=customer-000003")
    assert "/login" in caplog.text
    assert "GET /runs/calm 200" in caplog.text
    assert token not in caplog.text
    assert "customer-000003" not in caplog.text


def test_a_path_cannot_forge_a_line_of_the_log(stranger: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "bulk_sender.web"):
        stranger.get("/%0a2026-01-01 INFO GET /forged%1b[31m")
    assert len(caplog.messages) == 1
    assert "\n" not in caplog.messages[0]
    assert "\x1b" not in caplog.messages[0]
