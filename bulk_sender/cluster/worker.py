"""One more process of a run on a machine of an engine: what ``bulk-sender join`` does, and how it ended.

The engine brings the run's name, and nothing to send. The key and the address of the database come from the
environment of the machine on which this runs, and the rate is that of all processes of the run. An engine may run it
again, or twice at once: each is one more process.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bulk_sender.errors import BulkSenderError, ConfigError, InternalError
from bulk_sender.journal.place import VARIABLE
from bulk_sender.observe.events import log
from bulk_sender.operations.join import join_async
from bulk_sender.run.beside import Begun
from bulk_sender.run.options import Watch


@dataclass(frozen=True, slots=True)
class Order:
    """What an engine brings to a worker."""

    run: str
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """How a worker ended. ``state``: that of its run, or ``lost``, ``refused`` or ``running`` (it left before)."""

    host: str
    state: str
    reason: str = ""

    @property
    def may_return(self) -> bool:
        """Whether another worker may do better: this one was given up, perhaps for a pause."""
        return self.state == "lost"

    def report(self) -> None:
        """Log why a worker could not help at all."""
        if self.state == "refused":
            log.warning("a worker on %s could not help: %s", self.host, self.reason)


class _Telling:
    """Tells the worker's epoch."""

    def __init__(self, tell: Callable[[int], object]) -> None:
        self._tell = tell

    async def __call__(self, begun: Begun) -> None:
        self._tell(begun.epoch)


async def work(order: Order, on_begun: Callable[[int], object] = lambda _: None) -> Left:
    """Send for a run until it ends, and return how this process left it. ``on_begun`` gets its epoch."""
    host = socket.gethostname()
    try:
        _refuse_without_database(host)
        with tempfile.TemporaryDirectory(prefix="bulk-sender-worker-") as folder:
            summary = await join_async(
                order.run,
                watch=Watch(beside=_Telling(on_begun)),
                runs_dir=Path(folder),
                concurrency=order.concurrency,
                overrides={"delivery.share_rate": True},
            )
    except BulkSenderError as error:
        return Left(
            host, "stopped" if error.exit_code == 3 else "refused", ": ".join(filter(None, (str(error), error.hint)))
        )
    except Exception as error:
        return Left(host, "refused", str(InternalError.of(error)))
    return Left(host, "lost" if summary.lost == "taken_over" else summary.state, summary.reason or "")


def _refuse_without_database(host: str) -> None:
    if not os.environ.get(VARIABLE):
        raise ConfigError(
            f"{VARIABLE} is not set in the environment of workers on {host}",
            hint="set it, and the key in BRAZE_API_KEY or BRAZE_API_KEY_FILE, where the engine starts on that machine",
        )
