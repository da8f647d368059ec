"""Every field of the endpoint, from a file and a configuration to the bytes that a Braze took over HTTP.

The sandbox keeps the SHA-256 of each body it accepted. So each test spells the whole request in the order of its
members: one byte more, less or elsewhere fails it.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.reporting.summary import Summary
from bulk_sender.sandbox import Acceptance, read_ledger
from bulk_sender.sandbox import attributes as sandbox_attributes
from bulk_sender.sandbox.rules import CAMPAIGN, CANVAS
from tests.kit.sandbox import run_in_thread
from tests.kit.target import ENVIRONMENT

ROOT = Path(__file__).parents[1]
TO_CAMPAIGN = {"campaign_id": "campaign-1"}
TO_CANVAS = {"canvas_id": "canvas-1"}


class Wire:
    """Sends files to a sandbox and shows what it took."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def csv(self, columns: Mapping[str, Sequence[str]]) -> Path:
        path = self.folder / "people.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(columns)
            rows.writerows(zip(*columns.values(), strict=True))
        return path

    def send(self, file: Path, config: Any, **overrides: Any) -> tuple[Summary, list[Acceptance]]:
        ledger = self.folder / "ledger.ndjson"
        with run_in_thread(ledger_file=ledger) as sandbox:
            summary = bs.send(
                file,
                config=config,
                overrides={"braze.endpoint": sandbox.url} | overrides,
                runs_dir=self.folder / "runs",
                environment=ENVIRONMENT,
            )
        return summary, list(read_ledger(ledger))

    def takes(self, file: Path, config: dict[str, Any], expected: dict[str, Any]) -> Acceptance:
        """Assert that exactly the request ``expected`` left, and that a Braze took it."""
        assert bs.check(file, config=config).sample_request == expected
        summary, taken = self.send(file, config)
        assert (summary.exit_code, summary.requests) == (0, 1)
        [acceptance] = taken
        body = json.dumps(expected, ensure_ascii=False, separators=(",", ":")).encode()
        assert acceptance.body_sha256 == hashlib.sha256(body).hexdigest()
        return acceptance


@pytest.fixture
def wire(tmp_path: Path) -> Wire:
    return Wire(tmp_path)


def campaign(*recipients: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"campaign_id": "campaign-1", "broadcast": False, **fields, "recipients": list(recipients)}


def attributes_of(wire: Wire, columns: Mapping[str, Sequence[str]], sources: dict[str, Any], sent: Any) -> None:
    """Assert that ``sources`` over ``columns`` make the attributes ``sent`` of one person."""
    config = {"braze": TO_CAMPAIGN, "recipient": {"external_user_id": "id", "attributes": sources}}
    expected = campaign({"external_user_id": "u1", "attributes": sent})
    wire.takes(wire.csv({"id": ["u1"], **columns}), config, expected)


# ----- the request


def test_recipients_by_external_id_for_a_campaign(wire: Wire) -> None:
    file = wire.csv({"external_user_id": ["0017", "u,2"]})
    taken = wire.takes(
        file, {"braze": TO_CAMPAIGN}, campaign({"external_user_id": "0017"}, {"external_user_id": "u,2"})
    )
    assert taken.recipients == ("external_user_id:0017", "external_user_id:u,2")
    assert (taken.target, taken.target_id, taken.broadcast) == ("campaign_id", "campaign-1", False)


def test_at_most_fifty_recipients_go_in_a_request(wire: Wire) -> None:
    file = wire.csv({"external_user_id": [f"u{number}" for number in range(101)]})
    _, taken = wire.send(file, {"braze": TO_CAMPAIGN})
    assert sorted(len(acceptance.recipients) for acceptance in taken) == [1, 50, 50]


