"""What a report may say of people: nothing that names one."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulk_sender.recipients.rules import shown
from bulk_sender.text.masking import mask_in, masked, without_credentials


@given(st.text(min_size=6))
def test_a_masked_identifier_keeps_two_characters_at_most(identifier: str) -> None:
    assert masked(identifier) == identifier[:2] + "…"


@given(st.text(max_size=5))
def test_a_short_identifier_keeps_nothing(identifier: str) -> None:
    assert masked(identifier) == ("…" if identifier else "")


@given(st.text(min_size=1, max_size=200))
@example("0:0000")
@example("0@0000")
@example("0'00:0")
def test_an_identifier_is_masked_in_every_form_in_which_a_rule_quotes_it(identifier: str) -> None:
    quoted = pl.select(shown(pl.lit(identifier))).item()
    assert mask_in(f"{quoted} is wrong", [identifier]) == f"'{masked(identifier)}' is wrong"


def test_a_short_identifier_leaves_the_words_around_it_alone() -> None:
    assert mask_in("a braze_id 'a' is not one", ["a"]) == "a braze_id '…' is not one"


def test_the_name_of_an_alias_is_masked_without_its_label_too() -> None:
    assert mask_in("no alias maria-77 in crm", ["crm:maria-77"]) == "no alias cr… in crm"


def test_an_identifier_within_an_address_is_masked_with_it() -> None:
    text = "maria-77@example.com and x-maria-77@example.com"
    assert mask_in(text, ["maria-77"]) == "ma… and x-…"


def test_overlapping_identifiers_are_masked_whole() -> None:
    assert mask_in("customer-1000 and customer-100", ["customer-100", "customer-1000"]) == "cu… and cu…"


@pytest.mark.parametrize(
    "text",
    [
        "maria.lopez@example.com is unknown",
        "(maria.lopez@example.com) is unknown",
        "'maria.lopez@example' is unknown",
        "<maria.lopez@example.org>, again",
    ],
)
def test_an_address_in_anybodys_words_is_masked(text: str) -> None:
    assert "maria" not in mask_in(text) and "lopez@" not in mask_in(text) and "example" not in mask_in(text)


def test_an_address_loses_its_user_and_password() -> None:
    text = "via https://user:pass@proxy.example.com:8080/ and http://rest.example.com/a@b"
    assert without_credentials(text) == "via https://…@proxy.example.com:8080/ and http://rest.example.com/a@b"
