"""A machine on which there is nothing but Python: the README's first line makes an environment there, and keeps it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bulk_sender.sandbox import RunningSandbox
from tests.kit.command import Screen
from tests.kit.sandbox import run_in_thread
from tests.kit.target import CAMPAIGN, KEY

ROOT = Path(__file__).parents[2]
_SOURCE = ("bulk_sender", "sample_data", "pyproject.toml", "README.md", "LICENSE")
_LINE = re.compile(r"^```sh\n(python3 -m venv \.venv && .*--sandbox.*)\n```$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the README's first line was run: what it said, and the environment it made."""

    folder: Path
    told: str
    code: int

    @property
    def bin(self) -> Path:
        return self.folder / ".venv" / "bin"

    @property
    def python(self) -> Path:
        return self.bin / "python"

    def variables(self, **more: str) -> dict[str, str]:
        """An environment as cron gives it: next to nothing."""
        return {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8", **more}


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Made once for all the processes of a test run, which takes some twenty seconds.

    Its packages come from an index, as CI's own do, in the versions of the constraints.
    """
    if os.environ.get("PIP_NO_INDEX"):
        pytest.skip("pip has no index to install from (PIP_NO_INDEX)")
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if os.environ.get("PYTEST_XDIST_WORKER") else shared
    folder, facts = shared / "machine", shared / "machine.json"
    with (shared / "machine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not facts.exists():
            facts.write_text(json.dumps(_made(folder)))
    return Machine(folder, **json.loads(facts.read_text()))


def _made(folder: Path) -> dict[str, object]:
    for name in _SOURCE:
        source, place = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, place)
    [line] = _LINE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BRAZE", "VIRTUAL"))}
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env=clean | {"PIP_CONSTRAINT": str(ROOT / ".ci" / "constraints.txt")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    return {"told": done.stdout + done.stderr, "code": done.returncode}


@pytest.fixture
def braze() -> Iterator[RunningSandbox]:
    """A Braze that knows one key and one campaign, and takes its time."""
    with run_in_thread(keys=[KEY], campaigns=[CAMPAIGN], latency_s=0.2) as sandbox:
        yield sandbox


@dataclass(frozen=True, slots=True)
class Desk:
    """A person's terminal and folder on the machine. What is typed is what the program has shown."""

    machine: Machine
    folder: Path

    def types(self, command: str, *, width: int = 80, say: str = "") -> tuple[int, str]:
        """Run a line of shell, with ``say`` as the answer to each question. Returns the exit code and the screen."""
        line: Sequence[str] = ("sh", "-c", command)
        with Screen(line, self.folder, self.machine.variables(TERM="xterm-256color"), width) as screen:
            code = screen.end(say=say)
            return code, screen.shown
