"""``web audit``: print who did what on the page, and prove that nothing in the log was changed."""

from __future__ import annotations

from typing import Annotated

import typer

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import AsJson
from bulk_sender.errors import BulkSenderError, require_posix


def audit(
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", min=1, max=65535, help="Port of the page (default 8799).")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Prove that no entry was changed or removed, and print the last digest.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print who did what on the page, oldest first, also while it runs. Exit code 2 if the log was changed."""
    require_posix()
    from dataclasses import asdict

    from bulk_sender.text.clean import clean
    from bulk_sender.web import words_audit as words
    from bulk_sender.web.settings import DEFAULT_PORT
    from bulk_sender.web.state import State
    from bulk_sender.web.store import Store

    number = DEFAULT_PORT if port is None else port
    store = Store(State.of(number).folder)
    if not store.path.is_file():
        raise BulkSenderError(
            f"no page of yours has recorded anything on port {number}",
            hint="name the page's --port, and set XDG_STATE_HOME as the page has it",
        )
    if verify:
        proof = store.proof()
        if as_json:
            terminal.json(asdict(proof))
        else:
            terminal.show([words.whole(proof.entries), words.last_digest(proof.digest)])
    elif as_json:
        terminal.json([asdict(entry) for entry in store.audit()])
    else:
        terminal.show([clean(words.line(entry)) for entry in store.audit()])
