"""Numbers as people write them: separators of thousands, decimal signs, and advice on what is not a number."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bulk_sender as bs
from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError
from bulk_sender.recipients.convert import Convention
from tests.kit.inputs import put
from tests.recipients.converting import WRONG, Sent, converted

SPACES = "\u0020\u00a0\u202f\u2009\u2007\u200a"
SIGNS = {" ": SPACES, ".": ".", ",": ",", "'": "'\u2019", "_": "_"}
NOTATIONS = [(thousands, decimal) for thousands in SIGNS for decimal in (".", ",") if decimal != thousands]


@pytest.mark.parametrize(
    ("thousands", "decimal", "cell", "sent"),
    [
        *((" ", ",", f"4{space}613,92", "4613.92") for space in SPACES),
        (" ", ",", "-1\u2009234\u00a0567,5", "-1234567.5"),
        (" ", ",", "4613,92", "4613.92"),
        (" ", ",", "12 34", WRONG),
        (" ", ",", "1 2345", WRONG),
        (" ", ",", "1  234", WRONG),
        (" ", ",", "0 123", WRONG),
        (" ", ",", "1 234.5", WRONG),
        (" ", ",", "1,234 567", WRONG),
        (".", ",", "1.234,56", "1234.56"),
        (".", ",", "1.234.567", "1234567"),
        (".", ",", "1.23.4", WRONG),
        (".", ",", "1.5", WRONG),
        (",", ".", "1,234.50", "1234.50"),
        (",", ".", "1,5", WRONG),
        (",", ".", "0,123", WRONG),
        (",", ".", "1,00,000.5", "100000.5"),  # as in India
        (",", ".", "12,34,567", "1234567"),
        (",", ".", "1,00,00", WRONG),
        (",", ".", "1,0000", WRONG),
        ("'", ".", "4'613.92", "4613.92"),
        ("'", ".", "4\u2019613\u2019000", "4613000"),
        ("_", ".", "1_000_000", "1000000"),
        ("_", ".", "1__000", WRONG),
        (" ", ".", "\u22125", "-5"),
        (" ", ".", "\u22121 234", "-1234"),
        (" ", ".", "1e5", "1e5"),
        (" ", ".", "1 234e5", WRONG),
        (" ", ".", "", None),
    ],
)
def test_a_separator_counts_only_between_sound_groups(thousands: Any, decimal: Any, cell: str, sent: Sent) -> None:
    by = Convention(decimal=decimal, thousands=thousands)
    assert converted([cell], "float", by=by) == [sent]
    assert converted(["1", cell, "2"], "float", by=by)[1] == sent
    if sent == WRONG or sent is None:
        assert converted([cell], "integer", by=by) == [sent]


@given(
    st.sampled_from(NOTATIONS),
    st.integers(-(10**15), 10**15),
    st.integers(0, 4),
    st.lists(st.integers(0, 9), min_size=6),
)
def test_a_number_written_in_a_notation_is_sent_with_its_digits(
    notation: tuple[str, str], whole: int, digits: int, picks: list[int]
) -> None:
    thousands, decimal = notation
    number = Decimal(whole).scaleb(-digits)
    before, _, after = f"{number:,f}".partition(".")
    for pick in picks:  # kinds of one sign may be mixed
        before = before.replace(",", SIGNS[thousands][pick % len(SIGNS[thousands])], 1) if thousands != "," else before
    before = before.replace(",", thousands)
    cell = before + (decimal + after if after else "")
    [sent] = converted([cell], "float", by=Convention(decimal=decimal, thousands=thousands))
    assert Decimal(str(sent)).as_tuple() == number.as_tuple()


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        (
            "4 613,92",
            '; it looks like a number with a thousands separator: set [input] thousands = " " and decimal = ","',
        ),
        ("4\u202f613", '; it looks like a number with a thousands separator: set [input] thousands = " "'),
        (
            "1.234,56",
            '; it looks like a number with a thousands separator: set [input] thousands = "." and decimal = ","',
        ),
        (
            "4'613.92",
            '; it looks like a number with a thousands separator: set [input] thousands = "\'" and decimal = "."',
        ),
        (
            "1,234.5",
            '; it looks like a number with a thousands separator: set [input] thousands = "," and decimal = "."',
        ),
        (
            "1.234.567",
            '; it looks like a number with a thousands separator: set [input] thousands = "." and decimal = ","',
        ),
        (
            "1,234",
            ': if the comma separates thousands, set [input] thousands = ","; if it is a decimal sign, decimal = ","',
        ),
        ("1,5", '; if the comma is a decimal sign, set [input] decimal = ","'),
        ("12 €", ": it has a currency sign; write the number alone"),
        ("$5", ": it has a currency sign; write the number alone"),
        ("EUR 5", ": it has a currency sign; write the number alone"),
        ("5 kr", ": it has a currency sign; write the number alone"),
        ("12 %", ": it is a percentage; write the number alone"),
        ("(5)", ": write a negative number as -5"),
        ("5-", ": write a negative number as -5"),
        ("\u20135", ": write a negative number as -5"),
        ("5 pcs", ""),
    ],
)
def test_a_rejected_number_names_the_way_out(cell: str, advice: str, tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", f'external_user_id;trigger_properties.v:float\nu1;"{cell}"\nu2;1\n')
    report = bs.check(path)
    [found] = report.reasons["invalid_value"]["examples"]
    assert found["error"] == f"column 'trigger_properties.v:float': '{cell}' is not a number{advice}"


def test_with_groups_of_another_size_the_reason_says_so(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", "external_user_id;trigger_properties.v:float\nu1;12 34\n")
    report = bs.check(path, overrides={"input.thousands": " "})
    [found] = report.reasons["invalid_value"]["examples"]
    assert found["error"].endswith("'12 34' is not a number: its groups of digits are not groups of three")


@pytest.mark.parametrize(
    ("given", "cell", "advice"),
    [
        ({}, "1.50", ": it has a fraction, which needs the type float"),
        ({}, "1e3", ": it has an exponent, which needs the type float"),
        ({}, "9223372036854775808", ": it has more than 64 bits, which needs the type float"),
        ({"decimal": ","}, "1234,5", ": it has a fraction, which needs the type float"),
        ({"decimal": ",", "thousands": " "}, "\u22121\u202f234,50", ": it has a fraction, which needs the type float"),
        (
            {"decimal": ",", "thousands": "."},
            "99.999.999.999.999.999.999",
            ": it has more than 64 bits, which needs the type float",
        ),
        (
            {"decimal": ",", "thousands": " "},
            "1.234,5",
            '; it looks like a number with a thousands separator: set [input] thousands = "." and decimal = ","',
        ),
        ({"decimal": ","}, "soon", ""),
    ],
)
def test_a_number_that_is_not_whole_says_why(given: dict[str, str], cell: str, advice: str, tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", f'external_user_id;trigger_properties.v:integer\nu1;"{cell}"\nu2;1\n')
    report = bs.check(path, overrides={f"input.{name}": value for name, value in given.items()})
    [found] = report.reasons["invalid_value"]["examples"]
    assert found["error"] == f"column 'trigger_properties.v:integer': '{cell}' is not a whole number{advice}"


@pytest.mark.parametrize("sign", SPACES + "'\u2019")
def test_a_sign_may_be_set_as_the_file_writes_it(sign: str) -> None:
    found = Config.parse({"input": {"thousands": sign}}, where="job.toml").input.thousands
    assert found == ("'" if sign in "'\u2019" else " ")


@pytest.mark.parametrize("given", [{"thousands": "."}, {"thousands": ",", "decimal": ","}])
def test_one_sign_cannot_be_both(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"thousands and decimal are both .*set decimal = "):
        Config.parse({"input": given}, where="job.toml")


def test_the_settings_read_a_file(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", "external_user_id;trigger_properties.v:float\nu1;4\u202f613,92\nu2;12\n")
    report = bs.check(path, overrides={"input.thousands": " ", "input.decimal": ","})
    assert [each["trigger_properties"]["v"] for each in report.samples] == [4613.92, 12]
