"""Windows, as far as it can be played here: a Python without ``fcntl`` and ``resource``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bulk_sender._version import __version__
from tests.kit.command import environment

SENTENCE = "bulk-sender runs on Linux and macOS; on Windows use WSL 2"
_WITHOUT = "import sys; sys.modules['fcntl'] = sys.modules['resource'] = None; "
_COMMAND = _WITHOUT + "from bulk_sender.cli import main; sys.argv[0] = 'bulk-sender'; main()"


def on_windows(code: str, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env=environment(COLUMNS="200"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("command", ["check", "send", "runs", "init"])
def test_a_command_names_the_supported_systems_and_exits_with_2(command: str, tmp_path: Path) -> None:
    source = tmp_path / "people.csv"
    source.write_text("external_user_id\nuser-1\n")
    done = on_windows(_COMMAND, command, *([] if command == "runs" else [source]), folder=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert SENTENCE in done.stderr
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    assert list(tmp_path.iterdir()) == [source]


def test_a_wrong_option_is_named_as_anywhere_else(tmp_path: Path) -> None:
    done = on_windows(_COMMAND, "send", "--wrong", folder=tmp_path)
    assert done.returncode == 2
    assert "--wrong" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["send", "--help"]], ids=" ".join)
def test_help_and_version_work(arguments: list[str], tmp_path: Path) -> None:
    done = on_windows(_COMMAND, *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (__version__ if "--version" in arguments else "Usage") in done.stdout


def test_the_library_imports_and_its_first_call_raises_the_same_error(tmp_path: Path) -> None:
    code = f"""
import bulk_sender as bs
assert bs.__version__
for call in (lambda: bs.runs(), lambda: bs.send("people.csv")):
    try:
        call()
    except bs.BulkSenderError as error:
        assert str(error) == {SENTENCE!r}, error
    else:
        raise SystemExit("no error")
"""
    done = on_windows(_WITHOUT + "exec(sys.argv[1])", code, folder=tmp_path)
    assert done.returncode == 0, done.stderr
