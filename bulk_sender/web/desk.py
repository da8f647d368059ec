"""The sends that people prepare, as all their routes need them: found, settled, and owned by the person who asks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from threading import RLock
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

import bulk_sender as bs
from bulk_sender.web import drafts, going, inherit, mapping, server_files
from bulk_sender.web.checks import Checks
from bulk_sender.web.drafts import Draft, Step
from bulk_sender.web.live import live
from bulk_sender.web.profiles import Profile
from bulk_sender.web.site import Site
from bulk_sender.web.store import Entry
from bulk_sender.web.uploads import ASKED_IDLE_S, UploadError


class Desk:
    """Finds the draft that a request is about."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.checks = Checks(site.crew, site.store, site.uploads)
        self.beginning = RLock()
        """Held from the record that a process begins until it has begun. Nobody concludes meanwhile that none did."""

    def mine(self, request: Request) -> Draft:
        """Return the draft of a request. Of another person, or once it is a run, the browser is sent elsewhere."""
        draft = self.any(request)
        if draft.step is Step.LAUNCHED:
            raise _elsewhere(f"/runs/{draft.run_id}/live")
        if draft.person != request.scope["person"].name:
            raise _elsewhere(f"/new/{draft.id}/owner")
        return draft

    def any(self, request: Request) -> Draft:
        """Return the draft of a request, also of another person."""
        draft = self._site.store.draft(request.path_params["draft"])
        if draft is not None and not self._site.read_only:
            draft = self._site.uploads.settle(draft)
        if draft is None or draft.step is Step.UPLOADING:
            raise HTTPException(404)
        if self._site.read_only:  # a look records nothing
            return drafts.expired(draft, time.time())
        return self._launched(self._expired(self._settled(draft)))

    def listed(self) -> list[Draft]:
        """Return the drafts that are not runs. One that was launched, and that no process began, is among them."""
        known: set[str] | None = None
        found = []
        for draft in self._site.store.drafts():
            if draft.step is Step.LAUNCHED:
                if known is None:
                    known = {run.run_id for run in bs.runs(self._site.runs_dir)}
                draft = draft if draft.run_id in known else self._launched(draft)
            if draft.step is not Step.LAUNCHED:
                found.append(draft)
        return found

    def path(self, draft: Draft) -> Path:
        """Return a draft's file. One of the server must still be in an allowed folder."""
        path = self._site.uploads.path(draft)
        if draft.path and not server_files.is_allowed(self._site.folders, path):
            raise UploadError("this file is not there any more", hint="go back and choose another file")
        return path

    def choices(self, draft: Draft) -> mapping.Choices:
        """Return what a draft's columns are: as somebody chose, as an earlier run had it, or a guess."""
        if draft.config:
            return mapping.Choices.of(draft.config)
        path = self.path(draft)
        earlier = inherit.from_parent(self._site, path) or inherit.from_earlier(self._site, path)
        return earlier or mapping.suggested(path, {})

    def profile(self, draft: Draft) -> Profile | None:
        return self._site.profiles.get(draft.goes.get("profile", ""))

    def config(self, draft: Draft) -> Mapping[str, Any]:
        """Return the configuration of the check and of the run."""
        return going.config_of(draft, self.choices(draft).config(), self.profile(draft))

    def begin_check(self, draft: Draft, who: str, version: int | None) -> None:
        """Begin a check of all rows, once."""
        if draft.step is Step.CHECKING:
            return  # a second click
        path, config = self.path(draft), self.config(draft)
        with self.beginning:
            draft = self._site.store.change(
                draft.id, drafts.checking, Entry(who, "began a check", digest=draft.terms), version=version or 0
            )
            self.checks.start(draft, path, config, who)

    def clean_up(self, now: float | None = None) -> None:
        """Delete the files of runs that finished a week ago. A stopped run may still need its file."""
        late = datetime.fromtimestamp((time.time() if now is None else now) - ASKED_IDLE_S, UTC).isoformat()
        launched = [draft for draft in self._site.store.drafts() if draft.step is Step.LAUNCHED]
        if not launched:
            return
        runs = {run.run_id: run for run in bs.runs(self._site.runs_dir)}
        for draft in launched:
            run = runs.get(draft.run_id)
            if run is not None and run.state == "finished" and run.finished_at and run.finished_at < late:
                self._site.uploads.delete(draft, "", "deleted a week after its run finished")

    def _expired(self, draft: Draft) -> Draft:
        if drafts.expired(draft, time.time()) == draft:
            return draft
        entry = Entry("", "the approval ended after 24 hours")
        return self._site.store.change(draft.id, lambda found: drafts.expired(found, time.time()), entry)

    def _launched(self, draft: Draft) -> Draft:
        """Return the draft as it was before its launch, if no process has begun the run, and none is about to."""
        if draft.step is not Step.LAUNCHED or self._has_begun(draft):
            return draft
        with self.beginning:
            if self._has_begun(draft):
                return draft
            return self._site.store.change(draft.id, _not_begun, Entry("", "the send did not begin"))

    def _has_begun(self, draft: Draft) -> bool:
        """Whether a process has begun the run of a launched draft, or is about to."""
        site = self._site
        try:
            return live(site.crew, site.runs_dir, draft.run_id).state != "refused"
        except bs.RunNotFoundError:  # with its folder gone, it may have been sent
            return any(run.run_id == draft.run_id for run in bs.runs(site.runs_dir))

    def _settled(self, draft: Draft) -> Draft:
        """Return the draft with the result of its check, if that has ended."""
        if draft.step is not Step.CHECKING or self.checks.is_running(draft):
            return draft
        with self.beginning:
            return self.checks.settled(draft)


def _not_begun(draft: Draft) -> Draft:
    return drafts.not_begun(draft) if draft.step is Step.LAUNCHED else draft


def _elsewhere(path: str) -> HTTPException:
    return HTTPException(HTTPStatus.SEE_OTHER, headers={"Location": path})
