"""What a power cut may leave on a disk, from a recording.

What was synced is there. What was not may be there in part: none of it, all, the first part, any part, in another
order, or torn at sectors of 512 bytes; and a file may have grown without its new contents. The entries of a folder are
as when the folder was last synced, with a first part of what came after. A sync of a file does not make its entry
durable, and a folder without an entry is gone with all that is in it. A rename is there or not, as a whole.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crash.recording import Entry, Node, Resize, Root, Write

SECTOR = 512
CONTENTS = ("none", "all", "prefix", "subset", "reordered", "torn")
"""What is left of writes that were not synced."""
ENTRIES = ("none", "all", "prefix", "prefix each")
"""What is left of names that were not synced: a first part of all of them, or of each folder's."""


@dataclass(frozen=True)
class Cut:
    """A power cut at a position of the recording; ``seed`` chooses among what may be left."""

    moment: int
    contents: str
    entries: str
    seed: int

    def __str__(self) -> str:
        return f"cut at {self.moment}, contents: {self.contents}, entries: {self.entries}, seed {self.seed}"


def random_cut(root: Root, rng: random.Random) -> Cut:
    """Cut anywhere, and more often than by chance at the beginning, where names are made, and just after a POST."""
    where = rng.random()
    if where < 0.2:
        moment = rng.choice(root.moments[: max(1, len(root.moments) // 8)])
    elif where < 0.4 and root.posts:
        moment = rng.choice(root.posts).begun
    else:
        moment = rng.choice(root.moments)
    return Cut(moment + 1, rng.choice(CONTENTS), rng.choice(ENTRIES), rng.randrange(1 << 32))


def put_image(root: Root, cut: Cut, place: Path | None = None) -> None:
    """Replace the root's folder (or ``place``) by what the cut leaves."""
    place = place or root.path
    if place.exists():
        shutil.rmtree(place)
    rng = random.Random(cut.seed)
    folders = _folders(root.node)
    entries = _entries(folders, cut, rng)
    _put_folder(root.node, place, entries, cut, rng)


def _folders(node: Node) -> list[Node]:
    """Return every folder there ever was, in the order of appearance."""
    found = [node]
    for folder in found:
        known = [*folder.first.values(), *(each.node for each in folder.changes if isinstance(each, Entry))]
        for child in known:
            if child is not None and child.is_folder and child not in found:
                found.append(child)
    return found


def _begun(node: Node, cut: Cut) -> tuple[list[Write | Resize | Entry], set[int]]:
    """Return the changes that had begun, and the positions among them of those that are durable."""
    changes = [change for change in node.changes if change.begun < cut.moment]
    synced = max((sync.begun for sync in node.syncs if sync.done < cut.moment), default=-1)
    return changes, {number for number, change in enumerate(changes) if change.done < synced}


# --- names ------------------------------------------------------------------------------------------------------------


def _entries(folders: Sequence[Node], cut: Cut, rng: random.Random) -> dict[int, dict[str, Node]]:
    """Return the entries of each folder, by the folder's identity."""
    found = {id(folder): dict(folder.first) for folder in folders}
    kept: list[tuple[Node, Entry]] = []
    common = rng.randrange(cut.moment + 1)
    for folder in folders:
        changes, durable = _begun(folder, cut)
        until = {
            "none": 0,
            "all": cut.moment,
            "prefix": common,
            "prefix each": rng.choice([0, common, cut.moment, *(change.begun + 1 for change in changes)]),
        }[cut.entries]
        for number, change in enumerate(changes):
            if isinstance(change, Entry) and (number in durable or change.begun < until):
                kept.append((folder, change))
    for folder, change in sorted(kept, key=lambda each: each[1].done):
        mine = found[id(folder)]
        if change.node is None:
            mine.pop(change.name, None)
            continue
        if change.source is not None:
            before, name = change.source
            if found[id(before)].get(name) is change.node:
                del found[id(before)][name]
        mine[change.name] = change.node
    return found


def _put_folder(folder: Node, place: Path, entries: dict[int, dict[str, Node]], cut: Cut, rng: random.Random) -> None:
    place.mkdir(mode=0o700)
    for name, node in sorted(entries[id(folder)].items()):
        if node.is_folder:
            _put_folder(node, place / name, entries, cut, rng)
        else:
            _put_file(node, place / name, cut, rng)


# --- contents ---------------------------------------------------------------------------------------------------------


def _put_file(node: Node, path: Path, cut: Cut, rng: random.Random) -> None:
    changes, durable = _begun(node, cut)
    sure = [change for number, change in enumerate(changes) if number in durable]
    unsure = [change for number, change in enumerate(changes) if number not in durable]
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        os.pwrite(descriptor, node.before, 0)
        for change in [*sure, *_left(unsure, cut.contents, rng)]:
            if isinstance(change, Write):
                os.pwrite(descriptor, change.data, change.offset)
            elif isinstance(change, Resize):
                size = max(change.size, os.fstat(descriptor).st_size) if change.grow else change.size
                os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)


def _left(changes: list[Write | Resize | Entry], how: str, rng: random.Random) -> list[Write | Resize | Entry]:
    """Return what is left of changes that were not synced."""
    if how == "none":
        return []
    if how == "all":
        return changes
    if how == "prefix":
        return changes[: rng.randrange(len(changes) + 1)]
    likely = rng.choice([0.1, 0.5, 0.9])
    left = []
    for change in changes:
        if rng.random() < likely:
            left += _torn(change, rng) if how == "torn" and isinstance(change, Write) else [change]
        elif isinstance(change, Write) and rng.random() < 0.3:  # the size reached the disk, the bytes did not
            left.append(Resize(change.begun, change.done, change.offset + len(change.data), grow=True))
    if how == "reordered":
        rng.shuffle(left)
    return left


def _torn(change: Write, rng: random.Random) -> list[Write]:
    """Return some of the sectors that a write touches."""
    parts = []
    at, end = change.offset, change.offset + len(change.data)
    while at < end:
        upto = min(end, (at // SECTOR + 1) * SECTOR)
        if rng.random() < 0.5:
            parts.append(Write(change.begun, change.done, at, change.data[at - change.offset : upto - change.offset]))
        at = upto
    return parts


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder. SQLite's shared memory is left out: it is mapped, not written."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith("-shm")
    }
