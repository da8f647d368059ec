"""Workers of a run as the tasks of one Spark stage.

The tasks get no rows to send: each joins the run. One that Spark repeats, or runs twice at once, is one more worker,
and takes only what no other has. A DataFrame is written as Parquet files first, because Spark may compute it again with
other rows.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from bulk_sender._version import __version__
from bulk_sender.cluster.asked import refuse_to_resume, refuse_without, run_to_send
from bulk_sender.cluster.trouble import in_a_line
from bulk_sender.cluster.worker import Left, Order, work
from bulk_sender.cluster.written import send_written
from bulk_sender.errors import ConfigError, InputError
from bulk_sender.eventloop import blocking
from bulk_sender.eventloop import run as run_in_loop
from bulk_sender.observe.events import log
from bulk_sender.operations.resume import resume_async as resume_alone
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.beside import Begun
from bulk_sender.run.options import RunName, Watch
from bulk_sender.run.settings import ConfigLike

_PAUSE_S = 1.0
_MOST_FAILED = 3
"""Stages that may fail, each after Spark has repeated its tasks."""
_TO_LEAVE_S = 10.0
"""How long the workers may take to notice that their run has ended."""
_FIELDS = [field.name for field in fields(Left)]


async def send_async(
    df: Any,
    config: ConfigLike = None,
    *,
    workers: int,
    store: str | Path,
    run: RunName = RunName(),
    watch: Watch = Watch(),
    **plain: Any,
) -> Summary:
    """Send a Spark DataFrame with ``workers`` more processes on its cluster. The run's journal has to be in PostgreSQL.

    ``store``: a folder that Spark's executors can write and this process can read. The DataFrame is written there
    once, and removed when the run has finished. The workers and this process, which plans, leads and sends, too,
    keep one rate. The other arguments, results and errors are those of ``bulk_sender.send``.

    Each executor needs this release of bulk-sender in the Python that ``PYSPARK_PYTHON`` names, and the key and
    ``BULK_SENDER_JOURNAL`` in its environment: Spark carries neither.
    """
    refuse_without("pyspark", workers)
    found, run, plain = run_to_send(config, run, plain)
    async with _hired(df.sparkSession, workers, plain) as stage:
        watch = replace(watch, beside=stage)
        return await send_written(found, Path(store) / found.name, partial(_write, df), config, run, watch, plain)


async def resume_async(run: str, *, spark: Any, workers: int, watch: Watch = Watch(), **plain: Any) -> Summary:
    """Resume a run with ``workers`` more processes on the cluster of a SparkSession, whatever it was started on.

    The other arguments, results and errors are those of ``bulk_sender.resume``.
    """
    refuse_without("pyspark", workers)
    refuse_to_resume(run, plain)
    async with _hired(spark, workers, plain) as stage:
        return await resume_alone(run, watch=replace(watch, beside=stage), **plain)


send = blocking(send_async)
resume = blocking(resume_async)


def _write(df: Any, folder: Path) -> None:
    """Write a DataFrame as Parquet parts that this process can see, all of them. Raises InputError."""
    import polars as pl
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    seen = Observation()
    df.observe(seen, F.count(F.lit(1)).alias("rows")).write.parquet(folder.absolute().as_uri())
    rows = int(seen.get["rows"])
    parts = [path for path in folder.iterdir() if path.suffix == ".parquet"] if folder.is_dir() else []
    found = sum(pl.scan_parquet(part).select(pl.len()).collect().item() for part in parts)
    if found != rows:
        raise InputError(
            f"Spark has written {rows} rows, and {found} of them can be read in {folder}",
            hint="name a store that the executors and this process share",
        )
    for other in set(folder.iterdir()) - set(parts):
        other.unlink()


class _Stage:
    """Keeps a stage of workers running for a run. It is what runs beside the sending of this process."""

    def __init__(self, spark: Any, workers: int, concurrency: int | None) -> None:
        self._spark, self._workers, self._concurrency = spark, workers, concurrency
        self._group = f"bulk-sender-{uuid.uuid4()}"
        self._job: asyncio.Future[list[Left]] | None = None

    async def __call__(self, begun: Begun) -> None:
        order = Order(begun.run, self._concurrency)
        for _ in range(_MOST_FAILED):
            self._job = asyncio.get_running_loop().run_in_executor(None, self._run, order)
            try:
                # Not cancelled with the sending: the workers learn from the journal that it has ended.
                found = await asyncio.shield(self._job)
                for left in found:
                    left.report()
                if not any(left.may_return for left in found):
                    return
            except Exception as error:
                log.warning("a stage of workers on Spark has failed: %s", in_a_line(error))
            await anyio.sleep(_PAUSE_S)
            if not await anyio.to_thread.run_sync(begun.has_work):
                return
        log.warning("%d stages of workers have ended too early: no other is started", _MOST_FAILED)

    def _run(self, order: Order) -> list[Left]:
        with suppress(Exception):  # Spark Connect has no groups of jobs
            self._spark.sparkContext.setJobGroup(self._group, "workers of bulk-sender", interruptOnCancel=True)
        return _stage(self._spark, self._workers, _help, order)

    async def dismiss(self) -> None:
        """Wait for the stage, and end it if its workers do not notice that their run has ended."""
        if self._job is None:
            return
        with anyio.CancelScope(shield=True):
            await asyncio.wait([self._job], timeout=_TO_LEAVE_S)
            if not self._job.done():
                with suppress(Exception):
                    await anyio.to_thread.run_sync(self._spark.sparkContext.cancelJobGroup, self._group)
                await asyncio.wait([self._job], timeout=_TO_LEAVE_S)
            if self._job.done():
                self._job.exception()  # of a stage that nobody waits for any more


def _help(order: Order) -> Left:
    return run_in_loop(work, order)


def _look(_: Order) -> Left:
    """Look whether an executor has this package at all."""
    return Left("", "ready", __version__)


def _stage(spark: Any, workers: int, task: Callable[[Order], Left], order: Order) -> list[Left]:
    """Run ``task`` in each of so many tasks of one stage. Raises what Spark raises."""

    def with_rows(batches):  # type: ignore[no-untyped-def] # Spark reads the types of annotations
        import pyarrow as pa

        for _ in batches:
            pass
        yield pa.RecordBatch.from_pylist([asdict(task(order))], schema=pa.schema(dict.fromkeys(_FIELDS, pa.string())))

    numbers = spark.range(0, workers, 1, workers)
    rows = numbers.mapInArrow(with_rows, ", ".join(f"{name} string" for name in _FIELDS)).collect()
    return [Left(*row) for row in rows]


def _refuse_other_python(spark: Any) -> None:
    """Raise ConfigError when an executor cannot run this package in this release."""
    hint = "set PYSPARK_PYTHON to a Python of the executors that has this release of bulk-sender"
    try:
        [found] = _stage(spark, 1, _look, Order(""))
    except Exception as error:
        raise ConfigError(f"Spark's executors cannot run bulk-sender: {in_a_line(error)}", hint=hint) from None
    if found.reason != __version__:
        raise ConfigError(f"Spark's executors have bulk-sender {found.reason}, and this is {__version__}", hint=hint)


@asynccontextmanager
async def _hired(spark: Any, workers: int, plain: Mapping[str, Any]) -> AsyncIterator[_Stage]:
    await anyio.to_thread.run_sync(_refuse_other_python, spark)
    stage = _Stage(spark, workers, plain.get("concurrency"))
    try:
        yield stage
    finally:
        await stage.dismiss()
