"""The screens from a checked file to its run: review, approval by a second person, and the launch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import bulk_sender as bs
from bulk_sender.config.hours import SendingHours
from bulk_sender.config.rate import Rate
from bulk_sender.web import drafts, going, trials, words_send
from bulk_sender.web.desk import Desk
from bulk_sender.web.drafts import Draft, Step
from bulk_sender.web.forms import bare, fields, whole
from bulk_sender.web.launching import Launch, about, same
from bulk_sender.web.profiles import Profile
from bulk_sender.web.roles import Person, Role
from bulk_sender.web.site import Site, go
from bulk_sender.web.store import Entry

EARLIER_DAYS = 7
_MOST_EARLIER = 5
_MOST_LOOKED_AT = 50
"""Runs whose files are compared with the draft's: each opens a journal."""
_LONGEST_WHY = 500
_LONGEST_OPTION = 100
_TYPED = ("canary", "window", "rate")
"""Options of the review that somebody types."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run of the last days that may have reached the same people."""

    run: bs.RunOverview
    same_target: bool
    same_file: bool


class ReviewRoutes:
    """The functions behind the review of a send and its approval."""

    def __init__(self, site: Site, desk: Desk) -> None:
        self._site, self._desk = site, desk
        self._launch = Launch(site, desk)

    def routes(self) -> list[Route]:
        return [
            Route("/new/{draft}/review", self.review),
            Route("/new/{draft}/look", self.look),
            Route("/new/{draft}/options", self.choose, methods=["POST"]),
            Route("/new/{draft}/ask", self.ask, methods=["POST"]),
            Route("/new/{draft}/send", self.send, methods=["POST"]),
            Route("/new/{draft}/owner", self.owner),
            Route("/new/{draft}/owner", self.take_over, methods=["POST"]),
            Route("/approvals/{draft}", self.approval),
            Route("/approvals/{draft}/look", self.approval_look),
            Route("/approvals/{draft}", self.decide, methods=["POST"]),
        ]

    # --- for the person who prepares ----------------------------------------------------------------------------

    def review(self, request: Request) -> Response:
        """Show what would be sent to whom, and ask for the number of recipients."""
        draft = self._desk.mine(request)
        if draft.step not in (Step.CHECKED, Step.ASKED, Step.APPROVED) or not draft.goes:
            return go(f"/new/{draft.id}/check")
        return self._shown(request, draft, "review")

    def look(self, request: Request) -> Response:
        """Tell a script whether Braze is still being asked."""
        return self._looking(self._desk.mine(request))

    async def choose(self, request: Request) -> Response:
        """Save rate, hours and the number of first rows. Another number of first rows needs another check."""
        told = await fields(request)
        return await anyio.to_thread.run_sync(self._chosen, request, told)

    async def ask(self, request: Request) -> Response:
        told = await fields(request)
        return await anyio.to_thread.run_sync(self._asked, request, told)

    async def send(self, request: Request) -> Response:
        """Begin the run, once."""
        told = await fields(request)
        return await anyio.to_thread.run_sync(self._sent, request, told)

    def owner(self, request: Request) -> Response:
        """Say who works on a send, and offer to take it over."""
        draft = self._desk.any(request)
        if draft.person == request.scope["person"].name or draft.step is Step.LAUNCHED:
            return go(f"/new/{draft.id}")
        return self._site.page(request, "owner", current="new", draft=draft)

    async def take_over(self, request: Request) -> Response:
        who = request.scope["person"].name
        draft = await anyio.to_thread.run_sync(self._desk.any, request)

        def take() -> None:
            entry = Entry(who, "took it over", told=draft.person)
            self._site.store.change(draft.id, lambda found: drafts.taken_over(found, who, time.time()), entry)

        await anyio.to_thread.run_sync(take)
        return go(f"/new/{draft.id}")

    # --- for the person who approves ----------------------------------------------------------------------------

    def approval(self, request: Request) -> Response:
        """Show a send to the person who is asked to approve it."""
        draft = self._desk.any(request)
        if draft.step is Step.LAUNCHED:
            return go(f"/runs/{draft.run_id}/live")
        if not draft.report or not draft.goes:
            raise HTTPException(404)
        return self._shown(request, draft, "approval")

    def approval_look(self, request: Request) -> Response:
        return self._looking(self._desk.any(request))

    async def decide(self, request: Request) -> Response:
        """Approve or refuse what the person saw."""
        told = await fields(request)
        return await anyio.to_thread.run_sync(self._decided, request, told)

    # --- the work -----------------------------------------------------------------------------------------------

    def _shown(self, request: Request, draft: Draft, template: str) -> Response:
        site, person = self._site, request.scope["person"]
        profile = self._desk.profile(draft)
        row = whole(request.query_params.get("row", "")) or None
        seen = self._desk.checks.seen(draft, row)
        problems = list(going.problems(draft, site.profiles))
        can_ask = profile is not None and profile.endpoint == draft.goes["endpoint"] and not site.read_only
        is_looking = self._desk.checks.is_looking(draft)
        trouble = self._desk.checks.look_trouble(draft) if seen is None and not is_looking else None
        may_ask = can_ask and (trouble is None or "row" in request.query_params)
        if seen is None and not is_looking and may_ask and profile is not None:
            self._begin_look(draft, profile.key_file, row, person.name)
            is_looking, trouble = True, None
        if seen is not None and seen["refusal"]:
            problems.append(f"{seen['refusal']}.")
        sent_lately = going.lately(site.store.drafts(), draft, draft.person)
        needs = profile is not None and going.needs_second_person(site.team, profile, draft, sent_lately)
        rate, window = going.rate_of(draft, profile), going.window_of(draft, profile)
        canary = draft.goes["canary"]
        refusal = site.crew.post(draft.run_id).refusal() if draft.run_id else None
        typed, wrong = _options(request.query_params, draft, profile)
        return site.page(
            request,
            template,
            current="new" if template == "review" else "runs",
            draft=draft,
            profile=profile,
            problems=problems,
            seen=seen,
            is_looking=is_looking,
            look_trouble=trouble,
            row=row,
            may_see=person.may(Role.PERSONAL),
            needs=needs,
            sent_lately=sent_lately,
            rate=rate,
            hours=words_send.hours(window, _closed_s(window)),
            canary=canary,
            typed=typed,
            wrong=wrong,
            took=draft.report["requests"] / Rate.parse(rate).per_second,
            earlier=earlier(site.runs_dir, draft),
            tests=trials.outcomes(site.runs_dir, draft),
            is_own=person.name in draft.hands,
            refusal=refusal,
            problem=words_send.TROUBLES.get(request.query_params.get("trouble", "")),
            run={"rehearsal": False, "endpoint": draft.goes["endpoint"]},
        )

    def _begin_look(self, draft: Draft, key_file: str, row: int | None, who: str) -> None:
        self._desk.checks.look(draft, self._desk.path(draft), self._desk.config(draft), key_file, row, who)

    def _looking(self, draft: Draft) -> Response:
        return JSONResponse({"running": self._desk.checks.is_looking(draft), "said": words_send.ASKING})

    def _chosen(self, request: Request, told: Mapping[str, str]) -> Response:
        draft, who = self._desk.mine(request), request.scope["person"].name
        profile, here = self._desk.profile(draft), f"/new/{draft.id}/review"
        if profile is None or draft.step is Step.CHECKING:
            return go(here)
        canary, pace = going.first_rows(told), going.pace(told)
        if going.option_problems(canary, pace, profile):
            typed = {name: told.get(name, "")[:_LONGEST_OPTION] for name in _TYPED}
            return go(f"{here}?{urlencode({'trouble': 'options'} | typed)}")
        version = whole(told.get("version", "")) or 0
        draft = self._site.store.change(
            draft.id,
            lambda each: drafts.paced(each, pace, who),
            Entry(who, "chose how it is sent", told=_as_text(pace)),
            version=version,
        )
        if canary == draft.goes["canary"]:
            return go(here)
        goes = {**draft.goes, "canary": canary}
        entry = Entry(who, "chose another number of first rows", told=str(canary))
        draft = self._site.store.change(
            draft.id, lambda each: drafts.mapped(each, each.config, who, goes), entry, version=draft.version
        )
        self._desk.begin_check(draft, who, draft.version)
        return go(f"/new/{draft.id}/check")

    def _asked(self, request: Request, told: Mapping[str, str]) -> Response:
        draft, who = self._desk.mine(request), request.scope["person"].name
        here = f"/new/{draft.id}/review"
        if draft.step in (Step.ASKED, Step.APPROVED):
            return go(here)  # a second click
        self._launch.refuse_problems(draft)
        entry, offer = Entry(who, "asked for an approval", told=about(draft)), told.get("offer", "")
        self._site.store.change(draft.id, lambda found: drafts.asked(same(found, offer), who, time.time()), entry)
        return go(here)

    def _decided(self, request: Request, told: Mapping[str, str]) -> Response:
        draft, who = self._desk.any(request), request.scope["person"].name
        here, offer = f"/approvals/{draft.id}", told.get("offer", "")
        if told.get("answer") == "refuse":
            why = told.get("why", "").strip()[:_LONGEST_WHY]
            if not why:
                return go(f"{here}?trouble=why")
            entry = Entry(who, "refused it", digest=draft.offer, told=why)
            self._site.store.change(draft.id, lambda found: drafts.refused(same(found, offer), who, why), entry)
        elif told.get("answer") == "approve":
            self._launch.refuse_problems(draft)
            entry = Entry(who, "approved it", digest=offer, told=about(draft))
            self._site.store.change(draft.id, lambda found: drafts.approved(found, offer, who, time.time()), entry)
        else:
            raise HTTPException(400)
        return go(here)

    def _sent(self, request: Request, told: Mapping[str, str]) -> Response:
        draft, who = self._desk.mine(request), request.scope["person"].name
        if draft.step not in (Step.CHECKED, Step.APPROVED, Step.ASKED):
            return go(f"/new/{draft.id}/check")
        if bare(told.get("typed", "")) != str(draft.report["valid"]):
            return go(f"/new/{draft.id}/review?trouble=typed")
        draft = self._launch(draft, who, told.get("offer", ""))
        return go(f"/runs/{draft.run_id}/live")


