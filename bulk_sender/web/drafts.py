"""A send that somebody prepares: its states, and who may change them. Pure, so that every step can be tested alone.

Each step returns a new draft. A step that is not allowed from the draft's state raises ``IllegalStepError``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from bulk_sender.errors import BulkSenderError

APPROVAL_LASTS_S = 24 * 3600.0


class IllegalStepError(BulkSenderError):
    """A step that a draft's state, or the person, does not allow. Nothing was changed."""

    status = 409


class ConflictError(BulkSenderError):
    """Somebody else changed the draft meanwhile. Nothing was changed. ``version``: what it is now; None if gone."""

    status = 409

    def __init__(self, message: str, *, hint: str = "", version: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.version = version


class Step(StrEnum):
    """Where a draft is on its way from a file to a run."""

    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    MAPPED = "mapped"
    CHECKING = "checking"
    CHECKED = "checked"
    ASKED = "asked"
    APPROVED = "approved"
    LAUNCHED = "launched"


HAS_FILE = frozenset(Step) - {Step.UPLOADING}
CAN_CHANGE = frozenset({Step.UPLOADED, Step.MAPPED, Step.CHECKED, Step.ASKED, Step.APPROVED})
"""The states in which columns may change. That makes a check and an approval void."""

IS_CHECKED = frozenset({Step.CHECKED, Step.ASKED, Step.APPROVED})
"""The states in which the check of all rows is about what the draft is now."""
_LABEL_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Draft:
    """``hands``: everybody who chose its file, its columns or where it goes. They cannot approve it.

    ``digest``: what was checked, over the file's digest, the configuration and where it goes. ``path``: a file that was
    on this server already; empty for an upload. ``goes``: profile, kind, target, endpoint and number of first rows;
    empty when only rehearsals are possible. ``pace``: rate, sending hours, and whether the same people get it twice.
    ``plan``: the digest of the plan file that the check wrote. ``since``: when ``person`` took it. ``rehearsals``: the
    runs that rehearsed it, in order. ``trial``: who gets a test, and the row whose values they get. ``tests``: those
    that were sent, in order, each with its run, target, endpoint, number of people, person and time. ``parent``: the
    run whose wrong rows these are, fixed, and ``first_rows`` their numbers in the first file. ``wanted_name``: the name
    that their own run should have.
    """

    id: str
    name: str
    size: int
    person: str
    version: int = 1
    step: Step = Step.UPLOADING
    hands: tuple[str, ...] = ()
    path: str = ""
    sha256: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    goes: Mapping[str, Any] = field(default_factory=dict)
    pace: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    plan: str = ""
    asked_by: str = ""
    asked_at: float = 0.0
    refused_by: str = ""
    refused_why: str = ""
    approved_by: str = ""
    approved_at: float = 0.0
    approved_offer: str = ""
    run_id: str = ""
    rehearsals: tuple[str, ...] = ()
    trial: Mapping[str, Any] = field(default_factory=dict)
    tests: Sequence[Mapping[str, Any]] = ()
    launched_at: float = 0.0
    since: float = 0.0
    parent: str = ""
    first_rows: Sequence[int] = ()
    wanted_name: str = ""
    made_at: float = 0.0
    touched_at: float = 0.0
    touched_by: str = ""

    @property
    def label(self) -> str:
        """The beginning of the names of its runs: the file's name, and a sign that no other draft has."""
        readable = re.sub(r"[^A-Za-z0-9]+", "-", self.name.partition(".")[0]).strip("-")[:_LABEL_LENGTH]
        return f"{readable or 'file'}-{hashlib.sha256(self.id.encode()).hexdigest()[:4]}"

    @property
    def terms(self) -> str:
        """The digest of what would be checked now."""
        return _digest_of([self.sha256, self.config, *([self.goes] if self.goes else [])])

    @property
    def test_runs(self) -> tuple[str, ...]:
        """The runs of its tests."""
        return tuple(test["run"] for test in self.tests)

    @property
    def trial_digest(self) -> str:
        """The digest of the test that a person looked at: who gets it, the row, and where it goes."""
        return _digest_of([self.terms, self.trial])

    @property
    def offer(self) -> str:
        """The digest of what a person approves and launches: the plan, where it goes, and how fast."""
        return _digest_of([self.digest, self.plan, self.goes, self.pace])


def uploaded(draft: Draft, sha256: str, by: str) -> Draft:
    """The last byte arrived."""
    _refuse_unless(draft, Step.UPLOADING)
    return replace(_void(draft, by), step=Step.UPLOADED, sha256=sha256)


def mapped(draft: Draft, config: Mapping[str, Any], by: str, goes: Mapping[str, Any] | None = None) -> Draft:
    """Somebody said what the columns are, and where it goes. A check and an approval of anything else are void.

    ``goes``: None for the same place as before.
    """
    _refuse_unless(draft, *CAN_CHANGE)
    goes = draft.goes if goes is None else goes
    if draft.step is not Step.UPLOADED and (draft.config, draft.goes) == (config, goes):
        return draft
    return replace(_void(draft, by), step=Step.MAPPED, config=config, goes=goes)


def paced(draft: Draft, pace: Mapping[str, Any], by: str) -> Draft:
    """Somebody chose rate and hours. The check stays, and an approval of another pace is void."""
    _refuse_unless(draft, Step.CHECKED, Step.ASKED, Step.APPROVED)
    if draft.pace == pace:
        return draft
    return replace(_unapproved(draft), step=Step.CHECKED, pace=pace, hands=_with(draft.hands, by))


def taken_over(draft: Draft, by: str, now: float) -> Draft:
    """Somebody else works on it now. Who approved it cannot also be who sends it."""
    if draft.person == by:
        return draft
    _refuse_unless(draft, *(set(Step) - {Step.LAUNCHED}))
    draft = replace(draft, person=by, since=now, hands=_with(draft.hands, by))
    return replace(_unapproved(draft), step=Step.CHECKED) if draft.approved_by == by else draft


def corrected(draft: Draft, name: str, size: int, sha256: str, config: Mapping[str, Any], by: str) -> Draft:
    """Somebody fixed wrong rows: a new file takes the place of the one before."""
    _refuse_unless(draft, Step.CHECKED, Step.ASKED, Step.APPROVED)
    changed = replace(_void(draft, by), name=name, size=size, sha256=sha256, config=config, path="")
    return replace(changed, step=Step.MAPPED)


def checking(draft: Draft) -> Draft:
    """A check of all rows began."""
    _refuse_unless(draft, *(CAN_CHANGE - {Step.UPLOADED}))
    return replace(_unapproved(draft), step=Step.CHECKING, report={}, digest="", plan="", run_id="")


def unchecked(draft: Draft) -> Draft:
    """A check ended before its end: by a stop, an error, or with the page."""
    _refuse_unless(draft, Step.CHECKING)
    return replace(draft, step=Step.MAPPED)


def checked(draft: Draft, report: Mapping[str, Any], plan: str = "", run_id: str = "") -> Draft:
    """A check reached the end of the file. The run has its name from now on: launched twice, it is one run."""
    _refuse_unless(draft, Step.CHECKING)
    return replace(draft, step=Step.CHECKED, report=report, digest=draft.terms, plan=plan, run_id=run_id)


def rehearsed(draft: Draft, run_id: str, number: int) -> Draft:
    """A rehearsal begins. The same one again is the same step: two clicks make one run."""
    if run_id in draft.rehearsals:
        return draft
    _refuse_unless(draft, *IS_CHECKED)
    if number != len(draft.rehearsals) + 1:
        raise IllegalStepError("another rehearsal of this file began meanwhile", hint="open the page again")
    return replace(draft, rehearsals=(*draft.rehearsals, run_id))


def tried(draft: Draft, trial: Mapping[str, Any]) -> Draft:
    """Somebody said who gets a test. The check and an approval stay: a test is a run apart."""
    _refuse_unless(draft, *IS_CHECKED)
    return replace(draft, trial=trial)


def tested(draft: Draft, test: Mapping[str, Any], number: int, trial_digest: str) -> Draft:
    """A test begins. The same one again is the same step: two clicks make one run."""
    if any(each["run"] == test["run"] for each in draft.tests):
        return draft
    _refuse_unless(draft, *IS_CHECKED)
    if number != len(draft.tests) + 1 or trial_digest != draft.trial_digest:
        raise IllegalStepError("the test was changed since this page was shown", hint="look at it once more")
    return replace(draft, tests=(*draft.tests, test))


def asked(draft: Draft, by: str = "", now: float = 0.0) -> Draft:
    """Somebody asked for an approval."""
    _refuse_unless(draft, Step.CHECKED)
    return replace(_unapproved(draft), step=Step.ASKED, asked_by=by, asked_at=now, hands=_with(draft.hands, by))


def approved(draft: Draft, offer: str, by: str, now: float) -> Draft:
    """A second person approved what ``offer`` names."""
    _refuse_unless(draft, Step.ASKED)
    if by in draft.hands:
        raise IllegalStepError(
            f"{by} prepared this send and cannot approve it", hint="ask somebody who did not touch it"
        )
    if not offer or offer != draft.offer or draft.digest != draft.terms:
        raise IllegalStepError("this approval is about an earlier version of the send", hint="open the page again")
    return replace(draft, step=Step.APPROVED, approved_by=by, approved_at=now, approved_offer=offer)


def refused(draft: Draft, by: str = "", why: str = "") -> Draft:
    """A second person refused."""
    _refuse_unless(draft, Step.ASKED)
    return replace(_unapproved(draft), step=Step.CHECKED, refused_by=by, refused_why=why)


def launched(draft: Draft, run_id: str, now: float, *, needs_approval: bool) -> Draft:
    """The run begins. The same run again is the same step: two clicks make one run."""
    if draft.step is Step.LAUNCHED and draft.run_id == run_id:
        return draft
    _refuse_unless(draft, Step.APPROVED if needs_approval else Step.CHECKED, Step.APPROVED)
    if not draft.digest or draft.digest != draft.terms:
        raise IllegalStepError("the send was changed after its check", hint="check all rows again")
    if needs_approval and now - draft.approved_at >= APPROVAL_LASTS_S:
        raise IllegalStepError("the approval is older than 24 hours", hint="ask for it again")
    if needs_approval and draft.approved_offer != draft.offer:
        raise IllegalStepError("the send was changed after its approval", hint="ask for it again")
    return replace(draft, step=Step.LAUNCHED, run_id=run_id, launched_at=now)


def not_begun(draft: Draft) -> Draft:
    """No process began the run: it was refused, or the page ended first. It keeps its name."""
    _refuse_unless(draft, Step.LAUNCHED)
    return replace(draft, step=Step.APPROVED if draft.approved_by else Step.CHECKED, launched_at=0.0)


def expired(draft: Draft, now: float) -> Draft:
    """Return the draft without an approval that is too old."""
    if draft.step is Step.APPROVED and now - draft.approved_at >= APPROVAL_LASTS_S:
        return replace(_unapproved(draft), step=Step.CHECKED)
    return draft


def _void(draft: Draft, by: str) -> Draft:
    return replace(_unapproved(draft), hands=_with(draft.hands, by), report={}, digest="", plan="", run_id="")


def _unapproved(draft: Draft) -> Draft:
    return replace(
        draft,
        asked_by="",
        asked_at=0.0,
        refused_by="",
        refused_why="",
        approved_by="",
        approved_at=0.0,
        approved_offer="",
    )


def _with(hands: tuple[str, ...], by: str) -> tuple[str, ...]:
    return hands if by in hands or not by else (*hands, by)


def _digest_of(told: Any) -> str:
    text = json.dumps(told, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_unless(draft: Draft, *steps: Step) -> None:
    if draft.step not in steps:
        raise IllegalStepError(
            f"this cannot be done now: the send is in the state {draft.step.value}", hint="open the page again"
        )
