from __future__ import annotations

import shutil
import signal

import pytest

from bulk_sender.sandbox import RunningSandbox
from tests.kit.command import Here, OnTerminal, Place, end, until
from tests.kit.sandbox import run_in_thread
from tests.kit.target import CAMPAIGN

_ONE_BAD = "external_user_id,attributes.gender\nanna,F\nben,Nowhere\ncarl,M\n"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, int]:
    """A run ``r`` of 200 people whose process was killed with two batches in flight, and the port it sent to."""
    with run_in_thread(latency_s=20) as braze:
        place = Place(tmp_path_factory.mktemp("decide"), braze.url)
        process = place.start(
            *("send", place.people(200), "--campaign-id", CAMPAIGN, "--yes", "--run-id", "r", "--concurrency", "2")
        )
        until(lambda: braze.ledger.accepted_requests == 2)
        end(process, signal.SIGKILL)
        shutil.copytree(place.runs, place.folder / "as they were")
        return place, int(braze.url.rpartition(":")[2])


@pytest.fixture
def doubtful(killed: tuple[Place, int]) -> tuple[Place, int]:
    """The killed run, as it was when its process died."""
    place, port = killed
    shutil.rmtree(place.runs)
    shutil.copytree(place.folder / "as they were", place.runs)
    return place, port


def test_requests_in_flight_when_a_process_died_stay_unknown_until_resolved(
    doubtful: tuple[Place, int], here: Here
) -> None:
    place, port = doubtful
    with run_in_thread(port=port) as braze:
        resumed = here.run(place, "resume", "r", "--yes")
        assert resumed.code == 1
        assert braze.ledger.accepted_recipients == 100
    assert "unknown: Braze may or may not have accepted these" in resumed.err
    done = here.run(place, "resolve", "r", "--as", "accepted", "--why", "seen in Braze", "--yes", "--json")
    assert done.code == 0
    assert (done.json["accepted"], done.json["unknown"]) == (200, 0)
    assert done.json == place.summary("r")
    assert "Recorded: 100 rows as accepted." in done.err
    assert "the process ended before an answer was recorded" in done.err
    story = here.run(place, "explain", "r", "1", "--json").json
    assert [decision["why"] for decision in story["batches"][0]["decisions"]] == ["seen in Braze"]


def test_retry_of_unknown_rows_shows_the_evidence_and_asks(doubtful: tuple[Place, int], here: Here) -> None:
    place, port = doubtful
    with run_in_thread(port=port) as braze:
        with OnTerminal(place, "retry", "r", "--unknown") as terminal:
            shown = " ".join(terminal.see("Send to").split())
            assert "100 unknown rows" in shown
            assert "the process ended before an answer was recorded" in shown
            assert "will receive it again" in shown
            terminal.type("n\n")
            assert terminal.end() == 2
        assert braze.ledger.requests == 0
        assert here.run(place, "status", "r", "--json").json["unknown"] == 100
        done = here.run(place, "retry", "r", "--unknown", "--yes")
        assert done.code == 0
        assert braze.ledger.accepted_recipients == 200


def test_resolve_asks_with_the_evidence_and_a_no_changes_nothing(doubtful: tuple[Place, int], here: Here) -> None:
    place, _ = doubtful
    with OnTerminal(place, "resolve", "r", "--as", "failed") as terminal:
        assert "the process ended" in terminal.see("Record 100 rows as failed?")
        terminal.type("\n")
        assert terminal.end() == 2
        assert "nothing was recorded" in terminal.shown
    assert here.run(place, "status", "r", "--json").json["unknown"] == 100


