"""Endpoint ``/users/export/ids``: what the ledger knows about users, in Braze's format.

Source: Braze's page on the users by identifier endpoint. The sandbox has no list of users, so every user
exists: an unknown id is a user who has received nothing, and ``invalid_user_ids`` is always empty. As in
Braze, a user has only the requested fields, and no empty ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bulk_sender.sandbox.checks import Check, array_of, email, filled_text, record, text
from bulk_sender.sandbox.ledger import Ledger, Receipt, iso_time, user_key

MAX_IDS = 50

_alias = record({"alias_name": filled_text, "alias_label": filled_text}, required=("alias_name", "alias_label"))
_FIELDS: Mapping[str, Check] = {
    "external_ids": array_of(filled_text),
    "user_aliases": array_of(_alias),
    "email_address": email,
    "braze_id": filled_text,
    "device_id": text,
    "phone": text,
    "fields_to_export": array_of(filled_text, least=1),
}
_request = record(_FIELDS, required=("fields_to_export",))


def export(content: Any, ledger: Ledger) -> tuple[int, dict[str, Any]]:
    """Return the status and body of the answer to the parsed request ``content``."""
    breaches = _request(content, "body")
    if breaches:
        return 400, {"message": breaches[0][1]}
    many = len(content.get("external_ids", ())) + len(content.get("user_aliases", ()))
    if many > MAX_IDS:
        return 400, {"message": "The max number of ids per request was exceeded"}
    people = list(_people(content))
    if not people:
        return 400, {"message": "No identifiers: external_ids, user_aliases, email_address or braze_id"}
    wanted = content["fields_to_export"]
    receipts = ledger.receipts({user_key(identifier, value) for identifier, value in people})
    users = [_profile(identifier, value, wanted, receipts) for identifier, value in people]
    return 200, {"message": "success", "users": users, "invalid_user_ids": []}


def _people(content: Mapping[str, Any]) -> Sequence[tuple[str, Any]]:
    """Return the requested users as (kind of identifier, value)."""
    people: list[tuple[str, Any]] = [("external_user_id", each) for each in content.get("external_ids", ())]
    people += [("user_alias", each) for each in content.get("user_aliases", ())]
    if "email_address" in content:
        people.append(("email", content["email_address"]))
    if "braze_id" in content:
        people.append(("braze_id", content["braze_id"]))
    return people


def _profile(
    identifier: str, value: Any, wanted: Sequence[str], received: Mapping[str, Sequence[tuple[str, Receipt]]]
) -> dict[str, Any]:
    field, content = {
        "external_user_id": ("external_id", value),
        "user_alias": ("user_aliases", [value]),
        "email": ("email", value),
        "braze_id": ("braze_id", value),
    }[identifier]
    profile = {
        field: content,
        "campaigns_received": [],
        "canvases_received": [],
    }
    for target, receipt in received[user_key(identifier, value)]:
        kind, _, target_id = target.partition(":")
        if kind == "campaign_id":
            profile["campaigns_received"].append(_campaign(target_id, receipt))
        else:
            profile["canvases_received"].append(_canvas(target_id, receipt))
    return {name: known for name, known in profile.items() if name in wanted and known}


def _campaign(campaign_id: str, receipt: Receipt) -> dict[str, Any]:
    return {
        "name": "Sandbox campaign",
        "api_campaign_id": campaign_id,
        "last_received": iso_time(receipt.last),
        "engaged": {},
        "converted": False,
    }


def _canvas(canvas_id: str, receipt: Receipt) -> dict[str, Any]:
    at = iso_time(receipt.last)
    return {
        "name": "Sandbox Canvas",
        "api_canvas_id": canvas_id,
        "last_entered": at,
        "last_received_message": at,
    }
