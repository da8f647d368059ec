"""Power cuts: record real runs, make images of what a cut may leave on the disk, and judge each.

    python -m tests.crash.power_cuts --images 10000 --seed 1

The program itself opens every image. It has to have an intent for each POST that had left before the cut. One image in
``--resume-every`` is resumed with the same command, against a server that has taken what had left: nothing is lost,
sent twice, or said to be accepted when it was not. Exits with 1 when an image is wrong, and prints the first of them.
"""

from __future__ import annotations

import argparse
import functools
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bulk_sender.errors import BulkSenderError
from bulk_sender.failpoints import VARIABLE
from bulk_sender.journal.sqlite.database import JOURNAL
from tests.crash.audit import STATUSES, audit
from tests.crash.images import Cut, contents, put_image, random_cut
from tests.crash.nursery import Nursery
from tests.crash.recording import Post, Root, record
from tests.faults import Entry, FaultServer, Plan, Seen, count_ids, killed_at, poison, random_mix, sequence
from tests.faults.script import script_of
from tests.kit.journals import opened
from tests.kit.scene import Scene
from tests.kit.tables import table

RUN = "run"
RUNS = "bulk-sender-runs"
MIX = {
    "ok": 88,
    "status_429": 1,
    "json_503": 3,
    "rst_after_read": 2,
    "rst_after_read_not_taken": 2,
    "fin_after_read": 2,
    "half_body_rst": 2,
}
"""The weather of the soak, by weight. Each fault reads the whole request."""

_SURE = ("ok", "status_400", "status_429", "json_503")


@dataclass(frozen=True)
class Story:
    """What is recorded: a run, by one process or several.

    ``deaths``: how each process before the last one dies: at a failpoint, or at the n-th ``fdatasync``, as
    ``fdatasync:n``. ``second``: the command of all processes but the first.
    """

    name: str
    rows: int = 700
    transport: str = "wire"
    concurrency: int = 4
    weather: Plan = "ok"
    deaths: tuple[str, ...] = ()
    second: str = "send"
    from_stdin: bool = False
    new_place: bool = False
    """Whether the folder of all runs has to be made first."""


@dataclass
class Recorded:
    """A story that was recorded, and its server, which still runs."""

    story: Story
    root: Root
    scene: Scene
    server: FaultServer
    seen: dict[tuple[str, int], Seen]
    """What became of each POST, by the SHA-256 of its body and its number among those with the same."""
    last: dict[str, bytes]
    """The files after the last process."""

    def arguments(self, command: str) -> list[object]:
        common = ["--yes", "--json", "--quiet"]
        if command == "resume":
            return ["resume", RUN, *common]
        source = "-" if self.story.from_stdin else self.scene.inputs[0]
        return ["send", source, "--config", self.scene.config, "--run-id", RUN, *common]

    @property
    def stdin(self) -> Path | None:
        return self.scene.inputs[0] if self.story.from_stdin else None

    def fates(self, moment: int) -> list[Seen]:
        """What became of the POSTs that had left by then, as far as the server has seen them."""
        posts = self.root.posts_before(moment)
        return [seen for post in posts if (seen := self.seen.get((post.body_sha256, post.nth))) is not None]

    def most_doubt(self, moment: int) -> int:
        """How many rows may be unknown after a cut: in flight then and at each kill, and with lost answers."""
        unsure = sum(seen.fault not in _SURE for seen in self.fates(moment))
        kills = sum(end < moment for end in self.root.ends[:-1])
        return 50 * (self.story.concurrency * (1 + kills) + unsure)


@contextmanager
def recorded(story: Story, nursery: Nursery, place: Path, program: str = "") -> Iterator[Recorded]:
    """Record a story in a new folder. ``program``: Python to run instead of the command line."""
    with FaultServer(story.weather) as server:
        settings = {"concurrency": story.concurrency, "transport": story.transport}
        scene = Scene(place, nursery, server.url, settings, RUN).with_rows(story.rows)
        disk = place / "disk"
        disk.mkdir()
        scene.runs_dir = disk / RUNS
        if not story.new_place:
            scene.runs_dir.mkdir()
        made = Recorded(story, Root(disk), scene, server, {}, {})
        for number, death in enumerate((*story.deaths, "")):
            arguments = made.arguments(story.second if number else "send")
            call, _, nth = death.partition(":")
            is_call = call == "fdatasync"
            env = {**scene.env, **({VARIABLE: death} if death and not is_call else {})}
            inject = killed_at(call, int(nth)) if is_call else ""
            ended = record(arguments, made.root, nursery, env=env, stdin=made.stdin, inject=inject, program=program)
            assert ended.killed or ended.code in (0, 1), ended
        made.seen = _by_body(server.ledger.requests)
        made.last = contents(disk)
        server.script = script_of("ok")
        yield made


