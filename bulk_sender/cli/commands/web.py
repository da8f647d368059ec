"""``web``: serve a page that shows runs in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bulk_sender.cli.commands.web_audit import audit
from bulk_sender.cli.commands.web_token import token
from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.help import Command, Group
from bulk_sender.errors import BulkSenderError, ConfigError, require_posix

group = typer.Typer(cls=Group, invoke_without_command=True)
group.command("audit", cls=Command)(audit)
group.command("token", cls=Command)(token)


@group.callback()
def web(
    context: typer.Context,
    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            metavar="HOST",
            help="Address to listen on (default 127.0.0.1); other than loopback only for a team.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="N", min=0, max=65535, help="Port to listen on (default 8799); 0 for any free one."
        ),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
    runs_dir: Annotated[
        Path | None,
        typer.Option("--runs-dir", metavar="DIR", help="Folder of all runs (default bulk-sender-runs)."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Settings of the page (TOML).", show_default=False),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse everything that changes something.")] = False,
    link: Annotated[
        bool, typer.Option("--link", help="Print a new sign-in link for the page that runs on this port, and exit.")
    ] = False,
) -> None:
    """Serve a page that shows runs in a browser, until SIGINT or SIGTERM, and print its sign-in link.

    The link works once, within an hour. Only this machine can reach the page. If the settings have a team, there is no
    link: a proxy says who is there. The page does not read the API key.
    """
    require_posix()
    _refuse_missing_extra()
    if context.invoked_subcommand is not None:
        return
    from bulk_sender.cli.options import RUNS_DIR
    from bulk_sender.web import server, settings

    found = settings.load(config) if config is not None else settings.Settings()
    at = host or found.page.host or "127.0.0.1"
    number = port if port is not None else found.page.port if found.page.port is not None else settings.DEFAULT_PORT
    if found.team is None:
        settings.refuse_other_than_loopback(at)
    elif link:
        raise ConfigError("there are no sign-in links with [team]", hint="people sign in at the proxy")
    if link:
        _print_link(number)
        return

    def ready(address: str) -> None:
        terminal.data(address)
        what = "Open this link in a browser. It works once." if found.team is None else "People sign in at the proxy."
        terminal.say([f"{what} Press Ctrl-C to end the page; runs continue."])
        if not no_browser and found.team is None:
            _open(address)

    try:
        server.serve(
            at,
            number,
            runs_dir or Path(found.page.runs_dir or RUNS_DIR),
            read_only=read_only or bool(found.page.read_only),
            most_runs=found.page.most_runs,
            folders=tuple(map(Path, found.files.folders)),
            profiles=found.profiles,
            has_api=found.api.enabled,
            team=found.team,
            log_format=found.page.log_format or "text",
            metrics=bool(found.page.metrics),
            ready=ready,
        )
    except KeyboardInterrupt:  # the usual end of a server, also by SIGTERM
        terminal.say(["The page has ended."])


def _refuse_missing_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the page needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            hint="pip install starlette uvicorn",
        )


def _print_link(port: int) -> None:
    from bulk_sender.web import server
    from bulk_sender.web.state import State

    state = State.of(port)
    url = state.address()
    if url is None:
        raise BulkSenderError(
            f"no page of yours runs on port {port}", hint="start it with bulk-sender web, or name its --port"
        )
    terminal.data(server.link(url, state))


def _open(address: str) -> None:
    """Open a browser with windows, if this machine has a screen: one in the terminal would take it over."""
    import os
    import sys
    import threading
    import webbrowser

    if sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
