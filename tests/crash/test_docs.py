"""docs/delivery.md says what the code does, and the commands of the soaks exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from bulk_sender import failpoints
from bulk_sender.journal.sqlite import ballast, database, lock, mark

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/delivery.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NIGHTLY = (ROOT / ".github/workflows/nightly.yml").read_text(encoding="utf-8")


def test_the_page_names_the_files_and_figures_of_the_code() -> None:
    for name in (database.JOURNAL, mark.MARK, lock.LOCK, ballast.BALLAST):
        assert f"`{name}`" in PAGE
    assert f"{ballast.SIZE >> 20} MB set aside" in PAGE
    assert f"waited for, {database.PATIENCE_S:g} s" in PAGE


def test_the_commands_of_the_page_exist() -> None:
    for module in re.findall(r"python -m (tests[.\w]+)", PAGE):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
    for file in re.findall(r"pytest (?:-[-\w ]+ )?(tests/[\w/]+\.py)", PAGE):
        assert (ROOT / file).exists(), file


def test_the_soaks_that_contributors_are_told_of_can_be_imported_and_run_each_night() -> None:
    soaks = re.findall(r"`python -m (tests[.\w]+) --", CONTRIBUTING)
    assert len(set(soaks)) >= 5
    for module in soaks:
        assert callable(importlib.import_module(f"{module}.__main__" if module == "tests.fuzz" else module).main)
        assert f"python -m {module} --" in NIGHTLY


def test_every_failpoint_is_explained() -> None:
    text = failpoints.__doc__ or ""
    for place in failpoints.PLACES:
        moment, _, kind = place.partition("_")
        explained = place in text or (f"{moment}_KIND" in text and f"``{kind}``" in text)
        assert explained, place
