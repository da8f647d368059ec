"""The routes of decisions: rows in doubt, and rows that Braze refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import bulk_sender as bs
from bulk_sender.web import asking, keys, runs, words_after
from bulk_sender.web.asking import Answer, Question
from bulk_sender.web.forms import bare, fields, whole
from bulk_sender.web.runs import LONGEST_SEARCH
from bulk_sender.web.show import query_of
from bulk_sender.web.site import Site, go
from bulk_sender.web.store import Entry
from bulk_sender.web.workers import Job

SCOPES = ("proved", "likely", "nothing", "fresh")
VERDICTS = ("leave", "accepted", "failed", "again")


@dataclass(frozen=True, slots=True)
class Group:
    """Requests in doubt of which Braze shows the same."""

    name: str
    batches: tuple[int, ...]
    rows: int


class DecideRoutes:
    """The functions behind ``/runs/{run}/decide``, and those that ask Braze and send again."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        return [
            Route("/runs/{run}/decide", self.show),
            Route("/runs/{run}/decide", self.decide, methods=["POST"]),
            Route("/runs/{run}/ask", self.ask, methods=["POST"]),
            Route("/runs/{run}/asking", self.asking),
            Route("/runs/{run}/retry", self.retry, methods=["POST"]),
        ]

    def show(self, request: Request) -> Response:
        """Show what is known about rows in doubt and refused rows, and what can be done."""
        run = self._run(request)
        found = asking.question(self._site.crew, run.run_id)
        asked = request.query_params
        groups = self._groups(run, found) if run.unknown else []
        given = {name: asked.get(name, "")[:LONGEST_SEARCH] for name in ("verdict", "scope", "rows", "why")}
        return self._site.page(
            request,
            "decide",
            current="runs",
            run=run,
            question=found,
            groups=groups,
            given=given,
            has_key=keys.key_file(self._site, run) is not None,
            requests=len(self._batches(run)) if run.unknown else 0,
            starts=len(bs.facts(run.run_id, runs_dir=self._site.runs_dir).starts),
            problem=words_after.DECIDE_TROUBLES.get(asked.get("trouble", "")),
        )

    def asking(self, request: Request) -> Response:
        """Tell a script how far a question is."""
        found = asking.question(self._site.crew, self._run(request).run_id)
        return JSONResponse({"running": found.is_asking, "said": words_after.asking(found)})

    def ask(self, request: Request) -> Response:
        """Ask Braze about the rows in doubt. Nothing is recorded."""
        run, who = self._run(request), request.scope["person"].name
        key_file = keys.key_file(self._site, run)
        here = f"/runs/{run.run_id}/decide"
        if key_file is None or not run.unknown:
            return go(here)
        if self._site.crew.begin(Job(run_id=run.run_id, kind="ask", by=who, key_file=key_file)):
            self._site.store.record(Entry(who, "asked Braze about rows in doubt", run.run_id))
        return go(here)

    async def decide(self, request: Request) -> Response:
        """Record a decision about rows in doubt, or send them again."""
        told = await fields(request)
        return await run_in_threadpool(self._decided, request, told)

    async def retry(self, request: Request) -> Response:
        """Send the rows that Braze refused again."""
        told = await fields(request)
        return await run_in_threadpool(self._retried, request, told)

    def _run(self, request: Request) -> bs.RunOverview:
        run = runs.overview(self._site.runs_dir, request.path_params["run"])
        if run.broadcast is not None:
            raise HTTPException(404)
        return run

    def _batches(self, run: bs.RunOverview) -> dict[int, int]:
        """Return the requests in doubt: batch → rows."""
        found = (
            bs.results(run.run_id, status="unknown", like="lazy", runs_dir=self._site.runs_dir)
            .group_by("batch")
            .agg(pl.len())
            .collect(engine="streaming")
        )
        return dict(sorted(found.iter_rows()))

    def _groups(self, run: bs.RunOverview, question: Question) -> list[Group]:
        """Return what Braze said of the requests that are still in doubt."""
        if question.is_asking or question.answer is None or not question.answer.at:
            return []
        open_batches = self._batches(run)
        found = []
        for name in SCOPES:
            meant = tuple(batch for batch in getattr(question.answer, name) if batch in open_batches)
            if meant:
                found.append(Group(name, meant, sum(open_batches[batch] for batch in meant)))
        return found

    def _decided(self, request: Request, told: Mapping[str, str]) -> Response:
        run, who = self._run(request), request.scope["person"].name
        here = f"/runs/{run.run_id}/decide"
        if run.state == "running":
            return go(f"{here}?trouble=running")
        if whole(told.get("unknown", "")) != run.unknown or not run.unknown:
            return go(f"{here}?trouble=changed")
        question = asking.question(self._site.crew, run.run_id)
        groups = {group.name: group for group in self._groups(run, question)}
        if told.get("do") == "proved":
            return self._proved(run, question.answer, groups.get("proved"), told, who)
        verdict, scope, why = told.get("verdict", "leave"), told.get("scope", "all"), told.get("why", "").strip()
        rows = told.get("rows", "").strip() if scope == "rows" else ""
        kept = {"verdict": verdict, "scope": scope, "rows": rows, "why": why}
        if verdict not in VERDICTS or (scope not in ("all", "rows") and scope not in groups):
            return go(f"{here}?trouble=changed")
        if scope == "rows" and not rows:
            return go(here + query_of(trouble="rows", **kept))
        if verdict == "leave":
            self._site.store.record(Entry(who, "left rows in doubt", run.run_id, told=why[:LONGEST_SEARCH]))
            return go(f"/runs/{run.run_id}")
        if not why:
            return go(here + query_of(trouble="why", **kept))
        which = bs.Which(rows=rows or None, batches=groups[scope].batches if scope in groups else ())
        count = self._count(run, which)
        if verdict == "again":
            if bare(told.get("typed", "")) != str(count):
                return go(here + query_of(trouble="typed", **kept))
            return self._send_again(run, "unknown", rows, which.batches, why, who, told, count)
        return self._record(run, verdict, which, why, who)

    def _count(self, run: bs.RunOverview, which: bs.Which) -> int:
        """Return how many rows a decision would be about. Raises BulkSenderError for rows that cannot be named."""
        found: list[bs.Doubt] = []

        def look(doubts: tuple[bs.Doubt, ...]) -> bool:
            found.extend(doubts)
            return False

        try:
            bs.resolve(run.run_id, verdict="failed", which=which, runs_dir=self._site.runs_dir, confirm=look)
        except bs.GuardrailError:
            if not found:
                raise
        return sum(doubt.rows for doubt in found)

    def _proved(
        self, run: bs.RunOverview, answer: Answer | None, group: Group | None, told: Mapping[str, str], who: str
    ) -> Response:
        """Record as accepted what Braze has proved: two people of each request were seen."""
        if answer is None or group is None or told.get("at") != answer.at:
            return go(f"/runs/{run.run_id}/decide?trouble=changed")
        why = words_after.proof(answer.at, group.rows, len(group.batches))
        return self._record(run, "accepted", bs.Which(batches=group.batches), why, who)

    def _record(self, run: bs.RunOverview, verdict: str, which: bs.Which, why: str, who: str) -> Response:
        count, after = bs.resolve(
            run.run_id, verdict=verdict, which=which, why=why, by=who or None, runs_dir=self._site.runs_dir
        )
        said = f"{count:,} rows as {verdict}: {why}"
        self._site.store.record(Entry(who, "decided about rows in doubt", run.run_id, told=said))
        return go(f"/runs/{run.run_id}/decide" if after.unknown else f"/runs/{run.run_id}")

    def _retried(self, request: Request, told: Mapping[str, str]) -> Response:
        run, who = self._run(request), request.scope["person"].name
        here = f"/runs/{run.run_id}/decide"
        why = told.get("why", "").strip()
        if run.state == "running":
            return go(f"{here}?trouble=running")
        if whole(told.get("failed", "")) != run.failed or not run.failed:
            return go(f"{here}?trouble=changed")
        if not why:
            return go(f"{here}?trouble=why#failed")
        return self._send_again(run, "failed", "", (), why, who, told, run.failed)

    def _send_again(
        self,
        run: bs.RunOverview,
        status: str,
        rows: str,
        batches: tuple[int, ...],
        why: str,
        who: str,
        told: Mapping[str, str],
        count: int,
    ) -> Response:
        key_file = keys.key_file(self._site, run)
        if key_file is None:
            return go(f"/runs/{run.run_id}/decide?trouble=key")
        job = Job(
            run_id=run.run_id,
            kind="retry",
            by=who,
            key_file=key_file,
            starts=whole(told.get("starts", "")) or 0,
            status="unknown" if status == "unknown" else "failed",
            rows=rows,
            batches=batches,
            why=why,
        )
        if not self._site.crew.begin(job):
            return go(f"/runs/{run.run_id}/decide?trouble=changed")
        self._site.store.record(Entry(who, f"sent {status} rows again", run.run_id, told=f"{count:,} rows: {why}"))
        return go(f"/runs/{run.run_id}/live")
