"""A test is one message to a person of your own, as a separate run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from tests.kit.running import QUICK
from tests.kit.scripted import Answer, Scripted, scripted
from tests.kit.target import ENVIRONMENT


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(
        "id;mail;name;tier\n;;nobody;gold\n0001;a@example.com;Anna;gold\n0002;b@example.com;Bo;blue\n", encoding="utf-8"
    )
    return path


CONFIG: dict[str, Any] = {
    "message": {"trigger_properties": {"season": "winter"}},
    "recipient": {
        "email": "mail",
        "external_user_id": "id",
        "prioritization": ["identified", "most_recently_updated"],
        "send_to_existing_only": {"value": False},
        "trigger_properties": {"first_name": "name"},
        "attributes": {"tier": "tier"},
    },
    "input": {"delimiter": ";", "encoding": "utf-8", "filter": "name <> 'Zoe'", "limit": 3},
}


def taken(_: str, __: dict[str, Any]) -> Answer:
    return Answer(201, {"message": "success", "dispatch_id": "d"})


def try_it(people: Path, braze: Scripted, **more: Any) -> bs.Summary:
    return bs.test(
        people,
        CONFIG,
        campaign_id="c",
        endpoint=braze.url,
        environment=ENVIRONMENT,
        runs_dir=people.parent / "runs",
        waits=QUICK,
        **{"to": "me", **more},
    )


def test_one_request_with_everything_but_the_identifier_as_mapped(people: Path) -> None:
    with scripted(taken) as braze:
        summary = try_it(people, braze)
    assert (summary.accepted, summary.rows, summary.requests, summary.exit_code) == (1, 1, 1, 0)
    [(_, body)] = braze.requests
    assert body == {
        "campaign_id": "c",
        "broadcast": False,
        "trigger_properties": {"season": "winter"},
        "recipients": [
            {
                "external_user_id": "me",
                "send_to_existing_only": False,
                "trigger_properties": {"first_name": "Anna"},
                "attributes": {"tier": "gold"},
            }
        ],
    }
    assert summary.run_id.startswith("test-")
    with Path(summary.files["results"]).open(newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["identifier"], row["status"], row["dispatch_id"]) == ("me", "accepted", "d")


def test_another_row_can_be_chosen(people: Path) -> None:
    with scripted(taken) as braze:
        try_it(people, braze, row=3)
        assert braze.requests[0][1]["recipients"][0]["trigger_properties"] == {"first_name": "Bo"}
        with pytest.raises(bs.InputError, match="row 1 would not be sent"):
            try_it(people, braze, row=1)
        assert len(braze.requests) == 1


def test_columns_names_are_the_mapping_as_in_a_send(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("email,prioritization,trigger_properties.n:integer\na@example.com,identified,7\n")
    with scripted(taken) as braze:
        bs.test(path, to="me", campaign_id="c", endpoint=braze.url, environment=ENVIRONMENT, runs_dir=tmp_path / "runs")
    assert braze.requests[0][1]["recipients"] == [{"external_user_id": "me", "trigger_properties": {"n": 7}}]


def test_the_question_says_that_it_is_a_test(people: Path) -> None:
    seen: list[bs.Preview] = []
    with scripted(taken) as braze, pytest.raises(bs.GuardrailError, match="not confirmed"):
        try_it(people, braze, guards=bs.Guards(confirm=lambda about: bool(seen.append(about))))
    assert braze.requests == []
    assert "row 2" in seen[0].test
    assert "to me" in seen[0].test
    assert seen[0].report is not None
    assert seen[0].report.sample_request is not None


def test_a_rehearsal_needs_no_key(people: Path) -> None:
    summary = bs.test(people, CONFIG, to="me", sandbox=True, runs_dir=people.parent / "runs", environment={})
    assert summary.accepted == 1


def test_what_a_test_cannot_keep_is_refused(people: Path) -> None:
    with scripted(taken) as braze:
        with pytest.raises(bs.ConfigError, match="cannot keep the guard canary"):
            try_it(people, braze, guards=bs.Guards(canary=1))
        with pytest.raises(bs.ConfigError, match="external id"):
            try_it(people, braze, to=" ")
        assert braze.requests == []
