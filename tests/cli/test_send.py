from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path

import polars as pl

from bulk_sender.sandbox import RunningSandbox
from tests.braze.test_details import CAMPAIGN as DETAILS
from tests.kit.command import Here, OnTerminal, Place, end, files_below, until
from tests.kit.scripted import Answer, scripted
from tests.kit.target import CAMPAIGN, KEY


def test_sends_everybody_once_and_leaves_a_private_account(place: Place, braze: RunningSandbox) -> None:
    done = place.send(place.people(120), "--run-id", "r")
    assert done.code == 0
    assert done.out == ""
    assert "Run r finished" in done.err
    assert braze.ledger.recipients == {f"external_user_id:user-{n:04}": 1 for n in range(1, 121)}
    folder = place.runs / "r"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in files_below(folder)} == {0o600}
    assert place.summary("r")["accepted"] == 120


def test_json_is_the_summary_alone_on_standard_output(place: Place) -> None:
    done = place.send(place.people(3), "--run-id", "r", "--json")
    assert done.json == place.summary("r")
    assert list(done.json)[:9] == [
        *("run_id", "state", "rows", "accepted", "rejected", "duplicate", "failed", "unknown", "not_sent")
    ]


def test_quiet_prints_nothing_at_all_when_nothing_is_wrong(place: Place, here: Here) -> None:
    done = here.send(place, place.people(3), "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_rejected_rows_make_exit_code_1_and_can_be_fixed_and_sent(
    place: Place, braze: RunningSandbox, here: Here
) -> None:
    path = place.write("people.csv", "external_user_id,attributes.age:integer\nanna,7\nben,old\nanna,8\n,9\n")
    done = here.send(place, path, "--run-id", "r")
    assert done.code == 1
    counts = {name: place.summary("r")[name] for name in ("accepted", "rejected", "duplicate", "rows")}
    assert counts == {"accepted": 1, "rejected": 2, "duplicate": 1, "rows": 4}
    assert "bulk-sender send bulk-sender-runs/r/rejected.csv" in done.err
    rejected = place.runs / "r" / "rejected.csv"
    rejected.write_text(rejected.read_text().replace("old", "8").replace("\n,9", "\ncarl,9"))
    assert here.send(place, rejected).code == 0
    assert set(braze.ledger.recipients) == {f"external_user_id:{name}" for name in ("anna", "ben", "carl")}


def test_a_column_that_is_not_sent_is_named_in_a_warning(place: Place, here: Here) -> None:
    done = here.send(place, place.write("people.csv", "external_user_id,shoe size\nanna,41\n"))
    assert done.code == 0
    assert "warning: columns that will not be sent: 'shoe size'" in done.err


def test_the_log_is_one_object_per_line_with_stable_names_and_no_personal_data(place: Place) -> None:
    done = place.send(place.write("people.csv", "external_user_id\nanna\n"), "--run-id", "r", "--log-format", "json")
    assert [event["event"] for event in done.events] == ["run_started", "run_finished"]
    started, finished = done.events
    assert started["expected"] == 1
    assert {name: finished[name] for name in ("run_id", "state", "exit_code", "rows", "accepted", "unknown")} == {
        "run_id": "r",
        "state": "finished",
        "exit_code": 0,
        "rows": 1,
        "accepted": 1,
        "unknown": 0,
    }
    assert all(event["at"].endswith("Z") for event in done.events)
    assert "anna" not in done.err


def test_an_error_in_the_log_has_message_hint_and_exit_code(place: Place, here: Here) -> None:
    done = here.send(place, place.folder / "absent.csv", "--log-format", "json")
    [event] = done.events
    assert (done.code, event["event"], event["exit_code"]) == (2, "error", 2)
    assert "absent.csv" in event["message"]
    assert event["hint"]


def test_without_yes_and_without_a_terminal_nothing_is_read(place: Place, braze: RunningSandbox) -> None:
    os.mkfifo(place.folder / "endless.csv")  # reading it would wait forever
    done = place.run("send", place.folder / "endless.csv", "--campaign-id", CAMPAIGN)
    assert done.code == 2
    assert "--yes" in done.err
    assert braze.ledger.requests == 0


