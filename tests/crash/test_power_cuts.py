"""Power cuts: whatever a cut leaves on the disk, the journal has an intent for each POST that had left.

Here are some hundreds of images; ``python -m tests.crash.power_cuts`` makes thousands.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bulk_sender.journal.sqlite.database import JOURNAL
from bulk_sender.journal.sqlite.mark import MARK
from tests.crash.images import Cut, contents, put_image, random_cut
from tests.crash.nursery import Nursery
from tests.crash.power_cuts import QUICK, RUN, RUNS, Figures, Recorded, Story, look, memory, recorded, resume
from tests.crash.recording import Node
from tests.faults import needs_strace, poison

pytestmark = needs_strace

IMAGES, RESUMED = 150, 2
WEATHER = poison("u630", otherwise=QUICK)
"""The refused recipient is in a batch that no worker has begun at the death below: it is always split."""
STORIES = [
    Story("first run in a new place", weather=WEATHER, new_place=True),
    Story("killed and resumed", transport="httpx", weather=WEATHER, deaths=("after_intent:4",), second="resume"),
]
PIPED = Story(
    "killed in a sync, from standard input", rows=1200, concurrency=1, deaths=("fdatasync:20",), from_stdin=True
)
MUTANT = """
import sys
from bulk_sender.cli.app import run
from bulk_sender.journal.sqlite import store

def connect_without_syncs(path, connect=store.connect):
    connection = connect(path)
    connection.execute("PRAGMA synchronous=OFF")
    return connection

store.connect = connect_without_syncs
sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def told(nursery: Nursery) -> Iterator[dict[str, Recorded]]:
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory())))
        yield {story.name: stack.enter_context(recorded(story, nursery, place / story.name)) for story in STORIES}


@pytest.fixture(scope="module")
def piped(nursery: Nursery) -> Iterator[Recorded]:
    with tempfile.TemporaryDirectory(dir=memory()) as place, recorded(PIPED, nursery, Path(place) / "piped") as made:
        assert made.root.posts_before(made.root.ends[0]), "it was killed before it had sent anything"
        yield made


def run_folder(made: Recorded) -> Node:
    return made.root.node.entries[RUNS].entries[RUN]


def end_of(made: Recorded) -> int:
    return made.root.position + 1


@pytest.mark.parametrize("name", [story.name for story in STORIES])
def test_a_recording_has_everything_that_was_written_and_sent(told: dict[str, Recorded], name: str) -> None:
    made = told[name]
    put_image(made.root, Cut(end_of(made), "all", "all", 0))
    assert contents(made.root.path) == made.last
    assert {(post.body_sha256, post.nth) for post in made.root.posts} == made.seen.keys()
    assert len(made.root.posts) > 14


@pytest.mark.parametrize("name", [story.name for story in STORIES])
def test_a_power_cut_forgets_no_request_and_the_run_goes_on_from_there(told: dict[str, Recorded], name: str) -> None:
    made, figures, rng = told[name], Figures(), random.Random(f"1/{name}")
    cuts = [random_cut(made.root, rng) for _ in range(IMAGES)]
    for cut in cuts:
        look(made, cut, figures)
    for cut in [replace(rng.choice(cuts), moment=rng.choice(made.root.posts).begun + 1) for _ in range(RESUMED)]:
        resume(made, cut, figures, rng.choice(("send", "resume")))
    assert not figures.wrong, "\n".join(figures.lines())
    assert figures.images == IMAGES
    assert figures.posts > 5 * IMAGES


@pytest.mark.parametrize("name", [story.name for story in STORIES])
def test_each_request_is_in_the_journal_at_the_moment_its_first_byte_leaves(
    told: dict[str, Recorded], name: str
) -> None:
    made, figures = told[name], Figures()
    for post in made.root.posts:
        look(made, Cut(post.begun + 1, "none", "none", 0), figures)
    assert not figures.wrong, "\n".join(figures.lines())


def test_a_run_cut_off_while_its_folder_is_made_begins_again_with_the_same_command(told: dict[str, Recorded]) -> None:
    made, figures = told["first run in a new place"], Figures()
    seen: list[set[str]] = []
    for change in run_folder(made).changes:
        cut = Cut(change.begun + 1, "all", "all", 0)
        put_image(made.root, cut)
        names = {path.name for path in made.scene.folder.iterdir()}
        if JOURNAL in names:
            break
        if names not in seen:
            seen.append(names)
            resume(made, cut, figures)
    assert len(seen) > 3
    assert not figures.wrong, "\n".join(figures.lines())


def test_the_same_input_piped_in_again_is_sent_though_the_cut_took_its_copy(piped: Recorded) -> None:
    figures = Figures()
    resume(piped, Cut(piped.root.posts[3].begun + 1, "none", "none", 0), figures)
    assert not figures.wrong, "\n".join(figures.lines())


def test_a_cut_while_a_killed_run_is_opened_leaves_a_journal_that_opens(piped: Recorded) -> None:
    """The killed process had written records that it had not synced."""
    figures = Figures()
    killed = piped.root.ends[0]
    noted = [change for change in run_folder(piped).entries[MARK].changes if change.begun > killed]
    assert noted, "it was not killed before it had sent everything"
    for seed in range(40):
        look(piped, Cut(noted[0].begun + 1 + seed % 4, "subset", "all", seed), figures)
    assert not figures.wrong, "\n".join(figures.lines())


def test_a_program_that_does_not_sync_its_intents_is_found_out(nursery: Nursery, tmp_path: Path) -> None:
    figures = Figures()
    with recorded(Story("mutant", rows=200), nursery, tmp_path / "scene", MUTANT) as made:
        for post in made.root.posts:
            look(made, Cut(post.begun + 1, "none", "all", 0), figures)
    assert figures.wrong["forgotten"] > 0, "\n".join(figures.lines())


@pytest.mark.parametrize("name", ["the runs", "the run"])
def test_a_program_that_does_not_sync_its_folders_is_found_out(told: dict[str, Recorded], name: str) -> None:
    made, figures = told["first run in a new place"], Figures()
    folder = made.root.node if name == "the runs" else run_folder(made)
    kept, folder.syncs = folder.syncs, []
    try:
        look(made, Cut(end_of(made), "all", "none", 0), figures)
    finally:
        folder.syncs = kept
    assert figures.wrong["forgotten"] == len(made.root.posts)
