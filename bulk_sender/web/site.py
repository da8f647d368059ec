"""What one page serves, and the answers that all its routes give."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from bulk_sender.web import words
from bulk_sender.web.disclosures import Disclosures
from bulk_sender.web.profiles import Profile
from bulk_sender.web.rendering import page
from bulk_sender.web.roles import Role
from bulk_sender.web.session import Sessions
from bulk_sender.web.settings import DEFAULT_PORT
from bulk_sender.web.state import State
from bulk_sender.web.store import Store
from bulk_sender.web.team import Team
from bulk_sender.web.tokens import Tokens
from bulk_sender.web.uploads import Uploads
from bulk_sender.web.workers import DEFAULT_MOST_RUNS, Crew


@dataclass(frozen=True, slots=True)
class Site:
    """What one page serves, and how."""

    runs_dir: Path
    state: State
    sessions: Sessions
    url: str
    read_only: bool = False
    most_runs: int = DEFAULT_MOST_RUNS
    folders: tuple[Path, ...] = ()
    """Folders with files that may be chosen on the page."""
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    """Where real messages can be sent to, by the name that people choose."""
    has_api: bool = False
    """Whether programs may use the HTTP API, each with a token."""
    team: bool = False
    """Whether several people use it, each with a name and roles from a proxy."""
    access: Team | None = None
    """What the proxy's headers mean; None without ``[team]``."""
    metrics: bool = False
    """Whether ``/metrics`` answers."""
    answers: Counter[int] = field(default_factory=Counter, repr=False)
    """How often each status was answered."""
    disclosures: Disclosures = field(default_factory=Disclosures)
    store: Store = field(init=False)
    uploads: Uploads = field(init=False)
    tokens: Tokens = field(init=False)
    crew: Crew = field(init=False)
    """The processes of the runs that it begins."""

    def __post_init__(self) -> None:
        own = self.state.folder
        object.__setattr__(self, "store", Store(own))
        object.__setattr__(self, "uploads", Uploads(own / "uploads", self.store))
        object.__setattr__(self, "tokens", Tokens(own / "tokens"))
        object.__setattr__(self, "crew", Crew(own / "workers", self.runs_dir, most_runs=self.most_runs))

    @property
    def owner(self) -> str:
        """The one person of a page without a team: the account that it runs under."""
        try:
            return getpass.getuser()
        except (KeyError, OSError):  # a container's user may have no name
            return ""

    def page(self, request: Request, template: str, *, current: str = "", **facts: Any) -> HTMLResponse:
        """Return a page for the person of a request. ``current``: the part of the menu that it belongs to."""
        return page(template, person=request.scope["person"], site=self, Role=Role, current=current, **facts)

    def sign_in_first(self) -> HTMLResponse:
        """Return the page for somebody who is not signed in."""
        if self.access is None:
            return refusal("session", HTTPStatus.UNAUTHORIZED, port=self.sessions.port)
        return refusal("proxy", HTTPStatus.UNAUTHORIZED, detail=words.proxy_must_say(self.access.user_header))


def refusal(
    reason: str, status: HTTPStatus, *, detail: tuple[str, str] | None = None, port: int = DEFAULT_PORT, back: str = ""
) -> HTMLResponse:
    """Return an error as a page that says what to do next.

    ``port``: for the command that prints a new link. ``back``: the address of what the request was about.
    """
    heading, step = words.ERRORS[reason]
    if detail is not None:
        heading, step = detail[0], detail[1] or step
    command = words.link_command(port) if reason == "session" else ""
    facts = {"heading": heading, "step": step, "command": command, "code": int(status), "back": back}
    return page("error", http_status=status, **facts)


def go(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=HTTPStatus.SEE_OTHER)
