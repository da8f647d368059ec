"""Prompts that a signal can cut short."""

from __future__ import annotations

import os
import select
import sys

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.errors import GuardrailError


def can_ask() -> bool:
    """Whether standard input and standard error are a terminal, so that somebody can answer."""
    try:
        return sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # closed
        return False


def must_be_able_to_ask(yes: bool, what: str) -> None:
    """Raise GuardrailError before anything is read if nobody could confirm."""
    if not yes and not can_ask():
        raise GuardrailError(
            f"{what} asks for confirmation, but there is no terminal", hint="add --yes to go ahead without asking"
        )


class Question:
    """One question at a time, on the terminal. ``cut_short`` may be called from another thread."""

    def __init__(self) -> None:
        self._wake, self._waker = os.pipe()
        self.was_cut_short = False

    def cut_short(self) -> None:
        self.was_cut_short = True
        os.write(self._waker, b"\0")

    def ask(self, text: str) -> bool:
        """Ask ``text [y/N]``. Anything but a yes is a no, and so is the end of the input."""
        return self._answer(f"{text} [y/N] ").lower() in ("y", "yes")

    def ask_for(self, wanted: str, text: str) -> bool:
        """Ask ``text``, and return whether the answer is ``wanted``. Blanks and commas in it do not matter."""
        return "".join(self._answer(f"{text} ").replace(",", "").split()) == wanted

    def _answer(self, text: str) -> str:
        if self.was_cut_short:
            return ""
        file = terminal.err.file
        file.write(text)
        file.flush()
        answer = self._line()
        if not answer.endswith("\n"):
            file.write("\n")
        return answer.strip()

    def _line(self) -> str:
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([0, self._wake], [], [])
            if self._wake in ready:
                return ""
            try:
                more = os.read(0, 1024)
            except OSError:  # the terminal went away
                return ""
            if not more:
                return ""
            line += more
        return line.decode("utf-8", "replace")
