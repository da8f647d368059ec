"""Warnings that ``check`` counts over all rows to be sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from tests.kit.inputs import put


def warnings(folder: Path, text: str, **config: Any) -> list[str]:
    return bs.check(put(folder, "people.csv", text), config=config).warnings


def of_attribute(name: str, value: Any, **more: Any) -> list[str]:
    """The warnings about one attribute of two rows, of which the second has the value."""
    kind = {} if isinstance(value, str) else {"type": "json"}
    text = value if isinstance(value, str) else json.dumps(value)
    frame = pl.DataFrame({"id": ["u1", "u2"], "x": [None, text]}, schema={"id": pl.String, "x": pl.String})
    recipient = {"external_user_id": "id", "attributes": {name: {"column": "x", **kind}}} | more
    found = bs.check(frame, config={"recipient": recipient}).warnings
    return [each for each in found if "is empty in" not in each and "month first" not in each.replace(_TIME, "")]


_TIME = "which Braze turns into a time, with the month first"


# ----- Liquid


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("trigger_properties.x", "{{custom_attribute.${ssn}}}"),
        ("trigger_properties.x", "a {% abort_message() %}"),
        ("attributes.x", "{{x}}"),
        ("attributes.x:json", '{"a": [{"b": "{{x}}"}]}'),
        ("attributes.x:json", '{"{{a}}": 1}'),
        ("attributes.x:json", '{"a": "\\u007b\\u007Bx}}"}'),
        ("attributes.x:json", '{"a": "{\\u0025 x %}"}'),
        ("attributes.x:list", "a|{{b}}"),
    ],
)
def test_liquid_is_counted_by_column_or_rejected(tmp_path: Path, column: str, cell: str) -> None:
    quoted = '"' + cell.replace('"', '""') + '"'
    path = put(tmp_path, "people.csv", f"external_user_id,{column},attributes.y\nu1,{quoted},a\nu2,,b\n")
    warned = bs.check(path)
    assert warned.valid == 2
    [warning] = [each for each in warned.warnings if "Liquid" in each]
    assert warning.startswith(f"column {column!r}: 1 row with Liquid")
    rejected = bs.check(path, overrides={"input.liquid": "reject"})
    assert rejected.rejected == 1
    [example] = rejected.reasons["liquid"]["examples"]
    assert example["error"] == f"column {column!r} contains {{{{ or {{%, which Braze runs as code (Liquid)"
    allowed = bs.check(path, overrides={"input.liquid": "allow"})
    assert allowed.valid == 2
    assert not [each for each in allowed.warnings if "Liquid" in each]


def test_nested_braces_are_not_liquid(tmp_path: Path) -> None:
    text = 'external_user_id,attributes.x:json,attributes.y\nu1,"{""a"":{""b"":{}}}",50 % {x} { {\n'
    assert [each for each in warnings(tmp_path, text) if "Liquid" in each] == []
    assert bs.check(tmp_path / "people.csv", overrides={"input.liquid": "reject"}).rejected == 0


# ----- attributes


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("a", "x" * 256, "has more than 255 characters"),
        ("a", "12/1/2021", "which Braze turns into a time"),
        ("a", "3500-01-01", "has a year before 0 or after 3000"),
        ("a", [*range(26)], "has a list of more than 25 values"),
        ("a", ["a,b", *"x" * 25], "has a list of more than 25 values"),
        ("a", {"add": [*range(26)]}, "has a list of more than 25 values"),
        ("a", {"b": "x" * 256}, "has a text of more than 255 characters inside"),
        ("a", {"b": ["x"] * 30_000}, "has more than 100 KB"),
        ("a", {"a b": 1}, "has a name with a space, a dot or a dollar sign"),
        ("a", [{"c": {"c.d": 2}}], "has a name with a space, a dot or a dollar sign"),
        ("a", {"$x": 3}, "has a name with a space, a dot or a dollar sign"),
        ("email", "nope", "is not an e-mail address"),
        ("email", "ann\u200b@example.com", "is not an e-mail address"),
        ("email", "\u0430nn@example.com", "is not an e-mail address"),
        ("phone", "0151 123", "is not a phone number"),
        ("time_zone", "Mars", "is not a time zone"),
        ("current_location", {"lat": 1}, "is not a place"),
        ("email_open_tracking_disabled", 5, "is not true or false"),
        ("a", {"inc": 1.5}, "is not a valid change"),
        ("a", {"$update": [{"$new_object": {"x": 1}}]}, "is not a valid change"),
        ("a", {"$remove": [{"$identifier_key": "id"}]}, "is not a valid change"),
        ("a", {"$add": {"x": 1}}, "is not a valid change"),
        ("pets.$add", [1], "is not a list of objects, as $add requires"),
        ("pets.$update", [{"$identifier_key": "id", "$identifier_value": 1}], "as $update requires"),
        ("pets.$remove", [{"id": 1}], "as $remove requires"),
    ],
)
def test_an_odd_attribute_is_counted_with_its_first_row(name: str, value: Any, words: str) -> None:
    [found] = of_attribute(name, value)
    assert found.startswith("1 row, starting at row 2: column 'x' ")
    assert words in found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a", "x" * 255),
        ("a", "é" * 255),
        ("a", "2021-12-01"),
        ("a", "3000-01-01"),
        ("a", [*range(25)]),
        ("a", ["a,b,c,d" * 10]),
        ("a", [{"x": 1}] * 40),
        ("a", {"b": "a b. $ : c", "c_d": {"$time": "2026-01-01"}}),
        ("a", {"b": 'a" b": 1'}),
        ("email", "a@example.com"),
        ("phone", "+4915112345678"),
        ("time_zone", "Europe/Paris"),
        ("current_location", {"longitude": 2.35, "latitude": 48}),
        ("email_open_tracking_disabled", "true"),
        ("a", {"inc": 1}),
        ("a", {"$add": [{"x": 1}], "$remove": [{"$identifier_key": "id", "$identifier_value": 1}]}),
        ("a", {"$update": [{"$identifier_key": "id", "$identifier_value": 1, "$new_object": {"x": 1}}]}),
        ("pets.$add", [{"id": 1}]),
        ("pets.$update", [{"$identifier_key": "id", "$identifier_value": 1, "$new_object": {"x": 1}}]),
        ("pets.$remove", [{"$identifier_key": "id", "$identifier_value": 1}]),
    ],
)
def test_an_ordinary_attribute_gives_no_warning(name: str, value: Any) -> None:
    assert of_attribute(name, value) == []


def test_a_hash_is_no_odd_address_if_addresses_are_hashed() -> None:
    assert of_attribute("email", "ab" * 32, email_is_hashed=True) == []


@pytest.mark.parametrize("name", ["First_Name", "first name", "Email", "TIME_ZONE", "DOB"])
def test_a_profile_field_in_another_case_is_warned_of(name: str) -> None:
    [found] = of_attribute(name, "x")
    assert found.startswith(f"attribute {name!r} is not the profile field ")


@pytest.mark.parametrize("name", ["_update_existing_only", "push_token_import"])
def test_fields_of_users_track_are_refused(name: str) -> None:
    with pytest.raises(bs.ConfigError, match="is not an attribute but a field of /users/track"):
        of_attribute(name, "true")


def test_other_dollar_names_are_refused() -> None:
    for name in ("pets.$set", "pets.a.$add", "a.$identifier_key"):
        with pytest.raises(bs.ConfigError, match="is not a valid name for a member of an object"):
            of_attribute(name, "x")


# ----- people who refused


@pytest.mark.parametrize(
    ("column", "answers", "refused"),
    [
        ("Opt-in", ["Oui", "Non", "NON", "OUI", ""], 2),
        ("opted_in", ["yes", "no", "No ", "yes", "yes"], 2),
        ("Newsletter", ["ja", "nein", "ja", "ja", "ja"], 1),
        ("consentimiento", ["sí", "no", "si", "no", "no"], 3),
        ("optin", ["1", "0", "1", "1", "0"], 2),
        ("email_subscribe", ["opted_in", "unsubscribed", "subscribed", "", "unsubscribed"], 2),
        ("attributes.email_subscribe", ["opted_in", "unsubscribed", "subscribed", "", "unsubscribed"], 2),
        ("opt_out", ["yes", "no", "no", "no", "true"], 2),
        ("désabonné", ["oui", "non", "non", "non", ""], 1),
        ("city", ["No", "Non", "0", "false", "nein"], 0),
    ],
)
def test_people_who_said_no_are_counted(tmp_path: Path, column: str, answers: list[str], refused: int) -> None:
    text = f"external_user_id,{column}\n" + "".join(f"u{n},{answer}\n" for n, answer in enumerate(answers))
    found = [each for each in warnings(tmp_path, text) if "says no" in each]
    who = "they" if refused > 1 else "this person"
    assert found == (
        [f"column {column!r} says no for {refused} of 5 recipients; {who} will be messaged"] if refused else []
    )


def test_typed_answers_and_the_filter_count(tmp_path: Path) -> None:
    frame = pl.DataFrame({"external_user_id": ["a", "b", "c"], "opted_in": [True, False, None], "n": [1, 2, 3]})
    assert [each for each in bs.check(frame).warnings if "says no" in each] == [
        "column 'opted_in' says no for 1 of 3 recipients; this person will be messaged"
    ]
    kept = bs.check(frame, overrides={"input.filter": "opted_in"})
    assert [each for each in kept.warnings if "says no" in each] == []


# ----- totals


@pytest.mark.parametrize("word", ["TOTAL", "Total général", "Summe", "Gesamt:", "Somme", "Totale", "合計"])
def test_a_last_row_with_the_word_for_a_total_is_warned_of(tmp_path: Path, word: str) -> None:
    text = "external_user_id,trigger_properties.x\n" + "".join(f"u{n},{n}\n" for n in range(5)) + f"{word},15\n"
    [found] = [each for each in warnings(tmp_path, text) if "total" in each]
    assert found.startswith(f"row 6 ({word!r}) looks like a total, not like a recipient, and would be messaged")


def test_the_word_may_stand_in_another_cell_or_a_line_before_the_end(tmp_path: Path) -> None:
    text = "external_user_id,trigger_properties.x\n" + "".join(f"u{n},{n}\n" for n in range(5)) + "7,Total\nu9,x\n"
    [found] = [each for each in warnings(tmp_path, text) if "total" in each]
    assert found.startswith("row 6 ('7')")


def test_an_identifier_unlike_all_others_or_a_mostly_empty_last_row_is_warned_of(tmp_path: Path) -> None:
    head = "external_user_id,trigger_properties.a,trigger_properties.b,trigger_properties.c\n"
    rows = "".join(f"{n:05},a,b,c\n" for n in range(30))
    [found] = [each for each in warnings(tmp_path, head + rows + "Export,a,b,c\n") if "total" in each]
    assert found.startswith("row 31 ('Export')")
    [found] = [each for each in warnings(tmp_path, head + rows + "99999,,,\n") if "total" in each]
    assert found.startswith("row 31 ('99999')")


def test_ordinary_last_rows_are_not_warned_of(tmp_path: Path) -> None:
    head = "external_user_id,trigger_properties.a,trigger_properties.b\n"

    def looks(text: str) -> list[str]:
        found = warnings(tmp_path, text, input={"duplicates": "allow"})
        return [each for each in found if "looks like a total" in each]

    for last in ("00031,a,b", "00031,a,", "total-31,a,b"):
        assert looks(head + "".join(f"{n:05},a,{'b' if n % 2 else ''}\n" for n in range(30)) + last + "\n") == []
    names = "".join(f"{name},a,b\n" for name in ["ada", "bob", "cid", "dan"] * 5)
    assert looks(head + names + "total eclipse,a,b\n") == []