def test_on_a_terminal_it_shows_what_it_is_about_to_do_and_takes_no_for_an_answer(
    place: Place, braze: RunningSandbox
) -> None:
    path = place.write("people.csv", "external_user_id,attributes.age:integer\nanna,7\nben,old\nanna,8\n")
    with OnTerminal(place, "send", path, "--campaign-id", CAMPAIGN) as terminal:
        shown = terminal.see("Send to 1 recipient? [y/N]")
        for text in (
            CAMPAIGN,
            braze.url,
            "1  of 3 rows",
            "1  1 invalid_value",
            "duplicates",
            "requests",
            "server errors",
        ):
            assert text in shown
        terminal.type("n\n")
        assert terminal.end() == 2
        assert "nothing was sent" in terminal.shown
    assert braze.ledger.requests == 0
    assert not place.runs.exists()


def test_on_a_terminal_a_yes_sends_and_the_end_of_input_does_not(place: Place, braze: RunningSandbox) -> None:
    path = place.people(60)
    with OnTerminal(place, "send", path, "--campaign-id", CAMPAIGN) as terminal:
        terminal.see("[y/N]")
        terminal.type("\x04")
        assert terminal.end() == 2
    assert braze.ledger.requests == 0
    with OnTerminal(place, "send", path, "--campaign-id", CAMPAIGN) as terminal:
        terminal.see("[y/N]")
        terminal.type("yes\n")
        assert terminal.end() == 0
    assert braze.ledger.accepted_recipients == 60


def test_an_unknown_host_is_warned_about_before_the_question(place: Place) -> None:
    elsewhere = "https://rest.iad-01.braze.example"
    config = place.write("job.toml", "[guard]\npreflight = false\n")  # it cannot be reached
    arguments = ("send", place.people(1), "--campaign-id", "c", "--endpoint", elsewhere, "--config", config)
    with OnTerminal(place, *arguments) as terminal:
        assert "is not a known Braze instance" in " ".join(terminal.see("[y/N]").split())
        terminal.type("n\n")
        assert terminal.end() == 2


def test_refuses_more_recipients_than_allowed(place: Place, braze: RunningSandbox, here: Here) -> None:
    done = here.send(place, place.people(11), "--max-recipients", "10")
    assert done.code == 2
    assert "11 recipients are more than --max-recipients 10" in done.err
    assert braze.ledger.requests == 0


def test_limit_takes_the_first_rows_only(place: Place, braze: RunningSandbox, here: Here) -> None:
    assert here.send(place, place.people(11), "--limit", "2").code == 0
    assert set(braze.ledger.recipients) == {"external_user_id:user-0001", "external_user_id:user-0002"}


def test_the_sandbox_needs_no_key_endpoint_or_campaign(place: Place) -> None:
    place.variables = {}
    done = place.run("send", place.people(70), "--sandbox", "--weather", "calm", "--yes", "--json")
    assert (done.code, done.json["accepted"]) == (0, 70)


def test_an_unknown_weather_is_refused_before_a_run_is_made(place: Place, here: Here) -> None:
    done = here.run(place, "send", place.people(1), "--sandbox", "--weather", "frog", "--yes")
    assert done.code == 2
    assert "lost-answers" in done.err
    assert not place.runs.exists()


def test_results_come_in_the_format_asked_for(place: Place, here: Here) -> None:
    assert here.send(place, place.people(2), "--run-id", "r", "--format", "ndjson").code == 0
    lines = (place.runs / "r" / "results.ndjson").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["accepted", "accepted"]


# --- the canary -----------------------------------------------------------------------------------------------------


def test_a_canary_without_a_terminal_stops_after_exactly_its_rows_until_it_is_resumed(
    place: Place, braze: RunningSandbox, here: Here
) -> None:
    path = place.people(200)
    arguments = ("--run-id", "r", "--canary", "70")
    done = place.send(path, *arguments)
    assert done.code == 3
    assert "held after the first 70 rows" in done.err
    assert "python -m bulk_sender resume r" in done.err
    assert braze.ledger.accepted_recipients == 70
    assert place.summary("r")["not_sent"] == 130
    assert here.send(place, path, *arguments).code == 3  # a scheduler that repeats it confirms nothing
    assert braze.ledger.accepted_recipients == 70
    assert here.run(place, "resume", "r", "--yes").code == 0
    assert braze.ledger.accepted_recipients == 200
    assert braze.ledger.twice() == {}


def test_a_canary_on_a_terminal_asks_before_the_rest(place: Place, braze: RunningSandbox) -> None:
    arguments = ("--campaign-id", CAMPAIGN, "--canary", "10")
    with OnTerminal(place, "send", place.people(100), *arguments) as terminal:
        terminal.see("Send to the first 10 now?")
        terminal.type("y\n")
        terminal.see("The first 10 rows: 10 accepted, 0 failed, 0 unknown")
        terminal.see("Send the rest?")
        assert braze.ledger.accepted_recipients == 10
        terminal.type("y\n")
        assert terminal.end() == 0
    assert braze.ledger.accepted_recipients == 100


