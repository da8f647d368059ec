"""A PostgreSQL server of the tests' own, on loopback and a socket, in a temporary folder."""

from __future__ import annotations

import ctypes
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

from bulk_sender import journal as journals
from bulk_sender.journal.place import Place
from tests.kit.tools import required

_numbers = itertools.count(1)
_PR_SET_PDEATHSIG = 1


def find_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs; Debian does not put it on PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)


class Server:
    """One server. ``disk``: where its data is, if not in a temporary folder. ``settings``: of ``postgresql.conf``."""

    def __init__(self, programs: Path, disk: Path | None = None, **settings: Any) -> None:
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))  # not the test's own: a socket's path is short
        self.data = (disk or self.folder) / "data"
        self.port = _free_port()
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._user: dict[str, Any] = {}
        if os.getuid() == 0:  # which the server refuses to be
            account = pwd.getpwnam("postgres")
            for folder in (self.folder, self.data.parent):
                os.chown(folder, account.pw_uid, account.pw_gid)
            self._user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    # --- its life -----------------------------------------------------------------------------------------------

    def made(self) -> Self:
        self.program("initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N", "-k")
        return self

    def program(self, name: str, *arguments: object) -> str:
        done = subprocess.run(
            [self.programs / name, *map(str, arguments)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **self._user,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> Self:
        """Start the server, once what a killed one left has ended."""
        end = time.monotonic() + 60
        while True:
            self._process = self._started()
            while self._process.poll() is None:
                if self._answers():
                    return self
                assert time.monotonic() < end, self.log()
                time.sleep(0.05)
            assert time.monotonic() < end, self.log()

    def _started(self) -> subprocess.Popen[bytes]:
        settings = {
            "port": self.port,
            "unix_socket_directories": self.folder,
            "listen_addresses": "127.0.0.1",
            "shared_buffers": "16MB",
            "max_connections": 40,
            **self.settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self.programs / "postgres", "-D", self.data, *options],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,
                **self._user,
            )

    def _answers(self) -> bool:
        try:
            self.sql("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def end(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT in order, SIGQUIT immediately, SIGKILL without a word."""
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(60)
        self._process = None

    def is_down(self) -> bool:
        """Whether the server has ended by itself."""
        return self._process is None or self._process.poll() is not None

    def remove(self) -> None:
        self.end()
        for folder in (self.data, self.folder):
            shutil.rmtree(folder, ignore_errors=True)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    # --- its databases ------------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        return self.address_of("postgres")

    def address_of(self, database: str, port: int = 0) -> str:
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}"

    def sql(self, text: str, *values: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.address_of(database), autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(text, values or None)
            return cursor.fetchall() if cursor.description else []

    def place(self) -> Place:
        """Return a new schema for journals."""
        place = Place(self.address, f"journals_{os.getpid()}_{next(_numbers)}", 5.0)
        journals.make_schema(place)
        return place


@contextmanager
def running(**settings: Any) -> Iterator[Server]:
    """A server for one test, or for all; skips without PostgreSQL."""
    programs = find_programs()
    if programs is None:
        if required():
            pytest.fail("PostgreSQL is not installed")
        pytest.skip("needs PostgreSQL")
    server = Server(programs, **settings)
    try:
        yield server.made().start()
    finally:
        server.remove()


def _end_with_parent() -> None:
    """Let the server end when the tests are killed, where the system can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
