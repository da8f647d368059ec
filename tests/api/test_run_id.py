from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bulk_sender as bs
from bulk_sender.run.folder import run_folder
from tests.kit.jobs import braze, options, recipients

PARTS = st.lists(st.text(max_size=150), min_size=1, max_size=5).filter(any)


def test_fit_parts_can_be_read_in_the_name() -> None:
    assert bs.run_id_for("winter", "2026-11-24", 3) == "winter.2026-11-24.3"
    assert bs.run_id_for("scheduled__2026-11-24T06:00:00+00:00") == "scheduled__2026-11-24T06:00:00+00:00"


@given(PARTS)
def test_whatever_the_parts_the_name_fits(parts: list[str]) -> None:
    name = bs.run_id_for(*parts)
    assert run_folder(Path("runs"), name).name == name
    assert bs.run_id_for(*parts) == name


@given(PARTS, PARTS)
def test_other_parts_have_another_name(one: list[str], other: list[str]) -> None:
    assert (bs.run_id_for(*one) == bs.run_id_for(*other)) == (one == other)


def test_parts_cut_elsewhere_have_another_name() -> None:
    assert len({bs.run_id_for("a.b"), bs.run_id_for("a", "b"), bs.run_id_for("a", "", "b"), bs.run_id_for("a-b")}) == 4


@pytest.mark.parametrize("parts", [(), ("",), ("", "")])
def test_nothing_names_nothing(parts: tuple[str, ...]) -> None:
    with pytest.raises(bs.ConfigError):
        bs.run_id_for(*parts)


def test_the_same_call_with_the_same_name_is_sent_once(tmp_path: Path) -> None:
    name = bs.run_id_for("dag", "manual__2026-11-24T06:00:00+00:00", 0)
    with braze() as running:
        summaries = [
            bs.send(recipients(tmp_path), **options(tmp_path / "runs", running.url), run_id=name) for _ in range(3)
        ]
    assert [summary.accepted for summary in summaries] == [500, 500, 500]
    assert running.ledger.facts()["accepted_recipients"] == 500
