"""A Ray cluster of the tests' own: a head and another node, as processes on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_START_S = 90.0
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_DOCKER_CPU_WARNING": "1", "RAY_enable_metrics_collection": "0"}
_FEW = ("--object-store-memory=80000000", "--num-cpus=4", "--disable-usage-stats")


def children(pid: int) -> list[int]:
    """Return a process and all its descendants, ancestors first."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), []).append(int(path.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def kill_all(pid: int) -> None:
    """Kill a process and its descendants, with no time for any to say anything."""
    pids = children(pid)
    for one in pids:  # first stop them all, so that none starts another
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGSTOP)
    for one in {*pids, *children(pid)}:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def _memory(pid: int) -> Iterator[bytes]:
    """What a descendant of this process has written into its memory: pages that were never touched are left out."""
    size = os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError), ExitStack() as open_files:
        memory, page_map = (
            open_files.enter_context(Path(f"/proc/{pid}/{name}").open("rb", buffering=0)) for name in ("mem", "pagemap")
        )
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_, file = line.split()
            if not rights.startswith("rw") or file.startswith("/dev/shm"):
                continue
            begin, end = (int(place, 16) // size for place in span.split("-"))
            page_map.seek(begin * 8)
            is_there = np.frombuffer(page_map.read((end - begin) * 8), np.uint64) >> 62 != 0  # in memory, or swapped
            edges = np.flatnonzero(np.diff(is_there, prepend=False, append=False)).reshape(-1, 2)
            for first, last in edges.tolist():
                memory.seek((begin + first) * size)
                yield memory.read((last - first) * size)


@dataclass
class Node:
    """One node: ``ray start --block``, with its raylet and workers as descendants."""

    process: subprocess.Popen[bytes]
    log: Path

    def pids(self) -> list[int]:
        return children(self.process.pid)

    def kill(self) -> None:
        """Let the node vanish."""
        kill_all(self.process.pid)
        self.process.wait(30)


class Cluster:
    """``environment``: of the nodes, and so of all workers."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))  # a socket's path is short
        self.address = "127.0.0.1:6399"
        self._environment = {**os.environ, **_QUIET, **environment}
        self.nodes: list[Node] = []

    def start(self, nodes: int) -> None:
        self.add("--head", "--port=6399", "--include-dashboard=false", f"--temp-dir={self.folder}")
        for _ in range(nodes - 1):
            self.add(f"--address={self.address}")

    def add(self, *options: str) -> Node:
        """Start a node, and wait until the cluster has it. Raises AssertionError when it does not come."""
        log = self.folder / f"node-{len(self.nodes)}.log"
        ray = Path(sys.executable).with_name("ray")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [ray, "start", "--block", "--node-ip-address=127.0.0.1", *options, *_FEW],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        node = Node(process, log)
        self.nodes.append(node)
        end = time.monotonic() + _START_S
        while b"Ray runtime started" not in log.read_bytes():
            assert process.poll() is None and time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.1)
        return node

    def holding(self, secret: str) -> list[int]:
        """The processes of all nodes that have a secret in their memory, be it in what Ray keeps or in what it carries.

        Neither the objects that they share nor files are looked at.
        """
        pids = [pid for node in self.nodes for pid in node.pids()]
        return [pid for pid in pids if any(secret.encode() in part for part in _memory(pid))]

    def remove(self) -> None:
        for node in reversed(self.nodes):
            if node.process.poll() is None:
                node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def ray_cluster(environment: Mapping[str, str], nodes: int = 2) -> Iterator[Cluster]:
    """A cluster of some nodes. On a machine that is busy, Ray's start may take longer than Ray itself waits."""
    for is_last in (False, True):
        cluster = Cluster(environment)
        try:
            cluster.start(nodes)
            break
        except AssertionError:
            cluster.remove()
            if is_last:
                raise
    try:
        yield cluster
    finally:
        cluster.remove()