def _by_body(requests: list[Seen]) -> dict[tuple[str, int], Seen]:
    count: Counter[str] = Counter()
    found = {}
    for seen in requests:
        if seen.body_sha256 is not None:
            count[seen.body_sha256] += 1
            found[seen.body_sha256, count[seen.body_sha256]] = seen
    return found


# --- judging ----------------------------------------------------------------------------------------------------------


@dataclass
class Figures:
    """Totals. ``wrong``: how often what must not happen did."""

    images: int = 0
    without_journal: int = 0
    resumed: int = 0
    posts: int = 0
    doubt: int = 0
    most_doubt: float = 0.0
    wrong: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    """The first three of each kind."""
    _shown: Counter[tuple[str, str]] = field(default_factory=Counter)

    def note(self, where: str, wrong: dict[str, object]) -> None:
        """``wrong``: what was wrong with an image, and how often or why."""
        for name, found in wrong.items():
            self.wrong[name] += found if isinstance(found, int) else 1
            like = where.partition(" at ")[0], name
            self._shown[like] += 1
            if self._shown[like] <= 3:
                self.examples.append(f"{where}: {name}: {found}")

    def lines(self) -> list[str]:
        names = ("forgotten", "refused", "traceback", "lost", "twice", "ghosts", "orphans", "unannounced", "doubt")
        return [
            f"{self.images} images, {self.without_journal} of them from before there was a journal; "
            f"{self.posts} POSTs had left before the cuts, added up",
            f"{self.resumed} images resumed to their end",
            *(f"{name}: {self.wrong[name]}" for name in names if name != "doubt"),
            f"in doubt: {self.doubt} rows, at most {self.most_doubt:.0%} of the bound in any run; "
            f"beyond the bound: {self.wrong['doubt']}",
            *self.examples,
        ]


def look(made: Recorded, cut: Cut, figures: Figures) -> None:
    """Make one image, open it, and compare its intents with what had left."""
    put_image(made.root, cut)
    posts = made.root.posts_before(cut.moment)
    figures.images += 1
    figures.posts += len(posts)
    figures.note(f"{made.story.name}, {cut}", _looked_at(made.scene.folder, posts, figures))


def _looked_at(folder: Path, posts: list[Post], figures: Figures) -> dict[str, object]:
    if not (folder / JOURNAL).exists():
        figures.without_journal += 1
        return {"forgotten": len(posts)} if posts else {}
    try:
        with opened(folder) as journal:
            counts = journal.counts()
            assert sum(getattr(counts, name) for name in STATUSES) == counts.rows, counts
    except BulkSenderError as error:
        return {"refused": str(error)}
    except Exception as error:
        return {"traceback": repr(error)}
    intents = Counter(row["body_sha256"].hex() for row in table(folder, "attempt"))
    missing = Counter(post.body_sha256 for post in posts) - intents
    return {"forgotten": missing.total()} if missing else {}


@dataclass(frozen=True)
class _Joined:
    """The ledger of a server that had taken what left before the cut, for an audit."""

    bodies: list[str]
    taken: Counter[str]

    def accepted_ids(self) -> Counter[str]:
        return self.taken


def resume(made: Recorded, cut: Cut, figures: Figures, command: str = "send") -> None:
    """Make one image, repeat the command until nothing is left to send, and audit the run."""
    put_image(made.root, cut)
    figures.resumed += 1
    figures.note(f"{made.story.name}, {cut}, {command}", _resumed(made, cut, figures, command))


