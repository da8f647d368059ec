"""The Python and the configurations that pages show do what stands there."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.config.model import Config
from bulk_sender.web.settings import Settings

from .blocks import OUTPUT
from .stages import ROOT, customers

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shown(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def named(language: str) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in PAGES if shown(page, language)]


@pytest.mark.parametrize("page", named("toml"))
def test_each_configuration_of_a_page_is_one(page: str) -> None:
    for text in shown(ROOT / page, "toml"):
        table = tomllib.loads(text)
        if table.keys() <= Settings.model_fields.keys():
            Settings.model_validate(table)
        else:
            Config.parse(table, where=page)


@pytest.mark.parametrize("page", named("python"))
def test_the_python_of_a_page_sends_once_however_often_it_calls(page: str, tmp_path: Path) -> None:
    with customers(tmp_path) as stage:
        pl.read_csv(stage.folder / "customers.csv", infer_schema=False).write_parquet(
            stage.folder / "recipients.parquet"
        )
        (stage.folder / "customers.toml").rename(stage.folder / "job.toml")
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(shown(ROOT / page, "python"))],
            cwd=stage.folder,
            env=stage.variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert stage.braze.ledger.accepted_recipients == 100


@pytest.mark.parametrize("page", [name for name in named("python") if OUTPUT.search((ROOT / name).read_text())])
def test_python_with_its_output_prints_exactly_that(page: str, tmp_path: Path) -> None:
    with customers(tmp_path) as stage:
        for match in OUTPUT.finditer((ROOT / page).read_text(encoding="utf-8")):
            done = subprocess.run(
                [sys.executable, "-c", match["code"]],
                cwd=stage.folder,
                env=stage.variables,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert (done.returncode, done.stdout) == (0, match["shown"]), done.stderr


@pytest.mark.parametrize("name", bs.__all__)
def test_every_public_name_has_an_example_in_the_reference(name: str) -> None:
    examples = "\n".join(shown(ROOT / "docs" / "reference" / "python.md", "python"))
    assert re.search(rf"\bbs\.{re.escape(name)}\b", examples)
