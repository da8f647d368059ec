"""Warnings of ``check`` about values that are valid but rarely intended."""

from __future__ import annotations

from pathlib import Path

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
        ([f"u{n} ,a" for n in range(20)], "20 rows with spaces around the external_user_id"),
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
