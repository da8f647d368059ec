"""No hint proposes what sends a second message to anybody, without saying so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "bulk_sender"

PROPOSES = re.compile(
    r"new run|separate run|another run|run of (another|its own)|another broadcast|(?:add|or) --again|--again sends"
    r"|another --run-id|another folder|move it away: the next command makes|start again"
    r"|send (?:it|them|the file|the others|everything) again"
)
SAYS_SO = re.compile(
    r"twice|second message|--exclude|(?:to|messages?) every(?:one|body) (?:again|once more)|also to (?:people|those)"
)
HARMLESS = {
    "Read the reason, fix its cause, then start another broadcast.": "this one is proved not to have gone out",
    "rehearse under another --run-id": "a rehearsal reaches nobody",
    "Or send them again. ": "the cost follows, from COSTS",
    "were sent again by another run": "tells what was done",
    "is gone or belongs to another run": "tells what is wrong",
}


def _texts(node: ast.AST, constants: dict[str, str]) -> str:
    """The text of an expression, with module constants filled in."""
    return "".join(
        part.value
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
        else constants.get(part.id, "")
        if isinstance(part, ast.Name)
        else ""
        for part in _leaves(node)
    )


def _leaves(node: ast.AST) -> Iterator[ast.AST]:
    """The constants and names of an expression, in the order in which they are written."""
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Constant | ast.Name):
        yield node
    for child in children:
        yield from _leaves(child)


def _constants() -> dict[str, str]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = _texts(node.value, {})
    return found


def _proposals() -> Iterator[tuple[str, str]]:
    """Where each text stands that people may follow: a hint, an advice, a note or an assignment of one."""
    constants = _constants()
    for path in sorted(PACKAGE.rglob("*.py")):
        if "sandbox" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            given = [*node.args, *(each.value for each in node.keywords)] if isinstance(node, ast.Call) else []
            if isinstance(node, ast.Assign | ast.Return) and node.value is not None:
                given = [node.value]
            for each in given:
                if id(each) not in documented and isinstance(
                    each, ast.Constant | ast.JoinedStr | ast.BinOp | ast.IfExp
                ):
                    yield f"{path.relative_to(PACKAGE)}:{each.lineno}", _texts(each, constants)


def test_a_proposal_that_may_reach_people_twice_says_so() -> None:
    silent = {
        where: text
        for where, text in _proposals()
        if PROPOSES.search(text) and not SAYS_SO.search(text) and not any(known in text for known in HARMLESS)
    }
    assert silent == {}


@pytest.mark.parametrize(
    "text",
    [
        "restore the file, or send the new one as a run of its own",
        "choose another folder with --runs-dir",
        "save the workbook and send it again",
    ],
)
def test_such_a_proposal_would_be_found(text: str) -> None:
    assert PROPOSES.search(text) and not SAYS_SO.search(text)
