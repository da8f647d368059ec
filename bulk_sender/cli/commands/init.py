"""``init``: a first configuration, guessed from the columns and a sample of the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import AsJson, ConfigFile, Database, Inputs, Sheet, inputs_of, naming, settings


def init(
    inputs: Inputs,
    database: Database = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write; - for standard output.",
            show_default="INPUT.toml",
        ),
    ] = None,
    config: ConfigFile = None,
    sheet: Sheet = None,
    as_json: AsJson = False,
) -> None:
    """Guess the mapping and the types from the columns, and write a commented configuration.

    What --config says about reading the input is kept. An existing file is never overwritten. Read the file before you
    send with it.
    """
    import bulk_sender as bs
    from bulk_sender.cli.render.layout import command, shown, wrapped
    from bulk_sender.guessing.draft import write

    draft = bs.draft(inputs_of(inputs, database), config, **settings(sheet=sheet))
    if output == "-":
        terminal.data(draft.text)
    else:
        path = Path(output) if output else _beside(inputs[0])
        write(path, draft.text)
        if as_json:
            terminal.json({"configuration": str(path), "notes": draft.notes, "doubts": draft.doubts})
    for doubt in draft.doubts:
        terminal.warn(doubt)
    if output == "-":
        return
    lines = [f"Wrote {shown(path)}{':' if draft.notes else '.'}"]
    for note in draft.notes:
        lines += wrapped(note, terminal.width, indent="    ", first="  - ")
    terminal.say([*lines, "", "Read it, then see what it would send:", ""])
    terminal.say(["  " + command("check", *inputs, *naming(database), "--config", path)])


def _beside(first: str) -> Path:
    """Return ``customers.toml`` in the working directory for ``customers.csv.gz``."""
    from bulk_sender.reading.query import is_query, is_query_file

    if is_query(first) and not is_query_file(first):
        return Path("recipients.toml")
    name = Path(first).name.split(".")[0]
    return Path(f"{name if name not in ('', '-') else 'recipients'}.toml")
