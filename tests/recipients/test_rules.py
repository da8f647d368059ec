"""Braze's rules for recipients: each has a code, and a reason that names the column and the value."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.braze.limits import MAX_EXTERNAL_USER_ID_BYTES
from bulk_sender.config.model import Config
from bulk_sender.recipients.encode import encode
from bulk_sender.recipients.mapping import resolve

Found = tuple[str | None, str | None]
EMAIL = {"email": "ada@example.com", "prioritization": "identified"}


def verdicts(rows: list[dict[str, Any]], settings: dict[str, Any] | None = None, most: int = 100_000) -> list[Found]:
    """Return each row's error code and reason, after asserting that a row has either those or a recipient."""
    frame = pl.DataFrame(rows, infer_schema_length=None)
    encoded = encode(frame, resolve(frame.schema, Config.parse(settings or {}, where="the test")), max_bytes=most)
    assert len(encoded) == len(rows)
    for recipient, code, reason in encoded.select("recipient", "error_code", "error").rows():
        assert (recipient is None) == (code is not None) == (reason is not None)
        assert recipient is None or json.loads(recipient)
    return encoded.select("error_code", "error").rows()


def verdict(row: dict[str, Any], settings: dict[str, Any] | None = None, most: int = 100_000) -> Found:
    [found] = verdicts([row], settings, most)
    return found


SOUND: Found = (None, None)


# ----- identifiers


@pytest.mark.parametrize("empty", [None, "", " ", "\t"])
def test_the_reason_for_a_missing_identifier_names_the_identifier_columns(empty: str | None) -> None:
    row = {"external_user_id": empty, "braze_id": empty}
    assert verdict({"external_user_id": "u", "braze_id": None}) == SOUND
    frame = [row, {"external_user_id": "u", "braze_id": "b"}]
    assert verdicts(frame)[0] == (
        "missing_identifier",
        "no identifier: external_user_id (column 'external_user_id') or braze_id (column 'braze_id') is empty",
    )


def test_the_reason_names_the_configured_identifier_column() -> None:
    code, reason = verdict({"Kunde": "", "x": "1"}, {"recipient": {"external_user_id": "Kunde"}})
    assert (code, reason) == ("missing_identifier", "no identifier: external_user_id (column 'Kunde') is empty")


def test_an_incomplete_alias_is_rejected() -> None:
    rows = [
        {"user_alias.alias_name": "ada", "user_alias.alias_label": ""},
        {"user_alias.alias_name": "", "user_alias.alias_label": "crm"},
        {"user_alias.alias_name": "ada", "user_alias.alias_label": "crm"},
    ]
    assert verdicts(rows) == [
        ("incomplete_alias", "an alias needs both alias_name and alias_label; one is empty"),
        ("missing_identifier", "no identifier: user_alias (column 'user_alias.alias_name') is empty"),
        SOUND,
    ]


