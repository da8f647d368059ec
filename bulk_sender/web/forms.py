"""Reading what a browser sends, without a parser from elsewhere: forms, small files, numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bulk_sender.web.uploads import TooLargeError, UploadError

MOST_FORM = 64 << 10
MOST_FIELDS = 1 << 20
"""A file may have thousands of columns, and the form has five fields for each."""
MOST_PLAIN_FILE = 16 << 20
"""A form without script is read whole, so its file must be small."""
_LARGEST_NUMBER = 18


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
        raise UploadError("the form could not be read", hint="choose one file and upload it")
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


def bare(typed: str) -> str:
    """Return what a person typed without the signs that group digits."""
    return "".join(sign for sign in typed if not sign.isspace() and sign not in ",.'’_")
