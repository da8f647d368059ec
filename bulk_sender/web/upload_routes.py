"""The HTTP side of uploads: ``/api/v1/uploads``."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bulk_sender.errors import BulkSenderError
from bulk_sender.web.drafts import Draft, Step
from bulk_sender.web.forms import MOST_FORM, body, whole
from bulk_sender.web.problems import problem
from bulk_sender.web.store import Store
from bulk_sender.web.uploads import MOST_PART, TooLargeError, UploadError, Uploads


class UploadRoutes:
    """The functions behind ``/api/v1/uploads``. They answer JSON, also when they refuse."""

    def __init__(self, store: Store, uploads: Uploads) -> None:
        self._store = store
        self._uploads = uploads

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/uploads", self.begin, methods=["POST"]),
            Route("/api/v1/uploads/{draft}", self.ask),
            Route("/api/v1/uploads/{draft}", self.receive, methods=["PUT"]),
        ]

    async def begin(self, request: Request) -> Response:
        try:
            told = json.loads(await body(request, MOST_FORM))
            name, size = told["name"], int(told["size"])
            if not isinstance(name, str) or type(told["size"]) is bool or told["size"] != size:
                raise TypeError
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return problem(
                UploadError("this is not a name and a size in JSON", hint='send {"name": "a.csv", "size": 12}')
            )
        except UploadError as error:
            return problem(error)
        try:
            draft = await anyio.to_thread.run_sync(self._uploads.begin, name, size, request.scope["person"].name)
        except UploadError as error:
            return problem(error)
        return JSONResponse(self._told(draft), HTTPStatus.CREATED)

    async def ask(self, request: Request) -> Response:
        draft = await anyio.to_thread.run_sync(self._settled, request)
        return problem(_MISSING, HTTPStatus.NOT_FOUND) if draft is None else JSONResponse(self._told(draft))

    async def receive(self, request: Request) -> Response:
        draft = await anyio.to_thread.run_sync(self._settled, request)
        if draft is None:
            return problem(_MISSING, HTTPStatus.NOT_FOUND)
        offset = whole(request.query_params.get("offset", ""))
        length = whole(request.headers.get("content-length", ""))
        if draft.person != request.scope["person"].name:  # who adds bytes has touched the file, and must be known
            not_yours = UploadError(f"{draft.person} uploads this file", hint="upload a file of your own")
            return problem(not_yours, HTTPStatus.FORBIDDEN)
        if offset is None:
            return problem(UploadError("say where the part begins: ?offset=N"))
        if length is None:
            return problem(UploadError("say how long the part is"), HTTPStatus.LENGTH_REQUIRED)
        try:
            if length > MOST_PART:
                raise TooLargeError("the part is longer than 16 MB", hint="send smaller parts")
            await self._uploads.receive(draft, offset, request.stream(), request.scope["person"].name)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody hears it; what arrived is kept
        except UploadError as error:
            return problem(error)
        return JSONResponse(self._told(self._store.draft(draft.id) or draft))

    def _settled(self, request: Request) -> Draft | None:
        draft = self._store.draft(request.path_params["draft"])
        return None if draft is None else self._uploads.settle(draft)

    def _told(self, draft: Draft) -> dict[str, Any]:
        return {
            "id": draft.id,
            "name": draft.name,
            "size": draft.size,
            "offset": self._uploads.offset(draft),
            "done": draft.step is not Step.UPLOADING,
            "sha256": draft.sha256,
            "next": f"/new/{draft.id}",
        }


_MISSING = BulkSenderError("there is no such upload", hint="choose the file again")
