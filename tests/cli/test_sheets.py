"""``--sheet``, and what a terminal says about a workbook."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulk_sender.sandbox import RunningSandbox
from tests.kit.command import Here, OnTerminal, Place
from tests.kit.target import CAMPAIGN
from tests.kit.workbooks import book, cell, rows, table

COVER = table(["Please read me"], ["Line 1"], ["Line 2"])
PEOPLE = table(["external_user_id", "trigger_properties.n"], ["u1", 1], ["u2", 2])


def workbook(place: Place) -> Path:
    return book(
        place.folder / "people.xlsx", {"Cover": COVER, "Old": PEOPLE, "People": PEOPLE}, states={"Old": "hidden"}
    )


@pytest.mark.parametrize("command", [("check",), ("preview",), ("send", "--sandbox", "--yes", "--run-id", "r")])
def test_each_command_that_reads_an_input_takes_a_sheet(command: tuple[str, ...], place: Place, here: Here) -> None:
    path = workbook(place)
    name, *options = command
    refused = here.run(place, name, path, *options)
    assert refused.code == 2
    assert "'People' (3 rows)" in refused.err
    assert "--sheet" in refused.err
    assert here.run(place, name, path, *options, "--sheet", "People").code == 0


def test_a_test_takes_a_sheet(place: Place, here: Here, braze: RunningSandbox) -> None:
    options = ("--to", "me", "--campaign-id", CAMPAIGN, "--yes", "--sheet", "People")
    assert here.run(place, "test", workbook(place), *options).code == 0
    assert braze.ledger.accepted_recipients == 1


def test_init_writes_the_sheet_into_the_configuration(place: Place, here: Here) -> None:
    path = workbook(place)
    chosen = here.run(place, "init", path, "--output", "-").out
    assert "sheet = \"People\"    # not read: 'Cover' (3 rows), 'Old' (3 rows, hidden)" in chosen
    cover = here.run(place, "init", path, "--sheet", "Cover", "--output", "-").out
    assert 'sheet = "Cover"' in cover
    assert here.run(place, "init", path, "--sheet", "People").code == 0
    assert 'sheet = "People"' in (place.folder / "people.toml").read_text()
    assert here.run(place, "check", path, "--config", place.folder / "people.toml").code == 0


def test_the_command_to_rehearse_names_the_sheet_that_was_checked(place: Place, here: Here) -> None:
    done = here.run(place, "check", workbook(place), "--sheet", "People")
    assert "--sheet People --sandbox" in " ".join(done.err.split())


def test_an_unknown_sheet_lists_the_sheets(place: Place, here: Here) -> None:
    done = here.run(place, "check", workbook(place), "--sheet", "Peple")
    assert done.code == 2
    assert "'Cover' (3 rows), 'Old' (3 rows, hidden), 'People' (3 rows)" in " ".join(done.err.split())


def test_the_sheet_is_named_before_the_question(place: Place) -> None:
    made = rows(
        [cell("A1", "external_user_id"), cell("B1", "trigger_properties.n")],
        [cell("A2", "u1"), cell("B2", "#REF!", kind="e")],
    )
    path = book(place.folder / "people.xlsx", {"Last year": PEOPLE, "People": made}, states={"Last year": "hidden"})
    with OnTerminal(place, "send", path, "--campaign-id", CAMPAIGN) as terminal:
        shown = " ".join(terminal.see("Send to 1 recipient? [y/N]").split())
        assert "sheet 'People' was read (2 rows); not read: 'Last year' (3 rows, hidden)" in shown
        assert "B2 (#REF!)" in shown
        terminal.type("n\n")
        terminal.end()
