"""Fast-starting processes of the command line, forked from a parent that has imported everything and run nothing.

Each is a separate process with separate memory, threads, locks and event loop; SIGKILL ends it like any other.
``python -m tests.crash.nursery`` is the parent; it reads one JSON object per line and forks a child for each.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
_PR_SET_PTRACER = 0x59616D61
ONE_THREAD = {"POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Environment of children: small inputs need no thread pool, and a pool cannot be forked."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: ``code`` is negative if a signal killed it."""

    code: int
    out: str
    err: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL

    @property
    def summary(self) -> dict[str, Any]:
        """The output of ``--json``."""
        return json.loads(self.out)


@dataclass
class Child:
    """A running command."""

    pid: int
    _nursery: Nursery
    tracer: subprocess.Popen[bytes] | None = None
    _started: float = field(default_factory=time.monotonic)

    def signal(self, number: int = signal.SIGKILL) -> None:
        """Send a signal; it cannot hit another process, because the parent keeps the pid until ``wait``."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    @property
    def has_ended(self) -> bool:
        """Whether its end is all that there is to wait for."""
        return _field(self.pid, "State").startswith("Z")

    def wait(self, timeout: float = 30.0) -> Ended:
        """Wait for the end. After ``timeout`` seconds, kill the command and raise AssertionError."""
        late: list[bool] = []

        def end() -> None:
            late.append(True)
            self.signal()

        timer = threading.Timer(timeout, end)
        timer.start()
        try:
            told = self._nursery.ask({"wait": self.pid})
        finally:
            timer.cancel()
        if self.tracer is not None:
            self.tracer.wait(timeout)
        ended = Ended(told["code"], _output(told["out"]), _output(told["err"]))
        if late:
            raise AssertionError(f"still running after {timeout} s: {ended}")
        return ended


def _output(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except FileNotFoundError:  # killed before it could open its output
        return ""


class Nursery:
    """The parent process, as a context manager. Only one caller at a time may use it."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery", self._folder.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD},
            text=True,
        )
        assert self._read() == {"ready": True}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(50)
        self._process.stdout.close()
        self._folder.cleanup()

    def start(
        self,
        arguments: Sequence[object],
        env: Mapping[str, str] | None = None,
        *,
        largest_file: int = 0,
        traced: Sequence[str] = (),
        strace: Sequence[str] = (),
        cwd: Path | None = None,
        piped: Path | None = None,
        chunk_cells: int = 0,
        mutant: Mapping[str, str] | None = None,
    ) -> Child:
        """Run ``bulk-sender ARGUMENTS``. ``largest_file``: RLIMIT_FSIZE in bytes, 0 for none.

        ``traced``: strace injections from ``killed_at`` and ``failing_at``. ``strace``: any other options for it.
        ``piped``: the file on standard input. ``chunk_cells``: cells per chunk, so that a small input is read in
        several; 0 for the usual number. ``mutant``: ``module``, ``name``, and in its text
        ``old``, to be replaced by ``new``.
        """
        order = {
            "arguments": [str(part) for part in arguments],
            "env": dict(env or {}),
            "largest_file": largest_file,
            "stop": bool(traced or strace),
            "chunk_cells": chunk_cells,
            "cwd": str(cwd or ""),
            "piped": str(piped or os.devnull),
            "mutant": dict(mutant or {}),
        }
        child = Child(self.ask(order)["pid"], self)
        if traced or strace:
            child.tracer = attach(child.pid, strace or injecting(traced))
        return child

    def run(
        self,
        arguments: Sequence[object],
        env: Mapping[str, str] | None = None,
        *,
        largest_file: int = 0,
        traced: Sequence[str] = (),
        cwd: Path | None = None,
        piped: Path | None = None,
        timeout: float = 30.0,
    ) -> Ended:
        child = self.start(arguments, env, largest_file=largest_file, traced=traced, cwd=cwd, piped=piped)
        return child.wait(timeout)

    def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the nursery ended"
        return json.loads(line)


def injecting(injections: Sequence[str]) -> list[str]:
    """Return strace's options for injections."""
    calls = ",".join(one.partition(":")[0] for one in injections)
    inject = [part for one in injections for part in ("-e", f"inject={one}")]
    return ["-o", os.devnull, "-e", f"trace={calls}", *inject]


def attach(pid: int, options: Sequence[str]) -> subprocess.Popen[bytes]:
    """Attach strace to a child that has stopped itself, and continue the child. strace ends with it."""
    until(lambda: _field(pid, "State").startswith("T"))
    tracer = subprocess.Popen(["strace", "-f", "-qq", *options, "-p", str(pid)])
    until(lambda: _field(pid, "TracerPid") != "0")
    os.kill(pid, signal.SIGCONT)
    return tracer


def _field(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))


def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def _wait_for_tracer() -> None:
    # a tracer that is not an ancestor needs permission where the system restricts tracing
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)


def _parent(folder: str) -> None:
    for name in (
        "bulk_sender.cli.app",
        "bulk_sender.cli.commands.send",
        "bulk_sender.operations.send",
        "bulk_sender.cli.console.watch",
        "anyio._backends._asyncio",
    ):
        importlib.import_module(name)
    _tell({"ready": True})
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            pid = order["wait"]
            _, status = os.waitpid(pid, 0)
            files = {name: f"{folder}/{pid}.{name}" for name in ("out", "err")}
            _tell({"code": os.waitstatus_to_exitcode(status), **files})
            continue
        pid = os.fork()
        if not pid:
            _child(order, folder)
        _tell({"pid": pid})


def _tell(answer: Mapping[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def _child(order: Mapping[str, Any], folder: str) -> None:
    code = 70
    try:
        os.setsid()
        os.dup2(os.open(order["piped"], os.O_RDONLY), 0)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - without what the parent has read ahead
        if order["cwd"]:
            os.chdir(order["cwd"])
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{folder}/{os.getpid()}.{name}", os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
        os.environ.update(order["env"])
        if order["largest_file"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"],) * 2)
        if order["chunk_cells"]:
            from bulk_sender.reading import chunk

            chunk.CHUNK_CELLS = order["chunk_cells"]
        if mutant := order["mutant"]:
            module = importlib.import_module(mutant["module"])
            text = getattr(module, mutant["name"])
            assert mutant["old"] in text
            setattr(module, mutant["name"], text.replace(mutant["old"], mutant["new"]))
        if order["stop"]:
            _wait_for_tracer()
        from bulk_sender import failpoints

        importlib.reload(failpoints)  # read the environment, as a new process would
        from bulk_sender.cli.app import run

        code = run(order["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _parent(sys.argv[1])
