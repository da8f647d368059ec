"""Rules for a recipient's ``attributes``, which Braze writes to a profile before it sends the message.

Source: Braze's page on the user attributes object. What a value of a wrong type leads to is not documented, so here it
refuses the request. What Braze is known or likely to drop in silence is in :mod:`~bulk_sender.sandbox.losses`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bulk_sender.sandbox.checks import (
    SCALARS,
    Breach,
    Check,
    array_of,
    boolean,
    calendar_day,
    filled_text,
    integer,
    number,
    one_of,
    record,
    scalar,
    text,
)
from bulk_sender.sandbox.vocabulary import LANGUAGES, SUBSCRIPTION_STATES


def attributes(value: Any, where: str) -> Sequence[Breach]:
    """Return the breaches: of each field's rules for profile fields, of the general rules for custom attributes."""
    if type(value) is not dict:
        return [("type", f"{where} must be an object")]
    breaches: list[Breach] = []
    for name, content in value.items():
        if name in _IDENTITY:
            breaches.append(("identity", f"{where}.{name} is not allowed: the recipient already identifies the user"))
        elif content is None and name != "subscription_groups":
            continue  # null removes the attribute
        elif (profile_field := _PROFILE_FIELDS.get(name)) is not None:
            breaches += profile_field(content, f"{where}.{name}")
        elif type(content) not in SCALARS:
            breaches += _custom(content, f"{where}.{name}")
    return breaches


def _custom(value: Any, where: str) -> Sequence[Breach]:
    """Check a custom attribute that is an array, a change of an array, an increment or a nested object."""
    if type(value) is list:
        return _custom_array(value, where)
    if value.keys() == {"inc"}:
        return number(value["inc"], f"{where}.inc")
    if value and value.keys() <= {"add", "remove"}:
        return [breach for verb, elements in value.items() for breach in _scalar_array(elements, f"{where}.{verb}")]
    return [
        breach
        for name, content in value.items()
        if type(content) not in SCALARS
        for breach in _custom(content, f"{where}.{name}")
    ]


def _custom_array(value: list[Any], where: str) -> Sequence[Breach]:
    """Check an array of scalars or objects (Braze's "array of objects"); nested arrays are not allowed."""
    breaches: list[Breach] = []
    for place, element in enumerate(value):
        if type(element) is list:
            breaches.append(("nested_array", f"{where}[{place}] is an array inside an array"))
        elif type(element) is dict:
            breaches += _custom(element, f"{where}[{place}]")
    return breaches


_scalar_array: Check = array_of(scalar)

_IDENTITY = frozenset({"external_id", "user_alias", "braze_id"})

_subscription = one_of(SUBSCRIPTION_STATES, "opted_in, subscribed or unsubscribed")

_PROFILE_FIELDS: dict[str, Check] = {
    "country": text,
    "language": one_of(LANGUAGES, "an ISO 639-1 language code"),
    "gender": one_of(frozenset("MFONP"), "M, F, O, N or P"),
    "dob": calendar_day,
    "email_subscribe": _subscription,
    "push_subscribe": _subscription,
    "email": text,
    "first_name": text,
    "last_name": text,
    "home_city": text,
    "image_url": text,
    "phone": text,
    "time_zone": text,
    "date_of_first_session": text,
    "date_of_last_session": text,
    "marked_email_as_spam_at": text,
    "email_open_tracking_disabled": boolean,
    "email_click_tracking_disabled": boolean,
    "current_location": record({"longitude": number, "latitude": number}, required=("longitude", "latitude")),
    "facebook": record({"id": text, "likes": array_of(text), "num_friends": integer}),
    "twitter": record(
        {
            "id": integer,
            "screen_name": text,
            "followers_count": integer,
            "friends_count": integer,
            "statuses_count": integer,
        }
    ),
    "push_tokens": array_of(
        record({"app_id": filled_text, "token": filled_text, "device_id": text}, required=("app_id", "token"))
    ),
    "subscription_groups": array_of(
        record(
            {
                "subscription_group_id": filled_text,
                "subscription_state": one_of({"subscribed", "unsubscribed"}, "subscribed or unsubscribed"),
            },
            required=("subscription_group_id", "subscription_state"),
        )
    ),
}
