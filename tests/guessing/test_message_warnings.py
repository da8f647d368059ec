"""Warnings of ``check`` about what every request has in common, and about names."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.braze.audience import unknown_words
from bulk_sender.sandbox.audience import audience as sandbox_breaches

FRAME = pl.DataFrame({"external_user_id": [f"u{n}" for n in range(500)]})


def warnings(**config: Any) -> list[str]:
    return bs.check(FRAME, config=config).warnings


@pytest.mark.parametrize("send_id", ["é" * 10, "x" * 65])
def test_a_send_id_has_at_most_64_ascii_characters(send_id: str) -> None:
    with pytest.raises(bs.ConfigError, match="at most 64 ASCII characters"):
        warnings(braze={"campaign_id": "c", "send_id": send_id})
    assert warnings(braze={"campaign_id": "c", "send_id": "x" * 64}) == []


def test_a_credential_goes_with_its_attachment_and_an_extension_is_warned_of() -> None:
    attachments = [
        {"file_name": "terms.pdf", "url": "https://x.example/t.pdf", "basic_auth_credential": "cred"},
        {"file_name": "v1.0 terms", "url": "https://x.example/t.pdf"},
    ]
    report = bs.check(FRAME, config={"message": {"attachments": attachments}})
    assert report.sample_request is not None
    assert report.sample_request["attachments"] == attachments
    assert report.warnings == [
        "attachment 'terms.pdf': the name has an extension, which Braze takes from the URL: leave it out"
    ]


@pytest.mark.parametrize("name", ["order total", "a-b", "x" * 101, "é"])
def test_a_canvas_variable_has_letters_digits_and_underscores(name: str) -> None:
    canvas = {"braze": {"canvas_id": "c"}, "message": {"context": {name: 1, "fine_1": 2}}}
    [found] = warnings(**canvas)
    assert found.startswith(f"context {name[:60]!r} is not a valid name of a Canvas variable")
    row = pl.DataFrame({"external_user_id": ["u"], f"context.{name}": ["x"]})
    [found] = bs.check(row, config={"braze": {"canvas_id": "c"}}).warnings
    assert found.startswith(f"context {name[:60]!r}")
    assert warnings(message={"trigger_properties": {name: 1}}) == []


FILTER = {"custom_attribute": {"custom_attribute_name": "a", "comparison": "equals", "value": "b"}}


@pytest.mark.parametrize(
    ("audience", "words"),
    [
        ({"segment": {"id": "x"}}, "message.audience.segment: Braze documents no such filter"),
        ({"AND": [FILTER, {"OR": [{"custom_event": {"a": 1}}]}]}, "message.audience.AND[1].OR[0].custom_event"),
        ({"custom_attribute": {"custom_attribute_name": "a", "comparison": "is", "value": 1}}, "has no 'is'"),
        ({"custom_attribute": {"comparison": "exists"}}, "custom_attribute_name is missing"),
        ({"custom_attribute": {"custom_attribute_name": "a", "comparison": "equals"}}, "value is missing"),
        ({"custom_attribute": {"custom_attribute_name": "a", "comparison": "less_than", "value": "3"}}, "a number"),
        ({"custom_attribute": {"custom_attribute_name": "a", "comparison": "after", "value": "soon"}}, "ISO 8601"),
        ({"email_subscription_status": {"comparison": "is", "value": "yes"}}, "opted_in, subscribed, unsubscribed"),
        ({"last_used_app": {"comparison": "after", "value": "2026-01-01", "x": 1}}, "no such field"),
    ],
)
def test_an_audience_with_unknown_words_is_warned_of(audience: dict[str, Any], words: str) -> None:
    found = list(unknown_words(audience))
    assert len(found) == 1
    assert words in found[0]
    assert found[0] in warnings(message={"audience": audience})
    assert sandbox_breaches(audience, "audience")


@pytest.mark.parametrize(
    "audience",
    [
        FILTER,
        {"AND": [FILTER, {"OR": [{"push_subscription_status": {"comparison": "is_not", "value": "unsubscribed"}}]}]},
        {"custom_attribute": {"custom_attribute_name": "a", "comparison": "exists"}},
        {"last_used_app": {"comparison": "after", "value": "2026-01-01T00:00:00+00:00"}},
    ],
)
def test_a_documented_audience_gives_no_warning_about_its_words(audience: dict[str, Any]) -> None:
    assert list(unknown_words(audience)) == []
    assert not sandbox_breaches(audience, "audience")


def test_an_audience_beside_recipients_shows_both_estimates() -> None:
    report = bs.check(FRAME, config={"message": {"audience": FILTER}})
    assert report.requests == 10
    assert report.seconds == pytest.approx(9 * 60 / 250)
    assert report.warnings == [
        "an audience beside recipients may have a limit for itself: sending begins at 250 requests a minute, until "
        "Braze reports more. That takes about 2.2 s, and at worst, at 10 a minute, 54 s"
    ]
