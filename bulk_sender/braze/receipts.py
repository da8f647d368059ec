"""Asking Braze afterwards: who in doubt has received the campaign or entered the Canvas since the request?

Source: post_users_identifier (``/users/export/ids``). Questions change nothing at Braze, so they may be repeated.

A receipt after the attempt proves that Braze took it, and since Braze takes or refuses a request whole, that it took
the whole batch. The absence of one proves nothing: the person may have opted out, be suppressed, or Braze may be
late. For a Canvas only the entry counts: a step's message may belong to an entry of long ago.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

EXPORT_PATH = "/users/export/ids"
EXPORT_RATE = "250/minute"
"""Braze's limit for customers since August 2024; for older ones it is 2,500 a minute."""
MOST_IDS = 50
FIELDS = ("external_id", "user_aliases", "email", "braze_id", "campaigns_received", "canvases_received")

_TOGETHER = {"external_user_id": "external_ids", "user_alias": "user_aliases"}
_ALONE = {"email": "email_address", "braze_id": "braze_id"}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody by one of Braze's identifiers; ``label`` is an alias' label, empty for other kinds."""

    kind: str
    identifier: str
    label: str = ""

    @property
    def name(self) -> str | dict[str, str]:
        """As Braze wants to be asked."""
        if self.kind != "user_alias":
            return self.identifier
        return {"alias_name": self.identifier, "alias_label": self.label}

    @property
    def shown(self) -> str:
        """As the results name them: ``label:name`` for an alias."""
        return f"{self.label}:{self.identifier}" if self.kind == "user_alias" else self.identifier

    @classmethod
    def of(cls, recipient: dict[str, Any]) -> Person:
        """The person a recipient object is for."""
        [kind] = (kind for kind in (*_TOGETHER, *_ALONE) if kind in recipient)
        name = recipient[kind]
        return cls(kind, name["alias_name"], name["alias_label"]) if isinstance(name, dict) else cls(kind, name)


class Finding(StrEnum):
    """What was found out about one row. Only ``received`` proves anything."""

    RECEIVED = "received"
    """This campaign was received (this Canvas entered) at or after the attempt."""
    OLDER = "older receipt"
    """It was last received before the attempt, or for a Canvas, no later entry is known."""
    NOT_FOUND = "not found"
    """Braze knows of no receipt, or not of the person."""
    SHARED = "also sent elsewhere"
    """The person is in another batch too that was or may have been sent: a receipt may come from that one."""
    TOO_FRESH = "too fresh"
    """The attempt is too recent to ask about."""
    NOT_ASKED = "not asked"
    """Asking ended before this row's turn, or Braze refused the question."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row in doubt.

    ``since`` is when the first request of its batch that may have been taken was about to leave, by our clock;
    ``last_sent`` the same of the last one.
    """

    row: int
    batch: int
    person: Person
    since: datetime
    last_sent: datetime


@dataclass(frozen=True, slots=True)
class Question:
    """One request's worth of people of one kind: up to 50, or a single one where Braze takes no more."""

    people: tuple[Person, ...]

    @property
    def body(self) -> bytes:
        kind = self.people[0].kind
        names = [person.name for person in self.people]
        asked = {_TOGETHER[kind]: names} if kind in _TOGETHER else {_ALONE[kind]: names[0]}
        return json.dumps(asked | {"fields_to_export": FIELDS}, ensure_ascii=False).encode()

    def halves(self) -> tuple[Question, Question]:
        middle = len(self.people) // 2
        return Question(self.people[:middle]), Question(self.people[middle:])

    def answers(self, users: Iterable[dict[str, Any]]) -> Iterator[tuple[Person, dict[str, Any]]]:
        """Each profile that Braze gave, with the person it answers for."""
        for user in users:
            if self.people[0].kind in _ALONE:
                yield self.people[0], user  # an address may be that of several profiles
            for person in _names(user):
                if person in self.people:
                    yield person, user


def _names(user: dict[str, Any]) -> Iterator[Person]:
    if isinstance(external_id := user.get("external_id"), str):
        yield Person("external_user_id", external_id)
    aliases = user.get("user_aliases")
    for alias in aliases if isinstance(aliases, list) else []:
        if isinstance(alias, dict):
            yield Person("user_alias", str(alias.get("alias_name")), str(alias.get("alias_label")))


def questions(people: Iterable[Person]) -> list[Question]:
    """The fewest questions that cover everybody, nobody twice."""
    by_kind: dict[str, list[Person]] = {}
    for person in dict.fromkeys(people):
        by_kind.setdefault(person.kind, []).append(person)
    return [
        Question(tuple(group))
        for kind, alike in by_kind.items()
        for group in _groups(alike, MOST_IDS if kind in _TOGETHER else 1)
    ]


def _groups(people: list[Person], most: int) -> Iterator[list[Person]]:
    return (people[first : first + most] for first in range(0, len(people), most))


def received_at(user: dict[str, Any], target: str, *, canvas: bool) -> datetime | None:
    """When the profile's person last received campaign ``target``, or entered the Canvas; None when unknown."""
    received, named, when = (
        ("canvases_received", "api_canvas_id", "last_entered")
        if canvas
        else ("campaigns_received", "api_campaign_id", "last_received")
    )
    entries = user.get(received)
    times = [
        moment
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and entry.get(named) == target and (moment := _moment(entry.get(when)))
    ]
    return max(times, default=None)


def _moment(text: Any) -> datetime | None:
    """Braze's times are ISO 8601 in UTC; what can't be read is no evidence."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(slots=True)
class Inquiry:
    """What a round of questions brought to light. ``receipts``: each person's last receipt, None without one."""

    receipts: dict[Person, datetime | None] = field(default_factory=dict)
    requests: int = 0
    stopped: str = ""
    """Why asking ended early, empty when it didn't."""
    skew: timedelta = timedelta(0)
    """Braze's clock minus ours, 0 when they agree within two seconds."""

    def finding(self, suspect: Suspect) -> tuple[Finding, datetime | None]:
        """What the answers say of a row, with the time of the receipt by Braze's clock."""
        if suspect.person not in self.receipts:
            return Finding.NOT_ASKED, None
        at = self.receipts[suspect.person]
        if at is None:
            return Finding.NOT_FOUND, None
        return (Finding.RECEIVED if at >= suspect.since + self.skew else Finding.OLDER), at

    def take(self, question: Question, users: list[dict[str, Any]], target: str, *, canvas: bool) -> None:
        """Note what an answer says of everybody asked about."""
        for person in question.people:
            self.receipts.setdefault(person, None)
        for person, user in question.answers(users):
            times = (self.receipts[person], received_at(user, target, canvas=canvas))
            self.receipts[person] = max(filter(None, times), default=None)
