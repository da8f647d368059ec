"""A frame of an engine, written down once as Parquet parts before anything is sent.

An engine may compute a frame again, with other rows or in another order. What is sent has to be the same at each
resume, so it is read from files that nobody computes again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from bulk_sender import journal as journals
from bulk_sender.config.defaults import ANOTHER_RUNS_DIR
from bulk_sender.durable import make_folders, sync_folder, sync_path
from bulk_sender.errors import InputError
from bulk_sender.journal.store import RunRef
from bulk_sender.operations.resume import resume_async
from bulk_sender.operations.send import send_async
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.options import ResumeSettings, RunName, Watch
from bulk_sender.run.settings import ConfigLike

if TYPE_CHECKING:
    import pyarrow as pa

_UNFINISHED = ".unfinished"
_ROWS_A_PART = 1_000_000


def written(folder: Path, write: Callable[[Path], None]) -> Path:
    """Return ``folder`` with a frame in it, durably: as an earlier call wrote it, or written now. Raises InputError.

    ``write`` gets a folder that does not exist yet.
    """
    if folder.is_dir():
        return folder
    unfinished = folder.with_name(folder.name + _UNFINISHED)
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        make_folders(folder.parent)
        write(unfinished)
        unfinished.chmod(0o700)
        for part in unfinished.iterdir():
            sync_path(part)
        sync_folder(unfinished)
        unfinished.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise InputError(
            f"the frame cannot be written to {folder}: {error.strerror or error}",
            hint=f"free some space, or {ANOTHER_RUNS_DIR}",
        ) from None
    return folder


def _was_sent(found: RunRef, parts: Path) -> bool:
    """Whether the run is there without the parts: it has finished, or somebody has removed them, as resume says."""
    return not parts.is_dir() and journals.exists(found)


async def send_written(
    found: RunRef,
    parts: Path,
    write: Callable[[Path], None],
    config: ConfigLike,
    run: RunName,
    watch: Watch,
    plain: Mapping[str, Any],
) -> Summary:
    """Send a frame from its parts, which are written first unless an earlier call has done so.

    When the run has finished they are removed: people's data is not kept twice.
    """
    if await anyio.to_thread.run_sync(_was_sent, found, parts):
        kept = {name: value for name, value in plain.items() if name in ResumeSettings.__annotations__}
        return await resume_async(found.name, watch=watch, runs_dir=found.folder.parent, **kept)
    await anyio.to_thread.run_sync(written, parts, write)
    summary = await send_async(str(parts), config, run=run, watch=watch, **plain)
    if summary.state == "finished":
        shutil.rmtree(parts, ignore_errors=True)
    return summary


def write_tables(folder: Path, tables: Iterable[pa.Table]) -> None:
    """Write tables as Parquet parts, a new one for each schema and each million rows. Raises OSError."""
    import pyarrow.parquet as pq  # an engine's frames come as Arrow tables, so it is there

    folder.mkdir(mode=0o700)
    writer: pq.ParquetWriter | None = None
    rows = parts = 0
    try:
        for table in tables:
            if not table.num_rows:
                continue
            if writer is not None and (rows >= _ROWS_A_PART or not writer.schema.equals(table.schema)):
                writer.close()
                writer = None
            if writer is None:
                parts, rows = parts + 1, 0
                writer = pq.ParquetWriter(folder / f"part-{parts:05d}.parquet", table.schema)
            writer.write_table(table)
            rows += table.num_rows
    finally:
        if writer is not None:
            writer.close()
