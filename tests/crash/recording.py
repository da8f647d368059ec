"""What a command of the program wrote, synced and sent, in order: recorded by strace, with the contents.

A recording covers everything below one folder, its *root*, and every POST. ``images.py`` makes from it what a power
cut may leave on a disk.

    root = Root(folder)                        # what is there before counts as durable
    record(arguments, root, nursery, env=...)  # again for each further process of the same story
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.nursery import Ended, Nursery
from tests.kit.command import environment

CALLS = (
    "openat,open,creat,close,dup,dup2,dup3,fcntl,lseek,write,pwrite64,writev,pwritev,pwritev2,truncate,ftruncate,fallocate,"
    "copy_file_range,sendfile,fsync,fdatasync,sync,syncfs,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
    "unlink,unlinkat,mkdir,mkdirat,rmdir,sendto,sendmsg,sendmmsg"
)
_OPENS = ("openat", "open", "creat")
_PATHS = ("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "truncate")
_REMOVALS = ("unlink", "unlinkat", "rmdir", "mkdir", "mkdirat")
_SENDS = ("write", "writev", "sendto", "sendmsg", "sendmmsg")

# --- what happened ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Write:
    """Bytes written to a file. ``begun`` and ``done`` are positions in the recording, here and below."""

    begun: int
    done: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Resize:
    """A file got this size; ``grow``: at least this size."""

    begun: int
    done: int
    size: int
    grow: bool = False


@dataclass(frozen=True)
class Entry:
    """A name in a folder was given to a node, or taken away (None). ``source``: where the node was until then."""

    begun: int
    done: int
    name: str
    node: Node | None
    source: tuple[Node, str] | None = None


@dataclass(frozen=True)
class Sync:
    """What was done before it began is durable once it is done."""

    begun: int
    done: int


@dataclass(frozen=True)
class Post:
    """A POST whose first byte left at ``begun``. ``nth``: of those with the same body, from 1."""

    begun: int
    body_sha256: str
    nth: int


@dataclass(eq=False)
class Node:
    """A file or a folder. ``before``: what a file held when the recording began."""

    is_folder: bool
    before: bytes = b""
    changes: list[Write | Resize | Entry] = field(default_factory=list)
    syncs: list[Sync] = field(default_factory=list)
    entries: dict[str, Node] = field(default_factory=dict)
    """Of a folder: as they are now, while recording."""
    first: dict[str, Node] = field(default_factory=dict)
    """Of a folder: as they were when the recording began."""
    size: int = 0


class Root:
    """A recording of what happens below a folder, by one process after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.node = _scanned(path)
        self.posts: list[Post] = []
        self.moments: list[int] = []
        """Positions at which something changed, was synced or was sent."""
        self.ends: list[int] = []
        """The position at which each process ended."""
        self.position = 0

    def posts_before(self, moment: int) -> list[Post]:
        return [post for post in self.posts if post.begun < moment]


def _scanned(path: Path) -> Node:
    if not path.is_dir():
        data = path.read_bytes()
        return Node(False, data, size=len(data))
    found = {child.name: _scanned(child) for child in sorted(path.iterdir())}
    return Node(True, entries=found, first=dict(found))


# --- recording --------------------------------------------------------------------------------------------------------


def record(
    arguments: Sequence[object],
    root: Root,
    nursery: Nursery,
    *,
    env: Mapping[str, str],
    stdin: Path | None = None,
    inject: str = "",
    program: str = "",
    timeout: float = 120.0,
) -> Ended:
    """Run a command in the root under strace and add what it did to ``root``. ``inject``: a fault, from ``killed_at``.

    ``program``: Python to run instead of the command line, as a process that does not come from the nursery.
    """
    env = {**env, "UV_USE_IO_URING": "0"}  # writes through a ring are not system calls
    with tempfile.TemporaryDirectory() as place:
        log = Path(place) / "log"
        options = ["-y", "-xx", "-s", str(1 << 24), "-o", str(log), "-e", "signal=none", "-e", f"trace={CALLS}"]
        options += ["-e", f"inject={inject}"] if inject else []
        if program:
            ended = _run(
                ["strace", "-f", "-qq", "--seccomp-bpf", *options, sys.executable, "-c", program],
                arguments,
                env,
                root.path,
            )
        else:
            child = nursery.start(arguments, env, strace=options, cwd=root.path, piped=stdin)
            ended = child.wait(timeout)
        _Reader(root).read(log)
    return ended


