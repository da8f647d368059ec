"""One process that serves the page until a signal ends it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import uvicorn

from bulk_sender.errors import BulkSenderError
from bulk_sender.web import logs
from bulk_sender.web.app import make_app
from bulk_sender.web.logs import LogFormat
from bulk_sender.web.profiles import Profile
from bulk_sender.web.session import Sessions
from bulk_sender.web.settings import allowed_hosts
from bulk_sender.web.site import Site
from bulk_sender.web.state import State
from bulk_sender.web.team import Team
from bulk_sender.web.workers import DEFAULT_MOST_RUNS

_GRACE_S = 3
"""A browser may keep a connection open; that must not keep the page from ending."""


def serve(
    host: str,
    port: int,
    runs_dir: Path,
    *,
    read_only: bool,
    most_runs: int | None,
    ready: Callable[[str], None],
    folders: tuple[Path, ...] = (),
    profiles: Mapping[str, Profile] | None = None,
    has_api: bool = False,
    team: Team | None = None,
    log_format: LogFormat = "text",
    metrics: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM. ``ready`` gets the one-time link once connections are taken.

    ``most_runs``: how many runs are sent at a time, None for the usual number. ``folders``: whose files may be chosen
    on the page. ``profiles``: where real messages can be sent to. ``has_api``: whether programs may use the HTTP API.
    ``team``: who uses the page behind a proxy; there is no link then, and ``ready`` gets the page's address.
    ``metrics``: whether ``/metrics`` answers.
    """
    with _listening(host, port) as listener:
        port = listener.getsockname()[1]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}" if team is None else team.url
        state = State.of(port)
        with state.held(url):
            state.forget_links()
            site = Site(
                runs_dir.absolute(),
                state,
                Sessions(state, port),
                url,
                read_only=read_only,
                most_runs=most_runs or DEFAULT_MOST_RUNS,
                folders=folders,
                profiles=profiles or {},
                has_api=has_api,
                team=team is not None,
                access=team,
                metrics=metrics,
            )
            logs.to_stderr(log_format)
            if not read_only:
                site.crew.prepare()
            server = uvicorn.Server(
                uvicorn.Config(
                    make_app(site, allowed_hosts(port, team)),
                    log_config=None,
                    access_log=False,  # it would log the token
                    lifespan="off",
                    ws="none",
                    proxy_headers=False,
                    server_header=False,
                    timeout_graceful_shutdown=_GRACE_S,
                )
            )
            ready(link(url, state) if team is None else url)
            server.run(sockets=[listener])


def link(url: str, state: State) -> str:
    """Return a new link that signs in once."""
    return f"{url}/login?token={state.new_token()}"


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise BulkSenderError(
            f"the page cannot listen on {host}, port {port}: {error.strerror or error}",
            hint="if a page already runs there, bulk-sender web --link prints a link to it; "
            "else choose another --port, or 0 for any free one",
        ) from None
