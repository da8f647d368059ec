"""Run a sender with a fault in the n-th system call: death inside a commit, a disk that fails to sync (F52,
F59, F70).

strace counts calls for each thread of its own, so ``n`` means the n-th call of any one thread.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.kit import tools

from .kill import Ended, run_command


@functools.cache
def strace_works() -> bool:
    """Whether strace is there and may trace (some containers forbid it)."""
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, timeout=10, check=False)
    return tried.returncode == 0


needs_strace = pytest.mark.skipif(
    sys.platform != "linux" or not (tools.required() or strace_works()),
    reason="strace is missing or may not trace here",
)


def killed_at(syscall: str, n: int) -> str:
    """Return an injection of SIGKILL at the start of the n-th call, which then has no effect."""
    return f"{syscall}:signal=KILL:when={n}"


def failing_at(syscall: str, n: int, error: str = "EIO", *, onwards: bool = False) -> str:
    """The n-th call fails and has no effect; ``onwards``: every later one as well."""
    return f"{syscall}:error={error}:when={n}{'+' if onwards else ''}"


def under_strace(
    command: Sequence[str | Path],
    inject: str | Sequence[str],
    *,
    path: Path | None = None,
    timeout: float = 60.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Ended:
    """Run a command and its children with the injections, which ``killed_at`` and ``failing_at`` write.

    ``path`` counts and spoils only calls on that file. The end is the command's: -9 when it was killed.
    """
    injections = [inject] if isinstance(inject, str) else list(inject)
    options = [part for one in injections for part in ("-e", f"inject={one}")]
    traced = ",".join(one.partition(":")[0] for one in injections)
    return run_command(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={traced}", *options, *_only(path), *command],
        timeout=timeout,
        env=env,
        cwd=cwd,
    )


def count_syscalls(
    command: Sequence[str | Path],
    syscall: str,
    *,
    path: Path | None = None,
    timeout: float = 60.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> int:
    """Return how often a command makes this call: the range of ``n`` to test."""
    with tempfile.NamedTemporaryFile("r") as log:
        run_command(
            ["strace", "-f", "-qq", "-o", log.name, "-e", f"trace={syscall}", *_only(path), *command],
            timeout=timeout,
            env=env,
            cwd=cwd,
        )
        return sum(f"{syscall}(" in line for line in log)


def _only(path: Path | None) -> list[str | Path]:
    return [] if path is None else ["-P", path]