def _run(command: Sequence[str], arguments: Sequence[object], env: Mapping[str, str], cwd: Path) -> Ended:
    done = subprocess.run(
        [*command, *map(str, arguments)],
        env=environment(**env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


_CALL = re.compile(r"(\d+) +(\w+)\((.*)\) += (\S+)(.*)", re.DOTALL)
_BEGUN = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>", re.DOTALL)
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (\S+)(.*)", re.DOTALL)
_NAMED = re.compile(r"\d+ +(?:mkdir|rmdir|unlink|rename|link|symlink|truncate)")
"""Calls whose paths may be relative."""
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_SOCKET = "".join(f"\\x{byte:02x}" for byte in b"socket:")
_DESCRIPTOR = re.compile(r"(?:\[)?(\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?")


@dataclass(frozen=True)
class _Call:
    begun: int
    done: int
    name: str
    text: str
    result: int
    opened: str


class _Reader:
    """Turns a log of strace into nodes, changes and POSTs."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._prefix = str(root.path)
        self._offsets: dict[int, list[int]] = {}
        self._appending: set[int] = set()
        self._streams: dict[str, list[tuple[int, bytes]]] = {}

    def read(self, log: Path) -> None:
        for call in self._calls(log):
            if call.name in _SENDS and self._is_socket(call.text):
                if call.result > 0:
                    sent = b"".join(map(_bytes, _TEXT.findall(call.text)))[: call.result]
                    self._streams.setdefault(self._descriptor(call)[1], []).append((call.begun, sent))
                continue
            if call.result >= 0 and self._note(call):
                self._root.moments += [call.begun, call.done]
        found = [each for stream in self._streams.values() for each in _posts(sorted(stream))]
        seen = Counter(post.body_sha256 for post in self._root.posts)
        for begun, digest in sorted(found):
            seen[digest] += 1
            self._root.posts.append(Post(begun, digest, seen[digest]))
            self._root.moments.append(begun)
        self._root.moments.sort()
        self._root.ends.append(self._root.position)

    def _calls(self, log: Path) -> Iterator[_Call]:
        """Yield the calls that matter, in the order in which they ended. One that never ended did nothing."""
        wanted = _hexed(self._prefix)
        begun: dict[tuple[str, str], tuple[int, str]] = {}
        with log.open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                self._root.position += 1
                now = self._root.position
                if found := _BEGUN.match(line):
                    begun[found[1], found[2]] = now, found[3]
                    continue
                if found := _RESUMED.match(line):
                    first, text = begun.pop((found[1], found[2]))
                    call = _Call(first, now, found[2], text + found[3], _number(found[4]), found[4] + found[5])
                elif wanted in line or _SOCKET in line or _NAMED.match(line):
                    found = _CALL.match(line)
                    if found is None:
                        continue
                    call = _Call(now, now, found[2], found[3], _number(found[4]), found[4] + found[5])
                else:
                    continue
                yield call

    def _is_socket(self, text: str) -> bool:
        return _SOCKET in text.partition(",")[0]

    def _descriptor(self, call: _Call) -> tuple[int, str]:
        found = _DESCRIPTOR.match(call.text)
        if found is None:
            return -1, ""
        return (-1 if found[1] == "AT_FDCWD" else int(found[1])), _bytes(found[2]).decode()

    def _at(self, path: str) -> tuple[Node, str] | None:
        """Return the folder that has this path's last name, and the name; None outside of the root."""
        whole = os.path.normpath(self._root.path / path)
        if not whole.startswith(self._prefix + "/"):
            return None
        *folders, name = whole[len(self._prefix) + 1 :].split("/")
        node = self._root.node
        for folder in folders:
            if folder not in node.entries:
                raise AssertionError(f"{whole}: its folder is not known")
            node = node.entries[folder]
        return node, name

    def _node(self, path: str) -> Node | None:
        if path == self._prefix:
            return self._root.node
        place = self._at(path)
        return place[0].entries.get(place[1]) if place else None

    def _note(self, call: _Call) -> bool:
        """Return whether it was about the root."""
        name = call.name
        if name in _OPENS:
            return self._note_open(call)
        if name in _PATHS or name in _REMOVALS:
            return self._note_name(call)
        descriptor, path = self._descriptor(call)
        if name in ("dup", "dup2", "dup3") or (name == "fcntl" and "F_DUPFD" in call.text):
            if descriptor in self._offsets:
                self._offsets[call.result] = self._offsets[descriptor]
            return False
        if name == "lseek":
            if descriptor in self._offsets:
                self._offsets[descriptor][0] = call.result
            return False
        if name in ("sync", "syncfs"):
            raise AssertionError("the model knows no sync of everything")
        is_here = path.startswith(self._prefix) and "(deleted)" not in call.text.partition(",")[0]
        node = self._node(path) if is_here else None
        if node is None:
            return False
        if name in ("fsync", "fdatasync"):
            node.syncs.append(Sync(call.begun, call.done))
            return True
        return self._note_change(call, node, descriptor)

    def _note_open(self, call: _Call) -> bool:
        found = re.match(r"(\d+)<((?:\\x[0-9a-f]{2})*)>", call.opened)
        if found is None:
            return False
        descriptor, path = int(found[1]), _bytes(found[2]).decode()
        self._offsets[descriptor] = [0]
        self._appending.discard(descriptor)
        if "O_APPEND" in call.text:
            self._appending.add(descriptor)
        place = self._at(path) if path.startswith(self._prefix + "/") else None
        if place is None:
            return False
        folder, name = place
        if name not in folder.entries:
            if "O_CREAT" not in call.text:
                return False
            self._enter(call, folder, name, Node(False))
            return True
        node = folder.entries[name]
        if "O_TRUNC" in call.text and node.size:
            self._resize(call, node, 0)
            return True
        return False

    def _note_name(self, call: _Call) -> bool:
        paths = [_bytes(text).decode() for text in _TEXT.findall(call.text)]
        if call.name.endswith("at") or call.name == "renameat2":
            bases = [_bytes(each).decode() for _, each, _ in _DESCRIPTOR.findall(call.text)]
            paths = [os.path.join(base, path) for base, path in zip(bases, paths, strict=True)]  # noqa: PTH118
        places = [self._at(path) for path in paths]
        if not any(places):
            return False
        if None in places:
            raise AssertionError(f"{call.name} into or out of the root: {paths}")
        folder, name = places[0] or (self._root.node, "")
        if call.name in ("unlink", "unlinkat", "rmdir"):
            folder.entries.pop(name)
            folder.changes.append(Entry(call.begun, call.done, name, None))
        elif call.name in ("mkdir", "mkdirat"):
            self._enter(call, folder, name, Node(True))
        elif call.name.startswith("rename"):
            target, new = places[1] or (self._root.node, "")
            node = folder.entries.pop(name)
            target.entries[new] = node
            target.changes.append(Entry(call.begun, call.done, new, node, (folder, name)))
        elif call.name == "truncate":
            self._resize(call, folder.entries[name], int(call.text.rpartition(",")[2]))
        else:
            raise AssertionError(f"the model knows no {call.name}: {paths}")
        return True

    def _note_change(self, call: _Call, node: Node, descriptor: int) -> bool:
        name = call.name
        numbers = re.findall(r", (-?\d+)", _TEXT.sub("", call.text))
        if name == "ftruncate":
            self._resize(call, node, int(numbers[0]))
        elif name == "fallocate":
            self._resize(call, node, max(node.size, int(numbers[-2]) + int(numbers[-1])), grow=True)
        elif name in ("write", "writev", "pwrite64", "pwritev", "pwritev2"):
            data = b"".join(map(_bytes, _TEXT.findall(call.text)))[: call.result]
            if name.startswith("p"):
                offset = int(numbers[-1] if name != "pwritev2" else numbers[-2])
            else:
                position = self._offsets[descriptor]
                offset = node.size if descriptor in self._appending else position[0]
                position[0] = offset + len(data)
            node.changes.append(Write(call.begun, call.done, offset, data))
            node.size = max(node.size, offset + len(data))
        elif name not in ("close", "fcntl"):
            raise AssertionError(f"the model knows no {name}: {call.text[:200]}")
        return name not in ("close", "fcntl")

    def _enter(self, call: _Call, folder: Node, name: str, node: Node) -> None:
        folder.entries[name] = node
        folder.changes.append(Entry(call.begun, call.done, name, node))

    def _resize(self, call: _Call, node: Node, size: int, *, grow: bool = False) -> None:
        node.changes.append(Resize(call.begun, call.done, size, grow))
        node.size = size


def _posts(stream: list[tuple[int, bytes]]) -> Iterator[tuple[int, str]]:
    """Yield position and digest of each POST in what was written to one connection.

    One whose process was killed before its body had left is left out: no server can have taken it.
    """
    whole = b"".join(data for _, data in stream)
    at = 0
    while (end := whole.find(b"\r\n\r\n", at)) >= 0:
        head = whole[at:end]
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = int(length[1]) if length else 0
        body = whole[end + 4 : end + 4 + size]
        if head.startswith(b"POST ") and len(body) == size:
            yield _begun(stream, at), hashlib.sha256(body).hexdigest()
        at = end + 4 + len(body)


def _begun(stream: list[tuple[int, bytes]], offset: int) -> int:
    for position, data in stream:
        if offset < len(data):
            return position
        offset -= len(data)
    raise AssertionError("beyond the end")


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@functools.cache
def _hexed(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def _number(text: str) -> int:
    found = re.match(r"-?\d+", text)
    return int(found[0]) if found else -1