def test_a_send_id(wire: Wire) -> None:
    file = wire.csv({"external_user_id": ["u1"]})
    expected = {"campaign_id": "campaign-1", "send_id": "spring-2026", "broadcast": False}
    config = {"braze": TO_CAMPAIGN | {"send_id": "spring-2026"}}
    taken = wire.takes(file, config, expected | {"recipients": [{"external_user_id": "u1"}]})
    assert taken.send_id == "spring-2026"


def test_properties_of_the_request_and_of_a_recipient(wire: Wire) -> None:
    for_all = {"season": "spring", "shop": {"url": "https://shop.example.com", "floors": 3}, "on": [1, 2.5, True]}
    config = {"braze": TO_CAMPAIGN, "message": {"trigger_properties": for_all}}
    file = wire.csv({"external_user_id": ["u1"], "trigger_properties.season": ["summer"]})
    own = {"external_user_id": "u1", "trigger_properties": {"season": "summer"}}
    wire.takes(file, config, campaign(own, trigger_properties=for_all))


def test_an_audience_beside_recipients(wire: Wire) -> None:
    audience = {
        "AND": [
            {"custom_attribute": {"custom_attribute_name": "tier", "comparison": "equals", "value": "gold"}},
            {"OR": [{"last_used_app": {"comparison": "after", "value": "2026-01-01T00:00:00+00:00"}}]},
        ]
    }
    config = {"braze": TO_CAMPAIGN, "message": {"audience": audience}}
    file = wire.csv({"external_user_id": ["u1"]})
    wire.takes(file, config, campaign({"external_user_id": "u1"}, audience=audience))


def test_attachments(wire: Wire) -> None:
    attachments = [{"file_name": "terms", "url": "https://shop.example.com/terms.pdf"}]
    config = {"braze": TO_CAMPAIGN, "message": {"attachments": attachments}}
    file = wire.csv({"external_user_id": ["u1"]})
    wire.takes(file, config, campaign({"external_user_id": "u1"}, attachments=attachments))


def test_a_canvas_and_its_entry_properties(wire: Wire) -> None:
    braze = TO_CANVAS | {"canvas_properties_name": "canvas_entry_properties"}
    config = {"braze": braze, "message": {"canvas_entry_properties": {"source": "carts"}}}
    file = wire.csv({"external_user_id": ["u1"], "canvas_entry_properties.cart.items:integer": ["3"]})
    expected = {
        "canvas_id": "canvas-1",
        "broadcast": False,
        "canvas_entry_properties": {"source": "carts"},
        "recipients": [{"external_user_id": "u1", "canvas_entry_properties": {"cart": {"items": 3}}}],
    }
    assert wire.takes(file, config, expected).target == "canvas_id"


def test_a_canvas_and_its_context(wire: Wire) -> None:
    config = {
        "braze": TO_CANVAS,
        "message": {"context": {"source": "carts"}},
        "recipient": {"external_user_id": "id", "context": {"cart.items": {"column": "items", "type": "integer"}}},
    }
    expected = {
        "canvas_id": "canvas-1",
        "broadcast": False,
        "context": {"source": "carts"},
        "recipients": [{"external_user_id": "u1", "context": {"cart": {"items": 3}}}],
    }
    wire.takes(wire.csv({"id": ["u1"], "items": ["3"]}), config, expected)


def test_the_canvas_example_is_taken_whole(wire: Wire) -> None:
    summary, taken = wire.send(ROOT / "sample_data/canvas.csv", ROOT / "config/canvas.toml")
    assert summary.failed == summary.unknown == summary.not_sent == 0
    assert sum(len(acceptance.recipients) for acceptance in taken) == summary.accepted > 100
    assert {acceptance.target for acceptance in taken} == {"canvas_id"}


# ----- a recipient


def test_a_recipient_by_alias(wire: Wire) -> None:
    config = {
        "braze": TO_CAMPAIGN,
        "recipient": {"user_alias": {"alias_name": "contact", "alias_label": {"value": "crm:eu"}}},
    }
    taken = wire.takes(
        wire.csv({"contact": ["A-17"]}),
        config,
        campaign({"user_alias": {"alias_name": "A-17", "alias_label": "crm:eu"}}),
    )
    assert taken.recipients == (r"user_alias:crm\:eu:A-17",)


