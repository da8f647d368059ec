"""Files of a run to download. A browser names what it wants by an id, never by a path."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

import bulk_sender as bs
from bulk_sender.web.runs import FILES

MOST_IN_A_SHEET = 1_048_575
"""Rows of a sheet without its header."""
_PIECE = 1 << 18
_WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def available(runs_dir: Path, run: bs.RunOverview) -> dict[str, str]:
    """Return the files of a run that exist and hold something, as id → name."""
    wanted = [each for each in FILES if each in run.files and (run.rejected or not each.startswith("rejected"))]
    names = {each: Path(run.files[each]).name for each in wanted}
    folder = runs_dir / run.run_id
    return {each: name for each, name in names.items() if (folder / name).is_file() or each == "summary"}


def download(runs_dir: Path, run: bs.RunOverview, which: str) -> Response | None:
    """Return a file as an attachment; None if the run has no such file. A summary is made if there is no file."""
    if which not in FILES or which not in run.files:
        return None
    name = Path(run.files[which]).name
    found = opened(runs_dir / run.run_id / name)
    if found is None and which == "summary":
        told = bs.status(run.run_id, runs_dir=runs_dir).to_dict()
        return Response(json.dumps(told, indent=2), media_type="application/json", headers=_attached(run, name))
    if found is None:
        return None
    headers = _attached(run, name) | {"Content-Length": str(os.fstat(found).st_size)}
    return StreamingResponse(_pieces(found), media_type="application/octet-stream", headers=headers)


def fits_a_workbook(run: bs.RunOverview) -> bool:
    """Whether one sheet holds all rows of a run."""
    return run.rows <= MOST_IN_A_SHEET


def workbook(runs_dir: Path, run: bs.RunOverview) -> Response:
    """Return the results as a workbook with identifiers as text. Raises BulkSenderError."""
    with tempfile.TemporaryDirectory() as folder:
        path = bs.export(run.run_id, Path(folder) / "results.xlsx", runs_dir=runs_dir)
        found = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # the bytes stay until it is closed
    headers = _attached(run, "results.xlsx") | {"Content-Length": str(os.fstat(found).st_size)}
    return StreamingResponse(_pieces(found), media_type=_WORKBOOK, headers=headers)


def report(runs_dir: Path, run: bs.RunOverview) -> str | None:
    """Return the run's report; None if it was not written."""
    found = opened(runs_dir / run.run_id / Path(run.files.get("report", "report.html")).name)
    if found is None:
        return None
    with os.fdopen(found, encoding="utf-8", errors="replace") as file:
        return file.read()


def opened(path: Path) -> int | None:
    """Open a regular file, and follow no link. Return its descriptor; None if there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return descriptor


def _pieces(descriptor: int) -> Iterator[bytes]:
    left = os.fstat(descriptor).st_size  # what grows meanwhile is not in Content-Length
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        while left and (piece := file.read(min(_PIECE, left))):
            left -= len(piece)
            yield piece


def _attached(run: bs.RunOverview, name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(f'{run.run_id}-{name}')}"}
