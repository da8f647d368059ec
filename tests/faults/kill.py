"""Tools to kill a sender at a chosen moment, and to return its output until then.

They only signal processes that they started, and everything has a time-out.
"""

from __future__ import annotations

import contextlib
import os
import signal as signals
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .ledger import Ledger, Seen
from .server import FaultServer


@dataclass(frozen=True)
class Condition:
    """``holds(since, wait)`` waits at most ``wait`` seconds; the waiting as a whole began at ``since``."""

    name: str
    holds: Callable[[float, float], bool]


@dataclass(frozen=True)
class Ended:
    """How a command ended: ``returncode`` is negative after a signal; ``struck`` names the conditions that were met."""

    pid: int
    returncode: int
    stdout: str
    stderr: str
    struck: tuple[str, ...]
    elapsed: float


class StillRunning(AssertionError):
    """The command exceeded its time-out and was killed; the message contains its output."""


def kill_when(
    command: Sequence[str | Path],
    condition: Condition,
    signal: int = signals.SIGKILL,
    *,
    then: Sequence[tuple[Condition, int]] = (),
    timeout: float = 30.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Ended:
    """Run a command, signal it once the condition holds, and wait for its end.

    ``then`` are further conditions and signals, each awaited after the one before (a second Ctrl-C). A
    command that ends by itself first is no error: look at ``struck``. ``StillRunning`` after ``timeout``
    seconds.
    """
    return run_command(command, [(condition, signal), *then], timeout=timeout, env=env, cwd=cwd)


def run_command(
    command: Sequence[str | Path],
    blows: Sequence[tuple[Condition, int]] = (),
    *,
    timeout: float = 30.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Ended:
    """Run a command to its end, with the given signals on the way (none: an ordinary run)."""
    began = time.monotonic()
    struck: list[str] = []
    # files, not pipes: output is never lost to a kill, and a full pipe never holds the command up
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:

        def said() -> tuple[str, str]:
            out.seek(0)
            err.seek(0)
            return out.read().decode(errors="replace"), err.read().decode(errors="replace")

        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
        try:
            for condition, signal in blows:
                if _await(process, condition, began + timeout):
                    process.send_signal(signal)
                    struck.append(condition.name)
            returncode = process.wait(max(0.0, began + timeout - time.monotonic()))
        except subprocess.TimeoutExpired:
            _end(process)
            raise StillRunning(f"{command} ran for {timeout} s, struck: {struck}, said: {said()}") from None
        except BaseException:
            _end(process)
            raise
        stdout, stderr = said()
    return Ended(process.pid, returncode, stdout, stderr, tuple(struck), time.monotonic() - began)


def _await(process: subprocess.Popen[bytes], condition: Condition, end: float) -> bool:
    since = time.monotonic()
    while process.poll() is None and time.monotonic() < end:
        if condition.holds(since, 0.02):
            return True
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    # it has a separate session, so the group contains only its children; it was not waited for, so its id is
    # not reused
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signals.SIGKILL)
        process.wait()


# --- conditions -----------------------------------------------------------------------------------


def _in_ledger(name: str, server: FaultServer, holds: Callable[[Ledger], bool]) -> Condition:
    return Condition(name, lambda since, wait: server.ledger.wait(holds, wait))


def _requests(ledger: Ledger, matches: Callable[[Seen], bool]) -> int:
    return sum(matches(seen) for seen in ledger.requests)


def connected(server: FaultServer, n: int = 1) -> Condition:
    """Return the condition that the server accepted its n-th connection (F54)."""
    return _in_ledger(f"connected({n})", server, lambda ledger: len(ledger.connections) >= n)


def bytes_read(server: FaultServer, size: int, *, request: int = 1) -> Condition:
    """The server has read ``size`` bytes of a request's body (F55); ``stall_mid_body`` holds it there."""
    return _in_ledger(
        f"bytes_read({size})",
        server,
        lambda ledger: _requests(ledger, lambda seen: seen.index == request and seen.received >= size) > 0,
    )


def request_read(server: FaultServer, n: int = 1) -> Condition:
    """Return the condition that the server has read ``n`` complete requests (F56)."""
    return _in_ledger(f"request_read({n})", server, lambda ledger: _requests(ledger, lambda seen: seen.complete) >= n)


def status_line_sent(server: FaultServer, n: int = 1) -> Condition:
    """The server has begun ``n`` answers (F57); ``stall_after_status_line`` holds it there."""
    return _in_ledger(
        f"status_line_sent({n})",
        server,
        lambda ledger: _requests(ledger, lambda seen: seen.answered > 0) >= n,
    )


def failpoint(file: Path) -> Condition:
    """Return the condition that the command wrote this file."""

    def holds(since: float, wait: float) -> bool:
        if file.exists():
            return True
        time.sleep(wait / 4)
        return file.exists()

    return Condition(f"failpoint({file.name})", holds)


def after(ms: float) -> Condition:
    """Return the condition that this many milliseconds passed since the start or the previous signal."""

    def holds(since: float, wait: float) -> bool:
        left = since + ms / 1000 - time.monotonic()
        time.sleep(max(0.0, min(wait, left)))
        return left <= wait

    return Condition(f"after({ms} ms)", holds)
