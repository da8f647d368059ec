"""Sentences of the test that a few colleagues get before a send, in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bulk_sender.text.numbers import several

LINK = TITLE = "Send a test first"
LEAD = (
    "A few colleagues get the message of one row of the file. What fills the message comes from that row. "
    "Nothing of the row is written into a colleague's profile: attributes and subscriptions are left out."
)
MUST_EXIST = "Each of them must already be a user in Braze."
PEOPLE = "Who gets the test"
IDENTIFIERS = "Identifiers"
USE = "These are"
USES = {
    "external_user_id": "external IDs",
    "email": "e-mail addresses",
    "braze_id": "Braze IDs",
    "user_alias.alias_name": "user aliases",
}
ROW = "Row whose values they get"
ROW_HINT = "Leave it empty for the first row that would be sent."
SHOW = "Show the test"
NEXT = "What Braze gets"
FIRST_ONLY = "The others get the same, each under their identifier."
NO_PERSONAL = "You may not see personal data, so it is masked here."
TESTS = "Tests"
BACK = "Back to the review"
NOBODY = "Enter at least one identifier."


def people_hint(most: int) -> str:
    return f"One on each line, {most} at most. Zeros at the start are kept."


def too_many(most: int) -> str:
    return f"A test goes to at most {several(most, 'person', 'people')}."


def too_long(most: int) -> str:
    return f"An identifier has at most {most:,} characters."


def button(count: int) -> str:
    return f"Send the test to {several(count, 'person', 'people')}"


def of_row(row: int) -> str:
    return f"With the values of row {row:,}."


def wrong(place: int, why: str) -> str:
    return f"Line {place}: {why}"


def second_person(above: int) -> str:
    return (
        f"More than {several(above, 'recipient')} within 24 hours need another person's approval in this workspace. "
        "A test counts too, so it cannot be sent."
    )


def about(test: Mapping[str, Any], state: str, accepted: int) -> str:
    """Return how a test ended. ``state``: of its run; empty where none has begun."""
    people = several(test["people"], "person", "people")
    if not state:
        return f"The test to {people} has not started."
    if state == "running":
        return f"The test to {people} is being sent."
    return f"Test sent to {people}, {accepted:,} accepted."
