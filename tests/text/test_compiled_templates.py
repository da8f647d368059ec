"""Templates that are compiled once, and compiled again when that is not possible or no longer true."""

from __future__ import annotations

import sys
from pathlib import Path

import jinja2
import pytest

from bulk_sender.text import compiled_templates, pages

Compiled = list[str]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Compiled:
    """The templates that were compiled, by name."""
    names: Compiled = []
    real = jinja2.Environment.compile

    def compile_(self: jinja2.Environment, source: str, name: str, *args: object) -> object:
        names.append(name)
        return real(self, source, name, *args)  # type: ignore[call-overload]

    monkeypatch.setattr(jinja2.Environment, "compile", compile_)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    return names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hello.html.jinja").write_text("Hello {{ name }}", encoding="utf-8")
    return tmp_path


def rendered(folder: Path) -> str:
    return pages.templates(folder).get_template("hello.html.jinja").render(name="<Ada>")


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "__pycache__").iterdir())


def test_a_template_is_compiled_once(folder: Path, compiled: Compiled) -> None:
    assert [rendered(folder), rendered(folder)] == ["Hello &lt;Ada&gt;"] * 2
    assert compiled == ["hello.html.jinja"]
    [file] = kept(folder)
    assert file.name == f"hello.html.{sys.implementation.cache_tag}.jinjac"
    assert not file.stat().st_mode & 0o022


def test_a_template_that_has_changed_is_compiled_again(folder: Path, compiled: Compiled) -> None:
    rendered(folder)
    (folder / "hello.html.jinja").write_text("Bye {{ name }}", encoding="utf-8")
    assert [rendered(folder), rendered(folder)] == ["Bye &lt;Ada&gt;"] * 2
    assert len(compiled) == 2
    assert len(kept(folder)) == 1


@pytest.mark.parametrize("what", ["settings", "release of Jinja"])
def test_a_template_is_compiled_again_when_what_it_depends_on_changes(
    folder: Path, compiled: Compiled, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    rendered(folder)
    if what == "settings":
        copy = folder / "pages.py"
        copy.write_text("trim_blocks = False", encoding="utf-8")
        monkeypatch.setattr(pages, "__file__", str(copy))
    else:
        monkeypatch.setattr(compiled_templates, "__version__", "3.99")
    rendered(folder)
    assert len(compiled) == 2


@pytest.mark.parametrize("cut", range(0, 60, 6))
def test_a_file_cut_short_is_replaced(folder: Path, compiled: Compiled, cut: int) -> None:
    rendered(folder)
    [file] = kept(folder)
    whole = file.read_bytes()
    file.write_bytes(whole[:cut])
    assert rendered(folder) == "Hello &lt;Ada&gt;"
    assert kept(folder) == [file]
    assert file.read_bytes() == whole


def test_a_page_is_rendered_where_nothing_can_be_written(folder: Path, compiled: Compiled) -> None:
    (folder / "__pycache__").write_text("not a folder", encoding="utf-8")
    assert [rendered(folder), rendered(folder)] == ["Hello &lt;Ada&gt;"] * 2
    assert len(compiled) == 2


def test_nothing_is_written_if_python_may_write_no_compiled_modules(
    folder: Path, compiled: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    rendered(folder)
    assert [path.name for path in folder.iterdir()] == ["hello.html.jinja"]


def test_compiled_templates_are_where_compiled_modules_are(
    folder: Path, compiled: Compiled, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "elsewhere"))
    assert [rendered(folder), rendered(folder)] == ["Hello &lt;Ada&gt;"] * 2
    assert len(compiled) == 1
    assert not (folder / "__pycache__").exists()
