"""Duplicate detection: the same results as a Python set, however the identifiers are split into chunks."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.planning import fingerprints, seen
from bulk_sender.planning.seen import Seen


def by_a_set(identifiers: list[str]) -> list[bool]:
    met: set[str] = set()
    verdicts = []
    for identifier in identifiers:
        verdicts.append(identifier in met)
        met.add(identifier)
    return verdicts


def in_chunks(identifiers: list[str], sizes: list[int]) -> list[bool]:
    seen = Seen()
    verdicts: list[bool] = []
    start = 0
    for size in [*sizes, len(identifiers)]:
        chunk = identifiers[start : start + size]
        found = seen.repeated(pl.Series(chunk, dtype=pl.String))
        assert found.dtype == pl.Boolean
        verdicts.extend(found.to_list())
        start += size
    return verdicts


@given(
    st.lists(st.one_of(st.integers(0, 30).map(str), st.text(max_size=3)), max_size=200),
    st.lists(st.integers(0, 40), max_size=20),
)
def test_the_results_match_a_set_for_any_chunks(identifiers: list[str], sizes: list[int]) -> None:
    assert in_chunks(identifiers, sizes) == by_a_set(identifiers)


def test_many_identifiers_in_many_chunks_are_distinguished() -> None:
    """Use enough sorted runs of different sizes that they are merged several times."""
    identifiers = [f"external_user_id:{number * 7919 % 50_021:07}" for number in range(60_000)]
    assert in_chunks(identifiers, [1, 1, 2, 3, 1000, 10_000, 1, 20_000, 5, 9_000]) == by_a_set(identifiers)


def test_identifiers_that_differ_in_case_spaces_or_normal_form_are_different() -> None:
    assert in_chunks(["a", "A", " a", "a ", "é", "e\u0301", "", "0", "00"], [3]) == [False] * 9


@pytest.mark.parametrize("fanout", [2, 3, 8])
def test_the_results_are_the_same_if_nearly_all_identifiers_are_on_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fanout: int
) -> None:
    monkeypatch.setattr(seen, "_MOST_RECENT", 1500)
    monkeypatch.setattr(seen, "_MOST_MORE_RECENT", 700)
    monkeypatch.setattr(fingerprints, "STRETCH", 1500)
    monkeypatch.setattr(fingerprints, "FANOUT", fanout)
    identifiers = [f"id-{(number * 7919) % 23_000}" for number in range(40_000)]
    chunks = [identifiers[start : start + 997] for start in range(0, 40_000, 997)]
    met = Seen(tmp_path)
    assert [flag for chunk in chunks for flag in met.repeated(pl.Series(chunk)).to_list()] == by_a_set(identifiers)
    assert list(tmp_path.iterdir()) == []
