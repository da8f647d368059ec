"""Duplicates are those a set would find, whatever lies in memory or on disk."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.recipients import seen as room
from bulk_sender.recipients.seen import Seen


def by_a_set(chunks: list[list[str]]) -> list[list[bool]]:
    met: set[str] = set()
    answer = []
    for chunk in chunks:
        row = []
        for identifier in chunk:
            row.append(identifier in met)
            met.add(identifier)
        answer.append(row)
    return answer


@given(st.lists(st.lists(st.text(max_size=3), max_size=30), max_size=12))
def test_the_verdict_is_that_of_a_set(chunks: list[list[str]]) -> None:
    seen = Seen()
    assert [seen.repeated(pl.Series(chunk, dtype=pl.String)).to_list() for chunk in chunks] == by_a_set(chunks)


@pytest.mark.parametrize("fanout", [2, 3, 8])
def test_the_verdict_is_the_same_when_nearly_all_lies_on_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fanout: int
) -> None:
    monkeypatch.setattr(room, "SPILL", 1500)
    monkeypatch.setattr(room, "FANOUT", fanout)
    chunks = [
        [f"id-{(number * 7919) % 23_000}" for number in range(start, start + 997)] for start in range(0, 40_000, 997)
    ]
    seen = Seen(tmp_path)
    assert [seen.repeated(pl.Series(chunk)).to_list() for chunk in chunks] == by_a_set(chunks)
    assert list(tmp_path.iterdir()) == []