def test_a_recipient_by_e_mail_with_prioritization(wire: Wire) -> None:
    order = ["unidentified", "most_recently_updated"]
    config = {"braze": TO_CAMPAIGN, "recipient": {"email": "mail", "prioritization": order}}
    file = wire.csv({"mail": ["p@example.com"]})
    wire.takes(file, config, campaign({"email": "p@example.com", "prioritization": order}))


def test_prioritization_from_a_column(wire: Wire) -> None:
    file = wire.csv({"email": ["p@example.com"], "prioritization": ["identified|least_recently_updated"]})
    expected = {"email": "p@example.com", "prioritization": ["identified", "least_recently_updated"]}
    wire.takes(file, {"braze": TO_CAMPAIGN}, campaign(expected))


def test_a_recipient_by_braze_id(wire: Wire) -> None:
    wire.takes(wire.csv({"braze_id": ["b-1"]}), {"braze": TO_CAMPAIGN}, campaign({"braze_id": "b-1"}))


def test_each_recipient_goes_with_its_first_identifier_alone(wire: Wire) -> None:
    config = {
        "braze": TO_CAMPAIGN,
        "recipient": {"external_user_id": "id", "email": "mail", "prioritization": ["identified"]},
    }
    file = wire.csv({"id": ["u1", ""], "mail": ["p@example.com", "q@example.com"]})
    by_mail = {"email": "q@example.com", "prioritization": ["identified"]}
    wire.takes(file, config, campaign({"external_user_id": "u1"}, by_mail))


def test_send_to_existing_only(wire: Wire) -> None:
    file = wire.csv(
        {"external_user_id": ["u1", "u2"], "send_to_existing_only": ["false", "yes"], "attributes.tier": ["gold", ""]}
    )
    new = {"external_user_id": "u1", "send_to_existing_only": False, "attributes": {"tier": "gold"}}
    known = {"external_user_id": "u2", "send_to_existing_only": True}
    wire.takes(file, {"braze": TO_CAMPAIGN}, campaign(new, known))


def test_properties_of_every_type(wire: Wire) -> None:
    columns = {
        "external_user_id": ["u1"],
        "trigger_properties.text": ['a "b" \\ é \n'],
        "trigger_properties.whole:integer": ["17"],
        "trigger_properties.part:float": ["-0.5"],
        "trigger_properties.yes:boolean": ["true"],
        "trigger_properties.day:date": ["2026-02-28"],
        "trigger_properties.moment:datetime": ["2026-02-28T10:00:00+01:00"],
        "trigger_properties.many:list": ["a|b"],
        "trigger_properties.deep.object:json": ['{"a":[1,{"b":null}]}'],
    }
    properties = {
        "text": 'a "b" \\ é \n',
        "whole": 17,
        "part": -0.5,
        "yes": True,
        "day": "2026-02-28",
        "moment": "2026-02-28T10:00:00+01:00",
        "many": ["a", "b"],
        "deep": {"object": {"a": [1, {}]}},
    }
    expected = campaign({"external_user_id": "u1", "trigger_properties": properties})
    wire.takes(wire.csv(columns), {"braze": TO_CAMPAIGN}, expected)


# ----- its attributes


def test_custom_attributes_of_every_type(wire: Wire) -> None:
    columns = {"a": ["gold"], "b": ["17"], "c": ["1.25"], "d": ["no"], "e": ["2026-02-28"], "f": ["x|y"]}
    sources = {
        "tier": "a",
        "points": {"column": "b", "type": "integer"},
        "balance": {"column": "c", "type": "float"},
        "member": {"column": "d", "type": "boolean"},
        "since": {"column": "e", "type": "date"},
        "likes": {"column": "f", "type": "list"},
        "source": {"value": "import"},
    }
    sent = {
        "tier": "gold",
        "points": 17,
        "balance": 1.25,
        "member": False,
        "since": "2026-02-28",
        "likes": ["x", "y"],
        "source": "import",
    }
    attributes_of(wire, columns, sources, sent)


