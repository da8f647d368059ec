"""A preview shows the message of one recipient and sends nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from tests.braze.test_details import CAMPAIGN
from tests.faults.unreachable import refusing_port
from tests.kit.scripted import Answer, scripted
from tests.kit.target import ENVIRONMENT


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(
        "external_user_id,trigger_properties.first_name,trigger_properties.total:float\n"
        ",nobody,1\nu1,Anna,49.9\nu2,Bo,\nu1,Anna,1\n"
    )
    return path


def saved(folder: Path, answer: dict[str, Any] = CAMPAIGN) -> Path:
    path = folder / "message.json"
    path.write_text(json.dumps(answer))
    return path


def test_the_first_sound_row_is_rendered_with_the_request_behind_it(people: Path) -> None:
    config = {"message": {"trigger_properties": {"season": "winter", "total": 1}}}
    found = bs.preview(people, config, message=saved(people.parent), environment={})
    assert (found.row, found.identifier) == (2, "u1")
    mail, push = found.messages
    assert mail.fields["subject"] == "Hello Anna"
    assert mail.fields["body"] == "<p>49.9</p>"
    assert mail.fields["extras.season"] == "winter"
    assert (push.channel, push.fields["alert"]) == ("android_push", "Hi")
    json.dumps(found.to_dict())


def test_any_row_can_be_chosen_and_the_whole_file_is_counted(people: Path) -> None:
    found = bs.preview(people, row=3, message=saved(people.parent), environment={})
    assert found.messages[0].fields["subject"] == "Hello Bo"
    assert found.fit is not None
    assert [(empty.name, empty.rows, empty.first_row) for empty in found.fit.empty] == [("total", 1, 3)]


@pytest.mark.parametrize(
    ("row", "why"), [(1, "row 1 would not be sent"), (4, "row 4 would not be sent"), (9, "there is no row 9")]
)
def test_a_row_that_would_not_be_sent_is_refused(people: Path, row: int, why: str) -> None:
    with pytest.raises(bs.InputError, match=why):
        bs.preview(people, row=row, message=saved(people.parent), environment={})


def test_braze_is_asked_without_a_file(people: Path) -> None:
    with scripted(lambda *_: None, lambda _: Answer(200, CAMPAIGN | {"archived": True})) as braze:
        found = bs.preview(people, campaign_id="c", endpoint=braze.url, environment=ENVIRONMENT)
        assert braze.requests == []
    assert found.details is not None
    assert found.details.state == "archived"
    assert found.messages


def test_what_braze_will_not_say_is_said_and_no_error(people: Path) -> None:
    for answer, why in ((Answer(403, {}), "campaigns.details"), (Answer(401, {}), "refuses the API key")):
        with scripted(lambda *_: None, lambda _, it=answer: it) as braze:  # type: ignore[misc]
            found = bs.preview(people, campaign_id="c", endpoint=braze.url, environment=ENVIRONMENT)
        assert why in found.why_not
        assert (found.messages, found.fit) == ((), None)
    with refusing_port() as url:
        found = bs.preview(people, campaign_id="c", endpoint=url, environment=ENVIRONMENT)
    assert "refuses connections" in found.why_not
    assert "no API key" in bs.preview(people, campaign_id="c", endpoint=url, environment={}).why_not
    assert "neither a campaign" in bs.preview(people, environment={}).why_not


def test_without_the_library_a_hint_names_it(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "liquid", None)
    with pytest.raises(bs.ConfigError) as caught:
        bs.preview(people, message=saved(people.parent), environment={})
    assert "pip install python-liquid" in caught.value.hint


def test_send_says_what_does_not_fit_before_the_question(people: Path) -> None:
    seen: list[bs.Preview] = []
    for count_first in (True, False):
        with scripted(lambda *_: None, lambda _: Answer(200, CAMPAIGN)) as braze, pytest.raises(bs.GuardrailError):
            bs.send(
                people,
                campaign_id="c",
                endpoint=braze.url,
                environment=ENVIRONMENT,
                runs_dir=people.parent / "runs",
                guards=bs.Guards(confirm=lambda about: bool(seen.append(about)), count_first=count_first),
            )
    assert all(about.report is not None for about in seen)  # a small input is always counted
    assert seen[0].report is not None
    assert any("${season}" in text for text in seen[0].report.warnings)


def test_the_campaign_alone_is_asked_for(people: Path) -> None:
    with scripted(lambda *_: None, lambda _: Answer(200, CAMPAIGN)) as server:
        found = bs.campaign({"braze": {"endpoint": server.url, "campaign_id": "c"}}, environment=ENVIRONMENT)
    assert found.details is not None
    assert (found.details.name, found.details.state) == (CAMPAIGN["name"], "live")


def test_what_braze_does_not_say_about_a_campaign_is_a_reason() -> None:
    with refusing_port() as url:
        config = {"braze": {"endpoint": url, "campaign_id": "c"}}
        assert "refuses connections" in bs.campaign(config, environment=ENVIRONMENT).why_not
    assert "no API key is set" in bs.campaign(config, environment={}).why_not
    assert "neither a campaign" in bs.campaign({}, environment={}).why_not
