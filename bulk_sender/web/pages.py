"""The routes of the page, one function each. They block, so Starlette runs each in a thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

import bulk_sender as bs
from bulk_sender.web import downloads, runs, words
from bulk_sender.web.gate import REPORT_POLICY
from bulk_sender.web.live import Live, Streams, live
from bulk_sender.web.rendering import assets, page
from bulk_sender.web.roles import Role
from bulk_sender.web.runs import parts
from bulk_sender.web.session import Sessions
from bulk_sender.web.settings import DEFAULT_PORT
from bulk_sender.web.show import query_of
from bulk_sender.web.state import State
from bulk_sender.web.workers import DEFAULT_MOST_RUNS, STATUSES, Crew, Job

_RUNS_ON_A_PAGE = 50
_LONGEST_SEARCH = 512
_LONGEST_FORM = 64 << 10
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Site:
    """What one page serves, and how."""

    runs_dir: Path
    state: State
    sessions: Sessions
    url: str
    read_only: bool = False
    most_runs: int = DEFAULT_MOST_RUNS
    crew: Crew = field(init=False)
    """The processes of the runs that it begins."""

    def __post_init__(self) -> None:
        crew = Crew(self.state.folder / "workers", self.runs_dir, most_runs=self.most_runs)
        object.__setattr__(self, "crew", crew)


class Pages:
    """The functions behind the routes of one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._details = runs.Remembered(site.runs_dir)
        self._streams = Streams(site.crew, site.runs_dir)

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self.health),
            Route("/login", self.sign_in),
            Route("/static/{name}", self.static),
            Route("/", self.home),
            Route("/runs/{run}", self.result),
            Route("/runs/{run}/live", self.live),
            Route("/runs/{run}/stop", self.stop, methods=["POST"]),
            Route("/runs/{run}/resume", self.resume, methods=["POST"]),
            Route("/runs/{run}/first-rows", self.first_rows, methods=["POST"]),
            Route("/api/v1/runs/{run}/events", self.events),
            Route("/runs/{run}/rows/{row:int}", self.explain),
            Route("/runs/{run}/report", self.report),
            Route("/runs/{run}/report", self.write_report, methods=["POST"]),
            Route("/runs/{run}/files/{name}", self.download),
            Route("/runs/{run}/{name}.{kind}", self.beside_the_report),
            Route("/settings", self.settings),
            Route("/sign-out", self.sign_out, methods=["POST"]),
        ]

    def health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    def static(self, request: Request) -> Response:
        found = assets().get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return Response(found.text, media_type=found.media_type, headers={"Cache-Control": _FOR_EVER})

    def sign_in(self, request: Request) -> Response:
        """Answer a one-time link. The next page is reached from here, so that the browser sends the strict cookie."""
        if request.scope["person"] is not None:
            return _go("/")
        if request.method == "HEAD":
            return Response()  # a program that looks at links must not use one up
        token = request.query_params.get("token", "")
        if not token or not self._site.state.redeem(token):
            return refusal("session", HTTPStatus.UNAUTHORIZED, port=self._site.sessions.port)
        answer = page("signed_in")
        answer.headers["Set-Cookie"] = self._site.sessions.begin()
        return answer

    def sign_out(self, request: Request) -> Response:
        answer = _go("/")
        answer.headers["Set-Cookie"] = self._site.sessions.end(request.headers.get("cookie", ""))
        return answer

    def home(self, request: Request) -> Response:
        asked = request.query_params
        query = asked.get("q", "").strip()[:_LONGEST_SEARCH]
        shown = asked.get("show", "all")
        groups = runs.groups(self._site.runs_dir)
        found = [run for run in groups.ended if _fits(run, query, shown)]
        skip = min(_whole(asked.get("skip")), max(0, len(found) - 1)) // _RUNS_ON_A_PAGE * _RUNS_ON_A_PAGE
        kept = {"q": query, "show": shown}
        return self._page(
            request,
            "home",
            current="runs",
            groups=groups,
            found=found[skip : skip + _RUNS_ON_A_PAGE],
            count=len(found),
            query=query,
            shown=shown,
            older=query_of(**kept, skip=skip + _RUNS_ON_A_PAGE) if skip + _RUNS_ON_A_PAGE < len(found) else "",
            newer=query_of(**kept, skip=skip - _RUNS_ON_A_PAGE) if skip else "",
        )

    def result(self, request: Request) -> Response:
        run = self._run(request)
        asked = request.query_params
        query = asked.get("q", "").strip()[:_LONGEST_SEARCH]
        status = asked.get("status", "")
        if status not in (*STATUSES, "all"):
            status = "all" if query else next((each for each in runs.TROUBLE if getattr(run, each)), "all")
        code = asked.get("code", "")[:_LONGEST_SEARCH]
        after = _whole(asked.get("after"))
        wanted = None if status == "all" else status
        is_broadcast = run.broadcast is not None
        found = (
            bs.RowsPage(())
            if is_broadcast
            else runs.rows(self._site.runs_dir, run.run_id, status=wanted, code=code, query=query, after=after)
        )
        total = None if query or code else run.rows if wanted is None else getattr(run, wanted)
        kept = {"status": status, "code": code, "q": query}
        return self._page(
            request,
            "result",
            current="runs",
            run=run,
            parts=list(parts(run)),
            status=status,
            code=code,
            query=query,
            after=after,
            rows=found,
            total=total,
            details=self._details.of(run),
            files=downloads.available(self._site.runs_dir, run),
            has_report=downloads.report(self._site.runs_dir, run) is not None,
            first=query_of(**kept) if after else "",
            following=query_of(**kept, after=found.next_after) if found.next_after else "",
            starts=self._starts(run),
            refusal=self._site.crew.post(run.run_id).refusal() if run.state != "running" else None,
        )

    def _starts(self, run: bs.RunOverview) -> int | None:
        """Return how often the run has been started, if it can be resumed; else None."""
        if run.broadcast is not None or run.state not in ("stopped", "interrupted"):
            return None
        return len(bs.facts(run.run_id, runs_dir=self._site.runs_dir).starts)

    # --- a run in progress --------------------------------------------------------------------------------------

    def live(self, request: Request) -> Response:
        """Show a run in progress. Once it has ended, its result is the page for it."""
        found = self._live(request)
        if found.state == "ended":
            return _go(f"/runs/{found.name}")
        return self._page(
            request,
            "first_rows" if found.state == "held" else "live",
            current="runs",
            live=found,
            run=found.run,
            moment=found.moment,
            parts=list(parts(found.moment)),
            trouble=words.TROUBLES.get(request.query_params.get("trouble", "")),
        )

    async def events(self, request: Request) -> Response:
        """Answer with the stream of a run's moments."""
        if self._streams.are_full():
            return PlainTextResponse("too many streams\n", HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "30"})
        await run_in_threadpool(self._live, request)
        stream = self._streams.of(request.path_params["run"])
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    def stop(self, request: Request) -> Response:
        found = self._live(request)
        if found.state == "ended" or not found.ours:
            return _go(f"/runs/{found.name}/live")
        answer = self._site.crew.post(found.name).ask("stop", by=request.scope["person"].name)
        return _go(f"/runs/{found.name}/live" + ("" if answer else "?trouble=silent"))

    async def resume(self, request: Request) -> Response:
        """Resume a stopped run, if nobody has done so since the form was shown."""
        name, told = request.path_params["run"], await _form(request)
        job = Job(run_id=name, kind="resume", by=request.scope["person"].name, starts=_whole(told.get("starts")))
        await run_in_threadpool(self._live, request)
        await run_in_threadpool(self._site.crew.begin, job)
        return _go(f"/runs/{name}/live")

    async def first_rows(self, request: Request) -> Response:
        """Answer whether the rest of a run follows its first rows."""
        told = await _form(request)
        found = await run_in_threadpool(self._live, request)
        here = f"/runs/{found.name}/live"
        if found.state != "held" or not found.ours:
            return _go(here)
        granted = told.get("answer") == "send"
        wanted = found.name if found.moment.to_send is None else str(found.moment.to_send)
        if granted and _bare(told.get("typed", "")) != _bare(wanted):
            return _go(f"{here}?trouble=typed")
        facts = {"granted": granted, "to_send": found.moment.to_send, "by": request.scope["person"].name}
        answer = await run_in_threadpool(lambda: self._site.crew.post(found.name).ask("answer", **facts))
        if answer is None:
            return _go(f"{here}?trouble=silent")
        return _go(here + ("?trouble=typed" if answer.get("refused") == "count" else ""))

    def _live(self, request: Request) -> Live:
        return live(self._site.crew, self._site.runs_dir, request.path_params["run"])

    # --- rows and files -----------------------------------------------------------------------------------------

    def explain(self, request: Request) -> Response:
        run = self._run(request)
        row = request.path_params["row"]
        facts = runs.explained(self._site.runs_dir, run.run_id, row)
        return self._page(request, "explain", current="runs", run=run, row=row, facts=facts)

    def report(self, request: Request) -> Response:
        text = downloads.report(self._site.runs_dir, self._run(request))
        if text is None:
            raise HTTPException(404)
        return HTMLResponse(text.encode("utf-8", "replace"), headers={"Content-Security-Policy": REPORT_POLICY})

    def write_report(self, request: Request) -> Response:
        run = self._run(request)
        bs.report(run.run_id, runs_dir=self._site.runs_dir)
        return _go(f"/runs/{run.run_id}/report")

    def beside_the_report(self, request: Request) -> Response:
        """Answer a link of the report to a file beside it."""
        run = self._run(request)
        wanted = "{name}.{kind}".format(**request.path_params)
        for which, name in downloads.available(self._site.runs_dir, run).items():
            if name == wanted:
                return _go(f"/runs/{run.run_id}/files/{which}")
        raise HTTPException(404)

    def download(self, request: Request) -> Response:
        found = downloads.download(self._site.runs_dir, self._run(request), request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return found

    def settings(self, request: Request) -> Response:
        return self._page(request, "settings", current="settings", version=bs.__version__)

    def _run(self, request: Request) -> bs.RunOverview:
        return runs.overview(self._site.runs_dir, request.path_params["run"])

    def _page(self, request: Request, template: str, **facts: Any) -> HTMLResponse:
        return page(template, person=request.scope["person"], site=self._site, Role=Role, **facts)


def refusal(
    reason: str, status: HTTPStatus, *, detail: tuple[str, str] | None = None, port: int = DEFAULT_PORT
) -> HTMLResponse:
    """Return an error as a page that says what to do next. ``port``: for the command that prints a new link."""
    heading, step = words.ERRORS[reason]
    if detail is not None:
        heading, step = detail[0], detail[1] or step
    command = words.link_command(port) if reason == "session" else ""
    return page("error", http_status=status, heading=heading, step=step, command=command, code=int(status))


def _go(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=HTTPStatus.SEE_OTHER)


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form. A body that is too long counts as empty."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST_FORM:
            return {}
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=100))


def _bare(typed: str) -> str:
    """Return what a person typed without the signs that group digits."""
    return "".join(sign for sign in typed if not sign.isspace() and sign not in ",.'’_")


def _whole(text: str | None) -> int:
    """Return a number from a query; 0 for anything else."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= 18 else 0


def _fits(run: bs.RunOverview, query: str, shown: str) -> bool:
    if (shown == "real" and run.rehearsal) or (shown == "rehearsals" and not run.rehearsal):
        return False
    return not query or any(query.lower() in text.lower() for text in (run.run_id, run.target, *run.inputs))
