"""The types that Braze requires of profile fields. Source: user_attributes_object.

A profile field of another type refuses the whole request, so a column's own type does not matter here: a telephone
number from a spreadsheet is a number there, and text for Braze.
"""

from __future__ import annotations

from bulk_sender.config.model import FieldType

TEXT_FIELDS = frozenset(
    {
        "country",
        "date_of_first_session",
        "date_of_last_session",
        "dob",
        "email",
        "email_subscribe",
        "first_name",
        "gender",
        "home_city",
        "image_url",
        "language",
        "last_name",
        "marked_email_as_spam_at",
        "phone",
        "push_subscribe",
        "time_zone",
    }
)
"""Profile fields that are text."""
OTHER_TYPES: dict[tuple[str, ...], FieldType] = {
    ("email_click_tracking_disabled",): "boolean",
    ("email_open_tracking_disabled",): "boolean",
    ("current_location", "latitude"): "float",
    ("current_location", "longitude"): "float",
    ("facebook", "num_friends"): "integer",
    ("twitter", "followers_count"): "integer",
    ("twitter", "friends_count"): "integer",
    ("twitter", "id"): "integer",
    ("twitter", "statuses_count"): "integer",
}
"""Profile fields of other types, which text is converted to unless the mapping says otherwise."""
