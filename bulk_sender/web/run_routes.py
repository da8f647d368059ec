"""The routes of one run: its result, its rows, its report and its files."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

import bulk_sender as bs
from bulk_sender.web import downloads, runs, words_after
from bulk_sender.web.forms import whole
from bulk_sender.web.gate import REPORT_POLICY
from bulk_sender.web.personal_routes import disclosed
from bulk_sender.web.runs import LONGEST_SEARCH, parts
from bulk_sender.web.show import query_of
from bulk_sender.web.site import Site, go, refusal
from bulk_sender.web.store import Entry
from bulk_sender.web.workers import STATUSES


class RunRoutes:
    """The functions behind the routes of one run."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._details = runs.Remembered(site.runs_dir)

    def routes(self) -> list[Route]:
        return [
            Route("/runs/{run}", self.result),
            Route("/runs/{run}/rows/{row:int}", self.explain),
            Route("/runs/{run}/report", self.report),
            Route("/runs/{run}/report", self.write_report, methods=["POST"]),
            Route("/runs/{run}/files/{name}", self.download),
            Route("/runs/{run}/{name}.{kind}", self.beside_the_report),
        ]

    def result(self, request: Request) -> Response:
        run = self._run(request)
        asked = request.query_params
        query = asked.get("q", "").strip()[:LONGEST_SEARCH]
        status = asked.get("status", "")
        if status not in (*STATUSES, "all"):
            status = "all" if query else next((each for each in runs.TROUBLE if getattr(run, each)), "all")
        code = asked.get("code", "")[:LONGEST_SEARCH]
        after = whole(asked.get("after", "")) or 0
        wanted = None if status == "all" else status
        is_broadcast = run.broadcast is not None
        found = (
            bs.RowsPage(())
            if is_broadcast
            else runs.rows(self._site.runs_dir, run.run_id, status=wanted, code=code, query=query, after=after)
        )
        total = None if query or code else run.rows if wanted is None else getattr(run, wanted)
        kept = {"status": status, "code": code, "q": query}
        return self._site.page(
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
            has_workbook=run.broadcast is None and downloads.fits_a_workbook(run),
            has_report=downloads.report(self._site.runs_dir, run) is not None,
            first=query_of(**kept) if after else "",
            following=query_of(**kept, after=found.next_after) if found.next_after else "",
            starts=self._starts(run),
            begun=bs.facts(run.run_id, runs_dir=self._site.runs_dir).starts,
            refusal=self._site.crew.post(run.run_id).refusal() if run.state != "running" else None,
            **disclosed(self._site, request, **kept, after=after),
        )

    def _starts(self, run: bs.RunOverview) -> int | None:
        """Return how often the run has been started, if it can be resumed; else None."""
        if run.broadcast is not None or run.state not in ("stopped", "interrupted"):
            return None
        return len(bs.facts(run.run_id, runs_dir=self._site.runs_dir).starts)

    def explain(self, request: Request) -> Response:
        run = self._run(request)
        row = request.path_params["row"]
        facts = runs.explained(self._site.runs_dir, run.run_id, row)
        return self._site.page(
            request, "explain", current="runs", run=run, row=row, facts=facts, **disclosed(self._site, request, row=row)
        )

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
        run, which = self._run(request), request.path_params["name"]
        if which == "workbook" and run.broadcast is None:
            if not downloads.fits_a_workbook(run):
                return refusal("missing", HTTPStatus.CONFLICT, detail=words_after.TOO_LARGE_FOR_A_WORKBOOK)
            found: Response | None = downloads.workbook(self._site.runs_dir, run)
        else:
            found = downloads.download(self._site.runs_dir, run, which)
        if found is None:
            raise HTTPException(404)
        if request.method != "HEAD":
            self._site.store.record(Entry(request.scope["person"].name, f"downloaded {which}", run.run_id))
        return found

    def _run(self, request: Request) -> bs.RunOverview:
        return runs.overview(self._site.runs_dir, request.path_params["run"])
