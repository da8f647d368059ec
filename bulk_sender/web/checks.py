"""Errands of sends that people prepare: the check of all rows, and the question to Braze. Each is a worker process.

They outlive the page. Their answers are files in the private folder of the send, and become part of it when somebody
opens it the next time.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

import bulk_sender as bs
from bulk_sender.durable import make_folders
from bulk_sender.web import drafts, errands
from bulk_sender.web.drafts import Draft, Step
from bulk_sender.web.store import Entry, Store
from bulk_sender.web.uploads import Uploads
from bulk_sender.web.workers import Crew, Job, Moment

LOOK_LASTS_S = 600.0
"""What Braze said about a campaign is asked again after so long."""
_BEGINS_S = 10.0
_LONGEST_STEM = 60


class Checks:
    """The checks and questions of one page, by the draft's id."""

    def __init__(self, crew: Crew, store: Store, uploads: Uploads) -> None:
        self._crew, self._store, self._uploads = crew, store, uploads

    # --- the check of all rows ----------------------------------------------------------------------------------

    def is_running(self, draft: Draft) -> bool:
        return self._crew.is_busy(_check(draft))

    def moment(self, draft: Draft) -> Moment:
        """Return how far a check is."""
        return self._crew.post(_check(draft)).moment() or Moment()

    def trouble(self, draft: Draft) -> tuple[str, str] | None:
        """Return why the last check ended early, and the next step."""
        return None if draft.step is Step.CHECKING else self._crew.post(_check(draft)).refusal()

    def start(self, draft: Draft, path: Path, config: Mapping[str, Any], by: str) -> None:
        """Begin the check of a draft that is in the state ``checking``."""
        make_folders(self._uploads.home(draft))
        self._out(draft).unlink(missing_ok=True)
        self._crew.begin(
            Job(
                run_id=_check(draft),
                kind="check",
                by=by,
                files=(str(path),),
                config=config,
                canary=draft.goes.get("canary") or None,
                plan_file=str(self._uploads.plan(draft)) if draft.goes else "",
                rejects=str(self._uploads.rejects(draft)),
                out=str(self._out(draft)),
            )
        )

    def stop(self, draft: Draft, by: str) -> None:
        """Stop a check. A process that has only just begun is waited for."""
        deadline = time.monotonic() + _BEGINS_S
        while self.is_running(draft) and time.monotonic() < deadline:
            if self._crew.post(_check(draft)).ask("stop", by=by) is not None:
                return
            time.sleep(0.1)

    def settled(self, draft: Draft) -> Draft:
        """Return the draft with the result of its check, if that has ended meanwhile."""
        if draft.step is not Step.CHECKING or self.is_running(draft):
            return draft
        report = errands.read_answer(self._out(draft))
        name = draft.wanted_name or run_name(draft.name)

        def settle(found: Draft) -> Draft:
            if found.step is not Step.CHECKING or found.terms != draft.terms:
                return found  # another tab was first
            if report is None:
                return drafts.unchecked(found)
            return drafts.checked(found, report, str(report.get("plan") or ""), name)

        did = "checked all rows" if report is not None else "the check ended early"
        with suppress(drafts.ConflictError):  # the draft was deleted meanwhile
            return self._store.change(draft.id, settle, Entry(draft.touched_by, did))
        return draft

    def _out(self, draft: Draft) -> Path:
        return self._uploads.home(draft) / f"check-{draft.terms[:16]}.json"

    # --- what Braze says about the campaign ---------------------------------------------------------------------

    def is_looking(self, draft: Draft) -> bool:
        return self._crew.is_busy(_look(draft))

    def seen(self, draft: Draft, row: int | None) -> dict[str, Any] | None:
        """Return what Braze said lately about the draft's target, with the message for a row; None to ask."""
        found = self.latest(draft)
        return found if found is not None and found.get("asked_row") == row else None

    def latest(self, draft: Draft) -> dict[str, Any] | None:
        """Return what Braze said lately about the draft's target, with the message for any row."""
        found = errands.read_answer(self._seen(draft))
        return found if found is not None and time.time() - found["at"] <= LOOK_LASTS_S else None

    def look(
        self, draft: Draft, path: Path, config: Mapping[str, Any], key_file: str, row: int | None, by: str
    ) -> None:
        """Ask Braze in a process that reads the key by itself."""
        make_folders(self._uploads.home(draft))
        self._crew.begin(
            Job(
                run_id=_look(draft),
                kind="look",
                by=by,
                files=(str(path),),
                config=config,
                key_file=key_file,
                row=row,
                out=str(self._seen(draft)),
            )
        )

    def look_trouble(self, draft: Draft) -> tuple[str, str] | None:
        return self._crew.post(_look(draft)).refusal()

    def _seen(self, draft: Draft) -> Path:
        return self._uploads.home(draft) / f"look-{draft.terms[:16]}.json"


def run_name(file: str) -> str:
    """Return a name for the run of a file: readable, and with a random end, so that no two are the same."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", PurePath(file).name.partition(".")[0])[:_LONGEST_STEM].strip("-").lower()
    day = time.strftime("%Y%m%d")
    return bs.run_id_for(f"{stem or 'run'}-{day}-{secrets.token_hex(3)}")


def _check(draft: Draft) -> str:
    return f"check/{draft.id}"  # no run can have such a name


def _look(draft: Draft) -> str:
    return f"look/{draft.id}"
