"""Tests of a prepared send: what a few colleagues get, as a small file and a configuration for a run apart."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import bulk_sender as bs
from bulk_sender.web import words_trial as words
from bulk_sender.web.drafts import Draft
from bulk_sender.web.mapping import PRIORITIZATION, WHO

MOST_PEOPLE = 5
_LONGEST = 512
_USUAL = ("external_user_id", "email")
_PERSON = "person"
_PROPERTIES = ("trigger_properties", "context", "canvas_entry_properties")
_KEPT = ("braze", "message", "delivery", "guard")


def people_of(text: str) -> tuple[str, ...]:
    """Return the identifiers of a form, one a line, each once. They stay text."""
    return tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def problems(people: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with a list of people."""
    if not people:
        yield words.NOBODY
    if len(people) > MOST_PEOPLE:
        yield words.too_many(MOST_PEOPLE)
    if any(len(each) > _LONGEST for each in people):
        yield words.too_long(_LONGEST)


def uses(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the kinds of identifiers that a test may have: those of the file first."""
    recipient = config.get("recipient", {})
    own = [use for use in WHO if use.partition(".")[0] in recipient]
    return tuple(dict.fromkeys((*own, *_USUAL)))


def source_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration that shows a row, without an address: the page asks nobody."""
    return {name: value for name, value in config.items() if name != "braze"}


def properties_of(recipient: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what of a recipient fills the message."""
    found: Mapping[str, Any] = next((recipient[name] for name in _PROPERTIES if name in recipient), {})
    return found


def config_of(config: Mapping[str, Any], use: str, recipient: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a test's run.

    Address, message and rate are those of the send. A recipient has the row's properties under another identifier, and
    nothing that Braze would keep in a profile.
    """
    own = config.get("recipient", {})
    person: dict[str, Any] = {"column": _PERSON}
    wanted: dict[str, Any] = {use: person}
    if use == "user_alias.alias_name":
        label = recipient.get("user_alias", {}).get("alias_label", "")
        wanted = {"user_alias": {"alias_name": person, "alias_label": {"value": label}}}
    elif use == "email":
        wanted["prioritization"] = own.get("prioritization", PRIORITIZATION)
        if own.get("email_is_hashed"):
            wanted["email_is_hashed"] = True
    if names := list(properties_of(recipient)):
        wanted["trigger_properties"] = {
            name: {"column": _column(number), "type": "json"} for number, name in enumerate(names)
        }
    told = config.get("input", {})
    reading = {"format": "csv", "delimiter": ",", "encoding": "utf-8", "header_row": 1, "null_values": []}
    same = {name: told[name] for name in ("nulls", "liquid") if name in told}
    return {name: config[name] for name in _KEPT if name in config} | {"recipient": wanted, "input": reading | same}


def file_of(people: Sequence[str], recipient: Mapping[str, Any]) -> str:
    """Return the CSV of a test's run: a line for each person, with the row's properties as JSON."""
    values = [json.dumps(value, ensure_ascii=False) for value in properties_of(recipient).values()]
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow([_PERSON, *map(_column, range(len(values)))])
    writer.writerows([each, *values] for each in people)
    return text.getvalue()


def outcomes(runs_dir: Path, draft: Draft) -> list[tuple[str, str]]:
    """Return the tests of a draft, the latest first: the run, and its outcome in a sentence."""
    found = []
    for test in reversed(draft.tests):
        state, accepted = "", 0
        with suppress(bs.BulkSenderError):
            summary = bs.status(test["run"], runs_dir=runs_dir)
            state, accepted = summary.state, summary.accepted
        found.append((test["run"], words.about(test, state, accepted)))
    return found


def _column(number: int) -> str:
    return f"value_{number}"