def test_an_external_user_id_has_at_most_987_bytes() -> None:
    assert MAX_EXTERNAL_USER_ID_BYTES == 987
    rows = [
        {"external_user_id": "x" * MAX_EXTERNAL_USER_ID_BYTES},
        {"external_user_id": "x" * (MAX_EXTERNAL_USER_ID_BYTES + 1)},
        {"external_user_id": "é" * (MAX_EXTERNAL_USER_ID_BYTES // 2 + 1)},
    ]
    assert verdicts(rows) == [
        SOUND,
        ("identifier_too_long", "the external_user_id has 988 bytes; the maximum is 987"),
        ("identifier_too_long", "the external_user_id has 988 bytes; the maximum is 987"),
    ]


def test_other_identifiers_have_no_documented_limit() -> None:
    assert verdict({"user_alias.alias_name": "x" * 2000, "user_alias.alias_label": "crm"}) == SOUND
    assert verdict(EMAIL | {"email": "x" * 2000 + "@example.com"}) == SOUND


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0", "\u202f", "\u3000", "\r\n"])
def test_blanks_around_an_identifier_are_removed_unless_trim_is_off(blank: str) -> None:
    row = EMAIL | {"email": f"{blank}ada@example.com{blank}"}
    assert sent(row)["email"] == "ada@example.com"
    assert verdict(row, {"input": {"trim": False}})[0] == "invalid_email"
    padded = {"user_alias.alias_name": f"{blank}a b", "user_alias.alias_label": f"crm{blank}"}
    assert sent(padded)["user_alias"] == {"alias_name": "a b", "alias_label": "crm"}
    assert sent(padded, {"input": {"trim": False}})["user_alias"]["alias_name"] == f"{blank}a b"


# ----- e-mail


HASH = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"


def test_a_hash_is_an_address_if_addresses_are_hashed() -> None:
    hashed = {"recipient": {"email_is_hashed": True}}
    assert verdict(EMAIL | {"email": HASH}, hashed) == SOUND
    assert verdict(EMAIL | {"email": HASH.upper()}, hashed) == SOUND
    assert verdict(EMAIL | {"email": HASH})[0] == "invalid_email"
    for other in ("ada@example.com", "5e88", HASH[:-1]):
        assert verdict(EMAIL | {"email": other}, hashed) == (
            "invalid_email",
            f"'{other}' is not a hash of 32 to 128 hexadecimal digits, as recipient.email_is_hashed requires",
        )


@pytest.mark.parametrize(
    "address",
    [
        "a@example.com",
        "a.b+c@sub.example.co.uk",
        "ü@example.com",
        "a@exämple.com",
        "o'hara@example.com",
        "A@EXAMPLE.COM",
    ],
)
def test_an_ordinary_address_is_valid(address: str) -> None:
    assert verdict(EMAIL | {"email": address}) == SOUND


@pytest.mark.parametrize(
    "address",
    [
        "ada",
        "ada@",
        "@example.com",
        "ada@example",
        "ada@.com",
        "ada@example..com",
        "ada@example.com.",
        "a da@example.com",
        " ada@example.com",
        "ada@example.com ",
        "ada@exam ple.com",
        "ada@a@example.com",
        "a@example.com,b@example.com",
        "a@example.com;b@example.com",
        "Ada <ada@example.com>",
        "mailto:(ada)@example.com",
        "ada@example.com\n",
    ],
)
def test_an_invalid_address_is_rejected_and_quoted(address: str) -> None:
    code, reason = verdict(EMAIL | {"email": address}, {"input": {"trim": False}})
    shown = address.replace("\n", "\u2423")
    assert (code, reason) == ("invalid_email", f"'{shown}' is not a valid e-mail address")


def test_an_email_without_a_prioritization_is_rejected_with_or_without_the_column() -> None:
    reason = "a recipient identified by e-mail needs a prioritization, such as identified|most_recently_updated"
    assert verdict({"email": "ada@example.com"}) == ("missing_prioritization", reason)
    assert verdicts([EMAIL, EMAIL | {"prioritization": " "}]) == [SOUND, ("missing_prioritization", reason)]


@pytest.mark.parametrize(
    "words",
    [
        "identified",
        "unidentified",
        "most_recently_updated",
        "least_recently_updated",
        "identified|most_recently_updated",
        "unidentified|least_recently_updated",
    ],
)
def test_a_documented_prioritization_is_valid(words: str) -> None:
    assert verdict(EMAIL | {"prioritization": words}) == SOUND


@pytest.mark.parametrize(
    "words", ["newest", "identified|unidentified", "Identified", "identified,most_recently_updated"]
)
def test_an_invalid_prioritization_is_rejected_and_quoted(words: str) -> None:
    code, reason = verdict(EMAIL | {"prioritization": words})
    assert code == "invalid_prioritization"
    assert str(reason).startswith(f"'{words}' is not a valid prioritization: use identified or unidentified, then")


def test_a_recipient_not_identified_by_email_needs_no_prioritization() -> None:
    row = {"external_user_id": "u", "email": "no address", "prioritization": "nonsense"}
    assert verdict(row) == SOUND


# ----- values


@pytest.mark.parametrize(
    ("kind", "cell", "expected"),
    [
        ("integer", "5.5", "a whole number: it has a fraction, which needs the type float"),
        ("float", "NaN", "a number"),
        ("boolean", "perhaps", "true or false"),
        ("date", "2026-02-30", "a date, such as 2026-02-28"),
        ("datetime", "noon", "a date and time, such as 2026-02-28T10:00:00"),
        ("json", "{", "valid JSON without repeated names"),
        ("json", '{"a":1,"a":2}', "valid JSON without repeated names"),
        ("list", "[1", "a list"),
    ],
)
def test_the_reason_for_an_invalid_cell_names_its_column_and_the_expected_type(
    kind: str, cell: str, expected: str
) -> None:
    column = f"attributes.a:{kind}"
    found = verdict({"external_user_id": "u", column: cell})
    assert found == ("invalid_value", f"column '{column}': '{cell}' is not {expected}")


def test_the_reason_for_a_cell_in_a_wrong_format_names_the_format() -> None:
    source = {"column": "Datum", "type": "date", "format": "%d.%m.%Y"}
    found = verdict(
        {"id": "u", "Datum": "2026-02-28"}, {"recipient": {"external_user_id": "id", "attributes": {"d": source}}}
    )
    assert found == ("invalid_value", "column 'Datum': '2026-02-28' is not a date in the format %d.%m.%Y")


def test_the_reason_for_a_nan_in_a_nested_column_names_the_column() -> None:
    found = verdict({"external_user_id": "u", "trigger_properties": {"sizes": [1.0, float("nan")]}})
    assert found == (
        "invalid_value",
        "column 'trigger_properties.sizes': 'a nested value' is not valid: it contains a NaN or an infinite number",
    )


def test_a_quoted_value_is_short_on_one_line_and_keeps_its_braces() -> None:
    column = "attributes.{}'\n:integer"
    code, reason = verdict({"external_user_id": "u", column: "{}\x1b[31m\r\n" + "x" * 500})
    assert code == "invalid_value"
    shown = "{}\u2423[31m\u2423\u2423" + "x" * 71
    assert reason == f"column {column!r}: '{shown}…' is not a whole number"


def test_a_row_gets_only_the_first_reason() -> None:
    row = {"external_user_id": "", "attributes.a:integer": "x", "attributes.b:date": "y"}
    assert verdict(row)[0] == "missing_identifier"
    code, reason = verdict(row | {"external_user_id": "u"})
    assert (code, "attributes.a" in str(reason)) == ("invalid_value", True)


# ----- send_to_existing_only


def test_an_alias_goes_without_send_to_existing_only_and_is_rejected_if_that_is_false() -> None:
    row = {"user_alias.alias_name": "a", "user_alias.alias_label": "b"}
    assert verdict(row | {"send_to_existing_only": "false", "attributes.a": "x"}) == (
        "existing_only_with_alias",
        "send_to_existing_only cannot be false for a user alias: Braze does not create such users",
    )
    for flag in ("true", ""):
        assert "send_to_existing_only" not in sent(row | {"send_to_existing_only": flag, "attributes.a": "x"})


def test_a_constant_true_goes_with_ids_but_not_with_aliases() -> None:
    rows = [{"id": "u1", "alias": ""}, {"id": "", "alias": "a"}]
    alias = {"alias_name": "alias", "alias_label": {"value": "crm"}}
    mapped = {"external_user_id": "id", "user_alias": alias, "send_to_existing_only": {"value": True}}
    frame = pl.DataFrame(rows)
    encoded = encode(frame, resolve(frame.schema, Config.parse({"recipient": mapped}, where="")), max_bytes=1000)
    assert [json.loads(text) for text in encoded["recipient"]] == [
        {"external_user_id": "u1", "send_to_existing_only": True},
        {"user_alias": {"alias_name": "a", "alias_label": "crm"}},
    ]


def sent(row: dict[str, Any], settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """The recipient of a sound row."""
    frame = pl.DataFrame([row])
    encoded = encode(frame, resolve(frame.schema, Config.parse(settings or {}, where="the test")), max_bytes=100_000)
    found: dict[str, Any] = json.loads(encoded["recipient"][0])
    return found


WITHOUT = (
    "existing_only_without_attributes",
    "send_to_existing_only is false, but the row has no attributes to create the user with",
)


@pytest.mark.parametrize(
    ("row", "nulls", "found"),
    [
        ({"send_to_existing_only": "false"}, "omit", WITHOUT),
        ({"send_to_existing_only": "false", "trigger_properties.a": "x"}, "omit", WITHOUT),
        ({"send_to_existing_only": "false", "attributes.a": None}, "omit", WITHOUT),
        ({"send_to_existing_only": "false", "attributes.a": None}, "send", WITHOUT),
        ({"send_to_existing_only": "false", "attributes.a:json": "{}"}, "omit", WITHOUT),
        ({"send_to_existing_only": "false", "attributes.a:json": '{"b": {"c\\"": {}}}'}, "omit", WITHOUT),
        ({"send_to_existing_only": "false", "attributes.a:json": '{"b": null}'}, "send", WITHOUT),
        ({"send_to_existing_only": "false", "attributes.a:json": '{"b": "null"}'}, "omit", SOUND),
        ({"send_to_existing_only": "false", "attributes.a:json": "[]"}, "omit", SOUND),
        ({"send_to_existing_only": "false", "attributes.a:json": "0"}, "omit", SOUND),
        ({"send_to_existing_only": "false", "attributes.a": "x"}, "omit", SOUND),
        ({"send_to_existing_only": "false", "attributes": {"a": None, "b": 1}}, "omit", SOUND),
        ({"send_to_existing_only": "false", "attributes": {"a": None}}, "omit", WITHOUT),
        ({"send_to_existing_only": "false", "subscription_groups.g": "subscribed"}, "omit", SOUND),
        ({"send_to_existing_only": "false", "subscription_groups.g": None}, "omit", WITHOUT),
        ({"send_to_existing_only": "false", "subscription_groups.g": None}, "send", WITHOUT),
        ({"send_to_existing_only": "true"}, "omit", SOUND),
        ({"send_to_existing_only": None}, "omit", SOUND),
        ({"send_to_existing_only": False, "attributes.a": "x"}, "omit", SOUND),
        ({"send_to_existing_only": False}, "omit", WITHOUT),
    ],
)
def test_creating_users_requires_attributes(row: dict[str, Any], nulls: str, found: Found) -> None:
    schema = {name: pl.String() for name, value in row.items() if value is None}
    rows = pl.DataFrame([{"external_user_id": "u"} | row], schema_overrides=schema)
    encoded = encode(
        rows, resolve(rows.schema, Config.parse({"input": {"nulls": nulls}}, where="the test")), max_bytes=10_000
    )
    assert encoded.select("error_code", "error").row(0) == found
    if found == SOUND and row["send_to_existing_only"] in ("false", False):
        assert json.loads(encoded["recipient"][0])["attributes"]


# ----- size


def test_a_recipient_has_a_maximum_size_in_bytes() -> None:
    size = len('{"external_user_id":"u","attributes":{"a":"é"}}'.encode())
    row = {"external_user_id": "u", "attributes.a": "é"}
    assert verdict(row, most=size) == SOUND
    assert verdict(row, most=size - 1) == (
        "too_large",
        f"the recipient is {size} bytes long; at most {size - 1} fit into a request",
    )


# ----- properties


CELLS = st.one_of(
    st.none(),
    st.sampled_from(["", "x", "5", "true", "false", "a@example.com", "identified", "{", "NaN"]),
    st.text(max_size=5),
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "external_user_id": CELLS,
                "email": CELLS,
                "prioritization": CELLS,
                "user_alias.alias_name": CELLS,
                "user_alias.alias_label": CELLS,
                "send_to_existing_only": CELLS,
                "attributes.a:integer": CELLS,
                "trigger_properties.b:json": CELLS,
            }
        ),
        min_size=1,
        max_size=20,
    )
)
def test_a_row_has_the_same_result_alone_and_among_others(rows: list[dict[str, Any]]) -> None:
    typed = {name: pl.String() for name in rows[0]}

    def judged(some: list[dict[str, Any]]) -> list[Any]:
        frame = pl.DataFrame(some, schema=typed)
        return encode(frame, resolve(frame.schema, Config()), max_bytes=10_000).rows()

    assert judged(rows) == [found for row in rows for found in judged([row])]
