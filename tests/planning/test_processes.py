"""Processes that run tasks: results in order, errors as they are, and a successor for one that dies."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from bulk_sender.errors import BulkSenderError, InputError
from bulk_sender.planning.processes import Processes


def square(number: int) -> int:
    time.sleep(0.05 if number == 1 else 0)
    return number * number


def who(_: int) -> int:
    return os.getpid()


def refuse(number: int) -> int:
    print("what a library says")
    if number == 2:
        raise InputError("no", hint="try 3")
    return number


def die(marks: Path, deaths: int, number: int) -> int:
    """Die at item 3 until it was tried ``deaths`` times."""
    mark = marks / f"{number}-{os.getpid()}"
    mark.touch()
    if number == 3 and len(list(marks.glob("3-*"))) <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_results_come_in_the_order_of_the_items() -> None:
    with Processes(2) as run:
        assert list(run(square, range(20))) == [number * number for number in range(20)]
        assert os.getpid() not in set(run(who, range(4)))
    with Processes(2) as never:
        assert list(never(square, [])) == []


def test_an_error_of_a_task_is_raised_with_its_hint_and_the_others_go_on() -> None:
    with Processes(2) as run:
        with pytest.raises(InputError, match="no") as caught:
            list(run(refuse, range(5)))
        assert caught.value.hint == "try 3"
        assert list(run(refuse, [3, 4])) == [3, 4]


def test_a_task_whose_process_dies_is_repeated_by_another(tmp_path: Path) -> None:
    with Processes(2) as run:
        assert list(run(partial(die, tmp_path, 1), range(6))) == list(range(6))
        with pytest.raises(BulkSenderError, match="died 3 times at the same task"):
            list(run(partial(die, tmp_path, 99), range(6)))


def test_the_processes_end_with_the_block_even_in_a_task() -> None:
    with Processes(1) as run:
        [pid] = run(who, [0])
        begun = time.monotonic()
        tasks = iter(run(time.sleep, [0, 30]))
        next(tasks)
    assert time.monotonic() - begun < 10
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
