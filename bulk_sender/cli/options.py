"""Options that several commands share, and flags as plain keywords of the Python functions."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulk_sender.cli import completion
from bulk_sender.errors import ConfigError

if TYPE_CHECKING:
    from bulk_sender.reading.query import Query
    from bulk_sender.reporting.summary import Summary
    from bulk_sender.run.options import Which

RUNS_DIR = Path("bulk-sender-runs")
FORMATS = ("csv", "parquet", "ndjson", "xlsx")
ENGINES = ("ray",)
LOG_FORMATS = ("text", "json")
LIKELY = ("accepted", "not_accepted")

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Files, folders or globs; - for standard input; with --database an SQL query or a .sql file.",
        show_default=False,
    ),
]
DATABASE = "BULK_SENDER_DATABASE"
"""The environment variable for an address with a password, which an option would show to other users."""
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URI",
        envvar=DATABASE,
        help="The database of the query: a DuckDB file, postgresql://…, snowflake://… or sqlite:FILE.",
        show_default=False,
        show_envvar=False,
    ),
]
Run = Annotated[
    str,
    typer.Argument(metavar="RUN", help="The run's id, or the path of its folder.", autocompletion=completion.runs),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="Configuration file (TOML).", show_default=False)
]
CampaignId = Annotated[str | None, typer.Option("--campaign-id", metavar="ID", help="API-triggered campaign.")]
CanvasId = Annotated[str | None, typer.Option("--canvas-id", metavar="ID", help="API-triggered Canvas.")]
Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint", metavar="URL", help="The instance's REST address, such as https://rest.iad-01.braze.com."
    ),
]
RunsDir = Annotated[Path, typer.Option("--runs-dir", metavar="DIR", help="Folder of all runs.")]
Sheet = Annotated[
    str | None,
    typer.Option(
        "--sheet",
        metavar="NAME",
        help="Sheet of a workbook; by default the first visible one with rows.",
        show_default=False,
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Only the first N rows.")]
MaxRecipients = Annotated[
    int | None,
    typer.Option("--max-recipients", metavar="N", min=0, help="Refuse to start with more than N recipients."),
]
MinRecipients = Annotated[
    int | None,
    typer.Option("--min-recipients", metavar="N", min=0, help="Refuse to start with fewer than N recipients."),
]
MaxRejected = Annotated[
    str | None,
    typer.Option(
        "--max-rejected",
        metavar="N|P%",
        help="Refuse to start when more rows are rejected: a number, or a share such as 1%.",
        show_default=False,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="RUN|FILE",
        help="Leave out everyone who was accepted or is in doubt in that run, or is listed in that file. Repeatable.",
        show_default=False,
    ),
]
Again = Annotated[
    bool,
    typer.Option("--again", help="Send although the same input went to the same target lately: people get it twice."),
]
MaxDuration = Annotated[
    str | None,
    typer.Option(
        "--max-duration",
        metavar="TIME",
        help='Stop after this time, such as "2 hours", so that you can resume.',
        show_default=False,
    ),
]
Canary = Annotated[
    int | None,
    typer.Option(
        "--canary",
        metavar="N",
        min=1,
        help="Send the first N rows, then ask; without a terminal, stop there so that you can resume.",
    ),
]
Rate = Annotated[
    str | None,
    typer.Option("--rate", metavar="N/UNIT", help="Requests per second, minute, hour or day, such as 250000/hour."),
]
Concurrency = Annotated[
    int | None, typer.Option("--concurrency", metavar="N", min=1, help="Maximum parallel requests.")
]
MessageFile = Annotated[
    Path | None,
    typer.Option(
        "--message",
        metavar="FILE",
        help="A saved answer of Braze's /campaigns/details or /canvas/details, to compare with the columns.",
        show_default=False,
    ),
]
Row = Annotated[
    int | None, typer.Option("--row", metavar="N", min=1, help="Which row; the first one that would be sent.")
]
NotAfter = Annotated[
    str | None,
    typer.Option(
        "--not-after",
        metavar="TIME",
        help="Refuse to start after this time: 2026-11-24T18:00+01:00, 18:00 (today) or 18:00 Europe/Paris.",
    ),
]
MetricsFile = Annotated[
    Path | None,
    typer.Option("--metrics-file", metavar="PATH", help="Write a metrics file for node_exporter.", show_default=False),
]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="ray",
        help="Start more processes for the run on a Ray cluster (journal in PostgreSQL).",
        autocompletion=completion.among(ENGINES),
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", min=1, help="How many processes to start with --on.", show_default=False),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="The cluster for --on. Default: RAY_ADDRESS, or a cluster on this machine.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")]
LogFormat = Annotated[
    str,
    typer.Option(
        "--log-format",
        metavar="text|json",
        help="Standard error as text, or as one JSON object per line.",
        autocompletion=completion.among(LOG_FORMATS),
    ),
]
Rows = Annotated[
    str | None,
    typer.Option("--rows", metavar="ROWS", help="Only these rows, such as 508-557,1007; always whole requests."),
]
Batches = Annotated[
    list[int] | None, typer.Option("--batch", metavar="N", min=1, help="Only the rows of this batch. Repeatable.")
]
Likely = Annotated[
    str | None,
    typer.Option(
        "--likely",
        metavar="accepted|not_accepted",
        help="Only unknown rows of which the evidence says this.",
        autocompletion=completion.among(LIKELY),
    ),
]
From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="Decide as this CSV file says: columns row and verdict (accepted, failed, retry or empty).",
        show_default=False,
    ),
]
Why = Annotated[
    str, typer.Option("--why", metavar="TEXT", help="A reason, recorded in the journal.", show_default=False)
]


def inputs_of(inputs: list[str], database: str | None) -> list[str | Query]:
    """Return the inputs with each query as such. Raises ConfigError for a query without a database, and vice versa."""
    from bulk_sender.reading.query import Query, is_query

    if database not in (None, os.environ.get(DATABASE)) and not any(map(is_query, inputs)):
        raise ConfigError(
            "--database is given, but the input is not a query",
            hint="a query is a .sql file, or text that begins with SELECT, WITH or FROM",
        )
    if database is None and (query := next(filter(is_query, inputs), None)):
        from bulk_sender.text.clean import clean

        raise ConfigError(
            f"{clean(query, 60)!r} is a query, and its database is not known",
            hint=f"name it with --database, or in {DATABASE}",
        )
    return [Query.of(given, database) if database is not None and is_query(given) else given for given in inputs]


def naming(database: str | None) -> list[str]:
    """Return ``--database`` for a command to paste: not from the environment, nor if it may have a password."""
    is_plain = database not in (None, os.environ.get(DATABASE)) and not {"@", "?"} & set(database or "")
    return ["--database", str(database)] if is_plain else []


def located(run: str, runs_dir: Path) -> tuple[str, Path]:
    """Return a run's name and the folder of all runs. On the command line a run may also be the path of its folder."""
    from bulk_sender import journal as journals
    from bulk_sender.journal.store import RunRef

    folder = Path(run).absolute()
    if "/" in run and journals.exists(RunRef.at(folder)):
        return folder.name, folder.parent
    return run, runs_dir