def test_failed_rows_are_isolated_and_can_be_retried(place: Place, braze: RunningSandbox, here: Here) -> None:
    done = here.send(place, place.write("people.csv", _ONE_BAD), "--run-id", "r")
    assert done.code == 1
    assert "retry r --failed" in done.err
    requests = braze.ledger.requests
    again = here.run(place, "retry", "r", "--failed", "--yes", "--why", "fixed in Braze")
    assert again.code == 1
    assert braze.ledger.requests == requests + 1
    assert braze.ledger.twice() == {}
    story = here.run(place, "explain", "r", "2")
    assert story.out.startswith("Row 2: failed\n")
    assert "resend (fixed in Braze)" in story.out
    assert "HTTP 400" in story.out


def test_without_anything_to_do_the_command_says_so_and_sends_nothing(
    place: Place, braze: RunningSandbox, here: Here
) -> None:
    here.send(place, place.people(1), "--run-id", "r")
    requests = braze.ledger.requests
    for arguments, words in (
        (("resume", "r", "--yes"), "was finished before"),
        (("retry", "r", "--failed", "--unknown", "--yes"), "has no failed or unknown row"),
        (("resolve", "r", "--as", "failed", "--yes"), "No row is unknown"),
    ):
        done = here.run(place, *arguments)
        assert done.code == 0
        assert words in done.err
    assert braze.ledger.requests == requests


def test_a_run_that_has_begun_can_change_its_pace_but_an_input_that_changed_is_refused(
    place: Place, braze: RunningSandbox, here: Here
) -> None:
    path = place.people(120)
    assert here.send(place, path, "--run-id", "r", "--canary", "10").code == 3
    original = path.read_text()
    path.write_text(original + "somebody-else\n")
    done = here.run(place, "retry", "r", "--failed", "--yes")
    assert done.code == 3  # nothing failed: it stands as it stood
    path.write_text(original)
    assert here.run(place, "resume", "r", "--yes", "--rate", "500/second", "--concurrency", "2").code == 0
    assert braze.ledger.accepted_recipients == 120


def test_some_rows_are_decided_about_on_the_command_line(doubtful: tuple[Place, int], here: Here) -> None:
    place, port = doubtful
    with run_in_thread(port=port):
        here.run(place, "resume", "r", "--yes")
    refused = here.run(place, "resolve", "r", "--as", "failed", "--rows", "1-60", "--yes")
    assert refused.code == 2
    assert "rows 51-60 were in one request with rows 61-100 (batch 2)" in refused.err
    assert "hint: name all of its rows: 51-100" in refused.err
    done = here.run(place, "resolve", "r", "--as", "accepted", "--rows", "1-50", "--yes", "--json")
    assert (done.code, done.json["unknown"]) == (1, 50)
    assert "Recorded: 50 rows as accepted." in done.err
    assert "Anyone whom Braze did not accept gets no message." in " ".join(done.err.split())
    nothing = here.run(place, "resolve", "r", "--as", "failed", "--likely", "accepted", "--yes")
    assert "None of these rows is unknown and decided about." in nothing.err
    decided = place.write("decided.csv", "row,verdict\n" + "".join(f"{row},retry\n" for row in range(51, 101)))
    with run_in_thread(port=port) as braze:
        done = here.run(place, "retry", "r", "--from", decided, "--yes", "--json")
        assert (done.code, done.json["accepted"]) == (0, 200)
        assert braze.ledger.accepted_recipients == 50
    wrong = here.run(place, "resolve", "r", "--as", "failed", "--likely", "perhaps", "--yes")
    assert (wrong.code, "--likely: 'perhaps' is not a valid value" in wrong.err) == (2, True)


def test_resolve_says_what_a_verdict_may_cost_before_it_asks(doubtful: tuple[Place, int]) -> None:
    place, _ = doubtful
    with OnTerminal(place, "resolve", "r", "--as", "failed", "--batch", "1") as terminal:
        shown = " ".join(terminal.see("Record 50 rows as failed?").split())
        assert "50 unknown rows of run r" in shown
        assert "Anyone whom Braze did accept then gets the message twice." in shown
        terminal.type("n\n")
        assert terminal.end() == 2
