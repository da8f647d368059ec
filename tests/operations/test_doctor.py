"""``doctor`` looks at what a send needs, sends nothing, and says what would be refused."""

from __future__ import annotations

from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from bulk_sender.operations import doctor as module
from tests.braze.test_details import CAMPAIGN
from tests.faults.unreachable import refusing_port, unresolvable
from tests.kit.scripted import Answer, scripted
from tests.kit.target import ENVIRONMENT, KEY


def examined(folder: Path, url: str, environment: dict[str, str] = ENVIRONMENT, **more: Any) -> dict[str, Any]:
    diagnosis = bs.doctor(
        endpoint=url, runs_dir=folder / "runs", environment=environment, **{"campaign_id": "c", **more}
    )
    assert KEY not in str(diagnosis)
    found = {each.name: each for each in diagnosis.found}
    assert len(found) == len(diagnosis.found)
    assert diagnosis.exit_code == (2 if any(each.state == "refused" for each in diagnosis.found) else 0)
    return found


def nothing(_: str, __: dict[str, Any]) -> Answer:
    raise AssertionError("a request was sent")


def test_a_sound_place_is_all_right_and_nothing_is_sent(tmp_path: Path) -> None:
    with scripted(nothing, lambda _: Answer(200, CAMPAIGN)) as braze:
        found = examined(tmp_path, braze.url)
        assert len(braze.asked) == 1
        assert braze.requests == []
    assert {name: each.state for name, each in found.items()} == {
        "configuration": "ok",
        "key": "ok",
        "endpoint": "ok",
        "name": "ok",
        "host": "ok",
        "campaign": "ok",
        "campaigns.details": "ok",
        "campaigns.trigger.send": "not tried",
        "users.export.ids": "not tried",
        "clock": "ok",
        "runs folder": "ok",
        "disk": found["disk"].state,
    }
    assert "'Winter sale' is live" in found["campaign"].text
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_campaign_and_a_refused_key_would_be_refused(tmp_path: Path) -> None:
    with scripted(nothing, lambda _: Answer(200, CAMPAIGN | {"enabled": False})) as braze:
        assert examined(tmp_path, braze.url)["campaign"].state == "refused"
    with scripted(nothing, lambda _: Answer(401, {"message": f"Invalid API key: {KEY}"})) as braze:
        found = examined(tmp_path, braze.url)
    assert found["key taken"].state == "refused"
    assert "another instance" in found["key taken"].text


def test_what_braze_will_not_say_is_a_warning(tmp_path: Path) -> None:
    with scripted(nothing, lambda _: Answer(403, {"message": "Forbidden"})) as braze:
        found = examined(tmp_path, braze.url)
    assert found["campaign"].state == "warning"
    assert "campaigns.details" in found["campaign"].text


def test_a_host_that_cannot_be_reached_would_be_refused(tmp_path: Path) -> None:
    with refusing_port() as url:
        assert "refuses connections" in examined(tmp_path, url)["host"].text
    with unresolvable() as url:
        found = examined(tmp_path, url.replace("http:", "https:"))
    assert found["name"].state == found["host"].state == "refused"


def test_the_key_is_looked_at_first(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o644)
    with scripted(nothing) as braze:
        found = examined(tmp_path, braze.url, {"BRAZE_API_KEY_FILE": str(file)})
        assert "mode 0644" in found["key"].text
        assert found["host"].state == "not tried"
        assert braze.asked == []
        file.chmod(0o600)
        assert "mode 0600" in examined(tmp_path, braze.url, {"BRAZE_API_KEY_FILE": str(file)})["key"].text
        assert "no API key" in examined(tmp_path, braze.url, {})["key"].text


def test_an_address_of_the_sdk_is_named(tmp_path: Path) -> None:
    with unresolvable():
        found = examined(tmp_path, "https://sdk.iad-01.braze.com", {})
    assert "rest.iad-01.braze.com" in found["endpoint"].text


def test_a_missing_target_and_a_wrong_configuration_would_be_refused(tmp_path: Path) -> None:
    with scripted(nothing) as braze:
        assert examined(tmp_path, braze.url, campaign_id=None)["target"].state == "refused"
        assert examined(tmp_path, braze.url, overrides={"delivery.speed": 3})["configuration"].state == "refused"


@pytest.mark.parametrize(("apart", "words"), [(-3600, "ahead of"), (3600, "behind")])
def test_a_clock_that_is_wrong_is_a_warning(tmp_path: Path, apart: int, words: str) -> None:
    import time

    dated = {"Date": formatdate(time.time() + apart, usegmt=True)}
    with scripted(nothing, lambda _: Answer(200, CAMPAIGN, dated)) as braze:
        clock = examined(tmp_path, braze.url)["clock"]
    assert clock.state == "warning"
    assert words in clock.text


def test_a_runs_folder_that_cannot_be_written_would_be_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "sync_file", full)
    with scripted(nothing) as braze:
        found = examined(tmp_path, braze.url)
    assert found["runs folder"].state == "refused"
    assert "No space left" in found["runs folder"].text


def test_a_network_file_system_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_file_system", lambda _: "nfs4")
    with scripted(nothing) as braze:
        assert examined(tmp_path, braze.url)["runs folder"].state == "warning"
