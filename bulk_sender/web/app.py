"""The ASGI application: the routes behind the gate, and a page for each error."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterable
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Scope

import bulk_sender as bs
from bulk_sender.web import words
from bulk_sender.web.api_routes import refused
from bulk_sender.web.gate import API, NOT_SIGNED_IN, Gate, Refusal
from bulk_sender.web.pages import Pages
from bulk_sender.web.problems import REASONS, problem
from bulk_sender.web.roles import Person
from bulk_sender.web.site import Site, refusal
from bulk_sender.web.uploads import NoSpaceError

_log = logging.getLogger("bulk_sender.web")


def make_app(site: Site, hosts: Iterable[str]) -> Gate:
    """Return the page's application. ``hosts``: the ``Host`` headers that it answers."""
    routes = Pages(site).routes()
    app = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: _of_http,
            bs.BulkSenderError: _of_library,
            OSError: _of_disk,
            Exception: _of_bug,
        },
    )
    app.router.redirect_slashes = False
    me, team = Person(site.owner), site.access

    def identify(headers: Headers) -> Person | None:
        if team is not None:
            return team.person(headers)
        return me if site.sessions.is_open(headers.get("cookie", "")) else None

    def answer(found: Refusal, scope: Scope) -> ASGIApp:
        if scope["path"].startswith(API):
            told = bs.BulkSenderError(words.ERRORS[found.reason][0], hint=words.API_HINTS[found.reason])
            return problem(told, found.status, code=REASONS[found.reason])
        if found is NOT_SIGNED_IN:
            return site.sign_in_first()
        return refusal(found.reason, found.status)

    gate = Gate(
        app,
        routes,
        frozenset(hosts),
        identify,
        answer,
        read_only=site.read_only,
        bearer=site.tokens.person if site.has_api else None,
        answers=site.answers,
    )
    if team is None:
        return gate
    return replace(gate, scheme="https" if team.https else "http", believes=team.believes, address=team.address)


def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    if request.url.path.startswith(API):
        told = problem(bs.BulkSenderError(status.phrase), status)
        told.headers.update(error.headers or {})
        return told
    reasons = {HTTPStatus.METHOD_NOT_ALLOWED: "method", HTTPStatus.FORBIDDEN: "role"}
    answer = refusal(reasons.get(status, "missing"), status)
    if error.headers:
        answer.headers.update(error.headers)
    return answer


def _of_library(request: Request, error: Exception) -> Response:
    assert isinstance(error, bs.BulkSenderError)
    if request.url.path.startswith(API):
        return refused(error)
    is_missing = isinstance(error, (bs.RunNotFoundError, bs.InputError))
    status = HTTPStatus.NOT_FOUND if is_missing else HTTPStatus(getattr(error, "status", 503))
    back = "" if is_missing else _page_of(request)
    return refusal("missing" if is_missing else "trouble", status, detail=words.trouble(error), back=back)


def _page_of(request: Request) -> str:
    """Return the address of the send or run that a request is about; empty if it is about none."""
    if draft := request.path_params.get("draft"):
        return f"/new/{quote(draft, safe='')}"
    run = request.path_params.get("run", "")
    return f"/runs/{quote(run, safe='')}" if run else ""


def _of_disk(request: Request, error: Exception) -> Response:
    """Say that the disk is full. Any other error of the system is a bug."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        raise error
    _log.error("%s", error)
    return _of_library(request, NoSpaceError(words.DISK_IS_FULL, hint=words.DISK_IS_FULL_HINT))


def _of_bug(request: Request, error: Exception) -> Response:
    _log.error("%s", bs.InternalError.of(error))
    if request.url.path.startswith(API):
        return problem(bs.BulkSenderError(words.ERRORS["bug"][0], hint=words.ERRORS["bug"][1]), 500)
    return refusal("bug", HTTPStatus.INTERNAL_SERVER_ERROR)
