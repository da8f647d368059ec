"""Look at some rows of a run, or look for a person in all runs. Neither changes anything."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from bulk_sender import journal as journals
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.errors import BulkSenderError, ConfigError, JournalError
from bulk_sender.journal.records import Status
from bulk_sender.journal.store import RunRef
from bulk_sender.operations.frames import statuses_of
from bulk_sender.reporting.pages import ResultRow, RowsPage, Search, page, rows_of
from bulk_sender.run.catalogue import refuse_missing_folder
from bulk_sender.run.folder import run_folder


def rows(
    run: str,
    *,
    status: str | Iterable[str] | None = None,
    error_code: str | None = None,
    after: int = 0,
    limit: int = 50,
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
) -> RowsPage:
    """Return up to ``limit`` rows of a run's results, also while it is in progress, in the order of the input.

    ``after``: only rows after this one; a page's ``next_after`` gives the next page. ``status``: only rows of this
    status, or of these. ``error_code``: only rows with this code. The first failed rows of a large run take little
    longer than those of a small one: parts of the journal without such rows are not read.
    """
    wanted = statuses_of(status)
    if after < 0:
        raise ConfigError(f"after must be 0 or more, not {after}")
    if limit < 1:
        raise ConfigError(f"limit must be at least 1 row, not {limit}")
    with journals.read(RunRef.at(run_folder(Path(runs_dir), run))) as journal:
        return page(
            journal, statuses=tuple(Status) if wanted is None else wanted, code=error_code, after=after, limit=limit
        )


def find(identifier: str, *, run: str | None = None, runs_dir: str | Path = DEFAULT_RUNS_DIR) -> Search:
    """Return the rows whose recipient has this identifier, in one run or in all runs of a folder, oldest run first.

    Blanks around it do not matter. An e-mail address is compared without case, as duplicates are. Of an alias the name
    is enough, or ``label:name`` as in the results. Without ``run``, a run that cannot be read is named in
    ``Search.unread``.
    """
    if not identifier.strip():
        raise ConfigError("the identifier to look for is empty")
    folder = Path(runs_dir).absolute()
    if run is not None:
        with journals.read(RunRef.at(run_folder(folder, run))) as journal:
            return Search(tuple(rows_of(journal, identifier)), 1, {})
    refuse_missing_folder(folder)
    found: list[ResultRow] = []
    names = _names(folder)
    unread: dict[str, str] = {}
    for name in names:
        try:
            with journals.read(RunRef.at(folder / name)) as journal:
                found += rows_of(journal, identifier)
        except BulkSenderError as error:
            unread[name] = str(error)
    return Search(tuple(found), len(names) - len(unread), unread)


def _names(runs_dir: Path) -> list[str]:
    """Return the runs of a folder, oldest first, also those whose folder is gone. Ones without an index come last."""
    known: list[str] = []
    with suppress(JournalError):
        if journals.has_index(runs_dir):
            with closing(journals.index(runs_dir)) as index:
                known = [entry.name for entry in index.entries()]
    return list(dict.fromkeys([*known, *journals.run_names(runs_dir)]))
