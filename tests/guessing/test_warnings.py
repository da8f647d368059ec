"""Warnings of ``check`` about values that are valid but rarely intended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bulk_sender.operations.check import check
from tests.kit.inputs import put

_HEAD = "external_user_id,trigger_properties.v"


def _warnings(tmp_path: Path, rows: list[str], head: str = _HEAD) -> str:
    return "\n".join(check(put(tmp_path, "people.csv", "\n".join([head, *rows]))).warnings)


@pytest.mark.parametrize(
    ("rows", "warning"),
    [
        (["u1,a"] * 20, "all 20 sampled rows have the same external_user_id"),
        ([f"p{n}@example.com,a" for n in range(20)], "look like e-mail addresses"),
        ([f"u{n} ,a" for n in range(20)], "20 identifiers had blanks around them; they are sent without"),
        ([f"u{n},{n % 9 + 1:02}/28/2026" for n in range(20)], "have the month first"),
        ([f"u{n},0{n % 9 + 1}/02/2026" for n in range(20)], "may have the day or the month first"),
        ([f"u{n},{'x' if n < 2 else ''}" for n in range(20)], "v is empty in 18 of the 20 sampled rows"),
        ([f"{n * 7919 % 89999 + 10000 if n % 5 else n + 1000},a" for n in range(50)], "were leading zeros lost?"),
        ([f"{n % 9}.23457E+1{n % 3},a" for n in range(20)], "a spreadsheet removed digits"),
        ([f"u{n},ZoÃ©" for n in range(20)], "garbled letters"),
    ],
)
def test_likely_mistakes_are_reported(rows: list[str], warning: str, tmp_path: Path) -> None:
    assert warning in _warnings(tmp_path, rows)


def test_postcodes_with_lost_zeros_are_reported_in_any_column(tmp_path: Path) -> None:
    rows = [f"u{n},{n * 7919 % 89999 + 10000 if n % 5 else n + 1000}" for n in range(50)]
    assert "were leading zeros lost?" in _warnings(tmp_path, rows, "external_user_id,attributes.postcode")


def test_a_clean_list_raises_no_warning(tmp_path: Path) -> None:
    rows = [f"{n},Zoé,{n % 90 + 10:05},2026-02-{n % 28 + 1:02}" for n in range(1, 2000)]
    head = "external_user_id,attributes.name,attributes.postcode,attributes.day"
    assert _warnings(tmp_path, rows, head) == ""


@pytest.mark.parametrize("form", ["%m/%d/%Y", "%d/%m/%Y"])
def test_a_format_decides_what_comes_first(form: str, tmp_path: Path) -> None:
    rows = "\n".join(f"u{n},0{n % 9 + 1}/02/2026" for n in range(20))
    field = {"column": "d", "type": "date", "format": form}
    config = {"recipient": {"external_user_id": "id", "trigger_properties": {"d": field}}}
    assert check(put(tmp_path, "people.csv", f"id,d\n{rows}\n"), config=config).warnings == []


# ----- counted over all rows


def _checked(tmp_path: Path, text: str, **config: dict[str, Any]) -> list[str]:
    return check(put(tmp_path, "people.csv", text), config=config).warnings


def test_trimmed_identifiers_are_counted_without_those_of_rejected_rows(tmp_path: Path) -> None:
    text = (
        "email,prioritization\n a@example.com,unidentified\n\u00a0b@example.com\u00a0,unidentified\n x ,unidentified\n"
    )
    assert _checked(tmp_path, text) == ["2 identifiers had blanks around them; they are sent without"]
    one = "external_user_id\nu1 \nu2\n"
    assert _checked(tmp_path, one) == ["1 identifier had blanks around it; it is sent without"]
    assert _checked(tmp_path, one, input={"trim": False}) == [
        "1 identifier with blanks around it, sent as written: see [input] trim"
    ]
    assert not [each for each in _checked(tmp_path, text, input={"trim": False}) if "blanks" in each]  # all rejected


def test_an_untrimmed_rejected_row_is_never_called_sent(tmp_path: Path) -> None:
    report = check(
        put(tmp_path, "people.csv", "email,prioritization\na@example.com ,unidentified\n"),
        overrides={"input.trim": False},
    )
    assert report.rejected == 1
    assert "sent" not in " ".join(report.warnings).replace("could be sent", "")


def test_people_identified_in_two_ways_are_warned_of(tmp_path: Path) -> None:
    recipient = {"external_user_id": "id", "email": "mail", "prioritization": ["unidentified"]}
    both = _checked(tmp_path, "id,mail\nu1,\n,a@example.com\n", recipient=recipient)
    assert any("gets two messages" in each for each in both)
    assert _checked(tmp_path, "id,mail\nu1,\nu2,a@example.com\n", recipient=recipient) == []


@pytest.mark.parametrize("column", [False, True])
def test_identified_leaves_out_people_without_an_external_id(tmp_path: Path, column: bool) -> None:
    def warned(value: str) -> bool:
        if column:
            found = _checked(tmp_path, f"email,prioritization\na@example.com,{value}\n")
        else:
            recipient = {"email": "email", "prioritization": value.split("|")}
            found = _checked(tmp_path, "email\na@example.com\n", recipient=recipient)
        return any("without an external id" in each for each in found)

    assert warned("identified|most_recently_updated")
    assert not warned("unidentified|most_recently_updated")
    assert not warned("most_recently_updated")


@pytest.mark.parametrize(
    ("head", "row", "warned"),
    [
        ("attributes.tier,send_to_existing_only", "gold,false", True),
        ("attributes.tier,send_to_existing_only", "gold,true", False),
        ("attributes.email,send_to_existing_only", "a@example.com,false", False),
        ("attributes.phone,send_to_existing_only", "+4915112345678,false", False),
    ],
)
def test_new_people_need_an_address(tmp_path: Path, head: str, row: str, warned: bool) -> None:
    found = _checked(tmp_path, f"external_user_id,{head}\nu1,{row}\n")
    assert any("send_to_existing_only is false for 1 row" in each for each in found) is warned


def test_new_people_need_an_address_also_if_false_is_a_constant(tmp_path: Path) -> None:
    recipient = {"external_user_id": "id", "send_to_existing_only": {"value": False}, "attributes": {"tier": "tier"}}
    [warning] = _checked(tmp_path, "id,tier\nu1,a\nu2,b\n", recipient=recipient)
    assert warning.startswith("send_to_existing_only is false for 2 rows")
