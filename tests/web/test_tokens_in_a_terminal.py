"""``web token``: a token is printed once, works on the page of its port, and ends when it is revoked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bulk_sender.web.roles import Role
from bulk_sender.web.state import State
from bulk_sender.web.store import Store
from bulk_sender.web.tokens import Tokens
from tests.kit.command import Here, Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    found = Place(tmp_path)
    found.variables["XDG_STATE_HOME"] = str(tmp_path / "state")
    return found


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(capsys, monkeypatch)


def tokens(port: int = 8799) -> Tokens:
    return Tokens(State.of(port).folder / "tokens")


def test_a_token_is_printed_once_listed_and_revoked(place: Place, here: Here) -> None:
    made = here.run(place, "web", "token", "crm", "--role", "prepare", "--days", "30")
    assert made.code == 0, made.err
    assert made.out.startswith("bst_")
    assert made.out.count("\n") == 1
    assert made.out.strip() not in made.err
    person = tokens().person(made.out.strip())
    assert person is not None
    assert person.roles == {Role.LOOK, Role.PREPARE}

    other = here.run(place, "web", "token", "bi", "--port", "9000", "--json")
    told = json.loads(other.out)
    assert (told["name"], told["role"]) == ("bi", "look")
    assert tokens(9000).person(told["token"]) is not None
    assert tokens().person(told["token"]) is None

    listed = here.run(place, "web", "token", "--list")
    assert listed.out.startswith("crm · prepare · until ")
    [found] = json.loads(here.run(place, "web", "token", "--list", "--json").out)
    assert set(found) == {"name", "role", "made_at", "ends_at"}
    assert found["made_at"] < found["ends_at"]

    assert here.run(place, "web", "token", "--revoke", "crm").code == 0
    assert tokens().person(made.out.strip()) is None
    assert json.loads(here.run(place, "web", "token", "--list", "--json").out) == []
    assert "no tokens" in here.run(place, "web", "token", "--list").err
    did = [(entry.did, entry.told.split(",")[0]) for entry in Store(State.of(8799).folder).audit()]
    assert did == [("made a token", "crm"), ("revoked a token", "crm")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give either NAME, --list or --revoke NAME"),
        (("crm", "--list"), "give either NAME, --list or --revoke NAME"),
        (("crm", "--role", "approve"), "approve"),
        (("crm", "--days", "0"), "1 to 366 days"),
        (("a b",), "is not a name of a token"),
        (("--revoke", "nobody"), "there is no token 'nobody'"),
    ],
)
def test_what_is_wrong_is_refused(place: Place, here: Here, arguments: tuple[str, ...], told: str) -> None:
    ended = here.run(place, "web", "token", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert not tokens().all()
