"""Attributes that Braze would drop or misread: rejected with a reason, or sent and counted if so configured."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import bulk_sender as bs
from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError
from bulk_sender.recipients.attributes import Documented, OddValues, bare, checked
from bulk_sender.recipients.encode import encode
from bulk_sender.recipients.mapping import RecipientMapping, resolve
from bulk_sender.recipients.vocabulary import COUNTRIES, LANGUAGES
from bulk_sender.sandbox.attributes import attributes as sandbox_breaches

TODAY = dt.date(2026, 3, 1)


def mapped(frame: pl.DataFrame, *, profile_fields: str = "reject", **tables: Any) -> RecipientMapping:
    given = {
        "braze": {"campaign_id": "c"},
        "recipient": {"external_user_id": "id"} | tables.pop("recipient", {}),
        "input": {"profile_fields": profile_fields} | tables.pop("input", {}),
    } | tables
    return resolve(frame.schema, Config.parse(given, where="the test"))


def people(name: str, values: Sequence[Any], dtype: Any = pl.String) -> pl.DataFrame:
    ids = [f"u{number}" for number in range(len(values))]
    return pl.DataFrame({"id": ids, name: pl.Series(values, dtype=dtype)})


def verdicts(name: str, values: Sequence[Any], *, type: str = "string", dtype: Any = pl.String) -> list[str | None]:
    """Return the error of each value of attribute ``name``, None if valid, with profile_fields = "reject"."""
    frame = people("value", values, dtype)
    source = {"column": "value"} | ({"type": type} if dtype == pl.String else {})
    encoded = encode(frame, mapped(frame, recipient={"attributes": {name: source}}), max_bytes=100_000)
    assert set(encoded["error_code"].drop_nulls()) <= {"invalid_attribute"}
    return encoded["error"].to_list()


# ----- profile fields


@pytest.mark.parametrize(
    ("name", "sound", "unsound"),
    [
        ("country", ["FR", "CH"], ["fr", "FRA", "France", "UK", "XK", "", " FR"]),
        ("language", ["fr", "zu", "fil", "gsw"], ["FR", "fr-FR", "french", "xx", ""]),
        ("gender", list("MFONP"), ["m", "female", "X", "MF", ""]),
        ("email_subscribe", ["opted_in", "subscribed", "unsubscribed"], ["opted-in", "yes", "true", "OPTED_IN"]),
        ("push_subscribe", ["opted_in", "subscribed", "unsubscribed"], ["no", "optedin"]),
        ("dob", ["1980-12-21", "2000-02-29"], ["1980-2-1", "21.12.1980", "2001-02-29", "2999-01-01", "19801221"]),
    ],
)
def test_a_profile_field_accepts_only_its_vocabulary(name: str, sound: list[str], unsound: list[str]) -> None:
    assert verdicts(name, [*sound, None]) == [None] * (len(sound) + 1)
    found = verdicts(name, unsound)
    assert all(found), "every one has a reason"
    assert all(f"'{value}' is not" in (reason or "") for value, reason in zip(unsound, found, strict=True))
    assert all("column 'value'" in (reason or "") for reason in found)


def test_a_date_of_birth_may_be_today_in_any_timezone_but_not_later() -> None:
    frame = people("dob", ["2026-03-01", "2026-03-02", "2026-03-03"])
    [item] = checked(mapped(frame, recipient={"attributes": {"dob": "dob"}}), TODAY)
    assert frame.select(item.documented.sound(pl.col("dob"))).to_series().to_list() == [True, True, False]


def test_a_date_column_is_a_valid_date_of_birth_and_a_datetime_is_not() -> None:
    day, moment = dt.date(1980, 12, 21), dt.datetime(1980, 12, 21, 4, 5)
    assert verdicts("dob", [day, None], dtype=pl.Date) == [None, None]
    assert "'1980-12-21T04:05:00+00:00' is not" in (verdicts("dob", [moment], dtype=pl.Datetime)[0] or "")


def test_a_custom_attribute_may_have_any_value() -> None:
    assert verdicts("tier", ["", "FR", "{", "[", '{"inc": "a"}']) == [None] * 5


def test_a_member_named_like_a_profile_field_is_a_custom_attribute() -> None:
    assert verdicts("address.country", ["France"]) == [None]


def test_the_lists_of_codes_are_complete() -> None:
    assert len(COUNTRIES) == 249
    assert {"FR", "GB", "US", "ZW", "AX", "BQ", "SS"} <= COUNTRIES and not {"UK", "EU", "XK", "AN"} & COUNTRIES
    assert len([code for code in LANGUAGES if len(code) == 2]) >= 183
    assert {"fr", "en", "nb", "he", "zu"} <= LANGUAGES and not {"iw", "gr", "jp"} & LANGUAGES


# ----- objects that change a value


@pytest.mark.parametrize(
    "value",
    [
        '{"inc": 5}',
        '{"inc":-12}',
        '{ "add" : [ "a]b", "c\\"d", 1.5, true, null ] }',
        '{"remove": []}',
        '{"add": ["x"], "remove": ["y"]}',
        '{"title": "The book", "pages": {"inc": "no change: it is deeper"}}',
        '{"published": {"$time": "1999-12-31"}}',
        '[{"sku": "A", "count": 2}]',
        '"inc"',
        "17",
    ],
)
def test_a_documented_change_and_any_other_json_are_valid(value: str) -> None:
    assert verdicts("points", [value], type="json") == [None]


@pytest.mark.parametrize(
    "value",
    [
        '{"inc": "5"}',
        '{"inc": 1.5}',
        '{"inc": 5, "add": ["x"]}',
        '{"inc": null}',
        '{"add": "x"}',
        '{"add": [["x"]]}',
        '{"add": [{"a": 1}]}',
        '{"remove": ["x"], "other": 1}',
    ],
)
def test_an_undocumented_change_is_invalid(value: str) -> None:
    [reason] = verdicts("points", [value], type="json")
    assert reason is not None and "a valid change" in reason


def test_a_struct_column_is_checked_by_the_same_rules() -> None:
    frame = pl.DataFrame({"id": ["u0"], "points": [{"inc": 5}], "tags": [{"add": ["a"], "remove": ["b"]}]})
    wanted = {"points": "points", "tags": "tags"}
    encoded = encode(frame, mapped(frame, recipient={"attributes": wanted}), max_bytes=10_000)
    assert encoded["error"].to_list() == [None]
    assert json.loads(encoded["recipient"][0])["attributes"] == frame.select("points", "tags").to_dicts()[0]

    frame = pl.DataFrame({"id": ["u0"], "points": [{"inc": 1.5}], "tags": [{"add": "a"}]})
    encoded = encode(frame, mapped(frame, recipient={"attributes": wanted}), max_bytes=10_000)
    assert "column 'points.inc': '1.5' is not a whole number" in encoded["error"][0]
    encoded = encode(frame, mapped(frame, recipient={"attributes": {"tags": "tags"}}), max_bytes=10_000)
    assert "column 'tags.add': 'a' is not a list" in encoded["error"][0]


# ----- subscription groups


def test_a_subscription_group_state_has_two_valid_values() -> None:
    frame = people("news", ["subscribed", "unsubscribed", None, "opted_in"])
    encoded = encode(frame, mapped(frame, recipient={"subscription_groups": {"g1": "news"}}), max_bytes=10_000)
    assert encoded["error_code"].to_list() == [None, None, None, "invalid_attribute"]
    assert "'opted_in' is not subscribed or unsubscribed" in encoded["error"][3]


@pytest.mark.parametrize(
    ("value", "sound"),
    [
        ('[{"subscription_group_id": "g1", "subscription_state": "subscribed"}]', True),
        (
            '[{"subscription_state": "unsubscribed", "subscription_group_id": "g,}1"}, '
            '{"subscription_group_id":"g2","subscription_state":"subscribed"}]',
            True,
        ),
        ("[]", True),
        ('[{"subscription_group_id": "g1", "subscription_state": "opted_in"}]', False),
        ('[{"subscription_group_id": "g1"}]', False),
        ('[{"subscription_group_id": 1, "subscription_state": "subscribed"}]', False),
        ('{"subscription_group_id": "g1", "subscription_state": "subscribed"}', False),
    ],
)
def test_a_json_list_of_subscription_groups_is_checked(value: str, sound: bool) -> None:
    [reason] = verdicts("subscription_groups", [value], type="json")
    assert (reason is None) is sound


# ----- comparison with the sandbox's rules, which were written independently

_words = st.sampled_from(["FR", "fr", "DE", "xx", "M", "O", "opted_in", "subscribed", "x"]) | st.text(max_size=3)
_days = st.dates(dt.date(1900, 1, 1), TODAY).map(str) | st.sampled_from(["1980-2-1", "1980-13-01", "21.12.1980"])
_scalars = st.integers(-9, 9) | st.booleans() | st.none() | st.text(max_size=4)
_changes = st.one_of(
    st.fixed_dictionaries({"inc": st.integers(-99, 99) | st.text(max_size=2)}),
    st.dictionaries(
        st.sampled_from(["add", "remove"]), st.lists(_scalars, max_size=3) | st.text(max_size=2), max_size=2
    ),
    st.dictionaries(st.sampled_from(["title", "pages"]), _scalars, max_size=2),
)


@settings(deadline=None, max_examples=60)
@given(country=_words, language=_words, gender=_words, dob=_days | _words, email_subscribe=_words, points=_changes)
@example(country="FR", language="fr", gender="M", dob="1980-12-21", email_subscribe="opted_in", points={"inc": 1})
def test_a_row_is_rejected_if_the_sandbox_would_refuse_it(**values: Any) -> None:
    text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    frame = pl.DataFrame({"id": ["u0"], **{name: [value] for name, value in text.items()}})
    wanted = {name: name for name in values} | {"points": {"column": "points", "type": "json"}}
    encoded = encode(frame, mapped(frame, recipient={"attributes": wanted}), max_bytes=100_000)
    assert bool(encoded["error"][0]) is bool(sandbox_breaches(values, "attributes"))


@settings(deadline=None, max_examples=60)
@given(values=st.lists(_words, min_size=1, max_size=4), points=st.lists(_changes, min_size=1, max_size=4))
def test_reject_and_warn_apply_to_the_same_values(values: list[str], points: list[Any]) -> None:
    rows = min(len(values), len(points))
    frame = pl.DataFrame(
        {"id": [f"u{n}" for n in range(rows)], "country": values[:rows], "a 'b'": list(map(json.dumps, points[:rows]))}
    )
    wanted = {"attributes": {"country": "country", "a 'b'": {"column": "a 'b'", "type": "json"}}}
    rejecting, warning = (mapped(frame, profile_fields=mode, recipient=wanted) for mode in ("reject", "warn"))
    sent = encode(frame, warning, max_bytes=100_000)
    assert sent["error"].null_count() == rows, "sent unchanged"
    odd = OddValues(warning)
    odd(frame, pl.DataFrame({"row": range(1, rows + 1)}))
    counted = sum(int(sentence.split()[0]) for sentence in odd.sentences())
    rejected = sum(
        frame.select(~item.documented.sound(bare(item.json))).to_series().sum() for item in checked(rejecting)
    )
    assert counted == rejected
    assert (encode(frame, rejecting, max_bytes=100_000)["error"].null_count() < rows) is bool(rejected)


# ----- warnings


def test_check_counts_undocumented_values_that_would_be_sent(tmp_path: Any) -> None:
    file = tmp_path / "people.csv"
    file.write_text("id,land,born,news\nu1,FR,1980-12-21,subscribed\nu2,France,,yes\nu3,Spain,2999-01-01,\n")
    config = {
        "braze": {"campaign_id": "c"},
        "recipient": {
            "external_user_id": "id",
            "attributes": {"country": "land", "dob": "born"},
            "subscription_groups": {"g1": "news"},
        },
    }
    report = bs.check(file, config=config)
    assert (report.valid, report.rejected, report.exit_code) == (3, 0, 0)
    assert [warning.split(" is not")[0] for warning in report.warnings] == [
        "2 rows, starting at row 2: column 'land'",
        "1 row, starting at row 3: column 'born'",
        "1 row, starting at row 2: column 'news'",
    ]
    strict = bs.check(file, config=config | {"input": {"profile_fields": "reject"}})
    assert (strict.valid, strict.rejected, strict.warnings[1:]) == (1, 2, [])
    assert strict.warnings[0].startswith("2 of 3 rows would be rejected")
    assert strict.reasons["invalid_attribute"]["count"] == 2


def test_rows_that_are_not_sent_are_not_counted(tmp_path: Any) -> None:
    file = tmp_path / "people.csv"
    rows = ["u1,a,FR", "u1,a,France", ",a,France", "u2,b,France", "u3,a,France", "u4,a,France"]
    file.write_text("\n".join(["id,group,land", *rows]) + "\n")
    config = {
        "braze": {"campaign_id": "c"},
        "recipient": {"external_user_id": "id", "attributes": {"country": "land"}},
        "input": {"filter": "\"group\" = 'a'", "limit": 4},
    }
    report = bs.check(file, config=config)
    assert (report.valid, report.duplicate, report.rejected) == (2, 1, 1)
    assert [warning.split(":")[0] for warning in report.warnings if "land" in warning] == ["1 row, starting at row 5"]


def test_check_warns_that_a_canvas_ignores_subscription_groups(tmp_path: Any) -> None:
    file = tmp_path / "people.csv"
    file.write_text("external_user_id,subscription_groups.g1\nu1,subscribed\n")
    assert any("a Canvas" in text for text in bs.check(file, config={"braze": {"canvas_id": "c"}}).warnings)
    assert bs.check(file, config={"braze": {"campaign_id": "c"}}).warnings == []


def test_every_documented_value_has_a_description() -> None:
    frame = people("value", ["x"])
    names = ["country", "language", "gender", "dob", "email_subscribe", "push_subscribe", "subscription_groups"]
    wanted = dict.fromkeys(names, "value") | {"other": {"column": "value", "type": "json"}}
    found = [item.documented for item in checked(mapped(frame, recipient={"attributes": wanted}))]
    assert len(found) == len(names) + 1
    assert all(isinstance(item, Documented) and item.expected for item in found)


# ----- names and sizes


@pytest.mark.parametrize("name", ["external_id", "user_alias.alias_name", "user_alias", "braze_id"])
def test_an_identifier_mapped_as_an_attribute_is_refused(name: str) -> None:
    frame = people("value", ["x"])
    with pytest.raises(ConfigError, match="is not allowed as an attribute"):
        mapped(frame, recipient={"attributes": {name: "value"}})


def test_an_email_attribute_is_a_profile_field_and_is_sent() -> None:
    frame = people("value", ["p@example.com"])
    encoded = encode(frame, mapped(frame, recipient={"attributes": {"email": "value"}}), max_bytes=10_000)
    assert json.loads(encoded["recipient"][0])["attributes"] == {"email": "p@example.com"}


def test_an_identifier_in_a_struct_column_is_refused() -> None:
    frame = pl.DataFrame({"external_user_id": ["u0"], "attributes": [{"external_id": "u0", "tier": "gold"}]})
    with pytest.raises(ConfigError, match="external_id"):
        resolve(frame.schema, Config.parse({"braze": {"campaign_id": "c"}}, where="the test"))


@pytest.mark.parametrize("member", ["first name", "$set", "a$b"])
def test_a_member_name_that_braze_does_not_allow_is_refused(member: str) -> None:
    frame = people("value", ["x"])
    with pytest.raises(ConfigError, match="member of an object"):
        mapped(frame, recipient={"attributes": {f"address.{member}": "value"}})


@pytest.mark.parametrize("name", ["First name", "$tier", "born.$time", "größe"])
def test_other_names_are_accepted(name: str) -> None:
    frame = people("value", ["x"])
    assert mapped(frame, recipient={"attributes": {name: "value"}}).attributes


def test_a_name_longer_than_255_characters_is_refused() -> None:
    frame = people("value", ["x"])
    assert mapped(frame, recipient={"attributes": {"n" * 255: "value"}}).attributes
    with pytest.raises(ConfigError, match="longer than 255"):
        mapped(frame, recipient={"attributes": {"n" * 256: "value"}})


def test_subscription_groups_cannot_be_mapped_twice() -> None:
    frame = people("value", ["subscribed"])
    with pytest.raises(ConfigError, match="set the same field"):
        mapped(
            frame,
            recipient={
                "attributes": {"subscription_groups": {"column": "value", "type": "json"}},
                "subscription_groups": {"g1": "value"},
            },
        )


@pytest.mark.parametrize("braze", [{"canvas_id": "k"}, {"campaign_id": "c"}])
def test_properties_of_a_recipient_over_50_kb_are_rejected(braze: dict[str, str]) -> None:
    room = 50_000 - len('{"text":""}')
    frame = people("text", ["x" * room, "x" * (room + 1), "é" * (room // 2 + 1)])
    encoded = encode(
        frame, mapped(frame, braze=braze, recipient={"trigger_properties": {"text": "text"}}), max_bytes=200_000
    )
    assert encoded["error_code"].to_list() == [None, "properties_too_large", "properties_too_large"]
    name = "context" if "canvas_id" in braze else "trigger_properties"
    assert encoded["error"][1] == f"{name} has 50001 bytes; Braze accepts at most 50000"


_members = st.dictionaries(
    st.sampled_from(["a", "b", "é", "o"]),
    st.one_of(st.none(), st.integers(16_500, 17_500), st.integers(0, 50_100)),
    max_size=4,
)


@settings(deadline=None, max_examples=60)
@given(own=_members, request=_members, is_mapped=st.booleans())
def test_the_limit_is_on_the_merged_properties(own: dict[str, Any], request: dict[str, Any], is_mapped: bool) -> None:
    of_request = {name: "x" * size for name, size in request.items() if size is not None}
    of_row = {name: "y" * size for name, size in own.items() if size}
    columns = [name for name in ("a", "b", "é") if is_mapped or name in of_row]
    nested = {"o": "o"} if "o" in of_row else {}
    frame = pl.DataFrame({"id": ["u"], "o": [of_row.get("o")], **{name: [of_row.get(name)] for name in columns}})
    wanted = {"trigger_properties": {name: name for name in columns} | {f"{name}.p": name for name in nested}}
    mapping = resolve(
        frame.schema,
        Config.parse(
            {"message": {"trigger_properties": of_request}, "recipient": {"external_user_id": "id", **wanted}}, where=""
        ),
    )
    merged = of_request | {name: {"p": text} if name == "o" else text for name, text in of_row.items()}
    size = len(json.dumps(merged, ensure_ascii=False, separators=(",", ":")).encode())
    encoded = encode(frame, mapping, max_bytes=10_000_000)
    assert encoded["error_code"].to_list() == [None if size <= 50_000 else "properties_too_large"]
    if size > 50_000:
        assert f"has {size} bytes" in encoded["error"][0]
