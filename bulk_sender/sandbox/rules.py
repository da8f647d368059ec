"""Braze's rules for a trigger-send request, as a pure function from the parsed body to its violations.

Sources: Braze's pages on ``/campaigns/trigger/send``, ``/canvas/trigger/send``, the recipient object and
the Canvas context object. Written independently of the sender's rules, so that each can reveal the
other's mistakes. Two decisions are not documented: an unknown field is refused (Braze would probably ignore
it), and 50 KB are 51,200 bytes of compact UTF-8 JSON.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bulk_sender.sandbox.attributes import attributes
from bulk_sender.sandbox.audience import audience
from bulk_sender.sandbox.checks import (
    FINE,
    Breach,
    Check,
    array_of,
    boolean,
    email,
    filled_text,
    mapping,
    record,
    unknown_field,
)

MAX_RECIPIENTS = 50
CANVAS_PROPERTIES_CAP = 50 * 1024
"""Bytes of one ``canvas_entry_properties`` or ``context`` object."""

IDENTIFIERS = ("external_user_id", "user_alias", "email", "braze_id")


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule; ``index`` is the recipient's index from 0, or None when the request itself breaks it."""

    rule: str
    sentence: str
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Trigger:
    """One of the two endpoints that send: the field that names its target, and the fields it accepts."""

    path: str
    target: str
    fields: Mapping[str, Check]
    recipient_fields: Mapping[str, Check]


def violations(body: Any, trigger: Trigger) -> list[Violation]:
    """Return every rule that ``body`` breaks, the request's first; empty if Braze would accept it."""
    if type(body) is not dict:
        return [Violation("type", "the body must be an object")]
    try:
        return _all_violations(body, trigger)
    except RecursionError:
        return [Violation("too_deep", "the body is nested too deeply")]


def _all_violations(body: dict[str, Any], trigger: Trigger) -> list[Violation]:
    found = [Violation(rule, sentence) for rule, sentence in _request(body, trigger)]
    recipients = body.get("recipients")
    if type(recipients) is list:
        fields = trigger.recipient_fields
        for index, recipient in enumerate(recipients):
            breaches = _recipient(recipient, f"recipients[{index}]", fields)
            found += [Violation(rule, sentence, index) for rule, sentence in breaches]
    return found


def _request(body: dict[str, Any], trigger: Trigger) -> Iterator[Breach]:
    if trigger.target not in body:
        yield ("required", f"{trigger.target} is required")
    for name, value in body.items():
        check = trigger.fields.get(name)
        if check is None:
            yield unknown_field(name, "")
        else:
            yield from check(value, name)
    broadcast = body.get("broadcast") is True
    if broadcast and "recipients" in body:
        yield ("broadcast", "recipients cannot be included when broadcast is true")
    if broadcast and "attachments" in body:
        yield ("broadcast", "attachments cannot be included when broadcast is true")
    if not broadcast and "recipients" not in body:
        yield ("no_recipients", "No Recipients: broadcast must be true when recipients is omitted")


def _recipient(recipient: Any, where: str, fields: Mapping[str, Check]) -> Sequence[Breach]:
    if type(recipient) is not dict:
        return [("type", f"{where} must be an object")]
    breaches: list[Breach] = []
    identifiers = 0
    for name, value in recipient.items():
        check = fields.get(name)
        if check is None:
            breaches.append(unknown_field(name, where))
            continue
        if name in IDENTIFIERS:
            identifiers += 1
        breaches += check(value, f"{where}.{name}")
    if identifiers != 1:
        breaches.append(("one_identifier", f"{where} must specify exactly one of {', '.join(IDENTIFIERS)}"))
    if "email" in recipient and "prioritization" not in recipient:
        breaches.append(("prioritization", f"{where}.prioritization is required when using email"))
    if "send_to_existing_only" in recipient:
        if "user_alias" in recipient:
            breaches.append(("existing_only_alias", f"{where}.send_to_existing_only cannot be used with user_alias"))
        if recipient["send_to_existing_only"] is False and "attributes" not in recipient:
            breaches.append(
                (
                    "existing_only_attributes",
                    f"{where}.attributes is required when send_to_existing_only is false",
                )
            )
    return breaches


def _recipients(value: Any, where: str) -> Sequence[Breach]:
    if type(value) is not list:
        return [("type", f"{where} must be an array")]
    if not value:
        return [("no_recipients", "No Recipients: recipients is empty")]
    if len(value) > MAX_RECIPIENTS:
        return [("too_many", "The max number of external_ids and aliases per request was exceeded")]
    return FINE


def _prioritization(value: Any, where: str) -> Sequence[Breach]:
    """Accept one value, or one of each pair, because the values of a pair contradict each other."""
    if type(value) is not list:
        return [("type", f"{where} must be an array")]
    pairs = Counter(_PAIR_OF.get(element) if type(element) is str else None for element in value)
    if pairs[None]:
        return [("vocabulary", f"{where} accepts {', '.join(_PAIR_OF)}")]
    if not value or max(pairs.values()) > 1:
        return [("prioritization", f"{where} must have one value, or one of each pair: {', '.join(_PAIR_OF)}")]
    return FINE


def _canvas_properties(value: Any, where: str) -> Sequence[Breach]:
    if type(value) is not dict:
        return [("type", f"{where} must be an object")]
    size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    if size > CANVAS_PROPERTIES_CAP:
        return [("too_large", f"{where} has {size} bytes, more than 50 KB")]
    return FINE


_PAIR_OF = {
    "identified": "identity",
    "unidentified": "identity",
    "most_recently_updated": "recency",
    "least_recently_updated": "recency",
}
_REQUEST_FIELDS: dict[str, Check] = {"broadcast": boolean, "audience": audience, "recipients": _recipients}
_RECIPIENT_FIELDS: dict[str, Check] = {
    "external_user_id": filled_text,
    "user_alias": record(
        {"alias_name": filled_text, "alias_label": filled_text}, required=("alias_name", "alias_label")
    ),
    "email": email,
    "braze_id": filled_text,
    "prioritization": _prioritization,
    "send_to_existing_only": boolean,
    "attributes": attributes,
}
_CANVAS_PROPERTIES: dict[str, Check] = {
    "canvas_entry_properties": _canvas_properties,
    "context": _canvas_properties,
}

CAMPAIGN = Trigger(
    path="/campaigns/trigger/send",
    target="campaign_id",
    fields=_REQUEST_FIELDS
    | {
        "campaign_id": filled_text,
        "send_id": filled_text,
        "trigger_properties": mapping,
        "attachments": array_of(record({"file_name": filled_text, "url": filled_text}, required=("file_name", "url"))),
    },
    recipient_fields=_RECIPIENT_FIELDS | {"trigger_properties": mapping},
)
CANVAS = Trigger(
    path="/canvas/trigger/send",
    target="canvas_id",
    fields=_REQUEST_FIELDS | _CANVAS_PROPERTIES | {"canvas_id": filled_text},
    recipient_fields=_RECIPIENT_FIELDS | _CANVAS_PROPERTIES,
)
