"""Mapping of columns to fields: by name, by configuration, and what is refused before any row is read."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.config.model import Config
from bulk_sender.errors import BulkSenderError, ConfigError, InputError
from bulk_sender.recipients.convert import without_nulls
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


def test_the_column_names_define_the_mapping() -> None:
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


def test_an_alias_uses_two_columns() -> None:
    row = {"user_alias.alias_name": "ada", "user_alias.alias_label": "crm"}
    assert recipient(row) == {"user_alias": {"alias_name": "ada", "alias_label": "crm"}}


@pytest.mark.parametrize("values", ["identified|most_recently_updated", " identified | most_recently_updated "])
def test_an_email_has_a_prioritization_of_values_joined_by_bars(values: str) -> None:
    assert recipient({"email": "ada@example.com", "prioritization": values}) == {
        "email": "ada@example.com",
        "prioritization": ["identified", "most_recently_updated"],
    }


def test_a_prioritization_can_be_a_list_column() -> None:
    row = {"email": "ada@example.com", "prioritization": ["unidentified", "least_recently_updated"]}
    assert recipient(row)["prioritization"] == ["unidentified", "least_recently_updated"]


@pytest.mark.parametrize("name", ["trigger_properties", "canvas_entry_properties", "context"])
def test_properties_are_sent_under_the_name_for_the_message_kind(name: str) -> None:
    row = {"external_user_id": "u", f"{name}.a": "x"}
    assert recipient(row, CAMPAIGN)["trigger_properties"] == {"a": "x"}
    assert recipient(row, CANVAS)["context"] == {"a": "x"}
    older = {"braze": {"canvas_id": "c", "canvas_properties_name": "canvas_entry_properties"}}
    assert recipient(row, older)["canvas_entry_properties"] == {"a": "x"}


def test_the_first_nonempty_identifier_in_column_order_is_used() -> None:
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


def test_identifiers_are_trimmed_unless_the_input_says_otherwise() -> None:
    assert recipient({"external_user_id": " 007 "}) == {"external_user_id": "007"}
    assert recipient({"external_user_id": " 007 "}, {"input": {"trim": False}}) == {"external_user_id": " 007 "}


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
def test_a_column_with_a_similar_name_is_not_sent_and_reported_as_unused(name: str) -> None:
    mapping = mapped(["external_user_id", name])
    assert mapping.unused == (name,)
    assert mapping.fields == ()


@pytest.mark.parametrize("settings", [{}, {"recipient": {"external_user_id": "external_user_id"}}])
def test_the_columns_that_rejected_csv_adds_are_not_reported_as_unused(settings: dict[str, Any]) -> None:
    own, added = ["external_user_id", "shoe size"], ["error", "source_line", "run"]
    assert mapped([*own, *added], settings).unused == ("shoe size",)
    assert mapped([*own, "run", "error", "source_line", "bulk_sender_run"], settings).unused == ("shoe size", "run")
    assert mapped([*own, "error", "run"], settings).unused == ("shoe size", "error", "run")


def test_a_colon_without_a_type_belongs_to_the_name() -> None:
    row = {"external_user_id": "u", "attributes.a:utm source": "1", "attributes.b:c:integer": "2", "attributes.x:": "3"}
    assert recipient(row)["attributes"] == {"a:utm source": "1", "b:c": 2, "x:": "3"}


@pytest.mark.parametrize(
    ("column", "near"),
    [
        ("attributes.age:int", "integer"),
        ("attributes.age:Integer", "integer"),
        ("trigger_properties.total:double", "float"),
        ("trigger_properties.when:timestamp", "datetime"),
        ("attributes.vip:bool", "boolean"),
        ("attributes.tags:lst", "list"),
        ("send_to_existing_only:bool", "boolean"),
        ("attributes.n:INTEGER", "integer"),
        ("attributes.n: integer", "integer"),
        ("attributes.n: float", "float"),
        ("attributes.n:interger", "integer"),
        ("attributes.n:flaot", "float"),
        ("attributes.n:number", "float"),  # it takes whole numbers, too
        ("attributes.n:str", "string"),
        ("attributes.n:Boolen", "boolean"),
        ("attributes.n:uint64", "integer"),
        ("attributes.n:varchar(20)", "string"),
        ("attributes.n:decimal(10, 2)", "float"),
        ("attributes.n:int[]", "list"),
        ("attributes.n:text[]", "list"),
        ("attributes.n:list<string>", "list"),
        ("attributes.n:double precision", "float"),
        ("attributes.n:character varying(20)", "string"),
        ("attributes.n:timestamp without time zone", "datetime"),
        ("attributes.n:Nullable Int64", "integer"),
        ("attributes.n:bigint unsigned", "integer"),
        ("attributes.n:date-time", "datetime"),
        ("attributes.n:u8", "integer"),
        ("attributes.n:uuid", "string"),
        ("attributes.n:datetime64[ns]", "datetime"),
        ("attributes.n:dates", "date"),
        ("attributes.a:b:int", "integer"),
        ("email:str", "string"),
    ],
)
def test_a_type_that_is_none_is_refused_with_the_nearest(column: str, near: str) -> None:
    kind = column.rpartition(":")[2]
    assert str(refusal(["external_user_id", column])) == (
        f"column {column!r}: {kind!r} is not a type (did you mean {near}?)"
    )


def test_a_blank_before_the_colon_of_a_type_is_refused() -> None:
    assert str(refusal(["external_user_id", "attributes.n :float"])) == (
        "column 'attributes.n :float': a blank stands before :float"
    )


@pytest.mark.parametrize("name", ["utm:source", "tax:rate", "home:state", "a:1", "page:/int", "orders:count"])
def test_a_colon_before_a_word_unlike_any_type_belongs_to_the_name(name: str) -> None:
    assert recipient({"external_user_id": "u", f"attributes.{name}": "x"})["attributes"] == {name: "x"}


def test_a_misspelt_type_of_a_column_that_is_not_sent_is_only_named() -> None:
    assert mapped(["external_user_id", "age:int"]).unused == ("age:int",)


@pytest.mark.parametrize("columns", [["id", "age:int"], ["id", "age: integer"], ["id", "age.x:int", "age.y:integer"]])
def test_a_misspelt_type_of_a_mapped_column_is_refused(columns: list[str]) -> None:
    settings = {"recipient": {"external_user_id": "id", "attributes": {"age": "age"}}}
    with pytest.raises(ConfigError, match=r"is not a type \(did you mean integer\?\)"):
        mapped(columns, settings)


def test_a_mapped_column_may_have_any_name() -> None:
    settings = {"recipient": {"external_user_id": "id", "attributes": {"age": "age:int"}}}
    assert mapped(["id", "age:int"], settings).unused == ()


def test_a_name_can_contain_any_character() -> None:
    row = {"external_user_id": "u", 'attributes.say "hi"\n{x}': "1", "attributes.é 😀": "2", "attributes.*": "3"}
    assert recipient(row)["attributes"] == {'say "hi"\n{x}': "1", "é 😀": "2", "*": "3"}


def test_columns_named_like_result_columns_are_ordinary_columns() -> None:
    names = ["row", "source", "identifier", "identifier_type", "recipient", "error", "verdict", "status", "fault"]
    row = {"external_user_id": "u", "attributes.n:integer": "5"} | dict.fromkeys(names, "x")
    assert recipient(row) == {"external_user_id": "u", "attributes": {"n": 5}}


# ----- struct columns


def test_struct_columns_are_sent_as_objects() -> None:
    row = {
        "external_user_id": "u",
        "trigger_properties": {"first_name": "Ada", "order": {"total": 1.5, "when": None}, "tags": ["a", None]},
        "attributes": {"age": 42, "a.b": True},
    }
    assert recipient(row) == {
        "external_user_id": "u",
        "trigger_properties": {"first_name": "Ada", "order": {"total": 1.5}, "tags": ["a"]},
        "attributes": {"age": 42, "a.b": True},
    }


def test_columns_with_dotted_names_add_to_a_struct() -> None:
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


def test_a_configuration_names_struct_fields_with_dots() -> None:
    settings = {"recipient": {"external_user_id": "who.id", "attributes": {"city": "who.address.city"}}}
    row = {"who": {"id": 7, "address": {"city": "Paris"}}, "who.id": "taken literally", "other": "x"}
    assert recipient(row, settings) == {"external_user_id": "taken literally", "attributes": {"city": "Paris"}}
    del row["who.id"]
    assert recipient(row, settings) == {"external_user_id": "7", "attributes": {"city": "Paris"}}
    assert mapped(dict(pl.DataFrame([row]).schema), settings).unused == ("other",)


# ----- by configuration


def test_a_configured_mapping_supports_columns_constants_and_types() -> None:
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
            "flags": {"a": [1, True]},
            "when": "2026-02-28",
        },
        "attributes": {"tags": ["a", "b"]},
    }


def test_a_configured_mapping_ignores_the_meaning_of_column_names() -> None:
    settings = {"recipient": {"external_user_id": "id"}}
    mapping = mapped(["id", "external_user_id", "attributes.a"], settings)
    assert mapping.unused == ("external_user_id", "attributes.a")
    assert recipient({"id": "1", "external_user_id": "2", "attributes.a": "x"}, settings) == {"external_user_id": "1"}


def test_the_first_nonempty_identifier_in_configuration_order_is_used() -> None:
    settings = {"recipient": {"braze_id": "b", "external_user_id": "a"}}
    assert recipient({"a": "1", "b": "2"}, settings) == {"braze_id": "2"}
    assert recipient({"a": "1", "b": ""}, settings) == {"external_user_id": "1"}


@pytest.mark.parametrize(("value", "sent"), [(True, True), (False, False)])
def test_send_to_existing_only_can_be_a_constant(value: bool, sent: bool) -> None:
    settings = {
        "recipient": {"external_user_id": "id", "send_to_existing_only": {"value": value}, "attributes": {"a": "a"}}
    }
    assert recipient({"id": "1", "a": "x"}, settings)["send_to_existing_only"] is sent


def test_configured_null_values_are_empty() -> None:
    settings = {"input": {"null_values": ["n/a", "-"]}}
    row = {"external_user_id": "u", "attributes.a": "n/a", "attributes.b:integer": "-", "attributes.c": "n/a "}
    assert recipient(row, settings) == {"external_user_id": "u", "attributes": {"c": "n/a "}}


@pytest.mark.parametrize(("nulls", "attributes"), [("omit", {"c": {"e": "x"}}), ("send", {"a": None, "c": {"e": "x"}})])
def test_nulls_are_left_out_or_sent_on_the_first_level(nulls: str, attributes: dict[str, Any]) -> None:
    row = {"external_user_id": "u", "attributes.a": "", "attributes.c.d": None, "attributes.c.e": "x"}
    assert recipient(row | {"attributes.a": None}, {"input": {"nulls": nulls}})["attributes"] == attributes


@pytest.mark.parametrize("nulls", ["omit", "send"])
def test_properties_and_nested_values_never_have_a_null(nulls: str) -> None:
    row = {
        "external_user_id": "u",
        "trigger_properties.a": None,
        "trigger_properties.j:json": '{"x":null,"y":[null,1,null,{"z":null}],"s":"null, \\"k\\": null"}',
        "attributes.o:json": '{"a":null,"b":1}',
        "attributes.t:json": '{ "null" : null , "b" : ": null,null" , "c" : [ null ] , "d" : null }',
        "attributes.s": {"a": None, "l": [{"m": None, "n": 1}, None]},
        "attributes.n.x": None,
    }
    sent = recipient(row, {"input": {"nulls": nulls}})
    assert sent["trigger_properties"] == {"j": {"y": [1, {}], "s": 'null, "k": null'}}
    assert sent["attributes"] == {"o": {"b": 1}, "t": {"b": ": null,null", "c": []}, "s": {"l": [{"n": 1}]}}


_PARTS = ['"', ":", ",", "[", "]", "{", "}", " ", "null", "\\", "\n", "é", ": null", '": null', "null,"]
_TEXT = st.lists(st.sampled_from(_PARTS), max_size=6).map("".join)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


def without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without(inner) for name, inner in value.items() if inner is not None}
    return [without(inner) for inner in value if inner is not None] if isinstance(value, list) else value


@given(value=_JSON.filter(lambda value: value is not None), spaced=st.booleans())
def test_pruning_nulls_leaves_everything_else_as_it_was(value: Any, spaced: bool) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1 if spaced else None)
    pruned = pl.DataFrame({"x": [text]}).select(without_nulls(pl.col("x"))).item()
    assert json.loads(pruned) == without(value)


# ----- errors


@pytest.mark.parametrize(
    ("name", "near"), [("externl_id", "external_id"), ("Adress.city", "Address.city"), ("EXTERNAL_ID", None)]
)
def test_the_error_for_a_missing_column_suggests_the_nearest_name(name: str, near: str | None) -> None:
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
            "columns 'attributes.a' and 'attributes.a:integer' both map to a: keep one",
        ),
        (["external_user_id", "external_user_id:string"], "both map to external_user_id: keep one"),
        (
            ["user_alias.alias_name", "user_alias.alias_name:string", "user_alias.alias_label"],
            "both map to alias_name: keep one",
        ),
        (["external_user_id", "trigger_properties.a", "context.a"], "both map to a: keep one"),
        (["external_user_id", "attributes.a", "attributes.a.b"], "'a' and 'a.b' conflict"),
        (["external_user_id", "attributes.a.b.c", "attributes.a.b"], "'a.b' and 'a.b.c' conflict"),
        (["external_user_id", "attributes.a..b"], "'a..b' has an empty part between its dots"),
        (["external_user_id", "attributes.external_id"], "'external_id' is not allowed as an attribute"),
        (["external_user_id", "attributes.user_alias.alias_name"], "'user_alias' is not allowed as an attribute"),
        (["external_user_id", "*"], "a column '*', which polars treats as a pattern"),
        (["external_user_id", "^a.*$"], "a column '^a.*$', which polars treats as a pattern"),
        (
            {
                "external_user_id": pl.String(),
                "context": pl.Struct({"a": pl.Int8()}),
                "trigger_properties": pl.Struct({}),
            },
            "columns 'context' and 'trigger_properties' both map to",
        ),
        (
            {"external_user_id": pl.String(), "attributes": pl.Struct({"a": pl.Int8()}), "attributes.a": pl.String()},
            "'a' and 'a' conflict",
        ),
        ({"user_alias": pl.Struct({"alias_name": pl.String()})}, "no column 'user_alias.alias_label'"),
        ({"external_user_id": pl.Float64()}, "has type Float64, which would change the identifiers"),
        ({"external_user_id": pl.Boolean()}, "has type Boolean"),
        ({"external_user_id": pl.List(pl.String())}, "has type List(String)"),
        ({"external_user_id": pl.String(), "attributes.a": pl.Binary()}, "a column of type Binary cannot be sent"),
        (
            {"external_user_id": pl.String(), "send_to_existing_only": pl.List(pl.Boolean())},
            "cannot be sent as boolean",
        ),
        ({"email": pl.String(), "prioritization": pl.Int64()}, "column 'prioritization' has type Int64, not text"),
        ({"email": pl.String(), "prioritization": pl.List(pl.Int64())}, "has type List(Int64), not text"),
    ],
)
def test_columns_that_cannot_be_sent_are_refused(schema: dict[str, Any] | list[str], complaint: str) -> None:
    found = refusal(schema)
    assert isinstance(found, ConfigError | InputError)
    assert complaint in str(found)


@pytest.mark.parametrize(
    ("recipient", "complaint"),
    [
        ({"trigger_properties": {"a": "a"}}, "no column identifies a recipient"),
        ({"external_user_id": "a", "attributes": {"x": "a", "x.y": "a"}}, "'x' and 'x.y' conflict"),
        ({"external_user_id": "a", "attributes": {".x": "a"}}, "'.x' has an empty part"),
        ({"external_user_id": "a", "attributes": {"x": {"value": float("nan")}}}, "cannot be sent as JSON"),
        ({"external_user_id": "a", "send_to_existing_only": {"value": "no"}}, "value must be true or false"),
        (
            {"email": "a", "prioritization": ["identified", "newest"]},
            "'identified|newest' is not a valid",
        ),
        ({"email": "a", "prioritization": []}, "'' is not a valid prioritization"),
        ({"external_user_id": "a", "attributes": {"external_id": "a"}}, "'external_id' is not allowed"),
    ],
)
def test_a_mapping_that_cannot_be_sent_is_refused(recipient: dict[str, Any], complaint: str) -> None:
    assert complaint in str(refusal(["a"], {"recipient": recipient}))


def test_an_overlap_is_found_even_if_other_names_sort_in_between() -> None:
    assert "conflict" in str(refusal(["external_user_id", "attributes.a", "attributes.a!", "attributes.a.b"]))
