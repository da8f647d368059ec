"""Signals: the first stops a delivery in order, the second stops it now, the third kills the process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anyio.abc import TaskStatus


class Terminated(KeyboardInterrupt):
    """SIGTERM outside a delivery."""


def end_on_sigterm() -> None:
    """Let SIGTERM unwind the stack as SIGINT does, so that temporary files are removed."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, end)


def outlive_the_terminal() -> None:
    """Ignore SIGHUP: a closed terminal or a dropped connection must not stop a run halfway."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


async def listen(
    first: Callable[[int], None],
    second: Callable[[int], None],
    *,
    task_status: TaskStatus[None],
) -> None:
    """Handle SIGINT and SIGTERM until cancelled. The third ends the process: open requests stay unknown."""
    import anyio

    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        heard = 0
        async for number in signals:
            heard += 1
            if heard == 1:
                first(number)
            elif heard == 2:
                second(number)
            else:
                os._exit(128 + number)