def refuse_half_an_engine(on: str | None, workers: int | None, address: str | None) -> None:
    """Raise ConfigError for an unknown engine, one without workers, or workers without an engine."""
    if on is not None:
        one_of(on, ENGINES, "--on")
        if workers is None:
            raise ConfigError(f"--on {on} needs the number of workers", hint="add --workers 4")
    elif workers is not None or address is not None:
        given = "--workers" if workers is not None else "--address"
        raise ConfigError(f"{given} needs an engine", hint="add --on ray")


def begin_on(
    on: str | None, alone: Callable[..., Awaitable[Summary]], workers: int | None, address: str | None
) -> Callable[..., Awaitable[Summary]]:
    """Return the function that sends ``alone``, or the one of its name that also starts workers on an engine."""
    if on is None:
        return alone
    from bulk_sender.cluster import ray

    begin: Callable[..., Awaitable[Summary]] = getattr(ray, alone.__name__)
    nowhere = Path(os.devnull).open("w")  # noqa: SIM115 - closed by ``silently``

    async def silently(*arguments: Any, **plain: Any) -> Summary:
        with nowhere, redirect_stdout(nowhere):  # what Ray notices it prints, and standard output is for data
            return await begin(*arguments, workers=workers, address=address, **plain)

    return silently


def one_of(value: str, allowed: tuple[str, ...], option: str) -> str:
    """Return ``value`` if it is allowed. Raises ConfigError."""
    if value not in allowed:
        raise ConfigError(
            f"{option}: {value!r} is not a valid value", hint="choose " + ", ".join(allowed[:-1]) + f" or {allowed[-1]}"
        )
    return value


def which_of(rows: str | None, batches: list[int] | None, likely: str | None, file: Path | None) -> Which:
    """Return the rows that a decision is about. Raises ConfigError."""
    from bulk_sender.run.options import Which

    if likely is not None:
        one_of(likely, LIKELY, "--likely")
    return Which(rows=rows, batches=tuple(batches or ()), likely=likely, file=file)  # type: ignore[arg-type]


def settings(**flags: str | int | None) -> dict[str, Any]:
    """Return the flags that were given as plain keywords of the Python functions.

    Each is validated alone, so that an error names the flag. Raises ConfigError.
    """
    from bulk_sender.run.settings import flag, validated

    return validated(flags, spelling=flag)
