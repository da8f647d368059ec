"""Braze's rules for a trigger-send request, as a pure function from the parsed body to its violations.

Sources: Braze's pages on ``/campaigns/trigger/send``, ``/canvas/trigger/send``, the recipient object and the objects
for trigger properties and context. Written independently of the sender's rules, so that each can reveal the other's
mistakes. ``docs/reference/sandbox.md`` names the source of each rule, and those that are inferred: there the sandbox
is stricter than Braze may be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bulk_sender.sandbox.attributes import attributes
from bulk_sender.sandbox.audience import audience
from bulk_sender.sandbox.body import size_of
from bulk_sender.sandbox.checks import (
    FINE,
    Breach,
    Check,
    array_of,
    boolean,
    email_or_hash,
    filled_text,
    mapping,
    record,
    unknown_field,
)

MAX_RECIPIENTS = 50
PROPERTIES_CAP = 50_000
"""Bytes of a recipient's properties as compact JSON, merged with those of the request."""
MAX_EXTERNAL_ID_BYTES = 987
MAX_SEND_ID = 64

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
    properties: tuple[str, ...]
    """Names of the properties, at both levels. A request may use one of them."""


def too_long(body: Mapping[str, Any]) -> list[int]:
    """Return the indexes of the recipients whose ``external_user_id`` is too long. Braze takes the others."""
    return [
        index
        for index, recipient in enumerate(body.get("recipients", ()))
        if len(recipient.get("external_user_id", "").encode("utf-8", "surrogatepass")) > MAX_EXTERNAL_ID_BYTES
    ]


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
        for index, recipient in enumerate(recipients):
            where = f"recipients[{index}]"
            breaches = [*_recipient(recipient, where, trigger.recipient_fields)]
            if not breaches:
                breaches += _properties(body, recipient, where, trigger)
            found += [Violation(rule, sentence, index) for rule, sentence in breaches]
    return found


def _properties(body: dict[str, Any], recipient: dict[str, Any], where: str, trigger: Trigger) -> Iterator[Breach]:
    """Check the properties of a recipient, merged with the request's; its own win, key by key."""
    names = [name for name in trigger.properties if name in recipient]
    if names and len({*names, *(name for name in trigger.properties if name in body)}) > 1:
        yield ("two_names", f"{where} and the request must use one of {' and '.join(trigger.properties)}, not both")
    for name in names:
        for_all = body.get(name)
        if type(for_all) is dict:
            yield from _sized(for_all | recipient[name], f"{where}.{name}, merged with the request's,")


def _request(body: dict[str, Any], trigger: Trigger) -> Iterator[Breach]:
    if trigger.target not in body:
        yield ("required", wrong_id(trigger.target))
    if len(names := [name for name in trigger.properties if name in body]) > 1:
        yield ("two_names", f"the request must use one of {' and '.join(names)}, not both")
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
        yield ("no_recipients", NO_RECIPIENTS)


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
        if recipient["send_to_existing_only"] is False and not recipient.get("attributes"):
            sentence = f"{where}.attributes is required, and not empty, when send_to_existing_only is false"
            breaches.append(("existing_only_attributes", sentence))
    return breaches


def _recipients(value: Any, where: str) -> Sequence[Breach]:
    if type(value) is not list:
        return [("type", f"{where} must be an array")]
    if not value:
        return [("no_recipients", NO_RECIPIENTS)]
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


def _properties_object(value: Any, where: str) -> Sequence[Breach]:
    return mapping(value, where) or _sized(value, where)


def _sized(properties: dict[str, Any], where: str) -> Sequence[Breach]:
    size = size_of(properties)
    return FINE if size <= PROPERTIES_CAP else [("too_large", f"{where} has {size} bytes, more than 50 KB")]


def _send_id(value: Any, where: str) -> Sequence[Breach]:
    if type(value) is str and value.isascii() and 0 < len(value) <= MAX_SEND_ID:
        return FINE
    return [("send_id", f"{where} must be a string of 1 to {MAX_SEND_ID} ASCII characters")]


def wrong_id(target: str) -> str:
    """Return Braze's sentence about a ``campaign_id`` or ``canvas_id`` that is none."""
    kind = "Canvas" if target == "canvas_id" else "campaign"
    return f"{target} must be a string of the {kind} api identifier"


def _target_id(value: Any, where: str) -> Sequence[Breach]:
    return FINE if type(value) is str and value else [("target_id", wrong_id(where))]


NO_RECIPIENTS = "No Recipients"
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
    "email": email_or_hash,
    "braze_id": filled_text,
    "prioritization": _prioritization,
    "send_to_existing_only": boolean,
    "attributes": attributes,
}
_CANVAS_PROPERTIES: dict[str, Check] = {
    "context": _properties_object,
    "canvas_entry_properties": _properties_object,
}
_ATTACHMENT: dict[str, Check] = {"file_name": filled_text, "url": filled_text, "basic_auth_credential": filled_text}

CAMPAIGN = Trigger(
    path="/campaigns/trigger/send",
    target="campaign_id",
    fields=_REQUEST_FIELDS
    | {
        "campaign_id": _target_id,
        "send_id": _send_id,
        "trigger_properties": _properties_object,
        "attachments": array_of(record(_ATTACHMENT, required=("file_name", "url"))),
    },
    recipient_fields=_RECIPIENT_FIELDS | {"trigger_properties": _properties_object},
    properties=("trigger_properties",),
)
CANVAS = Trigger(
    path="/canvas/trigger/send",
    target="canvas_id",
    fields=_REQUEST_FIELDS | _CANVAS_PROPERTIES | {"canvas_id": _target_id},
    recipient_fields=_RECIPIENT_FIELDS | _CANVAS_PROPERTIES,
    properties=tuple(_CANVAS_PROPERTIES),
)

send_id_request = record({"campaign_id": _target_id, "send_id": _send_id}, required=("campaign_id",))
"""Checks the body of a request to ``/sends/id/create``."""
