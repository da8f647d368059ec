"""What one page serves, and the answers that all its routes give."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from starlette.responses import HTMLResponse, RedirectResponse

from bulk_sender.web import words
from bulk_sender.web.rendering import page
from bulk_sender.web.session import Sessions
from bulk_sender.web.settings import DEFAULT_PORT
from bulk_sender.web.state import State


@dataclass(frozen=True, slots=True)
class Site:
    """What one page serves, and how."""

    runs_dir: Path
    state: State
    sessions: Sessions
    url: str
    read_only: bool = False
    folders: tuple[Path, ...] = ()
    """Folders with files that may be chosen on the page."""


def refusal(
    reason: str, status: HTTPStatus, *, detail: tuple[str, str] | None = None, port: int = DEFAULT_PORT
) -> HTMLResponse:
    """Return an error as a page that says what to do next. ``port``: for the command that prints a new link."""
    heading, step = words.ERRORS[reason]
    if detail is not None:
        heading, step = detail[0], detail[1] or step
    command = words.link_command(port) if reason == "session" else ""
    return page("error", http_status=status, heading=heading, step=step, command=command, code=int(status))


def go(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=HTTPStatus.SEE_OTHER)
