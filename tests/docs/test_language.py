"""Documentation, messages, docstrings and comments are in plain English: none holds a phrase of ``AVOID``.

A native engineer would not say these phrases aloud. Each has a better one beside it.
"""

from __future__ import annotations

import ast
import io
import itertools
import re
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

AVOID = {
    r"whoever|whomever|whosoever": "the caller, the operator, the worker, anyone who",
    r"lest": "so that … not",
    r"shall": "must, will",
    r"anew": "again",
    r"mend(?:s|ed|ing)?": "fix",
    r"noughts?": "zero",
    r"all the same": "anyway, still",
    r"(?:go|goes|going|gone|went) on with": "resume, continue",
    r"(?:go|goes|going|gone|went) on where": "resume where",
    r"under way": "in flight, in progress",
    r"in hand": "(leave it out)",
    r"of its own": "its own, separate",
    r"of itself": "by itself, automatically",
    r"(?<!there )is no (?!(?:longer|more than|less than|proof|reason)\b)\w+": "is not a …, is not a valid …",
    r"a word": "a message, a confirmation, a term",
    r"(?:became|becomes?|become|comes?|came) of": "what happened to, the outcome of",
    r"(?:is|are|was|were|be|been|being) told": "receives, learns, is detected",
    r"needs? you(?! to\b)": "needs your attention",
    r"laid": "compared, put, placed",
    r"the void": "(say what is meant)",
    r"dawn(?:s|ed)?": "(say what is meant)",
    r"evils?": "problem",
    r"swells?": "expands",
    r"save (?:for|that)": "except",
    r"(?:is|are|was|were|be|been|being) held to": "must match",
    r"turn (?:comes|came|did not come|didn't come|does not come|doesn't come|had not come|hadn't come)": "not sent yet",
    r"(?:come|comes|came) to pass": "happens",
    r"in the open": "unencrypted",
    r"stubborn(?:ly)?": "retries",
}
"""What to avoid → what to write instead. Whole words, in any case, also across a line break."""

ALLOWED: dict[tuple[str, str], str] = {}
"""(file, phrase as it stands there) → why it may stay."""

_PATTERNS = {re.compile(rf"(?<![\w-])(?:{avoid})(?![\w-])", re.IGNORECASE): better for avoid, better in AVOID.items()}
_BREAK = re.compile(r"\s*\n[\s#|>*-]*")


def faults(text: str, where: str) -> list[str]:
    """The phrases to avoid in ``text``, each with what to write instead and the words around it."""
    plain = _BREAK.sub(" ", text)
    return [
        f"{match[0]!r}: write {better} in “{plain[max(0, match.start() - 50) : match.end() + 50].strip()}”"
        for pattern, better in _PATTERNS.items()
        for match in pattern.finditer(plain)
        if (where, match[0]) not in ALLOWED
    ]


def comments(source: str) -> Iterator[str]:
    """The comments of Python code; those on consecutive lines as one."""
    found = [
        (token.start[0], token.string)
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    for _, group in itertools.groupby(enumerate(found), lambda item: item[1][0] - item[0]):
        yield "\n".join(text for _, (_, text) in group)


def strings(source: str) -> Iterator[str]:
    """The string literals and docstrings of Python code; of an f-string the text, with … for each value."""
    tree = ast.parse(source)
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value


def prose(path: Path) -> Iterator[str]:
    """What people read of a file: comments and strings of Python, comments of configurations, all of other files."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from strings(text)
        yield from comments(text)
    elif path.suffix == ".toml":
        yield "\n".join(line.partition("#")[2] for line in text.splitlines() if "#" in line)
    else:
        yield re.sub(r"`tests/[^`]*`|`test_\w+`", "", text)  # the names of tests


def named(paths: Sequence[Path]) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in paths)


DOCUMENTS = named(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob(".github/**/*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "docs").rglob("*.py"),
        *(ROOT / "config").glob("*.toml"),
        *(path for path in (ROOT / "examples").rglob("*") if path.is_file() and path.suffix != ".pyc"),
        ROOT / "sample_data" / "README.md",
        *(ROOT / "benchmarks").rglob("README.md"),
    ]
)
PACKAGE = named(
    [path for path in (ROOT / "bulk_sender").rglob("*") if path.suffix in (".py", ".jinja", ".css", ".html", ".js")]
)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documentation_is_in_plain_english(name: str) -> None:
    assert [fault for text in prose(ROOT / name) for fault in faults(text, name)] == []


@pytest.mark.parametrize("name", PACKAGE)
def test_messages_docstrings_and_comments_are_in_plain_english(name: str) -> None:
    assert [fault for text in prose(ROOT / name) for fault in faults(text, name)] == []


@pytest.mark.parametrize(
    "text",
    [
        "Whoever resumes it",
        "the run\n    goes on\n# with it",
        "gone on with",
        "x is no rate",
        "It needs you.",
        "a batch under way",
        "what became of it",
    ],
)
def test_a_phrase_to_avoid_is_found_in_any_form(text: str) -> None:
    assert faults(text, "")


@pytest.mark.parametrize(
    "text", ["there is no retry", "it is no longer sent", "you need your key", "we need you to look"]
)
def test_plain_sentences_are_left_alone(text: str) -> None:
    assert faults(text, "") == []


def test_strings_and_comments_of_code_are_seen_as_they_are_read() -> None:
    code = '"""Go on\nwith it."""\nx = f"run {name} is " "under way"  # first\n# then\n# more\ny = 1\n# apart\n'
    assert sorted(strings(code)) == ["Go on\nwith it.", "run … is under way"]
    assert list(comments(code)) == ["# first\n# then\n# more", "# apart"]


def test_every_allowed_phrase_still_stands_where_it_is_allowed() -> None:
    for where, phrase in ALLOWED:
        assert phrase in _BREAK.sub(" ", (ROOT / where).read_text(encoding="utf-8")), (where, phrase)
