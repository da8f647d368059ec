"""A few hundred damaged files on every run; ``python -m tests.fuzz`` does thousands."""

from __future__ import annotations

from tests.fuzz.__main__ import run


def test_damaged_files_are_taken_with_composure() -> None:
    ends = run(300, seed=20260105)
    assert ends["reported"] > 20
    assert ends["InputError"] > 100
