"""An environment of its own for every subject, made once and kept under the work folder."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

SETUP_S = 900


class SetupError(Exception):
    """A subject's environment can't be made here."""


def python(work: Path, name: str, requirements: str) -> Path:
    """The interpreter of a virtual environment that holds ``requirements`` (a requirements file's text)."""

    def make(folder: Path) -> None:
        wanted = folder / "requirements.txt"
        wanted.write_text(requirements)
        _call([sys.executable, "-m", "venv", str(folder / "venv")])
        _call([str(folder / "venv/bin/python"), "-m", "pip", "install", "--quiet", "-r", str(wanted)])

    return _kept(work / "environments", name, requirements + sys.version, make) / "venv/bin/python"


def node(work: Path, name: str, package: Path, script: Path) -> Path:
    """A copy of ``script`` beside the modules that ``package`` (a ``package.json``) asks for."""

    def make(folder: Path) -> None:
        shutil.copy(package, folder)
        _call(
            [
                program("npm"),
                "install",
                "--no-package-lock",
                "--no-audit",
                "--no-fund",
                "--prefix",
                str(folder),
            ]
        )

    folder = _kept(work / "environments", name, package.read_text(), make)
    # Node looks for modules beside the script, so the script goes to the modules.
    return Path(shutil.copy(script, folder))


def program(name: str) -> str:
    """The path of an installed program."""
    if found := shutil.which(name):
        return found
    raise SetupError(f"{name} is not installed")


def dependencies(pyproject: Path, *extras: str) -> str:
    """The run-time dependencies of a project, with those of ``extras``, as the text of a requirements file."""
    project = tomllib.loads(pyproject.read_text())["project"]
    more = [requirement for extra in extras for requirement in project["optional-dependencies"][extra]]
    return "\n".join([*project["dependencies"], *more])


def _kept(environments: Path, name: str, recipe: str, make: Callable[[Path], None]) -> Path:
    """The folder of an environment, made anew when its recipe changed or it was never finished."""
    folder = environments / name
    stamp = folder / "recipe.sha256"
    digest = hashlib.sha256(recipe.encode()).hexdigest()
    if not (stamp.exists() and stamp.read_text() == digest):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        stamp.write_text(digest)
    return folder


def _call(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SETUP_S)
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"{command[0]} took more than {SETUP_S} s") from error
    if done.returncode:
        raise SetupError(f"{' '.join(command[:4])} … ended with {done.returncode}: {done.stderr.strip()[-400:]}")
