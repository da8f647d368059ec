"""Where a send goes and how fast: hours within hours, and recipients of the last day."""

from __future__ import annotations

import pytest

from bulk_sender.config.hours import SendingHours
from bulk_sender.web import going
from bulk_sender.web.checks import run_name
from bulk_sender.web.drafts import Draft, Step
from bulk_sender.web.profiles import Profile

PROFILE = Profile(endpoint="https://rest.iad-01.braze.com", key_file="/key", second_person_above=100)
GOES = {"profile": "P", "kind": "campaign", "target": "c", "endpoint": PROFILE.endpoint, "canary": 0}


@pytest.mark.parametrize(
    ("hours", "allowed", "is_inside"),
    [
        ("09:00-20:00 Europe/Paris", "09:00-20:00 Europe/Paris", True),
        ("10:00-11:00 Europe/Paris", "09:00-20:00 Europe/Paris", True),
        ("08:59-11:00 Europe/Paris", "09:00-20:00 Europe/Paris", False),
        ("10:00-20:01 Europe/Paris", "09:00-20:00 Europe/Paris", False),
        ("10:00-11:00 Europe/Berlin", "09:00-20:00 Europe/Paris", False),
        ("mon 10:00-11:00 UTC", "mon-fri 09:00-20:00 UTC", True),
        ("sat 10:00-11:00 UTC", "mon-fri 09:00-20:00 UTC", False),
        ("10:00-11:00 UTC", "mon-fri 09:00-20:00 UTC", False),
        ("23:00-01:00 UTC", "22:00-02:00 UTC", True),
        ("23:00-03:00 UTC", "22:00-02:00 UTC", False),
        ("20:00-09:00 UTC", "09:00-20:00 UTC", False),
    ],
)
def test_hours_lie_within_others(hours: str, allowed: str, is_inside: bool) -> None:
    assert going.is_inside(SendingHours.parse(hours), SendingHours.parse(allowed)) is is_inside


def launched(id: str, **more: object) -> Draft:
    given = {"step": Step.LAUNCHED, "hands": ("ann",), "goes": GOES, "report": {"valid": 60}, "launched_at": 1000.0}
    return Draft(id, "a.csv", 1, "ann", **given | more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("earlier", "count"),
    [
        (launched("1"), 60),
        (launched("1", hands=("ben", "ann")), 60),
        (launched("1", hands=("ben",)), 0),
        (launched("1", goes={**GOES, "target": "other"}), 0),
        (launched("1", goes={**GOES, "target": "C", "endpoint": f"{PROFILE.endpoint}/"}), 60),
        (launched("1", goes={**GOES, "profile": "another name of it"}), 60),
        (launched("1", launched_at=1000.0 - going.DAY_S), 0),
        (launched("1", step=Step.CHECKED), 0),
        (launched("2"), 0),
    ],
)
def test_recipients_of_the_last_day_count(earlier: Draft, count: int) -> None:
    draft = launched("2", step=Step.CHECKED)
    found = going.lately([earlier, draft], draft, "ann", 1001.0)
    assert found == count
    assert going.needs_second_person(True, PROFILE, draft, found) is (count > 0)
    assert not going.needs_second_person(False, PROFILE, draft, found)  # one person alone


@pytest.mark.parametrize(
    ("told", "target"),
    [
        ({"profile": "P", "target": " c ", "kind": "campaign"}, GOES | {"canary": 100}),
        ({"profile": "P", "target": "c", "kind": "x", "endpoint": "http://evil.example"}, GOES | {"canary": 100}),
        ({"profile": "other", "target": "c"}, {}),
        ({}, {}),
    ],
)
def test_a_form_names_a_profile_and_nothing_else(told: dict[str, str], target: dict[str, object]) -> None:
    assert going.place(told, {"P": PROFILE}, {}) == target


def test_the_number_of_first_rows_stays_in_its_workspace() -> None:
    form = {"profile": "P", "target": "d", "kind": "campaign"}
    assert going.place(form, {"P": PROFILE}, GOES | {"canary": 500})["canary"] == 500
    assert going.place(form, {"P": PROFILE}, GOES | {"canary": 5})["canary"] == 100
    assert going.place(form, {"P": PROFILE}, GOES | {"profile": "Q", "canary": 500})["canary"] == 100


@pytest.mark.parametrize("file", ["Winter sale (2).csv.gz", "../x.csv", "..csv", "ü.csv", "-", "a" * 500])
def test_a_run_has_a_valid_name_and_never_the_same_twice(file: str) -> None:
    names = {run_name(file) for _ in range(20)}
    assert len(names) == 20
    assert all(len(name) < 100 and name.isascii() and name[0].isalnum() and " " not in name for name in names)
