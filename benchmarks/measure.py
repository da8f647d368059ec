"""Run one command on one core and account for everything it and its children used."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Finished:
    """A command that ended. ``cpu_s`` is user plus system time of the whole process tree."""

    exit_code: int
    stdout: str
    stderr: str
    cpu_s: float
    wall_s: float
    max_rss_mb: float


def run(command: Sequence[str], *, env: Mapping[str, str], cwd: Path, core: int | None, timeout_s: float) -> Finished:
    """Run ``command`` to its end on ``core``; past ``timeout_s`` the whole tree is killed (exit code -9).

    CPU time and memory come from ``wait4``: the kernel adds up every descendant that was waited for. Memory
    is that of the largest single process, and never below that of this one, which the kernel counts from the
    fork on.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=lambda: pin(core),
        )
        timer = threading.Timer(timeout_s, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            timer.cancel()
        wall_s = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        return Finished(
            exit_code=process.returncode,
            stdout=stdout.read().decode(errors="replace"),
            stderr=stderr.read().decode(errors="replace"),
            cpu_s=usage.ru_utime + usage.ru_stime,
            wall_s=wall_s,
            max_rss_mb=usage.ru_maxrss / 1024,
        )


def pin(core: int | None) -> None:
    """Keep the calling process on ``core``; where the system can't, it floats."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def cores() -> tuple[int | None, int | None]:
    """The core for the subject and the core for the server: different ones where there are two."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]
