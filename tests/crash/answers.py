"""Damaged answers: judged as they are, and received over sockets by both transports.

    python -m tests.crash.answers --answers 100000 --seed 1

The status line stays whole: a status that turned into another valid one is a lie that no client can see through. No
damage may turn a refusal into an acceptance, or make a request that was taken one that may be sent again, or keep a
request from ending. Exits with 1 at the first that does, and prints it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bulk_sender.braze.answer import Verdict, judge
from bulk_sender.http.evidence import Evidence, Reach
from tests.faults import Fault, FaultServer, Turn, http_answer, mutate, success
from tests.faults.ledger import external_user_ids
from tests.faults.tls import authority
from tests.kit.posting import TRANSPORTS, post_all

REFUSALS = (400, 413, 429, 500, 503)
TIMEOUT_S = 2.0
LONGEST_S = TIMEOUT_S + 10.0
"""How long a request may take on a busy machine."""
_AT_ONCE = 8


@dataclass
class Figures:
    """Totals. ``verdicts``: how often each verdict was given to answers of each kind."""

    judged: int = 0
    received: int = 0
    slowest_s: float = 0.0
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        given = ", ".join(f"{kind} -> {verdict}: {count}" for (kind, verdict), count in sorted(self.verdicts.items()))
        return [
            f"{self.judged} damaged answers judged, {self.received} received over sockets: none believed",
            given,
            f"slowest request: {self.slowest_s:.1f} s, with a time-out of {TIMEOUT_S:g} s",
        ]

    def note(self, evidence: Evidence, taken: bool, where: str) -> None:
        """Judge an answer, and compare with the truth. Raises AssertionError."""
        outcome = judge(evidence)
        self.verdicts["taken" if taken else "refused", outcome.verdict.value] += 1
        if taken:
            assert not outcome.may_send_again, (where, evidence, outcome)
        else:
            assert outcome.verdict is not Verdict.ACCEPTED, (where, evidence, outcome)


def judge_many(count: int, seed: int, figures: Figures) -> None:
    """Judge damaged bodies with their true status."""
    good = json.dumps(success("0" * 32)).encode()
    bad = json.dumps({"message": "Bad syntax"}).encode()
    for number in range(count):
        rng = random.Random(f"{seed}:{number}")
        taken = number % 2 == 0
        status = 201 if taken else rng.choice(REFUSALS)
        body = mutate(good if taken else bad, rng)
        figures.judged += 1
        evidence = Evidence(Reach.ANSWERED, status=status, body=body)
        figures.note(evidence, taken, f"answer {number} of seed {seed}")


def receive_many(kind: str, tls: str | None, count: int, seed: int, figures: Figures) -> None:
    """Receive damaged answers, each on a connection that ends with it."""

    def play(turn: Turn) -> None:
        turn.read_whole()
        [name] = external_user_ids(turn.body)
        rng = random.Random(f"{seed}:{kind}:{tls}:{name}")
        if int(name[1:]) % 2 == 0:
            answer = http_answer(201, success(turn.accept()))
        else:
            answer = http_answer(rng.choice(REFUSALS), {"message": "Bad syntax"})
        turn.send(mutate(answer, rng, keep_status_line=True))
        turn.wire.finish(linger=0.5)

    bodies = [json.dumps({"recipients": [{"external_user_id": f"u{number}"}]}).encode() for number in range(count)]
    authority()  # made once, before several threads use it
    with (
        FaultServer(Fault("damaged", "F26", "read", False, "unknown", play), tls=tls) as server,
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):

        def post(first: int) -> list[tuple[bytes, Evidence, float]]:
            found = []
            for body in bodies[first::_AT_ONCE]:
                began = time.monotonic()
                [evidence] = post_all(kind, server.url, body, timeout=TIMEOUT_S)
                found.append((body, evidence, time.monotonic() - began))
            return found

        received = [each for part in pool.map(post, range(_AT_ONCE)) for each in part]
        taken = server.ledger.accepted_ids()
        requests = server.ledger.requests
    assert len(requests) <= count, "a request was sent again"
    for body, evidence, took in received:
        [name] = external_user_ids(body)
        figures.received += 1
        figures.slowest_s = max(figures.slowest_s, took)
        figures.note(evidence, name in taken, f"{name} of seed {seed}, {kind}, {tls or 'plain'}")
        assert took <= LONGEST_S, (name, took, evidence)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.answers", description=__doc__)
    parser.add_argument("--answers", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats the same damage")
    parser.add_argument("--plain", type=int, default=4000, help="answers over TCP, for each transport")
    parser.add_argument("--tls", type=int, default=1500, help="answers over TLS, for each transport")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    figures, began = Figures(), time.monotonic()
    try:
        judge_many(options.answers - 2 * (options.plain + options.tls), options.seed, figures)
        for kind in TRANSPORTS:
            for tls, count in ((None, options.plain), ("good", options.tls)):
                receive_many(kind, tls, count, options.seed, figures)
                print(f"{kind}, {tls or 'plain'}: {count}, {time.monotonic() - began:.0f} s", flush=True)
    except AssertionError as error:
        print(error)
        return 1
    print("\n".join([*figures.lines(), f"{time.monotonic() - began:.0f} s"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
