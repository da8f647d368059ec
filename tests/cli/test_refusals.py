"""Whatever stands in the way before anything is sent: one clear message, exit code 2, and nothing sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from bulk_sender.sandbox import RunningSandbox
from tests.kit.command import Here, Outcome, Place
from tests.kit.sandbox import run_in_thread
from tests.kit.target import CAMPAIGN, KEY

Outcomes = dict[str, Future[tuple[Outcome, Path, RunningSandbox]]]
SECRET = "s3cr3t-s3cr3t-s3cr3t"


@dataclass(frozen=True)
class Refusal:
    """A command after ``make`` has prepared its folder, and words that its message must have."""

    arguments: tuple[str, ...]
    words: tuple[str, ...]
    make: Callable[[Path], object] = lambda folder: None
    variables: dict[str, str] = field(default_factory=dict)


def _text(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def _half_a_parquet(folder: Path) -> None:
    whole = folder / "whole.parquet"
    pl.DataFrame({"external_user_id": [f"user-{n}" for n in range(5000)]}).write_parquet(whole)
    data = whole.read_bytes()
    (folder / "half.parquet").write_bytes(data[: len(data) // 2])
    whole.unlink()


def _folder_without_data(folder: Path) -> None:
    (folder / "inputs").mkdir()
    (folder / "inputs" / "notes.md").write_text("nothing")


_PEOPLE = _text("people.csv", "external_user_id\nanna\n")
_SEND = ("send", "people.csv", "--campaign-id", CAMPAIGN, "--yes")


def _configured(text: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        _PEOPLE(folder)
        (folder / "job.toml").write_text(text)

    return make


REFUSALS = {
    "missing file": Refusal((*_SEND[:1], "absent.csv", *_SEND[2:]), ("not found", "absent.csv")),
    "empty file": Refusal(_SEND, ("people.csv is empty",), _text("people.csv", "")),
    "header alone": Refusal(_SEND, ("people.csv has no data row",), _text("people.csv", "external_user_id\n")),
    "folder without data": Refusal(("send", "inputs", *_SEND[2:]), ("inputs", "no input file"), _folder_without_data),
    "half a Parquet file": Refusal(("send", "half.parquet", *_SEND[2:]), ("half.parquet", "Parquet"), _half_a_parquet),
    "no identifier": Refusal(_SEND, ("no column identifies", "'name'"), _text("people.csv", "name\nanna\n")),
    "unknown column": Refusal(
        (*_SEND, "--config", "job.toml"),
        ("recipient.external_user_id", "'extrnal_user_id'", "did you mean 'external_user_id'?"),
        _configured('[recipient]\nexternal_user_id = "extrnal_user_id"\n'),
    ),
    "unknown configuration key": Refusal(
        (*_SEND, "--config", "job.toml"),
        ("job.toml", "delivery.concurency", "did you mean concurrency?"),
        _configured("[delivery]\nconcurency = 3\n"),
    ),
    "broken configuration": Refusal(
        (*_SEND, "--config", "job.toml"), ("job.toml", "line 2"), _configured("[delivery]\nrate =\n")
    ),
    "missing configuration": Refusal((*_SEND, "-c", "absent.toml"), ("absent.toml", "--config"), _PEOPLE),
    "a key in the configuration": Refusal(
        (*_SEND, "--config", "job.toml"),
        ("braze.api_key", "BRAZE_API_KEY"),
        _configured(f'[braze]\napi_key = "{SECRET}"\n'),
    ),
    "a key as an option": Refusal(("send", "people.csv", "--api-key", SECRET), ("BRAZE_API_KEY",), _PEOPLE),
    "no key": Refusal(_SEND, ("no API key is set", "BRAZE_API_KEY_FILE"), _PEOPLE, {"BRAZE_API_KEY": ""}),
    "a key with a line break": Refusal(
        _SEND, ("does not contain a valid key",), _PEOPLE, {"BRAZE_API_KEY": f"{SECRET}\n{SECRET}"}
    ),
    "no campaign": Refusal(("send", "people.csv", "--yes"), ("no campaign", "--campaign-id"), _PEOPLE),
    "no endpoint": Refusal(_SEND, ("no endpoint", "BRAZE_ENDPOINT"), _PEOPLE, {"BRAZE_ENDPOINT": ""}),
    "http": Refusal((*_SEND, "--endpoint", "http://rest.iad-01.braze.com"), ("https",), _PEOPLE),
    "a run's name that is a path": Refusal((*_SEND, "--run-id", "../x"), ("'../x'",), _PEOPLE),
    "resume of nothing": Refusal(("resume", "r", "--yes"), ("no run 'r'", "bulk-sender runs")),
    "retry of nothing in particular": Refusal(("retry", "r", "--yes"), ("--failed", "--unknown")),
}

USAGE = {
    "a key glued to an option": Refusal(("send", "people.csv", f"--api-key={SECRET}"), ("BRAZE_API_KEY",), _PEOPLE),
    "a key in an option's name": Refusal(("send", "people.csv", f"--key-{SECRET}"), ("BRAZE_API_KEY",), _PEOPLE),
    "campaign and Canvas": Refusal((*_SEND, "--canvas-id", "c"), ("--campaign-id and --canvas-id",), _PEOPLE),
    "a rate without a unit": Refusal((*_SEND, "--rate", "70"), ("--rate", "250000/hour"), _PEOPLE),
    "an unknown format": Refusal((*_SEND, "--format", "xml"), ("--format", "parquet"), _PEOPLE),
    "an unknown option": Refusal((*_SEND, "--fast"), ("no such option: --fast", "send --help"), _PEOPLE),
    "an unknown command": Refusal(("sned", "people.csv"), ("sned", "--help"), _PEOPLE),
    "weather outside": Refusal((*_SEND, "--weather", "calm"), ("--sandbox",), _PEOPLE),
    "an unknown verdict": Refusal(("resolve", "r", "--as", "fine", "--yes"), ("--as", "accepted or failed")),
    "resume without a word": Refusal(("resume", "r"), ("--yes",)),
    "resolve without a word": Refusal(("resolve", "r", "--as", "failed"), ("--yes",)),
}
"""Refused by the command line itself, before anything else is looked at."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    """All of them, begun two at a time: each is a process of its own."""
    with run_in_thread(keys=[KEY]) as braze, ThreadPoolExecutor(2) as pool:

        def run(name: str) -> tuple[Outcome, Path, RunningSandbox]:
            folder = tmp_path_factory.mktemp("refusal")
            refusal = REFUSALS[name]
            refusal.make(folder)
            return Place(folder, braze.url).run(*refusal.arguments, **refusal.variables), folder, braze

        yield {name: pool.submit(run, name) for name in REFUSALS}


@pytest.mark.parametrize("name", REFUSALS)
def test_is_refused_with_one_clear_message(name: str, outcomes: Outcomes) -> None:
    done, folder, braze = outcomes[name].result()
    _check(done, REFUSALS[name], folder)
    assert braze.ledger.requests == 0


@pytest.mark.parametrize("name", USAGE)
def test_a_wrong_command_line_is_refused_with_one_clear_message(name: str, here: Here, tmp_path: Path) -> None:
    refusal = USAGE[name]
    refusal.make(tmp_path)
    _check(here.run(Place(tmp_path), *refusal.arguments), refusal, tmp_path)


def _check(done: Outcome, refusal: Refusal, folder: Path) -> None:
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert done.err.count("error: ") == 1
    for word in refusal.words:
        assert word in done.err
    assert SECRET not in done.err
    assert not (folder / "bulk-sender-runs").exists()
