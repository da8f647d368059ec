"""docs/reference/sandbox.md lists every state, answer, weather, endpoint and reason of the sandbox."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from bulk_sender.sandbox import ANSWERS, STATES, WEATHERS, answers, endpoints, losses

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "sandbox.md").read_text(encoding="utf-8")


def first_column(heading: str) -> list[str]:
    table = re.search(rf"^\| {re.escape(heading)} \|[^\n]*\n\|[- |]+\n((?:\|[^\n]*\n)+)", PAGE, re.MULTILINE)
    assert table, f"no table of {heading}"
    return [
        name
        for cell in re.findall(r"^\| ([^|]*) \|", table[1], re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", cell)
    ]


def reasons() -> set[str]:
    """The reasons in the code: its strings with blanks, but for documentation and the signs that a key may not have."""
    tree = ast.parse(Path(losses.__file__).read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
    }
    return {text for text in texts if " " in text} - {" .$"}


@pytest.mark.parametrize(("heading", "names"), [("state", STATES), ("name", ANSWERS)])
def test_lists_every_state_and_answer_in_order(heading: str, names: Iterable[str]) -> None:
    assert first_column(heading) == list(names)


def test_lists_every_weather() -> None:
    assert all(f"`{name}`" in PAGE for name in WEATHERS)


def test_lists_every_endpoint() -> None:
    paths = {path.split(" ")[-1] for path in first_column("endpoint")} - {"GET"}
    assert paths == set(endpoints.METHODS)


def test_lists_every_reason_of_a_dropped_update() -> None:
    assert set(first_column("reason in the account")) == reasons()


@pytest.mark.parametrize(
    "text",
    [
        answers.TOO_LONG,
        "No Recipients",
        "Invalid Campaign ID",
        "The max number of external_ids and aliases per request was exceeded",
        "campaign_id must be a string of the campaign api identifier",
        "canvas_id must be a string of the Canvas api identifier",
        "Error while parsing request body. Please check your syntax.",
    ],
)
def test_quotes_the_texts_of_braze(text: str) -> None:
    assert f"`{text}`" in PAGE
