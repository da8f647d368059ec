"""``web token``: make, list and revoke the tokens of programs that use the page's HTTP API."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import AsJson
from bulk_sender.errors import ConfigError, require_posix

if TYPE_CHECKING:
    from bulk_sender.web.store import Store
    from bulk_sender.web.tokens import Token, Tokens


class Role(StrEnum):
    """What a token may do."""

    LOOK = "look"
    PREPARE = "prepare"


def token(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of the program; the audit log shows it.")
    ] = None,
    role: Annotated[
        Role,
        typer.Option(
            "--role",
            metavar="ROLE",
            help="What it may do: look (see runs), or prepare (also upload, check, send and stop).",
            show_default=False,
        ),
    ] = Role.LOOK,
    days: Annotated[
        int | None, typer.Option("--days", metavar="N", help="Days until it ends, at most 366 (default 90).")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", min=1, max=65535, help="Port of the page (default 8799).")
    ] = None,
    show_all: Annotated[bool, typer.Option("--list", help="List the tokens that have not ended, and exit.")] = False,
    revoke: Annotated[
        str | None, typer.Option("--revoke", metavar="NAME", help="End the token with this name now, and exit.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print a new token for a program that uses the page's HTTP API, once: only a digest of it is stored.

    Also while the page runs. The API answers if the settings of the page have [api] enabled = true.
    """
    require_posix()
    from bulk_sender.web.settings import DEFAULT_PORT
    from bulk_sender.web.state import State
    from bulk_sender.web.store import Store
    from bulk_sender.web.tokens import DEFAULT_DAYS, Tokens

    if sum((name is not None, show_all, revoke is not None)) != 1:
        raise ConfigError(
            "give either NAME, --list or --revoke NAME", hint="for example: bulk-sender web token crm --role prepare"
        )
    folder = State.of(DEFAULT_PORT if port is None else port).folder
    tokens, store = Tokens(folder / "tokens"), Store(folder)
    if show_all:
        _show(tokens, as_json)
    elif revoke is not None:
        tokens.revoke(revoke)
        _record(store, "revoked a token", revoke)
        if as_json:
            terminal.json({"revoked": revoke})
        else:
            terminal.say([f"The token {revoke} has ended."])
    elif name is not None:
        made = tokens.make(name, role.value, DEFAULT_DAYS if days is None else days)
        [known] = [each for each in tokens.all() if each.name == name]
        _record(store, "made a token", f"{name}, {role.value}, until {_at(known.ends_at)}")
        if as_json:
            terminal.json(_told(known) | {"token": made})
        else:
            terminal.data(made)
            terminal.say([f"It may {role.value} until {_at(known.ends_at)}, and is not shown again."])


def _show(tokens: Tokens, as_json: bool) -> None:
    found = [_told(each) for each in tokens.all()]
    if as_json:
        terminal.json(found)
    elif found:
        terminal.show([f"{each['name']} · {each['role']} · until {each['ends_at']}" for each in found])
    else:
        terminal.say(["There are no tokens."])


def _told(token: Token) -> dict[str, str]:
    return {
        "name": token.name,
        "role": token.role,
        "made_at": _at(token.made_at),
        "ends_at": _at(token.ends_at),
    }


def _at(seconds: float) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _record(store: Store, did: str, about: str) -> None:
    """Write to the page's audit log who made or ended a token."""
    import getpass

    from bulk_sender.web.store import Entry

    try:
        who = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        who = ""
    store.record(Entry(who, did, told=about))
