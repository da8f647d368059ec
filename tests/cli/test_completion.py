"""Completion as bash asks for it: a real bash, with the script that the program gives it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.command import REPOSITORY, Here, Place, environment

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")

# The last line keeps bash from becoming the program, in which the shell's name could not be told.
_ASK = """
eval "$(bulk-sender --show-completion)"
for line in "$@"; do
    IFS='|' read -r -a COMP_WORDS <<<"bulk-sender|$line"
    [[ $line != *'|' ]] || COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
    _bulk_sender_completion bulk-sender
    echo "${COMPREPLY[*]}"
done
"""


class Bash:
    """A bash that has ``bulk-sender`` on its path, in a place with two runs."""

    def __init__(self, place: Place) -> None:
        self.place = place
        program = place.folder / "bin" / "bulk-sender"
        program.parent.mkdir()
        program.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(REPOSITORY)!r})\n"
            "from bulk_sender.cli import main\nmain()\n"
        )
        program.chmod(0o755)

    def offers(self, *lines: str) -> list[list[str]]:
        """What is offered for the last word of each line, which began with ``bulk-sender``."""
        done = subprocess.run(
            ["bash", "--norc", "-c", _ASK, "bash", *(line.replace(" ", "|") for line in lines)],
            cwd=self.place.folder,
            env=environment(PATH=f"{self.place.folder / 'bin'}:/usr/bin:/bin"),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [offered.split() for offered in done.stdout.splitlines()]


@pytest.fixture
def bash(place: Place, here: Here) -> Bash:
    assert here.send(place, place.people(3), "--run-id", "winter-24", "--quiet").code == 0
    here.run(place, "runs", "init", "other")
    assert here.send(place, place.people(3), "--run-id", "elsewhere", "--runs-dir", "other", "--quiet").code == 0
    return Bash(place)


def test_bash_is_offered_commands_runs_and_the_names_that_an_option_knows(bash: Bash) -> None:
    wanted = {
        "st": "status",
        "status ": "winter-24",
        "resume win": "winter-24",
        "status --runs-dir other ": "elsewhere",
        "send people.csv --run-id ": "winter-24",
        "send people.csv --sandbox --weather s": "slow storm",
        "send people.csv --format ": "csv parquet ndjson xlsx",
        "send people.csv --log-format ": "text json",
        "export winter-24 --status unknown,f": "unknown,failed",
        "resolve winter-24 --as ": "accepted failed",
    }
    assert dict(zip(wanted, bash.offers(*wanted), strict=True)) == {
        line: offered.split() for line, offered in wanted.items()
    }


def test_where_nothing_is_known_bash_is_left_to_offer_files(bash: Bash) -> None:
    lines = ("send peo", "send people.csv --config ", "status --runs-dir absent ", "status --runs-dir people.csv ")
    assert bash.offers(*lines) == [[]] * len(lines)


def test_other_shells_show_how_each_run_stands(bash: Bash) -> None:
    (bash.place.runs / "winter-24" / "summary.json").rename(bash.place.folder / "kept")
    broken = bash.place.runs / "broken"
    shutil.copytree(bash.place.runs / "winter-24", broken)
    (broken / "summary.json").write_text("[]")
    shutil.copytree(bash.place.runs / "winter-24", bash.place.runs / "ended")
    shutil.copy(bash.place.folder / "kept", bash.place.runs / "ended" / "summary.json")
    line = {"_BULK_SENDER_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "bulk-sender status "}
    shown = subprocess.run(
        [bash.place.folder / "bin" / "bulk-sender"],
        cwd=bash.place.folder,
        env=environment(**line),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    ).stdout
    assert "finished, 3 of 3 accepted" in shown
    assert shown.count("has not ended yet") == 2


def test_the_script_completes_the_command_however_it_was_asked_for(bash: Bash) -> None:
    ask = f"{sys.executable} -m bulk_sender --show-completion; :"
    script = subprocess.run(
        ["bash", "--norc", "-c", ask], env=environment(), capture_output=True, text=True, timeout=300, check=True
    ).stdout
    assert "-F _bulk_sender_completion bulk-sender\n" in script


def test_it_is_installed_in_the_users_home(bash: Bash, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".bashrc").write_text("alias ll='ls -l'\n")
    ask = ["bash", "--norc", "-c", f"{bash.place.folder / 'bin' / 'bulk-sender'} --install-completion; :"]
    done = subprocess.run(ask, env=environment(HOME=str(home)), capture_output=True, text=True, timeout=300, check=True)
    script = home / ".bash_completions" / "bulk-sender.sh"
    assert str(script) in done.stdout
    bashrc = (home / ".bashrc").read_text()
    assert bashrc.startswith("alias ll='ls -l'\n")
    assert str(script) in bashrc
