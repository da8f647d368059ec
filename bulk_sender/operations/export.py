"""Write the results of a run to another file, from its journal."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

from bulk_sender import journal as journals
from bulk_sender.atomic import taken, write_json
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.errors import ConfigError
from bulk_sender.journal.facts import Format
from bulk_sender.journal.store import RunRef
from bulk_sender.operations.frames import statuses_of
from bulk_sender.reporting.account import SUMMARY
from bulk_sender.reporting.files import write_results
from bulk_sender.reporting.parts import Share, are_complete, write_parts
from bulk_sender.run.folder import run_folder
from bulk_sender.run.standing import standing

_FORMATS = get_args(Format)


def export(
    run: str,
    path: str | Path,
    *,
    format: Format | None = None,
    status: str | Iterable[str] | None = None,
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
) -> Path:
    """Write the results of a run to a new file, also while it is in progress. Return its path.

    ``format``: by default that of the file's name. In a workbook (``xlsx``) identifiers are text, so that leading zeros
    survive. ``status``: only rows of this status, or of these. Raises ConfigError when the file exists.
    """
    target = Path(path)
    kind = format or target.suffix.lower().removeprefix(".")
    if kind not in _FORMATS:
        near = difflib.get_close_matches(kind, _FORMATS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "choose " + ", ".join(_FORMATS)
        raise ConfigError(f"{kind!r} is not a format of results", hint=hint)
    if target.exists() or target.is_symlink():
        raise taken(target)
    statuses = statuses_of(status)
    with journals.read(RunRef.at(run_folder(Path(runs_dir), run))) as journal:
        write_results(journal, target, cast(Format, kind), set(statuses) if statuses is not None else None)
    return target


def export_parts(
    run: str,
    folder: str | Path,
    *,
    status: str | Iterable[str] | None = None,
    share: str = "1/1",
    force: bool = False,
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
) -> bool:
    """Write the results of a run to a folder as Parquet parts of about a million rows. Return whether it is complete.

    The folder is complete when all parts are there and together they are the account of the run, which no process is
    sending. Then ``summary.json`` is written beside them. ``share``: which parts this process writes, such as ``2/4``
    for the second of four processes. ``status``: only rows of this status, or of these. Raises ConfigError when a part
    exists, unless ``force`` is given.
    """
    place, ref = Path(folder), RunRef.at(run_folder(Path(runs_dir), run))
    found = statuses_of(status)
    statuses = set(found) if found is not None else None
    with journals.read(ref) as journal:
        if force:
            (place / SUMMARY).unlink(missing_ok=True)
        write_parts(journal, place, statuses, Share.parse(share), replace=force)
        if journals.holder(ref) is not None or not are_complete(journal, place, statuses):
            return False
        write_json(place / SUMMARY, replace(standing(journal), files={"results": str(place)}).to_dict())
        return True