def _resumed(made: Recorded, cut: Cut, figures: Figures, command: str) -> dict[str, object]:
    ledger = made.server.ledger
    bodies, accepted = len(ledger.bodies), len(ledger.accepted)
    if command == "resume" and not (made.scene.folder / JOURNAL).exists():
        command = "send"
    for _ in range(8):
        ended = made.scene.nursery.run(
            made.arguments(command), made.scene.env, cwd=made.root.path, piped=made.stdin, timeout=60
        )
        if "Traceback" in ended.err or "internal error" in ended.err:
            return {"traceback": ended.err[-2000:]}
        if ended.code in (0, 1):
            break
        if ended.code != 3 and command == "send":
            return {"refused": ended.err[-2000:]}
        command = "send"  # what was piped in may be needed again
    else:
        return {"unfinished": 1}
    fates = made.fates(cut.moment)
    taken: Counter[str] = Counter(name for seen in fates if seen.accepted for name in seen.external_user_ids)
    after: list[Entry] = ledger.accepted[accepted:]
    sent = [post.body_sha256 for post in made.root.posts_before(cut.moment)]
    found = audit(made.scene, _Joined(sent + ledger.bodies[bodies:], taken + count_ids(after)))  # type: ignore[arg-type]
    bound = made.most_doubt(cut.moment)
    figures.doubt += found.doubt
    figures.most_doubt = max(figures.most_doubt, found.doubt / bound)
    return dict(found.wrong) | ({"doubt": found.doubt} if found.doubt > bound else {})


# --- the soak ---------------------------------------------------------------------------------------------------------


def stories(rng: random.Random) -> list[Story]:
    """The stories of the soak: every way to begin and to be killed, on both transports."""

    def weather() -> Plan:
        return poison(f"u{rng.randrange(900)}", otherwise=random_mix(rng.randrange(1 << 30), MIX))

    found = []
    for transport in ("wire", "httpx"):
        in_sync = tuple(f"fdatasync:{nth}" for nth in rng.sample(range(10, 50), 2))
        at_places = tuple(f"{name}:{rng.randrange(3, 12)}" for name in ("after_intent", "inside_outcome"))
        make = functools.partial(Story, rows=2500, transport=transport, concurrency=rng.choice((3, 8)))
        found += [
            make(f"one process, {transport}", weather=weather()),
            make(f"killed and resumed, {transport}", weather=weather(), deaths=at_places, second="resume"),
            make(f"killed in a sync, {transport}", weather=weather(), deaths=in_sync),
            make(f"from standard input, {transport}", weather=weather(), deaths=at_places[:1], from_stdin=True),
            make(f"first run in a new place, {transport}", weather=weather(), new_place=True),
        ]
    return found


QUICK = sequence("ok", "json_503", "ok", "rst_after_read", "half_body_rst", "rst_after_read_not_taken")
"""The weather of the ordinary tests: without the waiting that a 429 asks for."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.power_cuts", description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats the same choices")
    parser.add_argument("--resume-every", type=int, default=25, help="resume one image of so many to its end")
    parser.add_argument("--only", default="", help="stories whose name has this text")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    figures, began, rng = Figures(), time.monotonic(), random.Random(options.seed)
    chosen = [story for story in stories(rng) if options.only in story.name]
    with Nursery() as nursery, tempfile.TemporaryDirectory(dir=memory()) as place:
        for number, story in enumerate(chosen):
            share = options.images * (number + 1) // len(chosen) - options.images * number // len(chosen)
            with recorded(story, nursery, Path(place) / str(number)) as made:
                for each in range(share):
                    cut = random_cut(made.root, rng)
                    look(made, cut, figures)
                    if each % options.resume_every == 0:
                        resume(made, cut, figures, rng.choice(("send", "resume")))
            print(
                f"{story.name}: {len(made.root.posts)} POSTs, {len(made.root.moments)} moments; "
                f"{figures.images} images, {figures.wrong.total()} wrong, {time.monotonic() - began:.0f} s",
                flush=True,
            )
    print("\n".join([*figures.lines(), f"{time.monotonic() - began:.0f} s"]))
    return 1 if figures.wrong else 0


def memory() -> str | None:
    """Return a folder in memory, where syncs cost nothing, if there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


if __name__ == "__main__":
    sys.exit(main())
