"""The settings page: profiles and their keys, people and roles, and space."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bulk_sender.sandbox import RunningSandbox
from bulk_sender.web.profiles import Profile
from bulk_sender.web.roles import Person, Role
from tests.kit.jobs import braze
from tests.kit.target import KEY
from tests.web.test_pages import refuse_anything_inline, refuse_barriers, texts, tree
from tests.web.test_team import team
from tests.web.visitor import Visitor

LIVE = {"endpoint": "https://rest.fra-02.braze.eu", "key_file": "/nowhere/key"}


def page(folder: Path, runs_dir: Path, **more: Any) -> Visitor:
    profiles = {"live": Profile.model_validate(LIVE | more)}
    return Visitor(folder / "state", runs_dir, profiles=profiles).signed_in()


def test_a_profile_is_shown_with_its_limits(tmp_path: Path, runs_dir: Path) -> None:
    limits = {
        "max_recipients": 1_500_000,
        "canary": 0,
        "rate": "100/second",
        "window": "mon-fri 09:00-20:00 Europe/Paris",
    }
    root = tree(page(tmp_path, runs_dir, **limits), "/settings")
    refuse_anything_inline(root)
    refuse_barriers(root)
    for told in (
        "rest.fra-02.braze.eu",
        "a second person approves above 10,000 recipients",
        "at most 1,500,000 recipients",
        "no first rows needed",
        "The key's file is missing.",
        "The key was not checked yet.",
    ):
        assert told in root.text
    assert "/nowhere" not in root.text


def test_without_a_profile_it_says_that_only_rehearsals_are_sent(visitor: Visitor) -> None:
    assert "this page sends rehearsals only" in visitor.get("/settings").text


def checked(folder: Path, runs_dir: Path, server: RunningSandbox, key: str) -> Visitor:
    path = folder / "the-key"
    path.write_text(key)
    path.chmod(0o600)
    found = page(folder, runs_dir, endpoint=server.url, key_file=str(path))
    assert found.press("/settings/key", profile="live").headers["location"] == "/settings#profiles"
    return found


@pytest.mark.parametrize(("key", "told"), [(KEY, "good"), ("two words", "refused")])
def test_a_key_is_checked_in_another_process(
    tmp_path: Path, runs_dir: Path, key: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    real = os.open

    def noted(path: Any, *more: Any, **named: Any) -> int:
        opened.append(path)
        return real(path, *more, **named)

    with braze() as server, monkeypatch.context() as patch:
        patch.setattr(os, "open", noted)
        found = checked(tmp_path, runs_dir, server, key)
    root = tree(found, "/settings")
    refuse_barriers(root)
    chips = {each.words() for each in root.all("span") if "chip" in each.attributes.get("class", "")}
    assert told in chips
    assert "Checked" in root.text
    assert key not in root.text
    assert str(tmp_path / "the-key") not in root.text
    assert not [path for path in opened if "the-key" in str(path)]
    assert found.site.store.audit()[-1].did == "checked the key"
    kept = Path(found.site.state.folder, "key-checks.json")
    assert key not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_result_of_another_endpoint_is_not_shown(tmp_path: Path, runs_dir: Path) -> None:
    with braze() as server:
        found = checked(tmp_path, runs_dir, server, KEY)
    object.__setattr__(found.site, "profiles", {"live": Profile.model_validate(LIVE)})
    assert "The key was not checked yet." in found.get("/settings").text


def test_who_may_only_look_has_no_button(tmp_path: Path, runs_dir: Path) -> None:
    found = page(tmp_path, runs_dir)
    assert "Check the key" in texts(tree(found, "/settings"), "button")
    object.__setattr__(found.app, "identify", lambda headers: Person("Cyd", frozenset({Role.LOOK})))
    root = tree(found, "/settings")
    assert "Check the key" not in texts(root, "button")
    assert "Who did what" not in texts(root, "a")
    assert found.press("/settings/key", profile="live").status_code == 403


@pytest.mark.parametrize("address", ["", "/oauth2/sign_out"])
def test_a_team_sees_its_roles_and_signs_out_at_the_proxy(tmp_path: Path, runs_dir: Path, address: str) -> None:
    found = Visitor(tmp_path / "state", runs_dir, team=True, access=team(sign_out=address))
    object.__setattr__(found.app, "identify", lambda headers: Person("Cyd", frozenset({Role.LOOK})))
    object.__setattr__(found.app, "believes", lambda scope: True)
    root = tree(found, "/settings")
    refuse_anything_inline(root)
    refuse_barriers(root)
    assert "everyone who is signed in at the proxy" in root.text
    assert "Your roles: look" in root.text
    links = [link.attributes["href"] for link in root.all("a") if link.words() == "Sign out"]
    assert links == ([address] if address else [])
    assert "Sign out" not in texts(root, "button")
