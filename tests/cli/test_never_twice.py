"""What a person and a scheduler see of the guards: the same command again, limits, folders, and the list of runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bulk_sender.sandbox import RunningSandbox
from tests.kit.command import Here, OnTerminal, Place
from tests.kit.target import CAMPAIGN


def test_the_same_command_twice_sends_once(place: Place, here: Here, braze: RunningSandbox) -> None:
    people = place.people(60)
    assert here.send(place, people).code == 0
    again = here.send(place, people)
    assert again.code == 2
    assert "this input was sent to this campaign" in again.err
    assert "60 recipients accepted" in again.err
    assert "--again sends it to everyone once more" in again.err
    assert here.send(place, people, "--again").code == 0
    assert len(braze.ledger.twice()) == 60


@pytest.mark.parametrize(("answer", "code", "accepted"), [("60", 0, 2), ("y", 2, 1), ("59", 2, 1), ("", 2, 1)])
def test_on_a_terminal_the_number_of_recipients_is_asked_for(
    place: Place, here: Here, braze: RunningSandbox, answer: str, code: int, accepted: int
) -> None:
    people = place.people(60)
    here.send(place, people)
    with OnTerminal(place, "send", people, "--campaign-id", CAMPAIGN) as terminal:
        terminal.see("Type 60 to send:")
        assert "This input was sent to this campaign" in terminal.shown
        terminal.type(f"{answer}\n")
        assert terminal.end() == code
    assert braze.ledger.accepted_recipients == 60 * accepted


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--min-recipients", "11"], "10 recipients are fewer than --min-recipients 11"),
        (["--max-recipients", "9"], "10 recipients are more than --max-recipients 9"),
        (["--max-rejected", "1"], "2 of 12 rows (16.7%) are rejected, more than --max-rejected 1 allows"),
        (["--max-rejected", "16%"], "2 of 12 rows (16.7%) are rejected, more than --max-rejected 16% allows"),
    ],
)
@pytest.mark.parametrize("command", ["send", "check"])
def test_an_input_outside_the_limits_is_refused(
    place: Place, here: Here, braze: RunningSandbox, command: str, options: list[str], text: str
) -> None:
    people = place.write("people.csv", "external_user_id,a\n" + "".join(f"u{n},x\n" for n in range(10)) + ",x\n,y\n")
    arguments = ["--campaign-id", CAMPAIGN, *(["--yes"] if command == "send" else [])]
    done = here.run(place, command, people, *arguments, *options)
    assert done.code == 2
    assert text in done.err
    name = options[0].removeprefix("--").replace("-", "_")
    value = options[1] if options[1].isdecimal() else f'"{options[1]}"'
    config = place.write("job.toml", f"[guard]\n{name} = {value}\n")
    assert text in here.run(place, command, people, *arguments, "--config", config).err
    assert braze.ledger.requests == 0


def test_a_flag_wins_over_the_configuration(place: Place, here: Here) -> None:
    config = place.write("job.toml", '[guard]\nmin_recipients = 100\nmax_rejected = "0%"\n')
    people = place.write("people.csv", "external_user_id,a\nu1,x\n,y\n")
    done = here.send(place, people, "--config", config, "--min-recipients", "1", "--max-rejected", "50%")
    assert done.code == 1


@pytest.mark.parametrize(
    ("tolerate", "code"),
    [(None, 1), ("rejected", 0), ("rejected:20%", 0), ("rejected:2", 0), ("rejected:1", 1), ("rejected:16%", 1)],
)
def test_tolerated_rejects_do_not_change_the_exit_code(
    place: Place, here: Here, tolerate: str | None, code: int
) -> None:
    people = place.write("people.csv", "external_user_id,a\n" + "".join(f"u{n},x\n" for n in range(10)) + ",x\n,y\n")
    option = ["--tolerate", tolerate] if tolerate else []
    for _ in range(2):  # also when the finished run is only reported
        assert here.send(place, people, "--run-id", "r", *option).code == code


@pytest.mark.parametrize("text", ["failed", "rejected:lots", "rejected:200%"])
def test_what_cannot_be_tolerated_is_refused(place: Place, here: Here, text: str) -> None:
    done = here.send(place, place.people(1), "--tolerate", text)
    assert done.code == 2
    assert "--tolerate" in done.err


def test_a_named_folder_of_runs_has_to_exist(place: Place, here: Here, braze: RunningSandbox) -> None:
    people = place.people(3)
    named = ("--run-id", "day", "--runs-dir", "mounted")
    refused = here.send(place, people, *named)
    assert refused.code == 2
    assert "bulk-sender runs init" in refused.err
    assert not (place.folder / "mounted").exists()
    assert here.run(place, "runs", "init", "mounted").code == 0
    assert (place.folder / "mounted").stat().st_mode & 0o777 == 0o700
    assert here.send(place, people, *named).code == 0
    shutil.rmtree(place.folder / "mounted")
    assert here.send(place, people, *named).code == 2
    assert braze.ledger.accepted_recipients == 3


def test_the_list_says_what_was_sent_where(place: Place, here: Here) -> None:
    people = place.people(3)
    here.send(place, people, "--run-id", "real")
    here.send(place, people, "--run-id", "trial", "--sandbox")
    lines = {line.split()[0]: line for line in here.run(place, "runs", COLUMNS="200").out.splitlines()}
    assert lines["real"].endswith(f"people.csv  {CAMPAIGN}")
    assert lines["trial"].endswith("people.csv  rehearsal")
    assert [run["run_id"] for run in here.run(place, "runs", "--real", "--json").json] == ["real"]
    [real, trial] = here.run(place, "runs", "--json").json
    assert (real["target"], real["rehearsal"], trial["rehearsal"]) == (CAMPAIGN, False, True)
    assert Path(real["inputs"][0]).name == "people.csv"


def test_a_run_may_be_named_by_the_path_of_its_folder(place: Place, here: Here) -> None:
    here.send(place, place.people(3), "--run-id", "r")
    assert here.run(place, "status", place.runs / "r", "--json").json["run_id"] == "r"
    assert here.run(place, "status", "./bulk-sender-runs/r").code == 0
    assert here.run(place, "status", "../r").code == 2


def test_old_data_is_removed_after_a_question(place: Place, here: Here) -> None:
    here.send(place, place.people(3), "--run-id", "r")
    assert "Nothing to remove" in here.run(place, "runs", "prune", "--older-than", "90d", "--yes").err
    with OnTerminal(place, "runs", "prune", "--older-than", "0") as terminal:
        terminal.see("Remove the data of 1 run (r)?")
        terminal.type("n\n")
        assert terminal.end() == 2
    assert (place.runs / "r" / "journal.sqlite").exists()
    done = here.run(place, "runs", "prune", "--older-than", "0", "--yes", "--json")
    assert json.loads(done.out) == {"removed": ["r"]}
    assert not (place.runs / "r" / "journal.sqlite").exists()
    assert "data removed" in here.run(place, "runs", COLUMNS="200").out
    assert "data of run 'r' was removed" in here.run(place, "status", "r").err


def test_a_run_that_takes_too_long_stops_so_that_it_can_be_resumed(place: Place, here: Here) -> None:
    done = here.send(place, place.people(500), "--run-id", "r", "--rate", "1/second", "--max-duration", "1 s")
    assert done.code == 3
    assert "longer than --max-duration allows (1 s)" in done.err
    assert place.summary("r")["not_sent"] > 0
    assert here.run(place, "resume", "r", "--yes", "--rate", "1000/second").code == 0
