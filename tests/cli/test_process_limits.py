"""Small limits of the process: respected, raised where allowed, and never taken for an outage or a damaged file."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

import pytest

from bulk_sender.sandbox import RunningSandbox
from tests.kit.command import Outcome, Place, command_line, environment, until
from tests.kit.sandbox import run_in_thread
from tests.kit.target import CAMPAIGN


def send(place: Place, people: int, *limit: str, concurrency: int = 32) -> Outcome:
    """Send with ``ulimit`` options, such as ``-n 40``."""
    line = command_line(
        *("send", place.people(people), "--campaign-id", CAMPAIGN, "--yes", "--run-id", "r"),
        *("--concurrency", str(concurrency)),
    )
    limits = " && ".join(f"ulimit {option}" for option in limit)
    done = subprocess.run(
        ["sh", "-c", f'{limits} && exec "$@"', "sh", *line],
        cwd=place.folder,
        env=environment(**place.variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def test_a_hard_limit_caps_the_concurrency_and_all_is_sent(place: Place, braze: RunningSandbox) -> None:
    done = send(place, 3000, "-n 40")
    assert done.code == 0, done.err
    assert "requests at once instead of 32: this process may not open more files (ulimit -n)" in done.err
    assert braze.ledger.accepted_recipients == 3000


def test_a_soft_limit_is_raised(place: Place, braze: RunningSandbox) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 256:
        pytest.skip("the hard limit is too low")
    done = send(place, 500, "-S -n 40", concurrency=64)
    assert done.code == 0, done.err
    assert "ulimit" not in done.err
    assert braze.ledger.accepted_recipients == 500


def test_a_limit_too_small_to_read_a_file_is_a_clear_error(place: Place, braze: RunningSandbox) -> None:
    done = send(place, 50, "-n 16")
    assert done.code == 2
    assert "this process may have only 16 files open" in done.err
    assert "ulimit -n 1024" in done.err
    assert "panic" not in done.err.lower()
    assert "Traceback" not in done.err
    assert "damaged" not in done.err
    assert braze.ledger.requests == 0


@pytest.mark.parametrize("transport", ["wire", "httpx"])
def test_a_run_that_is_short_of_descriptors_continues_with_fewer_requests(transport: str, tmp_path: Path) -> None:
    """The limit is lowered from outside once connections are open, as if others in the process had used them up."""
    with run_in_thread(latency_s=0.2) as braze:
        place = Place(tmp_path, braze.url)
        place.write("job.toml", f'[braze]\ncampaign_id = "{CAMPAIGN}"\n[delivery]\ntransport = "{transport}"\n')
        process = place.start("send", place.people(3000), "-c", "job.toml", "--yes", "--run-id", "r")
        until(lambda: braze.ledger.accepted_requests >= 1)
        used = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used, used))
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert (braze.ledger.accepted_recipients, braze.ledger.twice()) == (3000, {})
    assert place.summary("r")["requests"] > 60, "some requests found no descriptor"
    assert "reach Braze" not in said
    assert "connect to Braze" not in said


@pytest.mark.parametrize("megabytes", [300, 900, 1_200, 1_700])
def test_too_little_address_space_is_a_clear_error(megabytes: int, place: Place, braze: RunningSandbox) -> None:
    done = send(place, 50, f"-v {megabytes << 10}")
    assert done.code == 2
    assert f"only {megabytes:,} MB of address space, and needs 1,800 MB" in done.err
    assert "ulimit -v unlimited" in done.err
    assert braze.ledger.requests == 0


def test_enough_address_space_is_enough(place: Place, braze: RunningSandbox) -> None:
    done = send(place, 50, "-v 2000000")
    assert (done.code, braze.ledger.accepted_recipients) == (0, 50), done.err
