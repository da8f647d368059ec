"""The screen "Send a test first": a few colleagues get the message of one row, before anybody else does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import bulk_sender as bs
from bulk_sender.durable import make_folders
from bulk_sender.web import drafts, going, show, trials, words_send, words_trial
from bulk_sender.web.desk import Desk
from bulk_sender.web.drafts import Draft, IllegalStepError
from bulk_sender.web.forms import fields, whole
from bulk_sender.web.mapping import MOST_ROWS
from bulk_sender.web.roles import Role
from bulk_sender.web.site import Site, go
from bulk_sender.web.store import Entry
from bulk_sender.web.workers import Job, Post


@dataclass(frozen=True, slots=True)
class Trial:
    """A test as it would be sent. ``recipient``: the first one, as Braze gets it. ``path``: the file of its run."""

    problems: tuple[str, ...] = ()
    people: int = 0
    row: int | None = None
    recipient: Mapping[str, Any] | None = None
    path: Path | None = None
    config: Mapping[str, Any] | None = None


class TrialRoutes:
    """The functions behind ``/new/{draft}/test``."""

    def __init__(self, site: Site, desk: Desk) -> None:
        self._site, self._desk = site, desk
        self._lock = Lock()

    def routes(self) -> list[Route]:
        return [
            Route("/new/{draft}/test", self.show),
            Route("/new/{draft}/test", self.choose, methods=["POST"]),
            Route("/new/{draft}/test/send", self.send, methods=["POST"]),
        ]

    def show(self, request: Request) -> Response:
        """Ask who gets a test. Once somebody said so, show what Braze gets."""
        draft = self._desk.mine(request)
        if draft.step not in drafts.IS_CHECKED or not draft.goes:
            return go(f"/new/{draft.id}/check")
        who = request.scope["person"]
        trial = self._made(draft) if draft.trial else None
        is_asked = trial is not None and not trial.problems
        if is_asked:
            self._look(draft, who.name)
        problems = [*self._refusals(draft, trial.people if trial else 0, who.name), *(trial.problems if trial else ())]
        may_see = who.may(Role.PERSONAL)
        recipient = trial.recipient if trial is not None else None
        shown = (show.whole_recipient if may_see else show.recipient)(recipient) if recipient is not None else ""
        profile = self._desk.profile(draft)
        window = going.window_of(draft, profile)
        return self._site.page(
            request,
            "test",
            current="new",
            draft=draft,
            trial=trial,
            told=draft.trial if may_see or draft.trial.get("by") == who.name else {},
            uses=trials.uses(self._desk.config(draft)),
            most=trials.MOST_PEOPLE,
            recipient=shown,
            may_see=may_see,
            problems=problems if may_see else [show.said(each) for each in problems],
            seen=self._desk.checks.latest(draft),
            is_looking=self._desk.checks.is_looking(draft),
            hours=window,
            number=len(draft.tests) + 1,
            tests=trials.outcomes(self._site.runs_dir, draft),
            run={"rehearsal": False, "endpoint": draft.goes["endpoint"]},
        )

    async def choose(self, request: Request) -> Response:
        """Keep who gets a test. Nothing is sent yet."""
        told = await fields(request)
        return await anyio.to_thread.run_sync(self._chosen, request, told)

    async def send(self, request: Request) -> Response:
        """Begin the test's run, once."""
        told = await fields(request)
        return await anyio.to_thread.run_sync(self._sent, request, told)

    def _chosen(self, request: Request, told: Mapping[str, str]) -> Response:
        draft, who = self._desk.mine(request), request.scope["person"].name
        uses = trials.uses(self._desk.config(draft))
        people = trials.people_of(told.get("people", ""))
        if found := list(trials.problems(people)):
            raise IllegalStepError(found[0], hint=" ".join(found[1:]))
        use = told.get("use", "")
        trial = {
            "people": people,
            "use": use if use in uses else uses[0],
            "row": whole(told.get("row", "")) or None,
            "by": who,
        }
        entry = Entry(who, "chose who gets a test", told=f"{len(people)}")
        self._site.store.change(draft.id, lambda each: drafts.tried(each, trial), entry)
        return go(f"/new/{draft.id}/test")

    def _sent(self, request: Request, told: Mapping[str, str]) -> Response:
        draft, who, store = self._desk.mine(request), request.scope["person"].name, self._site.store
        number, digest = whole(told.get("number", "")) or 0, told.get("test", "")
        name = bs.run_id_for(draft.label, "test", number)
        if name in draft.test_runs:
            return go(f"/runs/{name}/live")  # a second click
        trial = self._made(draft) if draft.trial else Trial((words_trial.NOBODY,))
        profile = self._desk.profile(draft)
        if found := [*self._refusals(draft, trial.people, who), *trial.problems]:
            raise IllegalStepError(found[0], hint=" ".join(found[1:]))
        assert profile is not None and trial.config is not None  # else there would be a problem
        goes = draft.goes
        test = {"run": name, "people": trial.people, "by": who, "at": time.time()}
        test |= {"endpoint": goes["endpoint"], "target": goes["target"]}

        def begin(each: Draft) -> Draft:
            if name not in each.test_runs and self._needs_another(each, trial.people, who):
                raise IllegalStepError(words_trial.second_person(profile.second_person_above))
            return drafts.tested(each, test, number, digest)

        about = f"{name}: {trial.people} recipients, {goes['kind']} {goes['target']} in {goes['profile']}"
        store.change(draft.id, begin, Entry(who, "sent a test", digest=digest, told=about))
        self._site.crew.begin(
            Job(
                run_id=name,
                kind="send",
                by=who,
                files=(str(trial.path),),
                config=trial.config,
                again=True,
                key_file=profile.key_file,
            )
        )
        return go(f"/runs/{name}/live")

    def _made(self, draft: Draft) -> Trial:
        """Return the test that somebody chose, with its file written. What does not work ends in ``problems``."""
        people, use, row = draft.trial["people"], draft.trial["use"], draft.trial["row"]
        config = self._desk.config(draft)
        try:
            found = bs.preview(
                self._desk.path(draft),
                trials.source_of(config),
                row=row,
                limit=max(MOST_ROWS, row or 0),
                environment={},
            )
            own = trials.config_of(config, use, found.recipient)
            path = self._write(draft, trials.file_of(people, found.recipient))
            report = bs.check(path, own, runs_dir=self._site.runs_dir)
            first = bs.preview(path, own | {"braze": _target_of(own)}, environment={}) if report.valid else None
        except bs.BulkSenderError as error:
            return Trial((str(error),))
        wrong = [words_trial.wrong(each.row, each.error) for each in report.rejects]
        if report.refused:
            wrong.append(words_send.refused_by_limit(report.refused))
        recipient = first.recipient if first is not None else None
        return Trial(tuple(wrong), report.valid, found.row, recipient, path, own)

    def _write(self, draft: Draft, text: str) -> Path:
        folder = self._site.uploads.home(draft) / "tests" / draft.trial_digest[:16]
        for each in (folder.parent.parent, folder.parent, folder):
            make_folders(each)
        with self._lock:  # two clicks at the same time
            if Post(folder).read("test.csv") != text:  # a run may be reading it
                Post(folder).write("test.csv", text)
        return folder / "test.csv"

    def _refusals(self, draft: Draft, people: int, who: str) -> list[str]:
        """Return why no test of this send may leave: as for the send, as far as that concerns a test."""
        found = list(going.place_problems(draft.goes, self._site.profiles))
        profile = self._desk.profile(draft)
        if profile is None:
            return found
        if profile.endpoint != draft.goes["endpoint"]:
            found.append(words_send.ENDPOINT_CHANGED)
        seen = self._desk.checks.latest(draft)
        if seen is not None and seen["refusal"]:
            found.append(f"{seen['refusal']}.")
        if self._needs_another(draft, people, who):
            found.append(words_trial.second_person(profile.second_person_above))
        return found

    def _needs_another(self, draft: Draft, people: int, who: str) -> bool:
        profile = self._desk.profile(draft)
        if profile is None or not self._site.team:
            return False
        return people + going.lately(self._site.store.drafts(), draft, who) > profile.second_person_above

    def _look(self, draft: Draft, who: str) -> None:
        """Ask Braze about the campaign, if nobody did lately."""
        checks, profile = self._desk.checks, self._desk.profile(draft)
        is_known = checks.latest(draft) is not None or checks.is_looking(draft) or checks.look_trouble(draft)
        if is_known or profile is None or profile.endpoint != draft.goes["endpoint"] or self._site.read_only:
            return
        checks.look(draft, self._desk.path(draft), self._desk.config(draft), profile.key_file, None, who)


def _target_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the target without an address: Braze has another name for a Canvas' values, and nobody is asked."""
    return {name: value for name, value in config["braze"].items() if name != "endpoint"}
