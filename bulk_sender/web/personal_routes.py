"""Showing personal data: who may see it gives a reason, and the page that follows is not masked, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bulk_sender.text.clean import clean
from bulk_sender.web import runs
from bulk_sender.web.disclosures import LONGEST_REASON, SHORTEST_REASON
from bulk_sender.web.forms import fields, whole
from bulk_sender.web.roles import Role
from bulk_sender.web.show import query_of
from bulk_sender.web.site import Site, go
from bulk_sender.web.store import Entry

_PLACES = ("status", "code", "q", "after")
"""What a list of rows is chosen by."""


class PersonalRoutes:
    """The function behind the form that asks for a reason."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        return [Route("/runs/{run}/personal", self.show, methods=["POST"])]

    async def show(self, request: Request) -> Response:
        """Record who wants to see what and why, and lead them there."""
        told = await fields(request)
        return await run_in_threadpool(self._shown, request, told)

    def _shown(self, request: Request, told: Mapping[str, str]) -> Response:
        run = runs.overview(self._site.runs_dir, request.path_params["run"]).run_id
        row, who = whole(told.get("row", "")), request.scope["person"].name
        path = f"/runs/{run}/rows/{row}" if row else f"/runs/{run}"
        place = {} if row else {name: told.get(name, "")[: runs.LONGEST_SEARCH] for name in _PLACES}
        part = "" if row else "#rows"
        reason = clean(told.get("reason", ""), LONGEST_REASON)
        if len(reason) < SHORTEST_REASON:
            return go(f"{path}{query_of(**place, reason='missing')}{part}")
        about = f"row {row}" if row else f"rows: {place['status'] or 'all'}"
        self._site.store.record(Entry(who, "saw personal data", run, told=f"{about}: {reason}"))
        return go(f"{path}{query_of(**place, shown=self._site.disclosures.give(who, path))}{part}")


def disclosed(site: Site, request: Request, **place: object) -> dict[str, Any]:
    """Return what the templates need to know: whether data is shown now, and the form that asks for it.

    ``place``: what leads back to this page.
    """
    person, ticket = request.scope["person"], request.query_params.get("shown", "")
    may = person.may(Role.PERSONAL)
    return {
        "personal": bool(ticket) and may and site.disclosures.take(ticket, person.name, request.url.path),
        "can_show": may and not site.read_only,
        "no_reason": request.query_params.get("reason") == "missing",
        "shown_now": place,
    }
