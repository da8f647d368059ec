"""``init``: a first configuration, guessed from the columns and a sample of the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import AsJson


def init(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT", help="Files, folders or globs; - for standard input.")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to write it; - for standard output.",
            show_default="INPUT.toml",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at the columns, guess the mapping and the types, and write a commented configuration.

    The file is never overwritten. check accepts it as it is; read it before you send with it.
    """
    from bulk_sender.cli.render.layout import command, shown
    from bulk_sender.guessing.draft import draft, write

    text = draft([str(given) for given in inputs])
    if output == "-":
        terminal.data(text)
        return
    path = Path(output) if output else _beside(inputs[0])
    write(path, text)
    if as_json:
        terminal.json({"configuration": str(path)})
    terminal.say([f"Wrote {shown(path)}: read it, then see what it would send", ""])
    terminal.say(["  " + command("check", *inputs, "--config", path)])


def _beside(first: str) -> Path:
    """``customers.csv.gz`` → ``customers.toml`` in the working directory."""
    name = Path(first).name.split(".")[0]
    return Path(f"{name if name not in ('', '-') else 'recipients'}.toml")
