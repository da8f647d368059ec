"""Shared rate of several processes, and a schedule file that is damaged, stale or unsafe."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bulk_sender.errors import BulkSenderError
from bulk_sender.pace import file_rate
from bulk_sender.pace.file_rate import FileRate, shared_rate_path


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_turns_are_an_interval_apart(tmp_path: Path) -> None:
    clock = Clock()
    rate = FileRate(tmp_path / "a.rate", 10.0, clock=clock)
    assert [round(rate.take(), 6) for _ in range(4)] == [0.0, 0.1, 0.2, 0.3]


def test_two_turns_of_unused_time_are_saved(tmp_path: Path) -> None:
    clock = Clock()
    rate = FileRate(tmp_path / "a.rate", 10.0, clock=clock)
    rate.take()
    clock.now += 60.0
    assert [round(rate.take(), 6) for _ in range(5)] == [0.0, 0.0, 0.0, 0.1, 0.2]


def test_at_a_fast_rate_the_unused_time_that_is_saved_is_limited(tmp_path: Path) -> None:
    clock = Clock()
    rate = FileRate(tmp_path / "a.rate", 1000.0, clock=clock)
    rate.take()
    clock.now += 60.0
    waits = [rate.take() for _ in range(60)]
    assert waits.count(0.0) in (20 + 19, 20 + 20), "those reserved before the pause, and those of 20 ms"


def test_two_runs_take_turns_from_one_schedule(tmp_path: Path) -> None:
    clock = Clock()
    one, other = (FileRate(tmp_path / "a.rate", 10.0, clock=clock) for _ in range(2))
    waits = [round(run.take(), 6) for run in (one, other, one, other)]
    assert waits == [0.0, 0.1, 0.2, 0.3]


@pytest.mark.parametrize("content", [b"", b"junk", b"bsrate01" + b"\xff" * 8, b"bsrate01" + b"\x00" * 8])
def test_a_damaged_or_stale_schedule_is_reset(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.rate"
    path.write_bytes(content)
    assert FileRate(path, 10.0, clock=Clock()).take() == 0.0


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "a.rate").symlink_to(tmp_path / "victim")
    with pytest.raises(BulkSenderError):
        FileRate(tmp_path / "a.rate", 10.0)
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(BulkSenderError, match="private"):
        FileRate(folder / "a.rate", 10.0)


def test_the_file_s_name_does_not_show_the_key() -> None:
    path = shared_rate_path("https://rest.iad-01.braze.com", "Bearer secret-key-123")
    assert "secret" not in str(path)
    assert path != shared_rate_path("https://rest.iad-01.braze.com", "Bearer other-key-1234")


@pytest.mark.parametrize("taken", ["a file", "a folder that others can write to", "another user's folder", "a link"])
def test_a_name_that_another_user_has_taken_does_not_stop_a_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    name = f"bulk-sender-{os.getuid()}"
    public, home = tmp_path / "tmp", tmp_path / "home"
    public.mkdir()
    home.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(public))
    me = pwd.getpwuid(os.getuid())
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_dir=str(home), pw_name=me.pw_name))
    assert shared_rate_path("e", "k").parent == public / name
    (public / name).rmdir()
    if taken == "a file":
        (public / name).touch()
    elif taken == "a link":
        (public / name).symlink_to(home)
    else:
        (public / name).mkdir()
        (public / name).chmod(0o777)
        if taken == "another user's folder":
            if os.getuid() != 0:
                pytest.skip("giving a folder to another user needs root")
            (public / name).chmod(0o700)
            os.chown(public / name, 65534, 65534)
    path = shared_rate_path("e", "k")
    assert path.parent == home / ".cache" / name
    assert shared_rate_path("e", "k") == path, "the next process shares it"
    one, other = (FileRate(path, 10.0, clock=Clock()) for _ in range(2))
    assert [round(run.take(), 6) for run in (one, other, one)] == [0.0, 0.1, 0.2]
    home.chmod(0o500)


def test_without_any_private_folder_the_first_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(file_rate, "_folders", lambda: iter([tmp_path / "file", tmp_path / "file" / "below"]))
    with pytest.raises(BulkSenderError, match=f"{tmp_path / 'file'} cannot be used to share the rate"):
        shared_rate_path("e", "k")


_SCRIPT = """
import sys, time
from pathlib import Path
from bulk_sender.pace.file_rate import FileRate
rate, end, sent = FileRate(Path(sys.argv[1]), 200.0), float(sys.argv[2]), 0
while True:
    wait = rate.take()
    if time.monotonic() + wait >= end:
        break
    time.sleep(wait)
    sent += 1
print(sent)
"""


def test_two_processes_together_keep_to_the_rate(tmp_path: Path) -> None:
    import time

    begin = time.monotonic()
    end = begin + 3.0
    command = [sys.executable, "-c", _SCRIPT, str(tmp_path / "a.rate"), str(end)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(Path.cwd())})
        for _ in range(2)
    ]
    counts = [int(process.communicate(timeout=20)[0]) for process in processes]
    assert sum(counts) <= 200.0 * 3.0 + 4, "twenty milliseconds' worth may be made up for"
    assert min(counts) > 0
