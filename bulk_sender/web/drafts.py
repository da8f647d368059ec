"""A send that somebody prepares: its states, and who may change them. Pure, so that every step can be tested alone.

Each step returns a new draft. A step that is not allowed from the draft's state raises ``IllegalStepError``.
"""

from __future__ import annotations

import hashlib
import json
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
    """Somebody else changed the draft meanwhile. Nothing was changed."""

    status = 409


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


@dataclass(frozen=True, slots=True)
class Draft:
    """``hands``: everybody who chose its file or its columns. They cannot approve it.

    ``digest``: what was checked, over the file's digest and the configuration. ``path``: a file that was on this
    server already; empty for an upload. ``parent``: the run whose wrong rows these are, fixed, and ``first_rows`` their
    numbers in the first file. ``wanted_name``: the name that their own run should have.
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
    report: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    approved_by: str = ""
    approved_at: float = 0.0
    run_id: str = ""
    parent: str = ""
    first_rows: Sequence[int] = ()
    wanted_name: str = ""
    made_at: float = 0.0
    touched_at: float = 0.0
    touched_by: str = ""

    @property
    def terms(self) -> str:
        """The digest of what would be checked now."""
        told = json.dumps([self.sha256, self.config], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(told.encode()).hexdigest()


def uploaded(draft: Draft, sha256: str, by: str) -> Draft:
    """The last byte arrived."""
    _refuse_unless(draft, Step.UPLOADING)
    return replace(_void(draft, by), step=Step.UPLOADED, sha256=sha256)


def mapped(draft: Draft, config: Mapping[str, Any], by: str) -> Draft:
    """Somebody said what the columns are. A check and an approval of other columns are void."""
    _refuse_unless(draft, *CAN_CHANGE)
    if draft.step is not Step.UPLOADED and draft.config == config:
        return draft
    return replace(_void(draft, by), step=Step.MAPPED, config=config)


def corrected(draft: Draft, name: str, size: int, sha256: str, config: Mapping[str, Any], by: str) -> Draft:
    """Somebody fixed wrong rows: a new file takes the place of the one before."""
    _refuse_unless(draft, Step.CHECKED, Step.ASKED, Step.APPROVED)
    changed = replace(_void(draft, by), name=name, size=size, sha256=sha256, config=config, path="")
    return replace(changed, step=Step.MAPPED)


def checking(draft: Draft) -> Draft:
    """A check of all rows began."""
    _refuse_unless(draft, *(CAN_CHANGE - {Step.UPLOADED}))
    return replace(draft, step=Step.CHECKING, report={}, digest="", approved_by="", approved_at=0.0)


def unchecked(draft: Draft) -> Draft:
    """A check ended before its end: by a stop, an error, or with the page."""
    _refuse_unless(draft, Step.CHECKING)
    return replace(draft, step=Step.MAPPED)


def checked(draft: Draft, report: Mapping[str, Any]) -> Draft:
    """A check reached the end of the file."""
    _refuse_unless(draft, Step.CHECKING)
    return replace(draft, step=Step.CHECKED, report=report, digest=draft.terms)


def asked(draft: Draft) -> Draft:
    """Somebody asked for an approval."""
    _refuse_unless(draft, Step.CHECKED)
    return replace(draft, step=Step.ASKED)


def approved(draft: Draft, digest: str, by: str, now: float) -> Draft:
    """A second person approved what ``digest`` names."""
    _refuse_unless(draft, Step.ASKED)
    if by in draft.hands:
        raise IllegalStepError(
            f"{by} prepared this send and cannot approve it", hint="ask somebody who did not touch it"
        )
    if not digest or not digest == draft.digest == draft.terms:
        raise IllegalStepError("this approval is about an earlier version of the send", hint="open the page again")
    return replace(draft, step=Step.APPROVED, approved_by=by, approved_at=now)


def refused(draft: Draft) -> Draft:
    """A second person refused."""
    _refuse_unless(draft, Step.ASKED)
    return replace(draft, step=Step.CHECKED)


def launched(draft: Draft, run_id: str, now: float, *, needs_approval: bool) -> Draft:
    """The run begins. The same run again is the same step: two clicks make one run."""
    if draft.step is Step.LAUNCHED and draft.run_id == run_id:
        return draft
    _refuse_unless(draft, Step.APPROVED if needs_approval else Step.CHECKED, Step.APPROVED)
    if not draft.digest or draft.digest != draft.terms:
        raise IllegalStepError("the send was changed after its check", hint="check all rows again")
    if needs_approval and now - draft.approved_at >= APPROVAL_LASTS_S:
        raise IllegalStepError("the approval is older than 24 hours", hint="ask for it again")
    return replace(draft, step=Step.LAUNCHED, run_id=run_id)


def expired(draft: Draft, now: float) -> Draft:
    """Return the draft without an approval that is too old."""
    if draft.step is Step.APPROVED and now - draft.approved_at >= APPROVAL_LASTS_S:
        return replace(draft, step=Step.CHECKED, approved_by="", approved_at=0.0)
    return draft


def _void(draft: Draft, by: str) -> Draft:
    hands = draft.hands if by in draft.hands else (*draft.hands, by)
    return replace(draft, hands=hands, report={}, digest="", approved_by="", approved_at=0.0)


def _refuse_unless(draft: Draft, *steps: Step) -> None:
    if draft.step not in steps:
        raise IllegalStepError(
            f"this cannot be done now: the send is in the state {draft.step.value}", hint="open the page again"
        )