def waiting(site: Site, person: Person) -> list[Draft]:
    """Return the sends that wait for an approval, or have one, as far as they concern a person."""
    if not site.team:
        return []
    return [
        draft
        for draft in site.store.drafts()
        if draft.step in (Step.ASKED, Step.APPROVED)
        and (draft.person == person.name or (person.may(Role.APPROVE) and draft.step is Step.ASKED))
    ]


def _options(
    told: Mapping[str, str], draft: Draft, profile: Profile | None
) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """Return the options to show in their form, and what is wrong with them. They are saved, or just typed."""
    if told.get("trouble") != "options" or profile is None:
        return {"canary": draft.goes["canary"], **draft.pace}, {}
    wrong = going.option_problems(going.first_rows(told), going.pace(told), profile)
    return {name: told.get(name, "") for name in _TYPED}, wrong


def earlier(runs_dir: Path, draft: Draft) -> list[Earlier]:
    """Return the runs of the last days with the same target or the same file, the latest first."""
    since = (datetime.now(UTC) - timedelta(days=EARLIER_DAYS)).isoformat()
    recent = [
        run
        for run in bs.runs(runs_dir)
        if not run.rehearsal and run.run_id not in draft.test_runs and (run.started_at or "") >= since
    ]
    found = []
    for run in list(reversed(recent))[:_MOST_LOOKED_AT]:
        same_target = run.target == draft.goes["target"]
        same_file = False
        with suppress(bs.BulkSenderError):
            files = bs.facts(run.run_id, runs_dir=runs_dir).files
            same_file = any(file.sha256 == draft.sha256 for file in files)
        if same_target or same_file:
            found.append(Earlier(run, same_target, same_file))
    return found[:_MOST_EARLIER]


def _closed_s(window: str) -> float:
    return SendingHours.parse(window).wait_s(datetime.now(UTC)) if window else 0.0


def _as_text(pace: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in pace.items())