def test_nested_attributes_and_arrays_of_objects(wire: Wire) -> None:
    columns = {"city": ["Lyon"], "born": ["1980-12-21"], "stays": ['[{"hotel":"A","nights":2}]']}
    sources = {"address.city": "city", "dates.born.$time": "born", "stays": {"column": "stays", "type": "json"}}
    sent = {
        "address": {"city": "Lyon"},
        "dates": {"born": {"$time": "1980-12-21"}},
        "stays": [{"hotel": "A", "nights": 2}],
    }
    attributes_of(wire, columns, sources, sent)


def test_an_empty_cell_clears_its_attribute_when_nulls_are_sent(wire: Wire) -> None:
    columns = {"id": ["u1"], "tier": [""], "country": [""], "note": [""]}
    config = {
        "braze": TO_CAMPAIGN,
        "recipient": {
            "external_user_id": "id",
            "trigger_properties": {"note": "note"},
            "attributes": {"tier": "tier", "country": "country"},
        },
        "input": {"nulls": "send", "profile_fields": "reject"},
    }
    recipient = {"external_user_id": "u1", "attributes": {"tier": None, "country": None}}
    wire.takes(wire.csv(columns), config, campaign(recipient))
    omitting = config | {"input": {"nulls": "omit"}}
    assert bs.check(wire.csv(columns), config=omitting).samples == [{"external_user_id": "u1"}]


def test_changes_by_inc_add_and_remove(wire: Wire) -> None:
    columns = {"points": ['{"inc": -5}'], "likes": ['{"add": ["jazz"], "remove": ["pop"]}'], "visits": ["1"]}
    sources = {
        "points": {"column": "points", "type": "json"},
        "likes": {"column": "likes", "type": "json"},
        "visits.inc": {"column": "visits", "type": "integer"},
    }
    sent = {"points": {"inc": -5}, "likes": {"add": ["jazz"], "remove": ["pop"]}, "visits": {"inc": 1}}
    file = wire.csv({"id": ["u1"], **columns})
    config = {"braze": TO_CAMPAIGN, "recipient": {"external_user_id": "id", "attributes": sources}}
    assert bs.check(file, config=config).samples == [{"external_user_id": "u1", "attributes": sent}]
    summary, taken = wire.send(file, config)  # the cells' own spaces travel along, so the bytes are not spelt here
    assert (summary.exit_code, len(taken)) == (0, 1)


def test_changes_in_a_parquet_files_own_types(wire: Wire) -> None:
    file = wire.folder / "people.parquet"
    pl.DataFrame(
        {
            "external_user_id": ["u1"],
            "attributes": [{"points": {"inc": 5}, "likes": {"add": ["jazz"]}, "born": date(1980, 12, 21)}],
        }
    ).write_parquet(file)
    sent = {"points": {"inc": 5}, "likes": {"add": ["jazz"]}, "born": "1980-12-21"}
    wire.takes(file, {"braze": TO_CAMPAIGN}, campaign({"external_user_id": "u1", "attributes": sent}))


def test_subscription_groups_from_columns(wire: Wire) -> None:
    file = wire.csv(
        {
            "external_user_id": ["u1", "u2"],
            "subscription_groups.group-a": ["subscribed", ""],
            "subscription_groups.group-b": ["unsubscribed", "subscribed"],
        }
    )

    def groups(**states: str) -> list[dict[str, str]]:
        return [
            {"subscription_group_id": f"group-{name}", "subscription_state": state} for name, state in states.items()
        ]

    wire.takes(
        file,
        {"braze": TO_CAMPAIGN, "input": {"profile_fields": "reject"}},
        campaign(
            {
                "external_user_id": "u1",
                "attributes": {"subscription_groups": groups(a="subscribed", b="unsubscribed")},
            },
            {"external_user_id": "u2", "attributes": {"subscription_groups": groups(b="subscribed")}},
        ),
    )


