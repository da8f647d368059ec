"""The routes of the page, one function each. They block, so Starlette runs each in a thread."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

import bulk_sender as bs
from bulk_sender.web import downloads, runs
from bulk_sender.web.gate import REPORT_POLICY
from bulk_sender.web.new_send import NewSend
from bulk_sender.web.rendering import page, script, stylesheet
from bulk_sender.web.roles import Role
from bulk_sender.web.runs import parts
from bulk_sender.web.show import query_of
from bulk_sender.web.site import Site, go, refusal

_RUNS_ON_A_PAGE = 50
_LONGEST_SEARCH = 512
_FOR_EVER = "public, max-age=31536000, immutable"


class Pages:
    """The functions behind the routes of one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._details = runs.Remembered(site.runs_dir)

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self.health),
            Route("/login", self.sign_in),
            Route("/static/{name}", self.style),
            Route("/", self.home),
            Route("/runs/{run}", self.result),
            Route("/runs/{run}/rows/{row:int}", self.explain),
            Route("/runs/{run}/report", self.report),
            Route("/runs/{run}/report", self.write_report, methods=["POST"]),
            Route("/runs/{run}/files/{name}", self.download),
            Route("/runs/{run}/{name}.{kind}", self.beside_the_report),
            *NewSend(self._site).routes(),
            Route("/settings", self.settings),
            Route("/sign-out", self.sign_out, methods=["POST"]),
        ]

    def health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    def style(self, request: Request) -> Response:
        for found in (stylesheet(), script()):
            if request.path_params["name"] == found.name:
                return Response(found.text, media_type=found.media_type, headers={"Cache-Control": _FOR_EVER})
        raise HTTPException(404)

    def sign_in(self, request: Request) -> Response:
        """Answer a one-time link. The next page is reached from here, so that the browser sends the strict cookie."""
        if request.scope["person"] is not None:
            return go("/")
        if request.method == "HEAD":
            return Response()  # a program that looks at links must not use one up
        token = request.query_params.get("token", "")
        if not token or not self._site.state.redeem(token):
            return refusal("session", HTTPStatus.UNAUTHORIZED, port=self._site.sessions.port)
        answer = page("signed_in")
        answer.headers["Set-Cookie"] = self._site.sessions.begin()
        return answer

    def sign_out(self, request: Request) -> Response:
        answer = go("/")
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
        if status not in (*runs.STATUSES, "all"):
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
        )

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
        return go(f"/runs/{run.run_id}/report")

    def beside_the_report(self, request: Request) -> Response:
        """Answer a link of the report to a file beside it."""
        run = self._run(request)
        wanted = "{name}.{kind}".format(**request.path_params)
        for which, name in downloads.available(self._site.runs_dir, run).items():
            if name == wanted:
                return go(f"/runs/{run.run_id}/files/{which}")
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


def _whole(text: str | None) -> int:
    """Return a number from a query; 0 for anything else."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= 18 else 0


def _fits(run: bs.RunOverview, query: str, shown: str) -> bool:
    if (shown == "real" and run.rehearsal) or (shown == "rehearsals" and not run.rehearsal):
        return False
    return not query or any(query.lower() in text.lower() for text in (run.run_id, run.target, *run.inputs))