# --- the same run again ---------------------------------------------------------------------------------------------


def test_a_finished_run_is_reported_again_with_its_own_exit_code_and_nothing_is_sent(
    place: Place, braze: RunningSandbox, here: Here
) -> None:
    path = place.write("people.csv", "external_user_id,note\nanna,\n,x\n")
    first = here.send(place, path, "--run-id", "r")
    requests = braze.ledger.requests
    again = here.send(place, path, "--run-id", "r", "--json")
    assert (first.code, again.code) == (1, 1)
    assert "Nothing was sent now" in again.err
    assert again.json == place.summary("r")
    assert braze.ledger.requests == requests


def test_a_run_of_that_name_with_other_input_or_another_campaign_is_a_mistake(
    place: Place, braze: RunningSandbox, here: Here
) -> None:
    path = place.people(2)
    assert here.send(place, path, "--run-id", "r").code == 0
    requests = braze.ledger.requests
    other = here.run(place, "send", path, "--campaign-id", "other", "--yes", "--run-id", "r")
    assert other.code == 2
    assert "braze.campaign_id" in other.err
    place.people(3)
    changed = here.send(place, path, "--run-id", "r")
    assert changed.code == 2
    assert "another input" in changed.err
    assert braze.ledger.requests == requests


def test_a_stopped_run_resumes_when_its_command_is_repeated(place: Place, braze: RunningSandbox, here: Here) -> None:
    path = place.people(120)
    arguments = ("send", path, "--campaign-id", CAMPAIGN, "--yes", "--run-id", "r")
    wrong = here.run(place, *arguments, BRAZE_API_KEY="f" * 36)
    assert wrong.code == 3
    assert "refused the key" in wrong.err
    assert "f" * 36 not in wrong.out + wrong.err
    assert place.summary("r")["not_sent"] == 120
    assert here.run(place, *arguments).code == 0
    assert braze.ledger.accepted_recipients == 120
    assert braze.ledger.twice() == {}


def test_a_second_process_on_one_run_learns_who_holds_it(place: Place, braze: RunningSandbox, here: Here) -> None:
    path = place.people(900)
    arguments = ("send", path, "--campaign-id", CAMPAIGN, "--yes", "--run-id", "r", "--rate", "1/second")
    first = place.start(*arguments)
    until(lambda: braze.ledger.requests > 0)
    second = here.run(place, *arguments)
    assert second.code == 2
    assert f"held by process {first.pid}" in second.err
    assert end(first, signal.SIGINT).code == 130


# --- stops ----------------------------------------------------------------------------------------------------------


def test_an_unknown_campaign_stops_the_run_at_once(place: Place, braze: RunningSandbox, here: Here) -> None:
    done = here.run(place, "send", place.people(500), "--campaign-id", "nobody", "--yes", "--concurrency", "2")
    assert done.code == 3
    assert "does not know the campaign" in done.err
    assert braze.ledger.requests <= 3
    assert braze.ledger.accepted_requests == 0


def test_a_braze_that_cannot_be_reached_leaves_everything_to_be_resumed(place: Place, here: Here) -> None:
    config = place.write("job.toml", "[delivery]\nattempts = 1\n[guard]\npreflight = false\n")
    done = here.send(place, place.people(120), "--config", config, "--endpoint", "http://127.0.0.1:9", "--run-id", "r")
    assert done.code == 3
    assert "cannot reach Braze" in done.err
    assert place.summary("r")["not_sent"] == 120


def test_a_braze_that_cannot_be_reached_is_said_before_anything_is_read(place: Place, here: Here) -> None:
    done = here.send(place, place.folder / "missing.csv", "--endpoint", "http://127.0.0.1:9")
    assert done.code == 2
    assert "cannot reach Braze: 127.0.0.1:9 refuses connections" in done.err
    assert not place.runs.exists()


def test_the_name_of_the_campaign_is_shown_beside_its_id(place: Place, here: Here) -> None:
    with scripted(lambda *_: Answer(201, {"message": "success"}), lambda _: Answer(200, DETAILS)) as braze:
        done = here.send(place, place.people(1), "--endpoint", braze.url)
        assert f"Winter sale ({CAMPAIGN})" in done.err
        logged = here.send(place, place.people(1), "--endpoint", braze.url, "--again", "--log-format", "json")
    started = next(event for event in logged.events if event["event"] == "run_started")
    assert (started["target_name"], started["target_state"]) == ("Winter sale", "live")