def test_subscription_groups_as_a_json_list(wire: Wire) -> None:
    groups = [{"subscription_group_id": "group-a", "subscription_state": "unsubscribed"}]
    text = json.dumps(groups, separators=(",", ":"))
    sources = {"subscription_groups": {"column": "groups", "type": "json"}}
    attributes_of(wire, {"groups": [text]}, sources, {"subscription_groups": groups})


PROFILE = {
    "country": "FR",
    "language": "fr",
    "gender": "F",
    "dob": "1980-12-21",
    "email_subscribe": "opted_in",
    "push_subscribe": "unsubscribed",
    "email": "p@example.com",
    "first_name": "Ada",
    "last_name": "Sample",
    "home_city": "Lyon",
    "image_url": "https://shop.example.com/ada.png",
    "phone": "+33100000000",
    "time_zone": "Europe/Paris",
    "date_of_first_session": "2024-01-31T10:00:00+00:00",
    "date_of_last_session": "2026-02-28T10:00:00+00:00",
    "marked_email_as_spam_at": "2026-02-28T10:00:00+00:00",
}
PROFILE_OBJECTS = {
    "email_open_tracking_disabled": True,
    "email_click_tracking_disabled": False,
    "current_location": {"longitude": 4.83, "latitude": 45.75},
    "facebook": {"id": "1", "likes": ["a"], "num_friends": 2},
    "twitter": {"id": 1, "screen_name": "ada", "followers_count": 2, "friends_count": 3, "statuses_count": 4},
    "push_tokens": [{"app_id": "app", "token": "t", "device_id": "d"}],
}


def test_profile_fields(wire: Wire) -> None:
    columns = {name: [value] for name, value in PROFILE.items()}
    attributes_of(wire, columns, {name: name for name in PROFILE}, PROFILE)


def test_profile_fields_that_hold_flags_and_objects(wire: Wire) -> None:
    columns = {name: [json.dumps(value, separators=(",", ":"))] for name, value in PROFILE_OBJECTS.items()}
    sources = {name: {"column": name, "type": "json"} for name in PROFILE_OBJECTS}
    attributes_of(wire, columns, sources, PROFILE_OBJECTS)


# ----- the documentation

_SECTIONS = {"The request": "request", "A recipient": "recipient", "Its attributes": "attributes"}


def documented() -> Iterator[tuple[str, str, list[str]]]:
    """The rows of docs/endpoint.md's tables of fields: section, field, names of tests."""
    section = ""
    for line in (ROOT / "docs/endpoint.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = _SECTIONS.get(line.removeprefix("## "), "")
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if section and len(cells) == 4 and cells[0].startswith("`"):
            for field in re.findall(r"`([^`]+)`", cells[0]):
                yield section, field, re.findall(r"`(test_\w+)`", cells[3])


def test_the_documentation_names_every_field_that_braze_takes() -> None:
    named: dict[str, set[str]] = {}
    for section, field, _ in documented():
        named.setdefault(section, set()).add(field)
    assert named["request"] == set(CAMPAIGN.fields) | set(CANVAS.fields)
    assert named["recipient"] == set(CAMPAIGN.recipient_fields) | set(CANVAS.recipient_fields)
    assert named["attributes"] >= set(sandbox_attributes._PROFILE_FIELDS)
    assert set(PROFILE) | set(PROFILE_OBJECTS) | {"subscription_groups"} == set(sandbox_attributes._PROFILE_FIELDS)


def test_every_documented_field_has_a_test_that_exists() -> None:
    existing = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    rows = list(documented())
    assert {field for _, field, tests in rows if not tests} == set()
    assert {name for _, _, tests in rows for name in tests} - existing == set()
