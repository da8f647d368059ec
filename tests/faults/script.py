"""Scripts: which fault to play on which request.

A script is a pure function of the turn, so the same numbers bring the same faults however the connections
interleave. Wherever a fault is wanted, its name or another script serves as well::

    sequence("rst_after_read", "status_429", then=every(10, "json_503"))
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .fault import FAULTS, Fault, Head, Turn


@dataclass(frozen=True)
class Script:
    """``decide`` chooses the fault for a turn; ``name`` goes into the ledger."""

    name: str
    decide: Callable[[Turn], Fault] = field(repr=False)

    def __call__(self, turn: Turn) -> Fault:
        return self.decide(turn)


Plan = Script | Fault | str | Callable[[Turn], Fault]


def script_of(plan: Plan) -> Script:
    """A fault, a fault's name, or a plain function as a script."""
    if isinstance(plan, Script):
        return plan
    if isinstance(plan, str):
        if plan not in FAULTS:
            raise KeyError(f"no fault named {plan!r}")
        plan = FAULTS[plan]
    if isinstance(plan, Fault):
        chosen = plan
        return Script(chosen.name, lambda turn: chosen)
    return Script(getattr(plan, "__name__", "script"), plan)


def always(fault: Plan) -> Script:
    """The same for every request."""
    return script_of(fault)


def nth(n: int, fault: Plan, otherwise: Plan = "ok") -> Script:
    """``fault`` on the n-th request of the server (from 1), ``otherwise`` on the others."""
    struck, rest = script_of(fault), script_of(otherwise)
    return Script(f"nth({n}, {struck.name})", lambda turn: (struck if turn.index == n else rest)(turn))


def nth_on_connection(n: int, fault: Plan, otherwise: Plan = "ok") -> Script:
    """``fault`` on the n-th request of each connection (from 1), ``otherwise`` on the others."""
    struck, rest = script_of(fault), script_of(otherwise)
    return Script(f"nth_on_connection({n}, {struck.name})", lambda turn: (struck if turn.nth == n else rest)(turn))


def every(n: int, fault: Plan, otherwise: Plan = "ok") -> Script:
    """``fault`` on requests n, 2n, 3n, …"""
    struck, rest = script_of(fault), script_of(otherwise)
    return Script(f"every({n}, {struck.name})", lambda turn: (rest if turn.index % n else struck)(turn))


def sequence(*faults: Plan, then: Plan = "ok") -> Script:
    """The first request gets the first fault, and so on; ``then`` gets what follows."""
    steps, rest = [script_of(step) for step in faults], script_of(then)

    def decide(turn: Turn) -> Fault:
        return (steps[turn.index - 1] if turn.index <= len(steps) else rest)(turn)

    return Script(f"sequence({', '.join(step.name for step in steps)})", decide)


def until(
    fault: Plan,
    *,
    event: threading.Event | None = None,
    seconds: float | None = None,
    count: int | None = None,
    then: Plan = "ok",
) -> Script:
    """``fault`` until the first of the bounds given, then ``then``.

    ``event`` is set, ``seconds`` passed since the first request, or ``count`` requests came.
    """
    if event is None and seconds is None and count is None:
        raise ValueError("until what?")
    struck, rest = script_of(fault), script_of(then)
    began: list[float] = []

    def decide(turn: Turn) -> Fault:
        if not began:
            began.append(time.monotonic())
        over = (
            (event is not None and event.is_set())
            or (seconds is not None and time.monotonic() - began[0] >= seconds)
            or (count is not None and turn.index > count)
        )
        return (rest if over else struck)(turn)

    return Script(f"until({struck.name})", decide)


def by_body(predicate: Callable[[Any], bool], fault: Plan, otherwise: Plan = "ok") -> Script:
    """``fault`` when ``predicate`` holds for the body's JSON (None when it is not JSON).

    The body is read to its end first, so faults that strike earlier come too late.
    """
    struck, rest = script_of(fault), script_of(otherwise)
    return Script(f"by_body({struck.name})", lambda turn: (struck if predicate(turn.json) else rest)(turn))


def by_head(predicate: Callable[[Head], bool], fault: Plan, otherwise: Plan = "ok") -> Script:
    """``fault`` when ``predicate`` holds for the request's head; the body is not read for it."""
    struck, rest = script_of(fault), script_of(otherwise)

    def decide(turn: Turn) -> Fault:
        return (struck if predicate(turn.read_head(greedy=False)) else rest)(turn)

    return Script(f"by_head({struck.name})", decide)


def _names_in(body: Any) -> list[Any]:
    """The ``external_user_id`` of each recipient."""
    recipients = body.get("recipients", []) if isinstance(body, dict) else []
    return [recipient.get("external_user_id") for recipient in recipients]


def first_with(name: str, fault: Plan, then: Plan = "ok") -> Script:
    """``fault`` on the first request that holds the ``external_user_id``, ``then`` on the others.

    So the affected batch is certain, however many requests are in flight at a time.
    """
    struck, rest = script_of(fault), script_of(then)
    turns = iter([struck])

    def decide(turn: Turn) -> Fault:
        return (next(turns, rest) if name in _names_in(turn.json) else rest)(turn)

    return Script(f"first_with({name}, {struck.name})", decide)


def poison(*names: str, fault: Plan = "status_400", otherwise: Plan = "ok") -> Script:
    """``fault`` for every request with one of these ``external_user_id``: rows that fail their batch."""
    spoilt = frozenset(names)
    script = by_body(lambda body: not spoilt.isdisjoint(_names_in(body)), fault, otherwise)
    return Script(f"poison({', '.join(names)})", script.decide)


def random_mix(seed: int, weights: Mapping[str, float]) -> Script:
    """A random fault by weight for each request, which depends only on the seed and the request's number."""
    plans = [script_of(name) for name in weights]

    def decide(turn: Turn) -> Fault:
        rng = random.Random(f"{seed}:{turn.index}")
        return rng.choices(plans, weights=list(weights.values()))[0](turn)

    return Script(f"random_mix(seed={seed})", decide)
