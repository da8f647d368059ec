"""The HTTP API for programs, version 1: runs, their rows, and a stop. It answers JSON, also when it refuses.

It is off unless ``[api] enabled = true``. Names are only ever added to it. Decisions are not in it: approving,
resolving and retrying are for people in a browser.
"""

from __future__ import annotations

import json
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import bulk_sender as bs
from bulk_sender.web import runs, show
from bulk_sender.web.forms import whole
from bulk_sender.web.live import live
from bulk_sender.web.problems import problem
from bulk_sender.web.roles import Role
from bulk_sender.web.site import Site
from bulk_sender.web.workers import STATUSES

_DEFAULT_LIMIT = 50
_MOST_RUNS = 200
_MOST_ROWS = 1000
_LONGEST_CODE = 200


class ApiRoutes:
    """The functions behind ``/api/v1`` that only programs use."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/openapi.json", self.description),
            Route("/api/v1/runs", self.runs),
            Route("/api/v1/runs/{run}", self.run),
            Route("/api/v1/runs/{run}/rows", self.rows),
            Route("/api/v1/runs/{run}/stop", self.stop, methods=["POST"]),
        ]

    def description(self, request: Request) -> Response:
        return JSONResponse(openapi())

    def runs(self, request: Request) -> Response:
        """Return the runs, newest first. ``next`` is the ``skip`` of the following page, null on the last."""
        skip, limit = _number(request, "skip", 0, 0), _number(request, "limit", _DEFAULT_LIMIT, 1, _MOST_RUNS)
        every = [run for run in runs.newest_first(self._site.runs_dir) if not run.is_gone]
        found = [_told(run) for run in every[skip : skip + limit]]
        return JSONResponse({"runs": found, "next": skip + limit if skip + limit < len(every) else None})

    def run(self, request: Request) -> Response:
        """Return one run: its counts as in ``summary.json``, what it sends, and whether it waits for an answer."""
        name = request.path_params["run"]
        found = live(self._site.crew, self._site.runs_dir, name)
        if found.run is None:
            return JSONResponse({"run_id": name, "state": found.state, "refusal": _refusal(found.refusal)})
        facts = bs.facts(name, runs_dir=self._site.runs_dir)
        files = [{"name": show.file_name(file.name), "size": file.size, "sha256": file.sha256} for file in facts.files]
        told = {"tool": facts.tool, "target_name": facts.target_name, "plan": facts.plan, "input_files": files}
        return JSONResponse(_told(found.run) | told)

    def rows(self, request: Request) -> Response:
        """Return rows in the input's order, after ``after``. Identifiers are masked for who may not see them."""
        asked, name = request.query_params, runs.overview(self._site.runs_dir, request.path_params["run"]).run_id
        status = asked.get("status")
        if status is not None and status not in STATUSES:
            raise ApiError("status", "one of " + ", ".join(STATUSES))
        page = bs.rows(
            name,
            status=status,
            error_code=asked.get("error_code", "")[:_LONGEST_CODE] or None,
            after=_number(request, "after", 0, 0),
            limit=_number(request, "limit", _DEFAULT_LIMIT, 1, _MOST_ROWS),
            runs_dir=self._site.runs_dir,
        )
        is_masked = not request.scope["person"].may(Role.PERSONAL)
        return JSONResponse({"rows": [_row(row, is_masked) for row in page.rows], "next": page.next_after})

    async def stop(self, request: Request) -> Response:
        """Stop a run that this page sends: requests in flight end, and nothing more is sent. It can be resumed."""
        name, who = request.path_params["run"], request.scope["person"].name
        found = await run_in_threadpool(live, self._site.crew, self._site.runs_dir, name)
        if found.state in ("ended", "refused"):
            return JSONResponse({"run_id": name, "stopping": False})
        answer = None
        if found.ours:
            answer = await run_in_threadpool(lambda: self._site.crew.post(name).ask("stop", by=who))
        if answer is None:
            raise NotOursError(f"this page does not send the run {name}", hint="stop it where it was started")
        return JSONResponse({"run_id": name, "stopping": True}, HTTPStatus.ACCEPTED)


class ApiError(bs.BulkSenderError):
    """A request that the API cannot take. ``where``: the parameter or header that is wrong."""

    status = 400

    def __init__(self, where: str, wanted: str) -> None:
        super().__init__(f"{where} is not valid", hint=f"give {wanted}")
        self.where = where


class NotOursError(bs.BulkSenderError):
    """The run is sent by another program."""

    status = 409


@cache
def openapi() -> dict[str, Any]:
    """Return the description of the API, which is written by hand."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("openapi.json").read_text(encoding="utf-8"))
    found["info"]["version"] = bs.__version__
    return found


def _number(request: Request, name: str, default: int, least: int, most: int | None = None) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    found = whole(text)
    if found is None or found < least or (most is not None and found > most):
        wanted = f"a whole number from {least}" + (f" to {most}" if most is not None else "")
        raise ApiError(name, wanted)
    return found


def _told(run: bs.RunOverview) -> dict[str, Any]:
    """Return a run as ``summary.json`` has it, without the paths of this machine."""
    told = run.to_dict()
    told.pop("files", None)
    return told | {"inputs": [show.file_name(name) for name in run.inputs]}


def _row(row: bs.ResultRow, is_masked: bool) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in row.__slots__}
    told["source"] = show.file_name(row.source)
    if is_masked:
        told |= {"identifier": show.who(row.identifier) if row.identifier is not None else None}
        told |= {"error": show.said(row.error, row.identifier) if row.error is not None else None}
    return told


def _refusal(found: tuple[str, str] | None) -> dict[str, str] | None:
    return {"title": found[0], "hint": found[1]} if found is not None else None


def refused(error: bs.BulkSenderError) -> JSONResponse:
    """Return an error of the library as a problem."""
    is_missing = isinstance(error, (bs.RunNotFoundError, bs.InputError))
    return problem(error, 404 if is_missing else getattr(error, "status", 503))
