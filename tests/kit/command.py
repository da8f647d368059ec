"""``bulk-sender`` as a child process, with pipes or on a terminal of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from bulk_sender.cli.app import run
from bulk_sender.cli.console.terminal import terminal
from tests.kit.target import CAMPAIGN, KEY

REPOSITORY = Path(__file__).parents[2]
_LONGEST_S = 300.0
_UNWANTED = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "PYTHONDONTWRITEBYTECODE")
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TO_TYPE = re.compile(r"Type (\S+)\s+to\s+send:")


def environment(**more: str) -> dict[str, str]:
    """The caller's, without what would change an outcome, and with the package found from any directory."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BRAZE_", "BULK_SENDER_")) and name not in _UNWANTED
    }
    return inherited | {"PYTHONPATH": str(REPOSITORY), "TERM": "xterm"} | more


def command_line(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "bulk_sender", *map(str, arguments)]


class Place:
    """A working directory, and where requests from it go."""

    def __init__(self, folder: Path, endpoint: str = "") -> None:
        self.folder = folder
        self.runs = folder / "bulk-sender-runs"
        self.variables = {"BRAZE_API_KEY": KEY, **({"BRAZE_ENDPOINT": endpoint} if endpoint else {})}

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def people(self, count: int, name: str = "people.csv") -> Path:
        """A file of ``count`` recipients, ``user-0001`` and so on."""
        return self.write(name, "external_user_id\n" + "".join(f"user-{n:04}\n" for n in range(1, count + 1)))

    def run(self, *arguments: str | Path, **variables: str) -> Outcome:
        """Run a command to its end, with nothing on standard input."""
        done = subprocess.run(
            command_line(*arguments),
            cwd=self.folder,
            env=environment(**self.variables | variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def send(self, path: Path, *arguments: str | Path, **variables: str) -> Outcome:
        """``send`` to the campaign without a question."""
        return self.run("send", path, "--campaign-id", CAMPAIGN, "--yes", *arguments, **variables)

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        """Start a command; the caller sees to its end."""
        return subprocess.Popen(
            command_line(*arguments),
            cwd=self.folder,
            env=environment(**self.variables),
            stdin=subprocess.DEVNULL,
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
        )

    def summary(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.runs / run / "summary.json").read_text(encoding="utf-8"))
        return found


class Here:
    """``bulk-sender`` called inside this process, where it need not be one of its own: that costs half a second."""

    def __init__(self, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capture, self._patch = capture, patch

    def run(self, place: Place, *arguments: str | Path, **variables: str) -> Outcome:
        self._patch.chdir(place.folder)
        for name in [name for name in os.environ if name.startswith(("BRAZE_", "BULK_SENDER_"))]:
            self._patch.delenv(name)
        for name, value in (place.variables | variables).items():
            self._patch.setenv(name, value)
        self._patch.setattr(sys, "argv", ["bulk-sender"])
        for console in ("err", "out"):
            terminal.__dict__.pop(console, None)  # they hold the streams of the test before
        terminal.set_up()
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        try:
            code = run([*map(str, arguments)])
        finally:
            for number, action in before.items():
                signal.signal(number, action)
        out, err = self._capture.readouterr()
        return Outcome(code, out, err)

    def send(self, place: Place, path: Path, *arguments: str | Path) -> Outcome:
        return self.run(place, "send", path, "--campaign-id", CAMPAIGN, "--yes", *arguments)


class Outcome:
    """A finished command. Whatever it was, it never shows a traceback or the key."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        assert "Traceback" not in out + err, err
        assert KEY not in out + err

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.err.splitlines()]


class Screen:
    """Any command with a terminal for all three streams; ``shown`` is what came, without colours and movements."""

    def __init__(self, command: Sequence[str], folder: Path, variables: Mapping[str, str], width: int = 80) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**variables, "COLUMNS": str(width), "LINES": "40"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.raw = ""

    @property
    def shown(self) -> str:
        return _ESCAPE.sub("", self.raw)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)

    def see(self, text: str) -> str:
        """Read until ``text`` is shown."""
        self._read(lambda: text in self.shown)
        assert text in self.shown, self.shown
        return self.shown

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self, *, say: str = "") -> int:
        """Read to the end, and ``say`` something to whatever is asked until then. Returns the exit code.

        Where a number has to be typed to send the same once more, it is typed.
        """
        answered = self.shown.count("[y/N]")
        typed = len(_TO_TYPE.findall(self.shown))

        def answer() -> bool:
            nonlocal answered, typed
            if say and self.shown.count("[y/N]") > answered:
                answered += 1
                self.type(f"{say}\n")
            wanted = _TO_TYPE.findall(self.shown)
            if say and len(wanted) > typed:
                typed += 1
                self.type(f"{wanted[-1]}\n")
            return False

        self._read(answer)
        assert "Traceback" not in self.shown
        assert KEY not in self.shown
        return self.process.wait(_LONGEST_S)

    def _read(self, is_enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _LONGEST_S
        while not is_enough() and time.monotonic() < deadline:
            if not select.select([self._master], [], [], 0.2)[0]:
                continue
            try:
                more = os.read(self._master, 65536)
            except OSError:  # the other side is closed
                return
            if not more:
                return
            self.raw += more.decode("utf-8", "replace")


class OnTerminal(Screen):
    """A command of the program, in a place."""

    def __init__(self, place: Place, *arguments: str | Path, width: int = 80, **variables: str) -> None:
        super().__init__(command_line(*arguments), place.folder, environment(**place.variables | variables), width)


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def end(process: subprocess.Popen[str], number: signal.Signals | None = None) -> Outcome:
    """Send a signal, if one is given, and gather what the process leaves."""
    if number is not None:
        process.send_signal(number)
    out, err = process.communicate(timeout=_LONGEST_S)
    return Outcome(process.returncode, out, err)


def files_below(folder: Path) -> Sequence[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]
