"""Errors of the HTTP API as RFC 9457 has them. The type is a stable code, so that a program can tell them apart."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from bulk_sender.errors import BulkSenderError
from bulk_sender.web.words import without_folders

URN = "urn:bulk-sender:"
TITLES: Mapping[str, str] = {
    "another_key": "The key is not the name of this run",
    "changed": "The send was changed meanwhile",
    "from_elsewhere": "The request came from elsewhere",
    "internal": "The page has an error",
    "method_not_allowed": "The method is not allowed",
    "needs_second_person": "Another person has to approve it",
    "no_length": "The length is missing",
    "no_space": "The disk is too full",
    "no_token": "There is no valid token",
    "not_allowed": "The token may not do this",
    "not_found": "It is not there",
    "not_ours": "Another program sends this run",
    "not_possible": "This is not possible now",
    "not_ready": "The send is not ready",
    "not_valid": "The request is not valid",
    "read_only": "The page is read-only",
    "too_large": "The request is too large",
    "too_many": "There are too many files",
    "trouble": "It did not work",
    "wrong_count": "The number of recipients is another one",
    "wrong_host": "The host is not served",
    "wrong_offset": "The part begins elsewhere",
}
"""Code → what it means, the same for each problem with this code. Codes are only ever added."""

REASONS: Mapping[str, str] = {
    "host": "wrong_host",
    "elsewhere": "from_elsewhere",
    "session": "no_token",
    "read_only": "read_only",
    "role": "not_allowed",
}
"""Reason of the gate → code."""

_BY_CLASS: Mapping[str, str] = {
    "ConflictError": "changed",
    "NotOursError": "not_ours",
    "TooManyError": "too_many",
    "WrongOffsetError": "wrong_offset",
}
_BY_STATUS: Mapping[int, str] = {
    400: "not_valid",
    403: "not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    409: "not_possible",
    411: "no_length",
    413: "too_large",
    500: "internal",
    507: "no_space",
}
_MORE = ("where", "offset", "version")
"""Facts of an error that are part of its problem: what is wrong, and the right offset or version."""


def code_of(error: BulkSenderError, status: int) -> str:
    own: str = getattr(error, "code", "")
    return own or _BY_CLASS.get(type(error).__name__, "") or _BY_STATUS.get(status, "trouble")


def problem(error: BulkSenderError, status: int | None = None, *, code: str = "") -> JSONResponse:
    """Return an error as a problem. ``status`` and ``code``: instead of the error's own."""
    status = int(status if status is not None else getattr(error, "status", 400))
    code = code or code_of(error, status)
    facts: dict[str, Any] = {
        "type": URN + code,
        "title": TITLES[code],
        "status": status,
        "detail": without_folders(str(error)),
        "hint": without_folders(error.hint),
    }
    facts |= {name: value for name in _MORE if (value := getattr(error, name, None)) not in (None, "")}
    return JSONResponse(facts, HTTPStatus(status), media_type="application/problem+json")
