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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

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

    def start(self, nodes: int = 2) -> None:
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

    def remove(self) -> None:
        for node in reversed(self.nodes):
            if node.process.poll() is None:
                node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def ray_cluster(environment: Mapping[str, str]) -> Iterator[Cluster]:
    """A cluster of two nodes. On a machine that is busy, Ray's start may take longer than Ray itself waits."""
    for is_last in (False, True):
        cluster = Cluster(environment)
        try:
            cluster.start()
            break
        except AssertionError:
            cluster.remove()
            if is_last:
                raise
    try:
        yield cluster
    finally:
        cluster.remove()
