"""Runs that are killed again and again until they finish, and an audit of their results."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bulk_sender.failpoints import PLACES
from bulk_sender.journal.sqlite.database import JOURNAL
from tests.crash.audit import audit, file_digest, recovered_states, results_digest
from tests.crash.nursery import Ended, Nursery
from tests.faults import FaultServer, poison, random_mix
from tests.kit.scene import Scene

RARE = {"before_publishing": 1, "before_results": 3, "mid_results": 3, "before_rename": 3, "after_rename": 3}
"""How often one command reaches a failpoint at most, except those that it reaches for each batch."""

MIX = {"ok": 94, "fin_after_read": 2, "rst_after_read_not_taken": 2, "half_body_rst": 2}
"""A network that loses some answers, by weight."""

_SURE = ("ok", "status_400")


@dataclass
class Figures:
    """Totals of all runs. ``most_doubt``: the largest share of the allowed unknown rows in any run."""

    kills: int = 0
    commands: int = 0
    runs: int = 0
    rows: int = 0
    doubt: int = 0
    faults: int = 0
    most_doubt: float = 0.0
    wrong: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        names = ("lost", "twice", "ghosts", "orphans", "unannounced")
        return [
            f"{self.kills} kills (SIGKILL) in {self.commands} commands over {self.runs} runs of {self.rows} rows",
            *(f"{name}: {self.wrong[name]}" for name in names),
            f"in doubt: {self.doubt} rows, at most {self.most_doubt:.0%} of 50 x requests in flight x kills in any run",
            "struck at: " + ", ".join(f"{name} {count}" for name, count in sorted(self.struck.items())),
        ]


def endure(nursery: Nursery, place: Path, seed: str, figures: Figures, *, kills: int) -> None:
    """Kill a run up to ``kills`` times and resume it each time, then let it finish, and audit it.

    After each kill the counts add up, no row is accepted that the server did not accept, every request has an intent
    in the journal, and a second recovery changes nothing.
    """
    rng = random.Random(seed)
    weather = random_mix(rng.randrange(1 << 30), MIX) if rng.random() < 0.5 else "ok"
    in_flight = rng.choice((1, 3, 8))
    with FaultServer(poison(f"u{rng.randrange(900)}", otherwise=weather)) as server:
        scene = Scene(place, nursery, server.url, {"concurrency": in_flight}).with_rows(700, 30, 400)
        struck = 0
        for _ in range(3 * kills):
            where, ended = strike(scene, rng)
            figures.commands += 1
            if not ended.killed:
                assert ended.code in (0, 1, 3), (seed, where, ended)
                if ended.code in (0, 1):
                    break  # the run finished: nothing is left to kill
                continue
            struck += 1
            figures.struck[where] += 1
            if (scene.folder / JOURNAL).exists():
                found = audit(scene, server.ledger)
                assert not found.wrong, (seed, where, found)
                assert recovered_states(scene, 1) == recovered_states(scene, 2), (seed, where)
            if struck == kills:
                break
        scene.finish()
        found = audit(scene, server.ledger)
        assert results_digest(scene) == results_digest(scene) == file_digest(scene), seed
        lost_answers = sum(seen.fault not in _SURE for seen in server.ledger.requests)
    bound = 50 * (in_flight * struck + lost_answers)
    assert found.doubt <= bound and not found.wrong, (seed, found, bound)
    figures.kills += struck
    figures.runs += 1
    figures.rows += found.rows
    figures.doubt += found.doubt
    figures.most_doubt = max(figures.most_doubt, found.doubt / bound if bound else 0.0)
    figures.wrong.update(found.wrong)


def strike(scene: Scene, rng: random.Random) -> tuple[str, Ended]:
    """Start a command that is killed at a random failpoint, if it reaches it. Return the failpoint and how it ended."""
    command = "resume" if (scene.folder / JOURNAL).exists() and rng.random() < 0.5 else "send"
    if rng.random() < 0.3:
        child = scene.start(command)
        time.sleep(rng.uniform(0.02, 0.2))
        child.signal()
        return "any moment", child.wait()
    place = rng.choice(PLACES)
    nth = rng.randint(1, RARE.get(place, 8 if place.endswith(("intent", "outcome")) else 1))
    return place, scene.run(command, failpoint=f"{place}:{nth}")