def test_why_the_state_is_not_known_is_one_line(place: Place, here: Here) -> None:
    with scripted(lambda *_: Answer(201, {"message": "success"}), lambda _: Answer(403, {})) as braze:
        done = here.send(place, place.people(1), "--endpoint", braze.url)
    assert [line for line in done.err.splitlines() if "lacks the permission campaigns.details" in line]


def test_quiet_still_says_why_a_run_stopped_and_how_to_resume(place: Place, here: Here) -> None:
    done = here.run(place, "send", place.people(1), "--campaign-id", "nobody", "--yes", "--quiet", "--run-id", "r")
    assert done.code == 3
    assert done.err.startswith("error: Run r stopped: Braze does not know")
    assert "resume r" in done.err


def test_quiet_still_says_that_rows_need_somebody(place: Place, here: Here) -> None:
    """cron knows no exit codes: it mails what is said."""
    people = place.write("people.csv", "external_user_id,note\nanna,\n,x\n")
    for _ in range(2):
        done = here.send(place, people, "--quiet", "--run-id", "r")
        assert (done.code, done.out) == (1, "")
        assert done.err.splitlines() == [
            "error: Run r finished. 1 row needs your attention (1 rejected)",
            "  hint: bulk-sender status r shows what to do",
        ]


def test_the_log_of_a_stopped_run_says_so_without_an_address(place: Place, here: Here) -> None:
    done = here.run(
        place, *("send", place.people(1), "--campaign-id", "nobody", "--yes", "--log-format", "json", "--run-id", "r")
    )
    assert [event["event"] for event in done.events] == ["run_started", "stopped", "run_finished"]
    assert done.events[-1]["exit_code"] == 3


def test_the_key_is_in_no_file_even_when_braze_quotes_it(place: Place, here: Here) -> None:
    wrong = KEY.replace("0123", "9999")
    here.run(place, "send", place.people(1), "--campaign-id", CAMPAIGN, "--yes", "--run-id", "r", BRAZE_API_KEY=wrong)
    here.send(place, place.people(1), "--run-id", "s")
    found = [path for path in files_below(place.folder) if {wrong, KEY} & set_of_keys(path.read_bytes())]
    assert len(files_below(place.folder)) > 8
    assert found == []


def set_of_keys(data: bytes) -> set[str]:
    return {key for key in (KEY, KEY.replace("0123", "9999")) if key.encode() in data}


def test_two_runs_of_one_workspace_keep_to_one_rate(place: Place) -> None:
    files = [place.people(1000, "one.csv"), place.people(1500, "other.csv")]
    options = ("--campaign-id", CAMPAIGN, "--yes", "--quiet", "--rate", "25/second")
    both = [place.start("send", path, *options, "--run-id", path.stem) for path in files]
    for process in both:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    results = pl.concat([pl.read_csv(place.runs / path.stem / "results.csv") for path in files])
    at = results.unique("dispatch_id")["sent_at"].str.to_datetime().sort()
    assert len(at) == 50
    few = 5  # that time saved up, or the two asked for ahead, may go at once
    assert (len(at) - few) / (at[-1] - at[0]).total_seconds() <= 25 * 1.02


def test_a_file_whose_name_is_not_text_is_sent_like_any_other(tmp_path: Path) -> None:
    place = Place(tmp_path)
    path = Path(os.fsdecode(bytes(tmp_path) + b"/list\xff.csv"))
    path.write_text("external_user_id,attributes.a\nu1,x\n,y\n")
    done = place.run("send", path, "--sandbox", "--yes", "--json", "--run-id", "r", "--format", "ndjson")
    assert done.code == 1, done.err
    assert (done.json["accepted"], done.json["rejected"]) == (1, 1)
    assert done.json == place.summary("r")
    assert "list" in (place.runs / "r" / "report.html").read_text()
    for command in (["status", "r", "--json"], ["explain", "r", "1"], ["report", "r"], ["export", "r"]):
        assert place.run(*command).code == 0


def test_the_question_says_that_most_rows_are_rejected(place: Place) -> None:
    path = place.write("people.csv", "external_user_id,attributes.age:integer\nanna,7\nben,old\nlea,x\n")
    with OnTerminal(place, "send", path, "--campaign-id", CAMPAIGN) as terminal:
        shown = terminal.see("2 of 3 rows are rejected. Send to 1 recipient? [y/N]")
        assert "warning: 2 of 3 rows would be rejected: is this the right file" in " ".join(shown.split())
        terminal.type("n\n")
        assert terminal.end() == 2
