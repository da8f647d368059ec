"""Workers of a run as actors of a Ray cluster.

Ray starts them, and tells when one has died; the process that called sends and leads, as without a cluster. Ray's own
retries stay as they are: an actor that is started again is one more worker, and takes only what no other has. What an
actor did is never concluded from its end, but read from the journal.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from bulk_sender.cluster.asked import refuse_to_resume, refuse_without, run_to_send
from bulk_sender.cluster.trouble import in_a_line
from bulk_sender.cluster.worker import Left, Order, work
from bulk_sender.cluster.written import send_written, write_tables
from bulk_sender.errors import BulkSenderError, JournalError
from bulk_sender.eventloop import blocking, left_behind
from bulk_sender.observe.events import log
from bulk_sender.operations.resume import resume_async as resume_alone
from bulk_sender.operations.send import send_async as send_alone
from bulk_sender.planning.prepared import InputLike
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.beside import Begun
from bulk_sender.run.options import RunName, Watch
from bulk_sender.run.settings import ConfigLike

_TO_CONNECT_S = 60.0
"""Ray itself tries for many minutes, and cannot be interrupted then."""
_PAUSE_S = 1.0
"""Between the death of a worker and its successor, and between two questions to one that Ray cannot reach."""
_MOST_STILLBORN = 3
"""So many workers in a row that died before they began show that the next one would."""
_MOST_TRIES = 5
_TO_LEAVE_S = 10.0
"""How long a worker may take to notice that its run has ended."""


async def send_async(
    source: InputLike,
    config: ConfigLike = None,
    *,
    workers: int,
    address: str | None = None,
    store: str | Path | None = None,
    run: RunName = RunName(),
    watch: Watch = Watch(),
    **plain: Any,
) -> Summary:
    """Send an input with ``workers`` more processes on a Ray cluster. The run's journal has to be in PostgreSQL.

    ``source``: what ``bulk_sender.send`` takes, or a ``ray.data.Dataset``, which is first written as Parquet files
    into ``store`` (default: ``.written`` in the folder of runs), a folder that this process can read when it resumes.
    ``address``: of the cluster, as for ``ray.init``; None: ``RAY_ADDRESS``, a cluster on this machine, or a new one.
    A connection that the program has to a cluster is used. The workers and this process, which sends, too, keep one
    rate. The other arguments, results and errors are those of ``bulk_sender.send``.

    Each worker needs this release of bulk-sender, and the key and ``BULK_SENDER_JOURNAL`` in the environment of its
    machine: Ray carries neither.
    """
    refuse_without("ray", workers)
    found, run, plain = run_to_send(config, run, plain)
    async with _cluster(address), _hired(workers, plain) as crew:
        watch = replace(watch, beside=crew)
        if not _is_dataset(source):
            return await send_alone(source, config, run=run, watch=watch, **plain)
        folder = Path(store) if store is not None else found.folder.parent / ".written"  # which no run can be called
        return await send_written(
            found, folder / found.name, lambda to: write_tables(to, _tables(source)), config, run, watch, plain
        )


async def resume_async(
    run: str, *, workers: int, address: str | None = None, watch: Watch = Watch(), **plain: Any
) -> Summary:
    """Resume a run with ``workers`` more processes on a Ray cluster, whatever it was started on.

    The other arguments, results and errors are those of ``bulk_sender.resume``; ``address`` as for ``send``.
    """
    refuse_without("ray", workers)
    refuse_to_resume(run, plain)
    async with _cluster(address), _hired(workers, plain) as crew:
        return await resume_alone(run, watch=replace(watch, beside=crew), **plain)


send = blocking(send_async)
resume = blocking(resume_async)


class Actor:
    """A worker in a process of Ray. Asked again, it does nothing twice."""

    def __init__(self) -> None:
        self._working: asyncio.Future[Left] | None = None
        self._begun: asyncio.Future[int] | None = None

    async def begin(self, order: Order) -> int:
        """Begin to work, and return the epoch in the journal; 0 when there was nothing to begin."""
        if self._working is None or self._begun is None:
            self._begun = asyncio.get_running_loop().create_future()
            self._working = asyncio.ensure_future(work(order, self._begun.set_result))
        either: list[asyncio.Future[Any]] = [self._begun, self._working]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return self._begun.result() if self._begun.done() else 0

    async def left(self) -> Left:
        """Wait for the end of the work."""
        assert self._working is not None
        return await asyncio.shield(self._working)


class _Crew:
    """Keeps so many workers at work for a run. It is what runs beside the sending of this process."""

    def __init__(self, workers: int, concurrency: int | None) -> None:
        self._workers, self._concurrency = workers, concurrency
        self._actors: set[Any] = set()

    async def __call__(self, begun: Begun) -> None:
        order = Order(begun.run, self._concurrency)
        async with anyio.create_task_group() as group:
            for _ in range(self._workers):
                group.start_soon(self._keep_one, begun, order)

    async def _keep_one(self, begun: Begun, order: Order) -> None:
        stillborn = 0
        while stillborn < _MOST_STILLBORN:
            actor = self._start()
            epoch, left = await _life_of(actor, order)
            self._actors.discard(actor)
            if left is not None and not left.may_return:
                break
            if left is None and epoch:
                await _fence(begun, epoch)
            stillborn = 0 if epoch else stillborn + 1
            await anyio.sleep(_PAUSE_S)
            if not await anyio.to_thread.run_sync(begun.has_work):
                break
        else:
            log.warning("%d workers in a row died before they began: no other is started in their place", stillborn)

    def _start(self) -> Any:
        import ray

        actor = ray.remote(Actor).options(scheduling_strategy="SPREAD").remote()
        self._actors.add(actor)
        return actor

    async def dismiss(self) -> None:
        """Wait for those that still work, and end those that do not notice that their run has ended."""
        import ray

        with anyio.CancelScope(shield=True):
            if self._actors:
                with anyio.move_on_after(_TO_LEAVE_S), suppress(Exception):
                    await asyncio.gather(*(_answer(actor.left) for actor in self._actors), return_exceptions=True)
            for actor in self._actors:
                with suppress(Exception):
                    ray.kill(actor)


async def _fence(begun: Begun, epoch: int) -> None:
    """Give up a worker now: it can write nothing more, and so send nothing. It need not be truly dead."""
    for _ in range(_MOST_TRIES):
        try:
            return await anyio.to_thread.run_sync(begun.team.fence, epoch)
        except JournalError:  # a lock that it left, for a moment
            await anyio.sleep(_PAUSE_S)
    return None  # all processes look for silent ones


async def _life_of(actor: Any, order: Order) -> tuple[int, Left | None]:
    """Return a worker's epoch, 0 if it has none, and how it ended; None when Ray says that it has died."""
    from ray.exceptions import RayActorError

    epoch = 0
    try:
        epoch = await _answer(actor.begin, order)
        left: Left = await _answer(actor.left)
    except RayActorError as error:
        log.warning("Ray says that a worker has died: %s", in_a_line(error))
        return epoch, None
    left.report()
    return epoch, left


