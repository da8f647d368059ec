"""Processes of this machine that run the tasks of a plan.

They are started for that alone: unlike those of ``multiprocessing``, they never run the caller's own program, which
might send. Each ends with the process that started it, and one that dies is replaced, because a task may run twice.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import IO, Any, Self, TypeVar

from bulk_sender.errors import BulkSenderError

A = TypeVar("A")
B = TypeVar("B")

_MOST_DEATHS = 3
_AHEAD = 2
"""Tasks for each process whose results may wait for those before them."""


class Processes:
    """A ``Map``. ``count`` processes are started with the first task, and end with the ``with`` block."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._all: list[_Process] = []
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            process.end()
        if self._threads is not None:
            self._threads.shutdown()
        for process in self._all:
            process.bury()

    def __call__(self, function: Callable[[A], B], items: Iterable[A], /) -> Iterator[B]:
        """Yield the result of each item in order. Raise what ``function`` raises; BulkSenderError when it kills."""
        threads, left = self._started(), iter(items)
        waiting: deque[Future[B]] = deque()
        try:
            while True:
                for item in islice(left, self._count * _AHEAD - len(waiting)):
                    waiting.append(threads.submit(self._run, function, item))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _started(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._all = [_Process(self._count) for _ in range(self._count)]
            for process in self._all:
                self._idle.put(process)
            self._threads = ThreadPoolExecutor(self._count)
        return self._threads

    def _run(self, function: Callable[[A], B], item: A) -> B:
        process = self._idle.get()
        try:
            return process.run(function, item)  # type: ignore[no-any-return]
        finally:
            self._idle.put(process)


class _Process:
    """One process, which takes one task at a time."""

    def __init__(self, beside: int) -> None:
        threads = max(1, (os.cpu_count() or 1) // beside)
        self._environment = {**os.environ, "POLARS_MAX_THREADS": str(threads)}
        self._process: subprocess.Popen[bytes] | None = None
        self._has_ended = False

    def end(self) -> None:
        """Kill the process, for good. A task is pure, so nothing is lost."""
        self._has_ended = True
        if self._process is not None:
            self._process.kill()

    def run(self, *order: Any) -> Any:
        for _ in range(_MOST_DEATHS):
            try:
                is_error, result = self._answer(order)
            except (EOFError, OSError, pickle.UnpicklingError):
                self.bury()
                if self._has_ended:
                    break
                continue
            if is_error:
                raise result
            return result
        raise BulkSenderError(
            f"a process that plans the input died {_MOST_DEATHS} times at the same task",
            hint="it may have had too little memory: set planners in [scale] to 1, or free some",
        )

    def bury(self) -> None:
        """Kill the process and wait until it has ended. Another one may take its place."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _answer(self, order: Any) -> Any:
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603 - this program itself
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=self._environment,
                start_new_session=True,  # signals of the terminal are for the process that plans what to do
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump(order, self._process.stdin)
        self._process.stdin.flush()
        return pickle.load(self._process.stdout)  # noqa: S301 - of this program's own process


def _serve(orders: IO[bytes], answers: IO[bytes]) -> None:
    """Run tasks until there are no more."""
    while True:
        try:
            function, item = pickle.load(orders)  # noqa: S301 - of the process that started this one
        except EOFError:
            return
        try:
            answer: tuple[bool, Any] = (False, function(item))
        except Exception as error:
            answer = (True, error)
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "wb") as own:
        os.dup2(2, 1)  # what a library prints must not be taken for an answer
        _serve(sys.stdin.buffer, own)
