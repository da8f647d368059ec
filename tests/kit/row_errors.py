"""A Braze that takes a request, and reports errors beside success."""

from __future__ import annotations

from typing import Any

from tests.faults import Fault, Turn, http_answer, success


def telling(*errors: Any) -> Fault:
    """A server that takes each request, and answers success with these ``errors[]``."""

    def play(turn: Turn) -> None:
        turn.read_whole()
        turn.answer(http_answer(201, success(turn.accept(), errors=list(errors))))

    return Fault("tells errors", "F10", "answer", True, "accepted", play)


def named(index: Any, text: str = "locale is not valid", array: str = "recipients") -> dict[str, Any]:
    """An entry of ``errors[]``."""
    return {"type": text, "input_array": array, "index": index}
