from __future__ import annotations

import json

import pytest

from bulk_sender.sandbox import RunningSandbox
from tests.braze.test_details import CAMPAIGN as DETAILS
from tests.kit.command import Here, OnTerminal, Place
from tests.kit.target import CAMPAIGN

PEOPLE = "external_user_id,trigger_properties.first_name\nanna,An\x1b[31mna\n"


def test_preview_shows_each_message_and_what_does_not_fit(place: Place, here: Here) -> None:
    people = place.write("people.csv", PEOPLE)
    message = place.write("message.json", json.dumps(DETAILS))
    done = here.run(place, "preview", people, "--message", message)
    assert done.code == 0
    assert "email · Variation 1 · v-1" in done.out
    assert "android_push · v-2" in done.out
    assert "\x1b" not in done.out
    assert "${total}" in done.err
    assert here.run(place, "preview", people, "--message", message, "--json").json["row"] == 1


@pytest.mark.parametrize(("details", "why"), [(False, "campaigns.details"), (True, "the details have none")])
def test_preview_without_a_message_says_why(
    place: Place, here: Here, braze: RunningSandbox, details: bool, why: str
) -> None:
    braze.rehearse(details=details)
    done = here.run(place, "preview", place.write("people.csv", PEOPLE), "--campaign-id", CAMPAIGN)
    assert done.code == 0
    assert "the message is not shown" in done.err
    assert why in done.err
    assert "does not use" not in done.err


def test_check_compares_with_a_saved_message(place: Place, here: Here) -> None:
    message = place.write("message.json", json.dumps(DETAILS))
    done = here.run(place, "check", place.write("people.csv", PEOPLE), "--message", message)
    assert "${total}" in done.err


def test_a_test_asks_and_shows_its_request(place: Place, braze: RunningSandbox) -> None:
    people = place.people(3)
    with OnTerminal(place, "test", people, "--to", "me", "--campaign-id", CAMPAIGN) as terminal:
        shown = terminal.see("Send this test? [y/N]")
        assert "About to send a test: one message" in shown
        assert '"external_user_id": "me"' in shown
        terminal.type("y\n")
        assert terminal.end() == 0
    assert braze.ledger.accepted_recipients == 1


def test_a_test_needs_a_terminal_or_a_yes(place: Place, here: Here, braze: RunningSandbox) -> None:
    assert here.run(place, "test", place.people(1), "--to", "me", "--campaign-id", CAMPAIGN).code == 2
    done = here.run(place, "test", place.people(1), "--to", "me", "--campaign-id", CAMPAIGN, "--yes", "--json")
    assert (done.code, done.json["accepted"]) == (0, 1)
    assert braze.ledger.accepted_recipients == 1
