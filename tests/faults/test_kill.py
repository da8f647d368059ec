"""Tests of the kill tools: processes die at the given moment, and only those started here."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import (
    Condition,
    FaultServer,
    StillRunning,
    after,
    bytes_read,
    connected,
    count_syscalls,
    failing_at,
    failpoint,
    kill_when,
    killed_at,
    needs_strace,
    request_read,
    run_command,
    sequence,
    status_line_sent,
    under_strace,
)

POSTS = """
import socket, sys
body = b'{"recipients": []}' + b' ' * 5000
for _ in range(5):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as client:
        client.sendall(b'POST / HTTP/1.1\\r\\nContent-Length: %d\\r\\n\\r\\n' % len(body) + body)
        print(client.recv(12).decode(), flush=True)
        while client.recv(65536):
            pass
"""
SYNCS = """
import os, sys
for name in sys.argv[1:]:
    file = os.open(name, os.O_WRONLY | os.O_CREAT)
    for _ in range(4):
        os.write(file, b'x')
        os.fsync(file)
"""


def python(program: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", program, *map(str, arguments)]


@pytest.mark.parametrize(
    ("fault", "condition", "taken"),
    [
        ("stop_reading", connected, 0),
        ("stall_mid_body", lambda server: bytes_read(server, 200), 0),
        ("hang_after_read", request_read, 1),
        ("stall_after_status_line", status_line_sent, 1),
    ],
    ids=["connected", "mid-body", "read", "status-line"],
)
def test_a_sender_dies_at_the_given_point_of_the_exchange(
    fault: str, condition: Callable[[FaultServer], Condition], taken: int
) -> None:
    with FaultServer(fault) as server:
        when = condition(server)
        ended = kill_when(python(POSTS, server.port), when, timeout=20)
    assert ended.struck == (when.name,)
    assert ended.returncode == -signal.SIGKILL
    assert len(server.ledger.accepted) == taken
    assert len(server.ledger.requests) == 1


def test_a_sender_dies_at_the_nth_request() -> None:
    with FaultServer(sequence("ok_closing", "ok_closing", then="hang_after_read")) as server:
        ended = kill_when(python(POSTS, server.port), request_read(server, 3), signal.SIGTERM)
    assert ended.returncode == -signal.SIGTERM
    assert ended.stdout.split() == ["HTTP/1.1", "201"] * 2
    assert len(server.ledger.accepted) == 3


def test_a_file_is_a_failpoint(tmp_path: Path) -> None:
    file = tmp_path / "before_intent"
    program = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(20)"
    ended = kill_when(python(program, file), failpoint(file))
    assert (ended.returncode, ended.struck) == (-signal.SIGKILL, ("failpoint(before_intent)",))


def test_signals_follow_one_another(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "for name in sys.argv[1:]:\n"
        "    try: pathlib.Path(name).touch(); time.sleep(20)\n"
        "    except KeyboardInterrupt: print('interrupted', flush=True)"
    )
    first, second = tmp_path / "first", tmp_path / "second"
    ended = kill_when(
        python(program, first, second),
        failpoint(first),
        signal.SIGINT,
        then=[(failpoint(second), signal.SIGINT)],
    )
    assert ended.returncode == 0
    assert ended.stdout.split() == ["interrupted"] * 2
    assert ended.struck == ("failpoint(first)", "failpoint(second)")


def test_time_is_a_condition_too() -> None:
    ended = kill_when(python("import time; time.sleep(20)"), after(50))
    assert ended.returncode == -signal.SIGKILL
    assert 0.05 <= ended.elapsed < 18


def test_a_command_that_ends_before_the_condition_is_not_killed() -> None:
    ended = kill_when(python("import sys; print('out'); sys.exit('err')"), after(10_000))
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "out\n", "err\n")
    assert ended.struck == ()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks the child up in /proc")
def test_a_command_that_never_ends_is_killed_with_its_children() -> None:
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'])\n"
        "print(child.pid, flush=True); time.sleep(30)"
    )
    began = time.monotonic()
    with pytest.raises(StillRunning) as caught:
        run_command(python(program), timeout=1)
    assert time.monotonic() - began < 25
    child = int(str(caught.value).rpartition("said: ('")[2].partition("\\n")[0])
    assert _gone(child)


def _gone(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@needs_strace
def test_a_program_dies_inside_the_nth_sync(tmp_path: Path) -> None:
    file = tmp_path / "synced"
    assert count_syscalls(python(SYNCS, file), "fsync") == 4
    file.unlink()
    ended = under_strace(python(SYNCS, file), killed_at("fsync", 3))
    assert ended.returncode == -signal.SIGKILL
    assert file.read_bytes() == b"xxx"


@needs_strace
def test_a_sync_fails_with_the_requested_error(tmp_path: Path) -> None:
    ended = under_strace(python(SYNCS, tmp_path / "synced"), failing_at("fsync", 2))
    assert ended.returncode == 1
    assert "Input/output error" in ended.stderr


@needs_strace
def test_only_calls_on_one_file_count(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    second.touch()
    ended = under_strace(python(SYNCS, first, second), killed_at("fsync", 1), path=second)
    assert ended.returncode == -signal.SIGKILL
    assert (first.read_bytes(), second.read_bytes()) == (b"xxxx", b"x")
