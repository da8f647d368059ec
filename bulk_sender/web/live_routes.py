"""The routes of a run in progress: live counts, stop, resume, and the question after a canary."""

from __future__ import annotations

from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bulk_sender.web import keys, words, words_send
from bulk_sender.web.drafts import Draft
from bulk_sender.web.forms import bare, fields, whole
from bulk_sender.web.live import Live, Streams, live
from bulk_sender.web.runs import parts
from bulk_sender.web.site import Site, go
from bulk_sender.web.store import Entry
from bulk_sender.web.workers import Job

_TROUBLES = words.TROUBLES | {"own": (words_send.OWN_FIRST_ROWS, words_send.OWN_FIRST_ROWS_HINT)}


class LiveRoutes:
    """The functions behind the routes of runs in progress."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._streams = Streams(site.crew, site.runs_dir)

    def routes(self) -> list[Route]:
        return [
            Route("/runs/{run}/live", self.live),
            Route("/runs/{run}/stop", self.stop, methods=["POST"]),
            Route("/runs/{run}/resume", self.resume, methods=["POST"]),
            Route("/runs/{run}/first-rows", self.first_rows, methods=["POST"]),
            Route("/api/v1/runs/{run}/events", self.events),
        ]

    def live(self, request: Request) -> Response:
        """Show a run in progress. Once it has ended, its result is the page for it."""
        found = self._live(request)
        if found.state == "ended":
            return go(f"/runs/{found.name}")
        return self._site.page(
            request,
            "first_rows" if found.state == "held" else "live",
            current="runs",
            live=found,
            run=found.run,
            moment=found.moment,
            parts=list(parts(found.moment)),
            needs_another=self._needs_another(found, request.scope["person"].name),
            problem=_TROUBLES.get(request.query_params.get("trouble", "")),
            draft_id=getattr(self._draft(found.name), "id", "") if found.state == "refused" else "",
        )

    def _draft(self, run: str) -> Draft | None:
        """Return the prepared send that a run was begun from; None if there is none."""
        found = self._site.store.drafts()
        return next((draft for draft in found if draft.run_id == run or run in draft.test_runs), None)

    async def events(self, request: Request) -> Response:
        """Answer with the stream of a run's moments."""
        if self._streams.are_full():
            return PlainTextResponse("too many streams\n", HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "30"})
        await run_in_threadpool(self._live, request)
        stream = self._streams.of(request.path_params["run"])
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def stop(self, request: Request) -> Response:
        """Stop a run in order. A pause is a stop that says so."""
        found = await run_in_threadpool(self._live, request)
        if found.state == "ended" or not found.ours:
            return go(f"/runs/{found.name}/live")
        told, who = await fields(request), request.scope["person"].name
        post = self._site.crew.post(found.name)
        how = "pause" if told.get("how") == "pause" else "stop"
        answer = await run_in_threadpool(lambda: post.ask("stop", by=who, how=how))
        if answer:
            await run_in_threadpool(self._record, request, "paused the run" if how == "pause" else "stopped the run")
        return go(f"/runs/{found.name}/live" + ("" if answer else "?trouble=silent"))

    async def resume(self, request: Request) -> Response:
        """Resume a stopped run, if nobody has done so since the form was shown."""
        name, told = request.path_params["run"], await fields(request)
        found = await run_in_threadpool(self._live, request)
        key_file = keys.key_file(self._site, found.run) if found.run is not None else ""
        job = Job(
            run_id=name,
            kind="resume",
            by=request.scope["person"].name,
            starts=whole(told.get("starts", "")) or 0,
            key_file=key_file or "",
        )
        if await run_in_threadpool(self._site.crew.begin, job):
            await run_in_threadpool(self._record, request, "resumed the run")
        return go(f"/runs/{name}/live")

    async def first_rows(self, request: Request) -> Response:
        """Answer whether the rest of a run follows its first rows."""
        told = await fields(request)
        found = await run_in_threadpool(self._live, request)
        here = f"/runs/{found.name}/live"
        if found.state != "held" or not found.ours:
            return go(here)
        granted = told.get("answer") == "send"
        draft = await run_in_threadpool(self._draft, found.name)
        if granted and draft is not None and draft.approved_by and request.scope["person"].name in draft.hands:
            return go(f"{here}?trouble=own")
        wanted = found.name if found.moment.to_send is None else str(found.moment.to_send)
        if granted and bare(told.get("typed", "")) != bare(wanted):
            return go(f"{here}?trouble=typed")
        if granted and await run_in_threadpool(self._needs_another, found, request.scope["person"].name):
            return go(f"{here}?trouble=second")
        facts = {"granted": granted, "to_send": found.moment.to_send, "by": request.scope["person"].name}
        answer = await run_in_threadpool(lambda: self._site.crew.post(found.name).ask("answer", **facts))
        if answer is None:
            return go(f"{here}?trouble=silent")
        if "done" in answer:
            did, rest = "sent the rest" if granted else "stopped after the first rows", found.moment.to_send
            why = f"recipients: {rest}" if rest is not None else ""
            await run_in_threadpool(self._record, request, did, why)
        return go(here + ("?trouble=typed" if answer.get("refused") == "count" else ""))

    def _needs_another(self, found: Live, who: str) -> bool:
        """Whether this person prepared the run, and another one has to answer after its first rows."""
        if found.run is None:
            return False
        left = found.moment.to_send
        return keys.needs_another(self._site, found.run, None if left is None else left + found.moment.settled, who)

    def _record(self, request: Request, did: str, told: str = "") -> None:
        run = request.path_params["run"]
        self._site.store.record(Entry(request.scope["person"].name, did, run, told=told))

    def _live(self, request: Request) -> Live:
        return live(self._site.crew, self._site.runs_dir, request.path_params["run"])
