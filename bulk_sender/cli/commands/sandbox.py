"""``sandbox``: a simulated Braze on this machine, for rehearsals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bulk_sender.cli import completion
from bulk_sender.cli.console.signals import listen
from bulk_sender.cli.console.terminal import terminal
from bulk_sender.errors import BulkSenderError, ConfigError

if TYPE_CHECKING:
    from bulk_sender.sandbox import Sandbox


def sandbox(
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port to listen on; 0 for any free one.")
    ] = 0,
    weather: Annotated[
        str,
        typer.Option(
            "--weather",
            metavar="NAME",
            help="What the simulated Braze does wrong: calm (nothing), slow, throttled, lost-answers, outage or storm.",
            autocompletion=completion.weathers,
        ),
    ] = "calm",
    state: Annotated[
        str,
        typer.Option(
            "--state",
            metavar="NAME",
            help="State of campaign and Canvas: live, paused, stopped, archived or draft.",
            autocompletion=completion.states,
        ),
    ] = "live",
    answers: Annotated[
        str,
        typer.Option(
            "--answers",
            metavar="NAME",
            help="Rare answers to rehearse: errors, errors-by-index, queued, error-body, unauthorized, "
            "retry-after-only, seconds-to-go or varnish.",
            autocompletion=completion.answers,
        ),
    ] = "usual",
    message: Annotated[
        Path | None,
        typer.Option(
            "--message",
            metavar="FILE",
            help="The message that the details endpoints show, as JSON: one of their answers, or messages alone.",
        ),
    ] = None,
    no_details: Annotated[
        bool, typer.Option("--no-details", help="Refuse the details endpoints, as if the key lacked the permission.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit with 1 if anything collapsed, was dropped or was sent twice."),
    ] = False,
) -> None:
    """Serve a simulated Braze on loopback until SIGINT or SIGTERM, and print its URL.

    It takes any key and any campaign, enforces Braze's documented rules and rate limits, and lists what it accepted at
    URL/_sandbox/ledger.
    """
    from bulk_sender.cli.options import one_of
    from bulk_sender.sandbox import ANSWERS, STATES, WEATHERS, Sandbox

    one_of(weather, WEATHERS, "--weather")
    one_of(state, STATES, "--state")
    one_of(answers, ANSWERS, "--answers")
    try:
        made = Sandbox(
            port=port, weather=weather, state=state, answers=answers, details=not no_details, message=message
        )
    except (OSError, ValueError) as error:  # all that is left to be wrong is the file
        raise ConfigError(
            f"--message cannot be read: {error}", hint="give a saved answer of /campaigns/details"
        ) from None
    _serve(made, strict=strict)


def _serve(served: Sandbox, *, strict: bool) -> None:
    import anyio
    from rich.text import Text

    async def until_a_signal() -> None:
        async with served, anyio.create_task_group() as group:
            await group.start(listen, lambda number: group.cancel_scope.cancel(), lambda number: None)
            terminal.data(served.url)
            terminal.say([f"Press Ctrl-C to stop it. What it accepted: {served.url}/_sandbox/ledger"])

    try:
        anyio.run(until_a_signal)
    except OSError as error:
        raise BulkSenderError(
            f"the sandbox cannot start: {error.strerror or error}", hint="choose another --port, or 0 for any free one"
        ) from None
    complaints = served.ledger.complaints()
    terminal.say([*served.ledger.summary(), *(Text(line, "bold red") for line in complaints)])
    if complaints and strict:
        raise typer.Exit(1)
