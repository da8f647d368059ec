"""The screens before a send: which file, what its columns are, and a check of all rows."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

import bulk_sender as bs
from bulk_sender.web import drafts, going, mapping, server_files, show, words, words_send
from bulk_sender.web.desk import Desk
from bulk_sender.web.downloads import opened
from bulk_sender.web.drafts import ConflictError, Draft, IllegalStepError, Step
from bulk_sender.web.forms import MOST_PLAIN_FILE, as_stream, fields, plain_file, whole
from bulk_sender.web.rendering import page
from bulk_sender.web.roles import Role
from bulk_sender.web.runs import Part, bar
from bulk_sender.web.server_files import ServerFile
from bulk_sender.web.site import Site, go
from bulk_sender.web.store import Entry
from bulk_sender.web.upload_routes import UploadRoutes
from bulk_sender.web.uploads import COMPRESSED, KINDS, MOST_BYTES, UploadError, digest_of

_PART_BYTES = 8 << 20
_CLEANED_EVERY_S = 600.0


class NewSend:
    """The functions behind ``/new``, and those of uploads."""

    def __init__(self, site: Site, desk: Desk) -> None:
        self._site = site
        self._store, self._uploads = site.store, site.uploads
        self._desk = desk
        self._checks = desk.checks
        self._cleaned = float("-inf")

    def routes(self) -> list[Route]:
        return [
            Route("/new", self.file),
            Route("/new", self.send_file, methods=["POST"]),
            Route("/new/from-server", self.use_file, methods=["POST"]),
            Route("/new/{draft}/delete", self.delete, methods=["POST"]),
            Route("/new/{draft}", self.columns),
            Route("/new/{draft}", self.choose, methods=["POST"]),
            Route("/new/{draft}/preview", self.preview, methods=["POST"]),
            Route("/new/{draft}/check", self.check),
            Route("/new/{draft}/check", self.start_check, methods=["POST"]),
            Route("/new/{draft}/progress", self.progress),
            Route("/new/{draft}/stop", self.stop_check, methods=["POST"]),
            Route("/new/{draft}/rejected", self.rejected),
            *UploadRoutes(self._store, self._uploads).routes(),
        ]

    def file(self, request: Request) -> Response:
        """Ask for a file. Also what was left from earlier, so that it can be resumed or deleted."""
        self._clean_up()
        found = [] if self._site.read_only else self._desk.listed()
        return self._page(
            request,
            "file",
            drafts=[(draft, self._uploads.offset(draft)) for draft in found],
            files=server_files.listed(self._site.folders),
            folders=self._site.folders,
            most=MOST_BYTES,
            most_plain=MOST_PLAIN_FILE,
            part=_PART_BYTES,
            accept=",".join((*KINDS, *COMPRESSED)),
        )

    async def send_file(self, request: Request) -> Response:
        """Take a small file from a form, for a browser without script."""
        who = request.scope["person"].name
        name, data = await plain_file(request)
        draft = await anyio.to_thread.run_sync(self._uploads.begin, name, len(data), who)
        await self._uploads.receive(draft, 0, as_stream(data), who)
        return go(f"/new/{draft.id}")

    async def use_file(self, request: Request) -> Response:
        """Take a file that is on the server already."""
        told = await fields(request)
        draft = await anyio.to_thread.run_sync(self._used, told.get("file", ""), request.scope["person"].name)
        return go(f"/new/{draft.id}")

    async def delete(self, request: Request) -> Response:
        draft = self._store.draft(request.path_params["draft"])
        if draft is not None and draft.step is Step.LAUNCHED:
            raise IllegalStepError("its run may still need this file", hint="remove the run's data instead")
        if draft is not None and draft.person != request.scope["person"].name:
            if draft.step is Step.UPLOADING:
                raise IllegalStepError(f"{draft.person} uploads this file", hint="ask that person to delete it")
            return go(f"/new/{draft.id}/owner")
        if draft is not None:
            self._checks.stop(draft, request.scope["person"].name)
            await anyio.to_thread.run_sync(self._uploads.delete, draft, request.scope["person"].name)
        return go("/new")

    def columns(self, request: Request) -> Response:
        """Ask what each column is, with a guess, and show what Braze would get."""
        draft = self._draft(request)
        row = whole(request.query_params.get("row", ""))
        found, choices, seen = None, mapping.Choices(), mapping.Sight()
        problems: list[str] = []
        try:
            choices = self._choices(draft)
            found, problems = mapping.described(self._path(draft), choices)
            choices = choices.with_columns(tuple(column.name for column in found.columns))
            seen = self._sight(request, draft, choices, row)
        except bs.BulkSenderError as error:
            problems = [words.without_folders(": ".join(filter(None, (str(error), error.hint))))]
        may_see = request.scope["person"].may(Role.PERSONAL)
        if found is not None and not may_see:
            found, problems = show.without_values(found), [show.said(problem) for problem in problems]
        told = {name: choices.reading.get(name, "") for name in mapping.READING}
        return self._page(
            request,
            "columns",
            draft=draft,
            found=found,
            may_see=may_see,
            choices=choices,
            problems=[*problems, *going.place_problems(draft.goes, self._site.profiles)],
            sight=seen,
            reading=told | {"null_values": "|".join(told["null_values"])},
            delimiter={"\t": "tab"}.get(told["delimiter"], told["delimiter"]),
        )

    async def choose(self, request: Request) -> Response:
        """Save what a form says about the columns, or how to read the file."""
        told = await fields(request)
        return await anyio.to_thread.run_sync(self._chosen, request, told)

    async def preview(self, request: Request) -> Response:
        """Return the recipient of a row by a form that was not saved, as a part of a page."""
        told = await fields(request)
        return await anyio.to_thread.run_sync(self._previewed, request, told)

    def check(self, request: Request) -> Response:
        draft = self._draft(request)
        is_running = draft.step is Step.CHECKING
        report = draft.report or None
        heading = words.CHECKING if is_running else words.check_title(report) if report else words.CHECK_TITLE
        return self._page(
            request,
            "check",
            draft=draft,
            heading=heading,
            said=words_send.check_said(self._checks.moment(draft)) if is_running else "",
            report=report,
            parts=_parts(report) if report else [],
            trouble=self._checks.trouble(draft),
            has_rejects=self._uploads.rejects(draft).is_file(),
        )

    async def start_check(self, request: Request) -> Response:
        told = await fields(request)
        draft = await anyio.to_thread.run_sync(self._draft, request)
        version, who = whole(told.get("version", "")), request.scope["person"].name
        await anyio.to_thread.run_sync(self._desk.begin_check, draft, who, version)
        return go(f"/new/{request.path_params['draft']}/check")

    def progress(self, request: Request) -> Response:
        """Tell a script how far a check is."""
        draft = self._draft(request)
        is_running = draft.step is Step.CHECKING
        said = words_send.check_said(self._checks.moment(draft)) if is_running else ""
        return JSONResponse({"running": is_running, "said": said})

    async def stop_check(self, request: Request) -> Response:
        draft = await anyio.to_thread.run_sync(self._draft, request)
        if draft.step is Step.CHECKING:
            await anyio.to_thread.run_sync(self._checks.stop, draft, request.scope["person"].name)
        return go(f"/new/{request.path_params['draft']}/check")

    def rejected(self, request: Request) -> Response:
        """Return the rows that are wrong, as they were in the file, and why."""
        draft = self._draft(request)
        found = opened(self._uploads.rejects(draft))
        if found is None:
            raise HTTPException(404)
        self._store.record(Entry(request.scope["person"].name, "downloaded the wrong rows", draft.id, draft.digest))
        with os.fdopen(found, "rb") as file:
            name = quote(f"wrong-rows-of-{draft.name}.csv")
            attached = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
            return Response(file.read(), media_type="application/octet-stream", headers=attached)

    def _draft(self, request: Request) -> Draft:
        return self._desk.mine(request)

    def _path(self, draft: Draft) -> Path:
        return self._desk.path(draft)

    def _choices(self, draft: Draft) -> mapping.Choices:
        return self._desk.choices(draft)

    def _sight(self, request: Request, draft: Draft, choices: mapping.Choices, row: int | None) -> mapping.Sight:
        seen = mapping.sight(self._path(draft), choices, row, self._site.runs_dir)
        if request.scope["person"].may(Role.PERSONAL):
            return seen
        masked = show.recipient(json.loads(seen.recipient)) if seen.recipient else ""
        return replace(seen, recipient=masked, problem=show.said(seen.problem))

    def _chosen(self, request: Request, told: Mapping[str, str]) -> Response:
        draft, who, do = self._draft(request), request.scope["person"].name, told.get("do", "")
        if do == "read":
            choices = mapping.suggested(self._path(draft), mapping.reading_of(told))
        elif do == "guess":
            choices = mapping.suggested(self._path(draft), self._choices(draft).reading)
        elif do in ("save", "check"):
            choices = mapping.chosen(told, self._choices(draft))
            if told.get("like", "") != choices.like:  # chosen as in a run that began after this page was shown
                raise ConflictError("somebody sent a file with the same columns meanwhile", hint="look at it again")
        else:
            raise HTTPException(400)
        config = choices.to_dict()
        goes = going.place(told, self._site.profiles, draft.goes) if "profile" in told else draft.goes
        draft = self._store.change(
            draft.id,
            lambda found: drafts.mapped(found, config, who, goes),
            Entry(who, "chose the columns"),
            version=whole(told.get("version", "")) or 0,
        )
        if do == "check" and not [*choices.problems(), *going.place_problems(goes, self._site.profiles)]:
            self._desk.begin_check(draft, who, draft.version)
            return go(f"/new/{draft.id}/check")
        return go(f"/new/{draft.id}{show.query_of(row=whole(told.get('row', '')))}".removesuffix("?"))

    def _previewed(self, request: Request, told: Mapping[str, str]) -> Response:
        draft = self._draft(request)
        choices = mapping.chosen(told, self._choices(draft))
        return page("recipient", sight=self._sight(request, draft, choices, whole(told.get("row", ""))))

    def _used(self, id: str, who: str) -> Draft:
        found: ServerFile | None = server_files.found(self._site.folders, id)
        if found is None:
            raise UploadError("this file is not there any more", hint="go back and choose another file")
        sha256 = digest_of(found.path)
        new = Draft("", found.path.name, found.size, who, path=str(found.path))
        draft = self._store.create(new, Entry(who, "chose a file of the server", told=found.name))
        return self._store.change(
            draft.id, lambda made: drafts.uploaded(made, sha256, who), Entry(who, "read the file", digest=sha256)
        )

    def _clean_up(self) -> None:
        if not self._site.read_only and time.monotonic() - self._cleaned > _CLEANED_EVERY_S:
            self._cleaned = time.monotonic()
            self._uploads.clean_up()
            self._desk.clean_up()

    def _page(self, request: Request, template: str, **facts: Any) -> HTMLResponse:
        return self._site.page(request, template, current="new", **facts)


def _parts(report: Mapping[str, Any]) -> list[Part]:
    counts = {"accepted": report["valid"], "duplicate": report["duplicate"], "rejected": report["rejected"]}
    return list(bar(counts, report["rows"]))
