"""Warnings of ``check`` about identifiers that an export changed, or that only look right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from tests.kit.inputs import put


def warned(identifiers: list[str], **config: Any) -> list[str]:
    frame = pl.DataFrame({"external_user_id": ["u1", "u2", *identifiers], "attributes.n": range(len(identifiers) + 2)})
    return [each for each in bs.check(frame, config=config).warnings if "identifier" in each]


@pytest.mark.parametrize(
    ("identifiers", "warning"),
    [
        (['="00123"', "=00124"], "2 identifiers written as a formula, such as '=\"00123\"'"),
        (["'00124"], "1 identifier with an apostrophe in front, such as ''00124'"),
        (['"00124"'], "1 identifier in quotation marks"),
        (["1001.0", "1002.00", "3,0"], "3 identifiers with decimals, such as '1001.0'"),
        (["1.2346E+11", "1E5"], "2 identifiers with a number such as '1.2346E+11': a spreadsheet removed digits"),
        (
            ["NULL", "None", "nan", "#N/A", "\\N", "(null)", "-"],
            "7 identifiers with a placeholder for nothing, such as 'NULL'",
        ),
        (
            ["#REF!", "#NOM?", "#ÜBERLAUF!", "#¡VALOR!", "#NV", "#N/D", "inf", "-Infinity", "[object Object]"],
            "9 identifiers with a placeholder for nothing, such as '#REF!'",
        ),
        (["1,001", "1 234 567", "1'001.0", "1.001,00"], "4 identifiers with separators of thousands, such as '1,001'"),
        (["u3\u200b", "u\u00ad4"], r"2 identifiers with an invisible character, such as 'u3\u200b'"),
        (["\ufeffu3"], r"1 identifier with an invisible character, such as '\ufeffu3'"),
        (["u\x003"], r"with an invisible character, such as 'u\u00003'"),
        (["\u202bu3"], r"with an invisible character, such as '\u202bu3'"),
        (["a\u200db"], r"with an invisible character, such as 'a\u200db'"),
        (["\uff11\uff12"], r"1 identifier with characters that look like others, such as '\uff11\uff12'"),
        (["zoe\u0301"], r"with characters that look like others, such as 'zoe\u0301'"),
        (["u\u20113", "u\u22124"], r"2 identifiers with characters that look like others, such as 'u\u20113'"),
        (["m\u0430ria"], r"with characters that look like others, such as 'm\u0430ria'"),
        (["\u212a7", "a\u017f"], r"2 identifiers with characters that look like others, such as '\u212a7'"),
        (["u\u00a03"], r"with characters that look like others, such as 'u\u00a03'"),
    ],
)
def test_odd_identifiers_are_counted_with_an_example(identifiers: list[str], warning: str) -> None:
    [found] = warned(identifiers)
    assert found.startswith("column 'external_user_id': ")
    assert warning in found


@pytest.mark.parametrize(
    "identifier",
    [
        "zoé",
        "Jürgen-Groß",
        "山田太郎",
        "мария",
        "ωμέγα",
        "👨\u200d👩\u200d👧",
        "❤\ufe0f",
        "می\u200cخواهم",
        "क्\u200dष",
        "00123",
        "1001.5",
        "1001.0.2",
        "1.001",
        "123.456.789-09",
        "#1001",
        "#vip",
        "info",
        "太郎",
        "null-island",
        "a=b",
        "o'hara",
        "nan-1",
        "e5",
    ],
)
def test_ordinary_identifiers_give_no_warning(identifier: str) -> None:
    assert warned([identifier]) == []


def test_the_parts_of_an_alias_are_looked_at_without_the_label() -> None:
    frame = pl.DataFrame({"user_alias.alias_name": ["a", "NULL"], "user_alias.alias_label": ["crm", "crm"]})
    [found] = [each for each in bs.check(frame).warnings if "placeholder for nothing" in each]
    assert found.startswith("column 'user_alias.alias_name': 1 identifier with a placeholder")


def test_all_rows_are_counted_and_not_only_the_first(tmp_path: Path) -> None:
    rows = [f"u{number}" if number < 30_000 else f"{number}.0" for number in range(30_005)]
    report = bs.check(put(tmp_path, "people.csv", "external_user_id\n" + "\n".join(rows) + "\n"))
    assert next(each for each in report.warnings if "with decimals" in each).startswith(
        "column 'external_user_id': 5 identifiers with decimals, such as '30000.0'"
    )


def test_a_word_for_nothing_can_be_configured_as_empty() -> None:
    assert warned(["NULL"], input={"null_values": ["NULL"]}) == []


def test_an_address_with_an_apostrophe_in_front_is_warned_of() -> None:
    frame = pl.DataFrame({"email": ["'ann@example.com"], "prioritization": ["unidentified"]})
    assert any("with an apostrophe in front" in each for each in bs.check(frame).warnings)
