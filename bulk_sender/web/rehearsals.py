"""Rehearsals: the requests of a checked send, to a Braze on this machine. Nobody gets a message."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import bulk_sender as bs
from bulk_sender.web import drafts, words
from bulk_sender.web.desk import Desk
from bulk_sender.web.drafts import Draft
from bulk_sender.web.forms import bare, fields, whole
from bulk_sender.web.site import Site, go
from bulk_sender.web.store import Entry
from bulk_sender.web.workers import Job


class Rehearsals:
    """The functions behind ``/new/{draft}/rehearse``."""

    def __init__(self, site: Site, desk: Desk) -> None:
        self._site, self._desk = site, desk

    def routes(self) -> list[Route]:
        return [
            Route("/new/{draft}/rehearse", self.ask),
            Route("/new/{draft}/rehearse", self.start, methods=["POST"]),
        ]

    def ask(self, request: Request) -> Response:
        """Ask what Braze is like on that day. The form names the rehearsal, so that a second click begins no other."""
        draft = self._desk.mine(request)
        if draft.step not in drafts.IS_CHECKED:
            return go(f"/new/{draft.id}/check")
        return self._site.page(
            request,
            "rehearse",
            current="new",
            draft=draft,
            recipients=draft.report["valid"],
            number=len(draft.rehearsals) + 1,
            days=words.DAYS,
        )

    async def start(self, request: Request) -> Response:
        told = await fields(request)
        return await run_in_threadpool(self._started, request, told)

    def _started(self, request: Request, told: Mapping[str, str]) -> Response:
        draft, who = self._desk.mine(request), request.scope["person"].name
        number, first = whole(told.get("number", "")), whole(bare(told.get("first_rows", "") or "0"))
        weather = told.get("day", "")
        if number is None or first is None or weather not in words.DAYS:
            raise HTTPException(400)
        name = bs.run_id_for(draft.label, "rehearsal", number)
        job = Job(
            run_id=name,
            kind="rehearse",
            by=who,
            files=(str(self._desk.path(draft)),),
            config=self._desk.choices(draft).config(),
            weather=weather,
            canary=first or None,
        )

        def rehearsed(found: Draft) -> Draft:
            return drafts.rehearsed(found, name, number)

        self._site.store.change(draft.id, rehearsed, Entry(who, "began a rehearsal", digest=draft.digest, told=name))
        self._site.crew.begin(job)
        return go(f"/runs/{name}/live")
