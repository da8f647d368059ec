"""The states of a send that somebody prepares: which step is allowed from where, and what a change makes void."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bulk_sender.web import drafts
from bulk_sender.web.drafts import APPROVAL_LASTS_S, Draft, IllegalStepError, Step

CONFIG = {"recipient": {"external_user_id": {"column": "id"}}}
OTHER = {"recipient": {"external_user_id": {"column": "other"}}}
NEW = Draft("d1", "a.csv", 10, "ann", hands=("ann",))


def after(*steps: Callable[[Draft], Draft]) -> Draft:
    draft = NEW
    for step in steps:
        draft = step(draft)
    return draft


def upload(draft: Draft) -> Draft:
    return drafts.uploaded(draft, "f" * 64, "ann")


def map_columns(draft: Draft) -> Draft:
    return drafts.mapped(draft, CONFIG, "ben")


def check(draft: Draft) -> Draft:
    return drafts.checked(drafts.checking(draft), {"valid": 3})


CHECKED = after(upload, map_columns, check)
ASKED = drafts.asked(CHECKED)
APPROVED = drafts.approved(ASKED, ASKED.offer, "cleo", 1000.0)
LAUNCHED = drafts.launched(APPROVED, "r1", 1001.0, needs_approval=True)
AT = {
    Step.UPLOADING: NEW,
    Step.UPLOADED: after(upload),
    Step.MAPPED: after(upload, map_columns),
    Step.CHECKING: after(upload, map_columns, drafts.checking),
    Step.CHECKED: CHECKED,
    Step.ASKED: ASKED,
    Step.APPROVED: APPROVED,
    Step.LAUNCHED: LAUNCHED,
}
STEPS: dict[str, tuple[Callable[[Draft], Draft], set[Step]]] = {
    "upload": (upload, {Step.UPLOADING}),
    "map": (
        lambda draft: drafts.mapped(draft, OTHER, "ben"),
        {Step.UPLOADED, Step.MAPPED, Step.CHECKED, Step.ASKED, Step.APPROVED},
    ),
    "check": (drafts.checking, {Step.MAPPED, Step.CHECKED, Step.ASKED, Step.APPROVED}),
    "end a check": (lambda draft: drafts.checked(draft, {}), {Step.CHECKING}),
    "stop a check": (drafts.unchecked, {Step.CHECKING}),
    "ask": (drafts.asked, {Step.CHECKED}),
    "approve": (lambda draft: drafts.approved(draft, draft.offer, "cleo", 0.0), {Step.ASKED}),
    "refuse": (drafts.refused, {Step.ASKED}),
    "launch": (
        lambda draft: drafts.launched(draft, "r2", 1001.0, needs_approval=False),
        {Step.CHECKED, Step.APPROVED},
    ),
    "launch with an approval": (
        lambda draft: drafts.launched(draft, "r2", 1001.0, needs_approval=True),
        {Step.APPROVED},
    ),
}


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("name", STEPS)
def test_each_step_is_allowed_from_its_states_alone(name: str, step: Step) -> None:
    act, allowed = STEPS[name]
    if step in allowed:
        assert act(AT[step]) != AT[step]
    else:
        with pytest.raises(IllegalStepError, match=f"in the state {step.value}"):
            act(AT[step])


@pytest.mark.parametrize("draft", [CHECKED, ASKED, APPROVED])
def test_other_columns_make_a_check_and_an_approval_void(draft: Draft) -> None:
    changed = drafts.mapped(draft, OTHER, "dora")
    assert (changed.step, changed.digest, changed.report) == (Step.MAPPED, "", {})
    assert (changed.approved_by, changed.approved_at) == ("", 0.0)
    assert changed.hands == ("ann", "ben", "dora")


@pytest.mark.parametrize("draft", [CHECKED, ASKED, APPROVED])
def test_the_same_columns_again_change_nothing(draft: Draft) -> None:
    assert drafts.mapped(draft, dict(CONFIG), "dora") is draft


@pytest.mark.parametrize("draft", [ASKED, APPROVED])
def test_another_check_makes_an_approval_void(draft: Draft) -> None:
    again = drafts.checking(draft)
    assert (again.digest, again.report, again.approved_by) == ("", {}, "")


@pytest.mark.parametrize("by", ["ann", "ben"])
def test_nobody_approves_what_they_touched(by: str) -> None:
    with pytest.raises(IllegalStepError, match=f"{by} prepared this send"):
        drafts.approved(ASKED, ASKED.offer, by, 0.0)


@pytest.mark.parametrize("digest", ["", "0" * 64, ASKED.digest, after(upload, map_columns).offer])
def test_an_approval_of_something_else_is_refused(digest: str) -> None:
    with pytest.raises(IllegalStepError, match="an earlier version"):
        drafts.approved(ASKED, digest, "cleo", 0.0)


def test_what_was_checked_is_the_file_and_its_configuration() -> None:
    assert CHECKED.digest == CHECKED.terms
    assert drafts.mapped(CHECKED, OTHER, "ben").terms != CHECKED.digest
    assert drafts.uploaded(NEW, "e" * 64, "ann").terms != after(upload).terms


def test_an_approval_lasts_a_day() -> None:
    late = 1000.0 + APPROVAL_LASTS_S
    assert drafts.launched(APPROVED, "r", late - 1, needs_approval=True).step is Step.LAUNCHED
    with pytest.raises(IllegalStepError, match="older than 24 hours"):
        drafts.launched(APPROVED, "r", late, needs_approval=True)
    assert drafts.expired(APPROVED, late - 1) is APPROVED
    assert (drafts.expired(APPROVED, late).step, drafts.expired(APPROVED, late).approved_by) == (Step.CHECKED, "")


def test_two_clicks_make_one_run() -> None:
    assert drafts.launched(LAUNCHED, "r1", 2000.0, needs_approval=True) is LAUNCHED
    with pytest.raises(IllegalStepError):
        drafts.launched(LAUNCHED, "r2", 2000.0, needs_approval=True)
