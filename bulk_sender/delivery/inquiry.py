"""Ask Braze which recipients in doubt received a message."""

from __future__ import annotations

import json
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import anyio

from bulk_sender.braze.headers import budget, server_now, throttle_wait
from bulk_sender.braze.receipts import Inquiry, Question
from bulk_sender.errors import CredentialError
from bulk_sender.http.client import Client
from bulk_sender.http.evidence import Evidence, Reach
from bulk_sender.pace.backoff import WAITS, Waits
from bulk_sender.pace.limiter import Pace
from bulk_sender.text.clean import clean

_MOST_TROUBLES = 6


_SKEW_IGNORED_S = 2.0


_MOST_REFUSALS = 12
"""More in a row than halving needs to find one bad identifier among 50."""


async def ask(
    asked: Iterable[Question],
    client: Client,
    pace: Pace,
    target: str,
    *,
    canvas: bool,
    wall: Callable[[], float] = time.time,
    waits: Waits = WAITS,
    rng: random.Random | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Inquiry:
    """Ask the questions one after the other, in smaller parts where Braze cannot answer the whole.

    ``on_progress`` receives the number of people left. Raise CredentialError when the key lacks the permission.
    """
    inquiry, rng = Inquiry(), rng or random.Random()
    left, failures = deque(asked), 0
    while left:
        question = left.popleft()
        await pace.turn()
        evidence = await client.post(question.body)
        inquiry.requests += 1
        users = _users(evidence)
        if users is not None:
            failures = 0
            pace.observe(budget(evidence.headers, wall(), waits))
            inquiry.take(question, users, target, canvas=canvas)
            _compare_clocks(inquiry, evidence, wall())
        elif evidence.status == 429:
            pace.throttled(throttle_wait(evidence.headers, wall(), waits))
            left.appendleft(question)
        else:
            refused = _is_refusal(evidence)
            failures += 1
            if failures >= (_MOST_REFUSALS if refused else _MOST_TROUBLES):
                inquiry.stopped = f"Braze gave no usable answer {failures} times in a row ({_described(evidence)})"
                break
            if len(question.people) > 1:
                left.extendleft(reversed(question.halves()))
            elif not refused:
                left.appendleft(question)
            if not refused:
                await anyio.sleep(waits.backoff(failures, rng))
        if on_progress is not None:
            on_progress(sum(len(question.people) for question in left))
    return inquiry


def _compare_clocks(inquiry: Inquiry, evidence: Evidence, now: float) -> None:
    apart = server_now(evidence.headers, now) - now
    if abs(apart) > _SKEW_IGNORED_S:
        inquiry.skew = timedelta(seconds=apart)


def _users(evidence: Evidence) -> list[dict[str, Any]] | None:
    """Return the profiles in a valid answer, else None. Raise CredentialError if the key lacks the permission."""
    if evidence.status in (401, 403):
        raise CredentialError(
            f"Braze refused to answer questions with this key ({_described(evidence)})",
            hint="give the key the permission users.export.ids; nothing was decided",
        )
    if evidence.reach is not Reach.ANSWERED or evidence.status not in (200, 201):
        return None
    users = _answer(evidence).get("users")
    return [user for user in users if isinstance(user, dict)] if isinstance(users, list) else None


def _is_refusal(evidence: Evidence) -> bool:
    """Whether the same question would be refused again."""
    status = evidence.status or 0
    return evidence.reach is Reach.ANSWERED and 400 <= status < 500 and status not in (408, 425, 499)


def _answer(evidence: Evidence) -> dict[str, Any]:
    try:
        answer = json.loads(evidence.body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _described(evidence: Evidence) -> str:
    status = f"HTTP {evidence.status}" if evidence.status else evidence.error or "no answer"
    message = clean(_answer(evidence).get("message"))
    return f"{status}: {message}" if message else status
