from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bulk_sender.sandbox import RunningSandbox
from tests.kit.command import OnTerminal, Place, command_line, end, environment, until
from tests.kit.sandbox import run_in_thread
from tests.kit.target import CAMPAIGN, KEY

_SEND = ("--campaign-id", CAMPAIGN, "--yes", "--run-id", "r")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_requests_end_and_the_run_can_be_resumed(
    place: Place, braze: RunningSandbox, number: signal.Signals, code: int
) -> None:
    process = place.start("send", place.people(500), *_SEND, "--rate", "20/second")
    until(lambda: braze.ledger.accepted_requests >= 2)
    done = end(process, number)
    assert done.code == code
    said = "you stopped it with Ctrl-C (SIGINT)" if number is signal.SIGINT else "SIGTERM"
    assert f"Run r interrupted: {said}" in done.err
    assert "python -m bulk_sender resume r" in done.err
    found = place.summary("r")
    assert found["state"] == "interrupted"
    assert found["unknown"] == 0
    assert found["accepted"] == braze.ledger.accepted_recipients
    assert found["accepted"] + found["not_sent"] == 500
    assert place.run("resume", "r", "--yes", "--quiet").code == 0
    assert braze.ledger.accepted_recipients == 500
    assert braze.ledger.twice() == {}


def open_files(process: subprocess.Popen[str]) -> Iterator[Path]:
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield link.readlink()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_outside_a_delivery_says_so_and_has_its_own_code(
    place: Place, number: signal.Signals, code: int
) -> None:
    people = [f"person-{number}" for number in range(2_000_000)]
    (place.folder / "people.csv").write_text("\n".join(["external_user_id", *people]))
    process = place.start("check", "people.csv", "--json")
    until(lambda: any(path.name == "people.csv" for path in open_files(process)))
    done = end(process, number)
    assert (done.code, done.out, done.err) == (code, "", "error: interrupted\n")


def test_a_second_signal_leaves_requests_in_flight_unknown(tmp_path: Path) -> None:
    with run_in_thread(latency_s=20) as braze:
        place = Place(tmp_path, braze.url)
        process = place.start("send", place.people(500), *_SEND, "--concurrency", "3")
        until(lambda: braze.ledger.accepted_requests == 3)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        until(lambda: "Press Ctrl-C again" in process.stderr.readline())
        done = end(process, signal.SIGINT)
    assert done.code == 130
    found = place.summary("r")
    assert (found["unknown"], found["not_sent"]) == (150, 350)
    assert "retry r --unknown" in done.err


def test_a_terminal_that_hangs_up_does_not_stop_a_send(place: Place, braze: RunningSandbox) -> None:
    process = place.start("send", place.people(200), *_SEND, "--rate", "10/second")
    until(lambda: braze.ledger.accepted_requests >= 1)
    assert end(process, signal.SIGHUP).code == 0
    assert braze.ledger.accepted_recipients == 200


def test_closed_output_streams_do_not_stop_a_send(place: Place, braze: RunningSandbox) -> None:
    process = place.start("send", place.people(200), *_SEND, "--json", "--rate", "10/second")
    until(lambda: braze.ledger.accepted_requests >= 1)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    assert process.wait(150) == 0
    assert braze.ledger.accepted_recipients == 200
    assert place.summary("r")["state"] == "finished"


def test_streams_that_are_closed_from_the_start_are_no_files_of_the_run(place: Place, braze: RunningSandbox) -> None:
    line = command_line("send", place.people(500), *_SEND, "--rate", "5/second")
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$@" >&- 2>&- <&-', "sh", *line], cwd=place.folder, env=environment(**place.variables)
    )
    until(lambda: braze.ledger.accepted_requests >= 1)
    streams = [Path(f"/proc/{process.pid}/fd/{number}") for number in (0, 1, 2)]
    if streams[0].parent.exists():
        assert [str(stream.readlink()) for stream in streams] == [os.devnull] * 3
    process.send_signal(signal.SIGTERM)
    assert process.wait(150) == 143
    assert place.summary("r")["accepted"] == braze.ledger.accepted_recipients


def test_a_blocked_terminal_does_not_hold_up_requests(place: Place, braze: RunningSandbox) -> None:
    """A full pipe blocks its writer, as a terminal does after Ctrl-S."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    while True:
        try:
            os.write(writing, b"x" * 65536)
        except BlockingIOError:
            break
    os.set_blocking(writing, True)
    arguments = ("send", place.people(300), *_SEND, "--rate", "60/second", "--log-format", "json")
    process = place.start(*arguments, stdout=subprocess.DEVNULL, stderr=writing)
    os.close(writing)
    until(lambda: braze.ledger.accepted_recipients == 300)
    until(lambda: (place.runs / "r" / "summary.json").exists())
    with os.fdopen(reading, "rb") as drained:
        told = drained.read()
    assert process.wait(150) == 0
    assert b'"run_finished"' in told


def test_a_signal_at_the_question_sends_nothing(place: Place, braze: RunningSandbox) -> None:
    with OnTerminal(place, "send", place.people(3), "--campaign-id", CAMPAIGN) as terminal:
        terminal.see("[y/N]")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 130
        assert "nothing was sent" in terminal.shown
    assert braze.ledger.requests == 0


def test_no_process_sees_the_key_after_it_was_read(place: Place, braze: RunningSandbox) -> None:
    """What the program starts would inherit ``os.environ``, and a crash would write a core file."""
    probe = (
        "import os, resource, sys\n"
        "import bulk_sender as bs\n"
        "true_send = bs.send_async\n"
        "async def send(*args, **options):\n"
        "    assert options['environment']['BRAZE_API_KEY']\n"
        "    assert 'BRAZE_API_KEY' not in os.environ\n"
        "    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0\n"
        "    return await true_send(*args, **options)\n"
        "bs.send_async = send\n"
        "from bulk_sender.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, "send", str(place.people(1)), *_SEND],
        cwd=place.folder,
        env=environment(**place.variables),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stderr
