"""Names that a partner gives to files and columns: a terminal or a browser shows them, and never obeys them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bulk_sender.text.clean import escaped, plain, shell_quoted
from tests.kit.command import Here, Place

OBEYED = ["\x1b[2J", "\x07", "\x9b31m", "\x7f", "\u202e", "\u2066", "\u200f", "\u061c", "\u2028", "\x85"]
NAME = "people" + "".join(OBEYED) + ".csv"
COLUMN = "trigger_properties.x" + "".join(OBEYED)


def shows_nothing_obeyed(*texts: str) -> None:
    for text in texts:
        assert [sign for hostile in OBEYED for sign in hostile if not sign.isascii() and sign in text] == []
        assert not {"\x1b", "\x07", "\x7f"} & set(text)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.write(NAME, f"external_user_id,{COLUMN}\nu1,one\n,two\n{'u' * 3}\u202e,three\n")
    return place


@pytest.mark.parametrize(
    "words",
    [
        ["check", NAME],
        ["check", NAME, "--json"],
        ["init", NAME, "--output", "-"],
        ["send", NAME, "--sandbox", "--yes"],
        ["send", NAME, "--sandbox", "--yes", "--log-format", "json"],
        ["check", f"missing-{NAME}"],
        ["check", NAME, "--filter", f'"{COLUMN}" > nothing'],
        ["send", NAME, "--run-id", "x\x1b[2J\u202e", "--sandbox", "--yes"],
    ],
    ids=" ".join,
)
def test_nothing_that_a_terminal_obeys_is_printed(words: list[str], place: Place, here: Here) -> None:
    done = here.run(place, *words)
    shows_nothing_obeyed(done.out, done.err)
    assert (done.out + done.err).strip()


def test_neither_explanations_nor_files_for_people_hold_it(place: Place, here: Here) -> None:
    assert place.run("send", NAME, "--sandbox", "--yes", "--run-id", "r").code == 1
    for words in (["explain", "r", "1"], ["explain", "r", "2", "--json"], ["status", "r"], ["runs"], ["report", "r"]):
        done = here.run(place, *words)
        shows_nothing_obeyed(done.out, done.err)
    run = place.runs / "r"
    for name in ("report.html", "summary.json"):
        shows_nothing_obeyed((run / name).read_text())
    assert NAME in json.loads((run / "summary.json").read_text()).get("inputs", [NAME])[0]


@pytest.mark.parametrize("word", [NAME, "a b", "it's", "ü\u202e", "\\x41\n", "bad\udcff", "-rf"])
def test_a_command_to_copy_names_the_same_file(word: str) -> None:
    quoted = shell_quoted(word)
    shows_nothing_obeyed(quoted)
    done = subprocess.run(["bash", "-c", f"printf %s {quoted}"], capture_output=True, check=True)
    assert done.stdout == word.encode("utf-8", "surrogateescape")


def test_json_keeps_its_meaning_when_it_is_escaped() -> None:
    facts = {NAME: [COLUMN, "ä", "\n"]}
    text = escaped(json.dumps(facts, ensure_ascii=False))
    shows_nothing_obeyed(text)
    assert json.loads(text) == facts


def test_styles_stay_in_place() -> None:
    assert len(plain(NAME)) == len(NAME)
