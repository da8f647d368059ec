"""``export``: write the results again from the journal."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bulk_sender.cli import completion
from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import FORMATS, RUNS_DIR, Quiet, Run, RunsDir, located, one_of
from bulk_sender.errors import BulkSenderError, ConfigError, GuardrailError

if TYPE_CHECKING:
    from bulk_sender.journal.store import RunReader, RunRef

_BINARY = {"parquet": "Parquet", "xlsx": "a workbook"}
STATUSES = ("accepted", "rejected", "duplicate", "failed", "unknown", "not_sent")


def export(
    run: Run,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="csv|parquet|ndjson|xlsx",
            help="Format. Default: from the output's name, else the run's format.",
            autocompletion=completion.among(FORMATS),
        ),
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Only rows with this status; separate several with commas.",
            autocompletion=completion.among(STATUSES, separator=","),
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File to write; - for standard output.", show_default=False
        ),
    ] = None,
    parts: Annotated[
        Path | None,
        typer.Option(
            "--parts",
            metavar="DIR",
            help="Write Parquet files of about a million rows to a folder.",
            show_default=False,
        ),
    ] = None,
    share: Annotated[
        str | None,
        typer.Option("--share", metavar="I/N", help="With --parts: write every N-th part, from the I-th."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    runs_dir: RunsDir = RUNS_DIR,
    quiet: Quiet = False,
) -> None:
    """Write the results again from the journal.

    Without --output and --status, the files in the run's folder are written again. With --status alone, the rows go to
    standard output. With --parts, several processes can write at once, also on several machines, each with its --share.
    """
    run, runs_dir = located(run, runs_dir)
    terminal.set_up(quiet=quiet)
    if format_ is not None:
        one_of(format_, FORMATS, "--format")
    statuses = {one_of(name.strip(), STATUSES, "--status") for part in status or () for name in part.split(",")}

    if parts is not None:
        if output is not None or format_ not in (None, "parquet"):
            raise ConfigError("--parts writes Parquet files into a folder", hint="leave out --output and --format")
        _in_parts(run, runs_dir, parts, statuses or None, share or "1/1", force=force)
        return
    if share is not None:
        raise ConfigError("--share needs --parts", hint="add --parts DIR")

    from bulk_sender import journal as journals
    from bulk_sender.journal.store import RunRef
    from bulk_sender.run.folder import run_folder

    ref = RunRef.at(run_folder(runs_dir, run))
    if output is None and not statuses:
        _again(ref, format_)
        return
    with journals.read(ref) as journal:
        if output is None or str(output) == "-":
            _to_standard_output(journal, format_ or _usual(journal, plain=True), statuses or None)
        else:
            kind = format_ or _by_name(output) or _usual(journal)
            _to_file(journal, output, kind, statuses or None, force=force)


def _in_parts(run: str, runs_dir: Path, folder: Path, statuses: set[str] | None, share: str, *, force: bool) -> None:
    from bulk_sender.cli.render.layout import shown
    from bulk_sender.operations.export import export_parts

    is_complete = export_parts(run, folder, status=statuses, share=share, force=force, runs_dir=runs_dir)
    rest = (
        "complete, with summary.json"
        if is_complete
        else "not complete yet: parts are missing, or the run still changes"
    )
    terminal.say([f"written to {shown(folder)}: {rest}"])


def _again(run: RunRef, kind: str | None) -> None:
    """Write the run's own files. Needs exclusive access: a process that sends writes them, too."""
    from bulk_sender import journal as journals
    from bulk_sender.cli.render.layout import shown, wrapped
    from bulk_sender.reporting.account import write_files
    from bulk_sender.run.standing import last_state

    with journals.open(run) as journal:
        summary = write_files(journal, kind or _usual(journal), *last_state(journal))  # type: ignore[arg-type]
    names = ", ".join(shown(summary.files[name]) for name in ("results", "rejected", "summary", "report"))
    terminal.say(wrapped(names, terminal.width, indent="  ", first="written: "))


def _usual(journal: RunReader, *, plain: bool = False) -> str:
    """Return the format the run was started with; for a pipe, one that can be read line by line."""
    kind = str(journal.facts().format)
    return "csv" if plain and kind in _BINARY else kind


def _by_name(output: Path) -> str | None:
    kinds = {".csv": "csv", ".parquet": "parquet", ".ndjson": "ndjson", ".jsonl": "ndjson", ".xlsx": "xlsx"}
    return kinds.get(output.suffix.lower())


def _to_standard_output(journal: RunReader, kind: str, statuses: set[str] | None) -> None:
    import polars as pl

    from bulk_sender.reporting.rows import RESULTS, results

    if kind in _BINARY:
        raise ConfigError(f"{_BINARY[kind]} cannot go to standard output: it needs a file", hint="give --output FILE")
    if kind == "csv":
        terminal.data_bytes(pl.DataFrame(schema=RESULTS).write_csv().encode())
    for frame in results(journal, statuses):
        text = frame.write_csv(include_header=False) if kind == "csv" else frame.write_ndjson()
        if not terminal.data_bytes(text.encode()):
            return


def _to_file(journal: RunReader, output: Path, kind: str, statuses: set[str] | None, *, force: bool) -> None:
    from bulk_sender.cli.render.layout import shown
    from bulk_sender.reporting.files import write_results

    _refuse_precious(journal, output)
    is_new = _reserve(output, force=force)
    try:
        write_results(journal, output, kind, statuses)  # type: ignore[arg-type]
    except BaseException:
        if is_new:
            output.unlink(missing_ok=True)
        raise
    terminal.say([f"written: {shown(output)}"])


def _refuse_precious(journal: RunReader, output: Path) -> None:
    """Refuse to replace an input of the run or its journal, even with --force."""
    from bulk_sender import journal as journals

    for path in [*map(Path, journal.facts().paths), *journals.files(journal.run)]:
        if path.exists() and output.exists() and output.samefile(path):
            raise GuardrailError(
                f"{output} is the run's own {path.name}, which is never replaced", hint="choose another file"
            )


def _reserve(output: Path, *, force: bool) -> bool:
    """Refuse to replace a file by mistake. Return True if the file is new. Raises BulkSenderError."""
    try:
        flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY
        os.close(os.open(output, flags, 0o600))
        return True
    except FileExistsError:
        mode = output.lstat().st_mode
        if not stat.S_ISREG(mode):
            what = "a symbolic link" if stat.S_ISLNK(mode) else "not a regular file"
            raise GuardrailError(f"{output} is {what}, which is not written to", hint="name the file itself") from None
        if not force:
            raise GuardrailError(
                f"{output} exists", hint="choose another name, or give --force to replace it"
            ) from None
        return False
    except OSError as error:
        raise BulkSenderError(f"{output} cannot be written: {error.strerror}", hint="choose another place") from None
