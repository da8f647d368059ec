"""Which column becomes which field: by names, by configuration, and what is refused before any row is read."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from bulk_sender.config.model import Config
from bulk_sender.errors import BulkSenderError, ConfigError, InputError
from bulk_sender.recipients.encode import encode
from bulk_sender.recipients.mapping import RecipientMapping, resolve

CAMPAIGN = {"braze": {"campaign_id": "c"}}
CANVAS = {"braze": {"canvas_id": "c"}}


def mapped(schema: dict[str, Any] | list[str], settings: dict[str, Any] | None = None) -> RecipientMapping:
    types = dict.fromkeys(schema, pl.String()) if isinstance(schema, list) else schema
    return resolve(pl.Schema(types), Config.parse(settings or {}, where="the test"))


def recipients(frame: pl.DataFrame, settings: dict[str, Any] | None = None) -> list[Any]:
    mapping = resolve(frame.schema, Config.parse(settings or {}, where="the test"))
    encoded = encode(frame, mapping, max_bytes=100_000)
    assert encoded["error"].to_list() == [None] * len(frame)
    return [json.loads(text) for text in encoded["recipient"]]


def recipient(row: dict[str, Any], settings: dict[str, Any] | None = None) -> Any:
    [found] = recipients(pl.DataFrame([row]), settings)
    return found


def refusal(schema: dict[str, Any] | list[str], settings: dict[str, Any] | None = None) -> BulkSenderError:
    with pytest.raises(BulkSenderError) as refused:
        mapped(schema, settings)
    return refused.value


# ----- by names


def test_the_columns_names_are_the_mapping() -> None:
    row = {
        "external_user_id": "0042",
        "send_to_existing_only": "true",
        "trigger_properties.first_name": "Ada",
        "trigger_properties.order.total:float": "19.90",
        "trigger_properties.order.items:json": '[{"sku":"x"}]',
        "attributes.age:integer": "42",
        "attributes.tags:list": "a|b",
        "subscription_groups.g-1": "subscribed",
    }
    assert recipient(row) == {
        "external_user_id": "0042",
        "send_to_existing_only": True,
        "trigger_properties": {"first_name": "Ada", "order": {"total": 19.90, "items": [{"sku": "x"}]}},
        "attributes": {
            "age": 42,
            "tags": ["a", "b"],
            "subscription_groups": [{"subscription_group_id": "g-1", "subscription_state": "subscribed"}],
        },
    }


def test_an_alias_has_two_columns() -> None:
    row = {"user_alias.alias_name": "ada", "user_alias.alias_label": "crm"}
    assert recipient(row) == {"user_alias": {"alias_name": "ada", "alias_label": "crm"}}


@pytest.mark.parametrize("values", ["identified|most_recently_updated", " identified | most_recently_updated "])
def test_an_email_has_a_prioritization_its_values_joined_by_bars(values: str) -> None:
    assert recipient({"email": "ada@example.com", "prioritization": values}) == {
        "email": "ada@example.com",
        "prioritization": ["identified", "most_recently_updated"],
    }


def test_a_prioritization_can_be_a_list_column() -> None:
    row = {"email": "ada@example.com", "prioritization": ["unidentified", "least_recently_updated"]}
    assert recipient(row)["prioritization"] == ["unidentified", "least_recently_updated"]


@pytest.mark.parametrize("name", ["trigger_properties", "canvas_entry_properties", "context"])
def test_properties_go_out_under_the_name_of_their_kind_whatever_the_columns_say(name: str) -> None:
    row = {"external_user_id": "u", f"{name}.a": "x"}
    assert recipient(row, CAMPAIGN)["trigger_properties"] == {"a": "x"}
    assert recipient(row, CANVAS)["canvas_entry_properties"] == {"a": "x"}
    newer = {"braze": {"canvas_id": "c", "canvas_properties_name": "context"}}
    assert recipient(row, newer)["context"] == {"a": "x"}


def test_the_first_identifier_that_is_not_empty_wins_in_the_order_of_the_columns() -> None:
    frame = pl.DataFrame(
        {
            "email": ["a@example.com", "", None],
            "prioritization": ["identified"] * 3,
            "external_user_id": ["u1", "u2", " "],
            "braze_id": ["b1", "b2", "b3"],
        }
    )
    assert recipients(frame) == [
        {"email": "a@example.com", "prioritization": ["identified"]},
        {"external_user_id": "u2"},
        {"braze_id": "b3"},
    ]


def test_identifiers_are_never_trimmed() -> None:
    assert recipient({"external_user_id": " 007 "}) == {"external_user_id": " 007 "}


@pytest.mark.parametrize(
    "name",
    [
        "External_user_id",
        "external_id",
        "external_user_id ",
        "e-mail",
        "user_alias",
        "user_alias.name",
        "alias_name",
        "trigger_property.a",
        "trigger_properties",
        "trigger_properties.",
        "attribute.a",
        "attributes",
        "Attributes.a",
        "subscription_groups",
        "first_name",
        "prioritization.a",
    ],
)
def test_a_name_that_only_comes_near_is_not_sent_and_said_to_be_unused(name: str) -> None:
    mapping = mapped(["external_user_id", name])
    assert mapping.unused == (name,)
    assert mapping.fields == ()


@pytest.mark.parametrize("settings", [{}, {"recipient": {"external_user_id": "external_user_id"}}])
def test_the_last_column_of_rejected_csv_may_stay_without_a_word(settings: dict[str, Any]) -> None:
    assert mapped(["external_user_id", "shoe size", "error"], settings).unused == ("shoe size",)
    assert mapped(["external_user_id", "error", "shoe size"], settings).unused == ("error", "shoe size")


def test_a_colon_that_begins_no_type_belongs_to_the_name() -> None:
    row = {"external_user_id": "u", "attributes.a:int": "1", "attributes.b:c:integer": "2"}
    assert recipient(row)["attributes"] == {"a:int": "1", "b:c": 2}


def test_a_name_can_hold_anything() -> None:
    row = {"external_user_id": "u", 'attributes.say "hi"\n{x}': "1", "attributes.é 😀": "2", "attributes.*": "3"}
    assert recipient(row)["attributes"] == {'say "hi"\n{x}': "1", "é 😀": "2", "*": "3"}


def test_columns_named_like_the_results_are_columns_like_any_other() -> None:
    names = ["row", "source", "identifier", "identifier_type", "recipient", "error", "verdict", "status", "fault"]
    row = {"external_user_id": "u", "attributes.n:integer": "5"} | dict.fromkeys(names, "x")
    assert recipient(row) == {"external_user_id": "u", "attributes": {"n": 5}}


# ----- struct columns


def test_struct_columns_serve_as_they_are() -> None:
    row = {
        "external_user_id": "u",
        "trigger_properties": {"first_name": "Ada", "order": {"total": 1.5, "when": None}, "tags": ["a", None]},
        "attributes": {"age": 42, "a.b": True},
    }
    assert recipient(row) == {
        "external_user_id": "u",
        "trigger_properties": {"first_name": "Ada", "order": {"total": 1.5}, "tags": ["a", None]},
        "attributes": {"age": 42, "a.b": True},
    }


def test_a_struct_can_be_completed_by_columns_of_dotted_names() -> None:
    row = {"external_user_id": "u", "attributes": {"a": 1}, "attributes.b": "2"}
    assert recipient(row)["attributes"] == {"a": 1, "b": "2"}


def test_a_struct_without_values_is_left_out() -> None:
    frame = pl.DataFrame(
        {"external_user_id": ["u", "v"], "attributes": [None, {"a": None}]},
        schema={"external_user_id": pl.String(), "attributes": pl.Struct({"a": pl.Int64()})},
    )
    assert recipients(frame) == [{"external_user_id": "u"}, {"external_user_id": "v"}]


def test_a_struct_without_fields_is_left_out() -> None:
    schema = {"external_user_id": pl.String(), "attributes": pl.Struct([])}
    frame = pl.DataFrame({"external_user_id": ["u"], "attributes": [None]}, schema=schema)
    assert recipients(frame) == [{"external_user_id": "u"}]


def test_an_alias_can_be_a_struct() -> None:
    alias = {"alias_name": "ada", "alias_label": "crm"}
    assert recipient({"user_alias": alias}) == {"user_alias": alias}


def test_the_fields_of_a_struct_have_dotted_names_in_a_configuration() -> None:
    settings = {"recipient": {"external_user_id": "who.id", "attributes": {"city": "who.address.city"}}}
    row = {"who": {"id": 7, "address": {"city": "Paris"}}, "who.id": "taken literally", "other": "x"}
    assert recipient(row, settings) == {"external_user_id": "taken literally", "attributes": {"city": "Paris"}}
    del row["who.id"]
    assert recipient(row, settings) == {"external_user_id": "7", "attributes": {"city": "Paris"}}
    assert mapped(dict(pl.DataFrame([row]).schema), settings).unused == ("other",)


# ----- by configuration


def test_a_configured_mapping_takes_columns_constants_and_types() -> None:
    settings = {
        "recipient": {
            "user_alias": {"alias_name": "Kundennummer", "alias_label": {"value": "crm"}},
            "trigger_properties": {
                "order.total": {"column": "Summe", "type": "float"},
                "order.currency": {"value": "EUR"},
                "flags": {"value": {"a": [1, None, True]}},
                "when": {"column": "Datum", "type": "date", "format": "%d.%m.%Y"},
            },
            "attributes": {"tags": {"column": "Tags", "type": "list", "separator": ";"}},
        },
        "input": {"decimal": ","},
    }
    row = {"Kundennummer": "0042", "Summe": "19,90", "Datum": "28.02.2026", "Tags": "a;b"}
    assert recipient(row, settings) == {
        "user_alias": {"alias_name": "0042", "alias_label": "crm"},
        "trigger_properties": {
            "order": {"total": 19.90, "currency": "EUR"},
            "flags": {"a": [1, None, True]},
            "when": "2026-02-28",
        },
        "attributes": {"tags": ["a", "b"]},
    }


def test_with_a_configured_mapping_the_columns_names_mean_nothing() -> None:
    settings = {"recipient": {"external_user_id": "id"}}
    mapping = mapped(["id", "external_user_id", "attributes.a"], settings)
    assert mapping.unused == ("external_user_id", "attributes.a")
    assert recipient({"id": "1", "external_user_id": "2", "attributes.a": "x"}, settings) == {"external_user_id": "1"}


def test_the_order_of_the_configuration_decides_between_identifiers() -> None:
    settings = {"recipient": {"braze_id": "b", "external_user_id": "a"}}
    assert recipient({"a": "1", "b": "2"}, settings) == {"braze_id": "2"}
    assert recipient({"a": "1", "b": ""}, settings) == {"external_user_id": "1"}


@pytest.mark.parametrize(("value", "sent"), [(True, True), (False, False)])
def test_send_to_existing_only_can_be_a_constant(value: bool, sent: bool) -> None:
    settings = {
        "recipient": {"external_user_id": "id", "send_to_existing_only": {"value": value}, "attributes": {"a": "a"}}
    }
    assert recipient({"id": "1", "a": "x"}, settings)["send_to_existing_only"] is sent


def test_null_values_stand_for_nothing() -> None:
    settings = {"input": {"null_values": ["n/a", "-"]}}
    row = {"external_user_id": "u", "attributes.a": "n/a", "attributes.b:integer": "-", "attributes.c": "n/a "}
    assert recipient(row, settings) == {"external_user_id": "u", "attributes": {"c": "n/a "}}


@pytest.mark.parametrize(
    ("nulls", "attributes"), [("omit", {"c": {"e": "x"}}), ("send", {"a": None, "c": {"d": None, "e": "x"}})]
)
def test_nulls_are_left_out_or_sent(nulls: str, attributes: dict[str, Any]) -> None:
    row = {"external_user_id": "u", "attributes.a": "", "attributes.c.d": None, "attributes.c.e": "x"}
    assert recipient(row | {"attributes.a": None}, {"input": {"nulls": nulls}})["attributes"] == attributes


# ----- refusals


@pytest.mark.parametrize(
    ("name", "near"), [("externl_id", "external_id"), ("Adress.city", "Address.city"), ("EXTERNAL_ID", None)]
)
def test_a_column_that_is_not_there_names_the_nearest(name: str, near: str | None) -> None:
    found = refusal(["external_id", "Address.city"], {"recipient": {"external_user_id": name}})
    assert f"recipient.external_user_id: the input has no column {name!r}" in str(found)
    assert (f"did you mean {near!r}?" in str(found)) == (near is not None)
    assert "the columns are 'external_id', 'Address.city'" in found.hint


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        (["name", "mail"], "no column identifies a recipient: the columns are 'name', 'mail'"),
        (["user_alias.alias_name"], "user_alias.alias_label is missing"),
        (["user_alias.alias_label", "external_user_id"], "user_alias.alias_name is missing"),
        (
            ["external_user_id", "attributes.a", "attributes.a:integer"],
            "columns 'attributes.a' and 'attributes.a:integer' both mean a: keep one",
        ),
        (["external_user_id", "external_user_id:string"], "both mean external_user_id: keep one"),
        (
            ["user_alias.alias_name", "user_alias.alias_name:string", "user_alias.alias_label"],
            "both mean alias_name: keep one",
        ),
        (["external_user_id", "trigger_properties.a", "context.a"], "both mean a: keep one"),
        (["external_user_id", "attributes.a", "attributes.a.b"], "'a' and 'a.b' claim the same place"),
        (["external_user_id", "attributes.a.b.c", "attributes.a.b"], "'a.b' and 'a.b.c' claim the same place"),
        (["external_user_id", "attributes.a..b"], "'a..b' has an empty part between its dots"),
        (["external_user_id", "attributes.external_id"], "'external_id' has no place among the attributes"),
        (["external_user_id", "attributes.user_alias.alias_name"], "'user_alias' has no place among the attributes"),
        (["external_user_id", "*"], "a column '*', which polars takes for a pattern"),
        (["external_user_id", "^a.*$"], "a column '^a.*$', which polars takes for a pattern"),
        (
            {
                "external_user_id": pl.String(),
                "context": pl.Struct({"a": pl.Int8()}),
                "trigger_properties": pl.Struct({}),
            },
            "columns 'context' and 'trigger_properties' both mean",
        ),
        (
            {"external_user_id": pl.String(), "attributes": pl.Struct({"a": pl.Int8()}), "attributes.a": pl.String()},
            "'a' and 'a' claim the same place",
        ),
        ({"user_alias": pl.Struct({"alias_name": pl.String()})}, "no column 'user_alias.alias_label'"),
        ({"external_user_id": pl.Float64()}, "holds Float64; an identifier of that type would be mangled"),
        ({"external_user_id": pl.Boolean()}, "holds Boolean"),
        ({"external_user_id": pl.List(pl.String())}, "holds List(String)"),
        ({"external_user_id": pl.String(), "attributes.a": pl.Binary()}, "a column of type Binary can't be sent"),
        ({"external_user_id": pl.String(), "send_to_existing_only": pl.List(pl.Boolean())}, "can't be sent as boolean"),
        ({"email": pl.String(), "prioritization": pl.Int64()}, "column 'prioritization' holds Int64, not text"),
        ({"email": pl.String(), "prioritization": pl.List(pl.Int64())}, "holds List(Int64), not text"),
    ],
)
def test_columns_that_can_not_be_sent_are_refused(schema: dict[str, Any] | list[str], complaint: str) -> None:
    found = refusal(schema)
    assert isinstance(found, ConfigError | InputError)
    assert complaint in str(found)


@pytest.mark.parametrize(
    ("recipient", "complaint"),
    [
        ({"trigger_properties": {"a": "a"}}, "no column identifies a recipient"),
        ({"external_user_id": "a", "attributes": {"x": "a", "x.y": "a"}}, "'x' and 'x.y' claim the same place"),
        ({"external_user_id": "a", "attributes": {".x": "a"}}, "'.x' has an empty part"),
        ({"external_user_id": "a", "attributes": {"x": {"value": float("nan")}}}, "can't be sent as JSON"),
        ({"external_user_id": "a", "send_to_existing_only": {"value": "no"}}, "value is true or false"),
        ({"email": "a", "prioritization": ["identified", "newest"]}, "'identified|newest' is no prioritization"),
        ({"email": "a", "prioritization": []}, "'' is no prioritization"),
        ({"external_user_id": "a", "attributes": {"external_id": "a"}}, "'external_id' has no place"),
    ],
)
def test_a_mapping_that_can_not_be_sent_is_refused(recipient: dict[str, Any], complaint: str) -> None:
    assert complaint in str(refusal(["a"], {"recipient": recipient}))


def test_the_fields_of_other_names_that_sort_between_do_not_hide_an_overlap() -> None:
    assert "claim the same place" in str(
        refusal(["external_user_id", "attributes.a", "attributes.a!", "attributes.a.b"])
    )