async def _answer(method: Any, *arguments: Any) -> Any:
    """Ask an actor. While Ray cannot reach it, ask again: it may still work, and then must not be given up."""
    from ray.exceptions import ActorUnavailableError

    while True:
        try:
            return await method.remote(*arguments)
        except ActorUnavailableError:
            await anyio.sleep(_PAUSE_S)


@asynccontextmanager
async def _hired(workers: int, plain: Mapping[str, Any]) -> AsyncIterator[_Crew]:
    crew = _Crew(workers, plain.get("concurrency"))
    try:
        yield crew
    finally:
        await crew.dismiss()


@asynccontextmanager
async def _cluster(address: str | None) -> AsyncIterator[None]:
    """Connect to a cluster, unless the program has a connection. Raises BulkSenderError."""
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports to its makers otherwise
    try:
        with anyio.fail_after(_TO_CONNECT_S):
            await asyncio.wrap_future(left_behind(partial(_connect, address), "ray"))
    except Exception as error:
        why = f"no answer in {_TO_CONNECT_S:g} s" if isinstance(error, TimeoutError) else in_a_line(error)
        raise BulkSenderError(
            f"the Ray cluster {address or 'on this machine'} cannot be used: {why}",
            hint="ray status shows whether it runs; --address names it",
        ) from None
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(ray.shutdown)


def _connect(address: str | None) -> None:
    import ray

    # Not in the main thread, where Ray takes the signals that stop a run. What workers print is not its output.
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)


def _is_dataset(source: object) -> bool:
    return type(source).__module__.partition(".")[0] == "ray" and hasattr(source, "iter_batches")


def _tables(dataset: Any) -> Any:
    """The rows of a dataset as Arrow tables, block by block."""
    return dataset.iter_batches(batch_size=None, batch_format="pyarrow")
