"""The HTTP side of uploads: ``/api/v1/uploads``, and the reading of forms without a parser from elsewhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bulk_sender.errors import BulkSenderError
from bulk_sender.web.drafts import Draft, Step
from bulk_sender.web.store import Store
from bulk_sender.web.uploads import MOST_PART, TooLargeError, UploadError, Uploads, WrongOffsetError

MOST_FORM = 64 << 10
MOST_FIELDS = 1 << 20
"""A file may have thousands of columns, and the form has five fields for each."""
MOST_PLAIN_FILE = 16 << 20
"""A form without script is read whole, so its file must be small."""
_LARGEST_NUMBER = 18


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
            name, size = told["name"], told["size"]
            if not isinstance(name, str) or type(size) is not int:
                raise TypeError
        except (ValueError, TypeError, KeyError, RecursionError):
            return problem(UploadError("send {name, size} as JSON"))
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
        return None if draft is None else self._uploads.settle(draft, request.scope["person"].name)

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


def problem(error: BulkSenderError, status: int | None = None) -> JSONResponse:
    """Return an error as RFC 9457 has it, with the right offset where that is what is wrong."""
    code = HTTPStatus(status if status is not None else int(getattr(error, "status", 400)))
    facts = {"type": "about:blank", "title": str(error), "status": int(code), "hint": error.hint}
    if isinstance(error, WrongOffsetError):
        facts["offset"] = error.offset
    return JSONResponse(facts, code, media_type="application/problem+json")


async def body(request: Request, most: int) -> bytes:
    """Return a whole body. Raises TooLargeError before it takes more memory than ``most``."""
    kept = bytearray()
    async for piece in request.stream():
        kept += piece
        if len(kept) > most:
            raise TooLargeError(f"more than {most:,} bytes were sent", hint="send less at once")
    return bytes(kept)


async def fields(request: Request) -> Mapping[str, str]:
    """Return the fields of a form of the page. Of a name that comes twice, the last one counts."""
    try:
        text = (await body(request, MOST_FIELDS)).decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=10_000, errors="strict"))
    except ValueError:
        raise HTTPException(400) from None


async def plain_file(request: Request) -> tuple[str, bytes]:
    """Return name and bytes of the one file in a form without script. Raises UploadError."""
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    name, _, boundary = rest.strip().partition("=")
    if kind.strip().lower() != "multipart/form-data" or name.strip().lower() != "boundary" or not boundary:
        raise UploadError("no file was sent", hint="choose a file first")
    sent = await body(request, MOST_PLAIN_FILE + MOST_FORM)
    edge = b"--" + boundary.strip('"').encode("latin-1")
    head, found, rest_of = sent.removeprefix(edge + b"\r\n").partition(b"\r\n\r\n")
    data, end, _ = rest_of.rpartition(b"\r\n" + edge)
    file_name = _file_name(head.decode("utf-8", "replace"))
    if not sent.startswith(edge) or not found or not end or (b"\r\n" + edge) in data:
        raise UploadError("the form could not be read", hint="choose one file and send it again")
    if not file_name:
        raise UploadError("no file was sent", hint="choose a file first")
    if len(data) > MOST_PLAIN_FILE:
        raise TooLargeError("without script a file may have at most 16 MB", hint="allow scripts for this page")
    return file_name, data


def _file_name(head: str) -> str:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            _, found, rest = value.partition('filename="')
            return rest.partition('"')[0].replace("%22", "_") if found else ""
    return ""


async def as_stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


def whole(text: str) -> int | None:
    """Return a number from a query or a form; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _LARGEST_NUMBER else None
