"""Receipts: whether the people in unknown rows have received the campaign or entered the Canvas. Pure.

Source: post_users_identifier (``/users/export/ids``). Questions change nothing at Braze, so they may be repeated.

A receipt soon after the attempt suggests that Braze accepted it. Braze accepts or refuses a request as a whole, so two
people of one batch prove it for the whole batch. One does not: Braze also writes a receipt to other profiles with the
same e-mail address or phone number (reeligibility). Without a receipt nothing is proved: the person may have opted out
or be suppressed, or Braze may be late. For a Canvas only the entry counts: a step's message may belong to a much older
entry.
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

LATEST = timedelta(hours=2)
"""How long after an attempt a receipt may still belong to it: Braze itself tries late sends for about two hours
(post_send_triggered_campaigns). A later receipt may come from something else that sends the campaign."""
_CLOCKS_APART = timedelta(minutes=1)
"""By how much a receipt may be in the future: clocks differ."""

_TOGETHER = {"external_user_id": "external_ids", "user_alias": "user_aliases"}
_ALONE = {"email": "email_address", "braze_id": "braze_id"}


@dataclass(frozen=True, slots=True)
class Person:
    """A person by one of Braze's identifiers; ``label`` is an alias' label, and empty for other kinds."""

    kind: str
    identifier: str
    label: str = ""

    @property
    def name(self) -> str | dict[str, str]:
        """The identifier in the form that Braze's question needs."""
        if self.kind != "user_alias":
            return self.identifier
        return {"alias_name": self.identifier, "alias_label": self.label}

    @property
    def shown(self) -> str:
        """The identifier as the results show it: ``label:name`` for an alias."""
        return f"{self.label}:{self.identifier}" if self.kind == "user_alias" else self.identifier

    @classmethod
    def of(cls, recipient: dict[str, Any]) -> Person:
        """Return the person that a recipient object addresses."""
        [kind] = (kind for kind in (*_TOGETHER, *_ALONE) if kind in recipient)
        name = recipient[kind]
        return cls(kind, name["alias_name"], name["alias_label"]) if isinstance(name, dict) else cls(kind, name)


class Finding(StrEnum):
    """What Braze's answer shows about one row. Only ``received`` is evidence."""

    RECEIVED = "received"
    """This campaign was received (this Canvas entered) at the attempt or within two hours after it."""
    OLDER = "older receipt"
    """The last receipt is from before the attempt; for a Canvas, Braze knows no later entry."""
    LATER = "much later receipt"
    """The last receipt is from more than two hours after the attempt, so it may come from something else."""
    FUTURE = "receipt in the future"
    """The receipt has a time that has not come yet. That is not evidence."""
    NOT_FOUND = "not found"
    """Braze knows no receipt, or does not know the person."""
    SHARED = "also sent elsewhere"
    """The person is in another batch that was or may have been sent, so a receipt may come from that one."""
    TOO_FRESH = "too fresh"
    """The attempt is too recent to ask about."""
    NOT_ASKED = "not asked"
    """The questions ended before this row, or Braze refused to answer."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """An unknown row.

    ``since`` is when the first request of its batch that Braze may have accepted was about to leave, by our clock;
    ``last_sent`` is the same for the last one.
    """

    row: int
    batch: int
    person: Person
    since: datetime
    last_sent: datetime


@dataclass(frozen=True, slots=True)
class Question:
    """The people of one kind that one request asks about: up to 50, or one where Braze accepts only one."""

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
        """Yield each profile that Braze returned, with the person it belongs to."""
        for user in users:
            if self.people[0].kind in _ALONE:
                yield self.people[0], user  # several profiles may share an address
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
    """Return the fewest questions that cover everyone once."""
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
    """Return when the person last received campaign ``target`` or entered the Canvas; None when unknown."""
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
    """Parse one of Braze's times (ISO 8601 in UTC). One that cannot be parsed is not evidence: None."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(slots=True)
class Inquiry:
    """The answers to a round of questions. ``receipts``: each person's last receipt, None without one."""

    receipts: dict[Person, datetime | None] = field(default_factory=dict)
    requests: int = 0
    stopped: str = ""
    """Why the questions ended early; empty if they did not."""
    skew: timedelta = timedelta(0)
    """Braze's clock minus ours, 0 when they agree within two seconds."""

    def finding(self, suspect: Suspect, now: datetime | None = None) -> tuple[Finding, datetime | None]:
        """Return what the answers show about a row, with the time of the receipt by Braze's clock.

        ``now`` is the time by our clock.
        """
        if suspect.person not in self.receipts:
            return Finding.NOT_ASKED, None
        at = self.receipts[suspect.person]
        if at is None:
            return Finding.NOT_FOUND, None
        by_our_clock = at - self.skew
        if by_our_clock < suspect.since:
            return Finding.OLDER, at
        if by_our_clock > (now or datetime.now(UTC)) + _CLOCKS_APART:
            return Finding.FUTURE, at
        return (Finding.RECEIVED if by_our_clock <= suspect.last_sent + LATEST else Finding.LATER), at

    def take(self, question: Question, users: list[dict[str, Any]], target: str, *, canvas: bool) -> None:
        """Record what an answer shows about everyone in its question."""
        for person in question.people:
            self.receipts.setdefault(person, None)
        for person, user in question.answers(users):
            times = (self.receipts[person], received_at(user, target, canvas=canvas))
            self.receipts[person] = max(filter(None, times), default=None)
