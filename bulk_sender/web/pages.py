"""The routes of the page: signing in, the list of runs, and what the other modules serve."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import bulk_sender as bs
from bulk_sender.web import metrics, runs
from bulk_sender.web.api_routes import ApiRoutes
from bulk_sender.web.decide_routes import DecideRoutes
from bulk_sender.web.desk import Desk
from bulk_sender.web.draft_api import DraftApi
from bulk_sender.web.fix_routes import FixRoutes
from bulk_sender.web.forms import whole
from bulk_sender.web.live_routes import LiveRoutes
from bulk_sender.web.new_send import NewSend
from bulk_sender.web.personal_routes import PersonalRoutes
from bulk_sender.web.rehearsals import Rehearsals
from bulk_sender.web.rendering import assets, page
from bulk_sender.web.review_routes import ReviewRoutes, waiting
from bulk_sender.web.run_routes import RunRoutes
from bulk_sender.web.runs import LONGEST_SEARCH
from bulk_sender.web.settings_routes import SettingsRoutes
from bulk_sender.web.show import query_of
from bulk_sender.web.site import Site, go
from bulk_sender.web.space import disk
from bulk_sender.web.store import Entry
from bulk_sender.web.trial_routes import TrialRoutes

_RUNS_ON_A_PAGE = 50
_MOST_FOUND = 200
_FOR_EVER = "public, max-age=31536000, immutable"


class Pages:
    """The functions behind the routes that belong to no run and no draft."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Return all routes of the site, in the order in which they are tried."""
        desk = Desk(self._site)
        return [
            Route("/healthz", self.health),
            Route("/metrics", self.metrics),
            Route("/login", self.sign_in),
            Route("/static/{name}", self.static),
            Route("/", self.home),
            Route("/people", self.people),
            *FixRoutes(self._site, desk).routes(),
            *DecideRoutes(self._site).routes(),
            *LiveRoutes(self._site).routes(),
            *RunRoutes(self._site).routes(),
            *PersonalRoutes(self._site).routes(),
            *NewSend(self._site, desk).routes(),
            *Rehearsals(self._site, desk).routes(),
            *TrialRoutes(self._site, desk).routes(),
            *ReviewRoutes(self._site, desk).routes(),
            *(ApiRoutes(self._site).routes() if self._site.has_api else ()),
            *(DraftApi(self._site, desk).routes() if self._site.has_api else ()),
            *SettingsRoutes(self._site).routes(),
            Route("/sign-out", self.sign_out, methods=["POST"]),
        ]

    def health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    def metrics(self, request: Request) -> Response:
        if not self._site.metrics:
            raise HTTPException(404)
        return Response(metrics.exposition(self._site), media_type=metrics.MEDIA_TYPE)

    def static(self, request: Request) -> Response:
        found = assets().get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return Response(found.text, media_type=found.media_type, headers={"Cache-Control": _FOR_EVER})

    def sign_in(self, request: Request) -> Response:
        """Answer a one-time link. The next page is reached from here, so that the browser sends the strict cookie."""
        if request.scope["person"] is not None:
            return go("/")
        if request.method == "HEAD":
            return Response()  # a program that looks at links must not use one up
        token = request.query_params.get("token", "")
        if self._site.access is not None or not token or not self._site.state.redeem(token):
            return self._site.sign_in_first()
        self._site.store.record(Entry(self._site.owner, "signed in"))
        answer = page("signed_in")
        answer.headers["Set-Cookie"] = self._site.sessions.begin()
        return answer

    def sign_out(self, request: Request) -> Response:
        self._site.store.record(Entry(request.scope["person"].name, "signed out"))
        answer = go("/")
        answer.headers["Set-Cookie"] = self._site.sessions.end(request.headers.get("cookie", ""))
        return answer

    def home(self, request: Request) -> Response:
        asked = request.query_params
        query = asked.get("q", "").strip()[:LONGEST_SEARCH]
        shown = asked.get("show", "all")
        groups = runs.groups(self._site.runs_dir)
        found = [run for run in groups.ended if _fits(run, query, shown)]
        skip = min((whole(asked.get("skip", "")) or 0), max(0, len(found) - 1)) // _RUNS_ON_A_PAGE * _RUNS_ON_A_PAGE
        kept = {"q": query, "show": shown}
        return self._site.page(
            request,
            "home",
            current="runs",
            groups=groups,
            waiting=waiting(self._site, request.scope["person"]),
            queued=self._queued(groups),
            disk=disk(self._site),
            found=found[skip : skip + _RUNS_ON_A_PAGE],
            count=len(found),
            query=query,
            shown=shown,
            older=query_of(**kept, skip=skip + _RUNS_ON_A_PAGE) if skip + _RUNS_ON_A_PAGE < len(found) else "",
            newer=query_of(**kept, skip=skip - _RUNS_ON_A_PAGE) if skip else "",
        )

    def _queued(self, groups: runs.Groups) -> list[str]:
        sending = {run.run_id for run in groups.running}
        return [name for name in self._site.crew.waiting() if name not in sending]

    def people(self, request: Request) -> Response:
        """Find a person by their identifier in all runs."""
        who = request.query_params.get("who", "").strip()[:LONGEST_SEARCH]
        if not who:
            return go("/")
        found = bs.find(who, runs_dir=self._site.runs_dir) if self._site.runs_dir.is_dir() else bs.Search((), 0, {})
        return self._site.page(request, "people", current="runs", who=who, found=found, most=_MOST_FOUND)


def _fits(run: bs.RunOverview, query: str, shown: str) -> bool:
    if (shown == "real" and run.rehearsal) or (shown == "rehearsals" and not run.rehearsal):
        return False
    return not query or any(query.lower() in text.lower() for text in (run.run_id, run.target, *run.inputs))
