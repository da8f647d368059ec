"""``journal``: prepare a PostgreSQL database for journals, and accept one that took another's place."""

from __future__ import annotations

import typer

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.help import Command, Group
from bulk_sender.cli.options import RUNS_DIR, AsJson, ConfigFile, Run, RunsDir, Yes

group = typer.Typer(cls=Group, no_args_is_help=True)


@group.callback()
def journal() -> None:
    """Prepare a PostgreSQL database for journals."""


@group.command("init", cls=Command)
def init(config: ConfigFile = None, runs_dir: RunsDir = RUNS_DIR, as_json: AsJson = False) -> None:
    """Make the schema for journals, and print the rights that the account of a sender needs.

    The database comes from BULK_SENDER_JOURNAL, or from journal in [scale] of --config. Refuses a database that could
    forget what it has confirmed. A schema that is there stays as it is.
    """
    from dataclasses import asdict

    from bulk_sender.operations.journal import make_journal

    made = make_journal(config, runs_dir=runs_dir)
    if as_json:
        terminal.json(asdict(made))
        return
    terminal.say([f"The schema {made.schema} {'is ready' if made.is_new else 'was ready before'}."])
    for warning in made.warnings:
        terminal.say([f"warning: {warning}"])
    terminal.say(["Rights for the account of a sender, which can then add records, but not change or remove one:"])
    for statement in made.grants:
        terminal.data(statement)


@group.command("accept", cls=Command)
def accept(run: Run, runs_dir: RunsDir = RUNS_DIR, yes: Yes = False) -> None:
    """Accept the database as it is now for a run that began before a standby was promoted.

    Only when the standby was synchronous, so that nothing it had confirmed is missing: else recipients of requests that
    it has forgotten get the message twice.
    """
    from bulk_sender.cli.console.questions import Question, must_be_able_to_ask

    must_be_able_to_ask(yes, "journal accept")

    from bulk_sender.errors import GuardrailError
    from bulk_sender.operations.journal import accept_database

    if not (yes or Question().ask(f"Has the promoted database everything that run {run} recorded?")):
        raise GuardrailError("not confirmed: nothing was changed")
    is_other = accept_database(run, runs_dir=runs_dir)
    terminal.say(
        [
            f"Accepted. Continue with bulk-sender resume {run}."
            if is_other
            else f"Run {run} began in this database: nothing had to be accepted."
        ]
    )
