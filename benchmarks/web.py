"""Measure the page: weight, answers, upload, click to first row, list of runs, memory, and restart.

    python benchmarks/web.py                    # full sizes: 2 GB, 100 runs, 40 streams; about ten minutes
    python benchmarks/web.py --quick            # small sizes, to see that it works
    python benchmarks/web.py weight answers     # some of the measures
    python benchmarks/web.py --json FILE        # also as JSON

The page is ``bulk-sender web`` as a process, and its runs are real processes that send to a sandbox on loopback.
Measure on a machine that does nothing else. Linux only: memory is read from ``/proc``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bulk_sender.web.state import State
from bulk_sender.web.workers import Crew, Job

CAMPAIGN = "00000000-0000-0000-0000-000000000000"
PART = 8 << 20
UNLIMITED = "100000/second"
LONGEST_S = 120.0


@dataclass(frozen=True)
class Sizes:
    """How large everything is."""

    upload_mb: int = 2000
    answers: int = 200
    runs: int = 100
    rows: int = 1_000_000
    streams: int = 40
    clicks: int = 5


QUICK = Sizes(upload_mb=40, answers=20, runs=3, rows=2000, streams=5, clicks=1)


class Served:
    """The page process, a signed-in client, and the sandbox that its runs send to."""

    def __init__(self, folder: Path, sandbox: str) -> None:
        self.folder, self.sandbox, self.runs = folder, sandbox, folder / "runs"
        self.key = folder / "key"
        self.key.write_text("a-key-of-the-sandbox")
        self.key.chmod(0o600)
        self.port = "0"
        self.names = 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "bulk_sender", "web", "--no-browser", "--port", self.port]
        self.process = subprocess.Popen(
            [*command, "--runs-dir", str(self.runs)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        link = self.process.stdout.readline().strip()
        self.url = link.partition("/login")[0]
        self.port = self.url.rpartition(":")[2]
        self.client = httpx.Client(
            base_url=self.url, trust_env=False, timeout=LONGEST_S, headers={"Origin": self.url, "Accept-Encoding": ""}
        )
        self.client.get(link).raise_for_status()

    @property
    def environment(self) -> dict[str, str]:
        own = {"XDG_STATE_HOME": str(self.folder / "state"), "BRAZE_API_KEY_FILE": str(self.key)}
        return {name: value for name, value in os.environ.items() if not name.startswith("BRAZE_")} | own

    @property
    def crew(self) -> Crew:
        state = State(self.folder / "state" / "bulk-sender" / f"web-{self.port}")
        return Crew(state.folder / "workers", self.runs)

    def memory_mb(self, peak: bool = False) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{'VmHWM' if peak else 'VmRSS'}:\s+(\d+)", text)
        assert found is not None
        return int(found[1]) / 1000

    def job(self, rows: int, rate: str) -> Job:
        self.names += 1
        name = f"run-{self.names}"
        file = self.folder / f"{name}.csv"
        with file.open("w") as out:
            out.write("external_user_id,trigger_properties.first_name,trigger_properties.city\n")
            out.writelines(f"{name}-{number:09},Ann,Paris\n" for number in range(rows))
        config = {
            "braze": {"endpoint": self.sandbox, "campaign_id": CAMPAIGN},
            "delivery": {"rate": rate, "share_rate": False},
        }
        files, key = (str(file),), str(self.key)
        return Job(run_id=name, kind="send", by="benchmark", files=files, config=config, key_file=key)

    def end(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.communicate()


# ----- the measures: each returns named figures


def weight(page: Served, sizes: Sizes) -> dict[str, Any]:
    """Bytes of a first visit: the list of runs with its stylesheet and scripts, gzip."""
    found = {}
    for name, path in (("runs", "/"), ("new send", "/new")):
        answers = [page.client.get(path)]
        answers += [page.client.get(each) for each in re.findall(r'(?:href|src)="(/static/[^"]+)"', answers[0].text)]
        found[f"{name}: kB, gzip"] = round(sum(len(gzip.compress(each.content)) for each in answers) / 1000, 1)
        found[f"{name}: requests"] = len(answers)
    return found


def answers(page: Served, sizes: Sizes) -> dict[str, Any]:
    """Time of a page, idle and while two runs are being sent."""
    found = {f"{name}, idle": value for name, value in _answers(page, sizes.answers).items()}
    crew = page.crew
    jobs = [page.job(max(20_000, sizes.rows // 5), "40/second") for _ in range(2)]
    for job in jobs:
        crew.begin(job)
    for job in jobs:
        _until(lambda job=job: (moment := crew.post(job.run_id).moment()) is not None and moment.accepted > 0)
    found |= {f"{name}, two runs": value for name, value in _answers(page, sizes.answers).items()}
    for job in jobs:
        crew.post(job.run_id).ask("stop", by="benchmark")
        _until(lambda job=job: not crew.is_alive(job.run_id))
    return found


def _answers(page: Served, count: int) -> dict[str, float]:
    took = []
    for number in range(count):
        began = time.perf_counter()
        page.client.get(("/", "/settings", "/new")[number % 3]).raise_for_status()
        took.append(1000 * (time.perf_counter() - began))
    took.sort()
    return {"p50 ms": round(took[len(took) // 2], 1), "p95 ms": round(took[math.ceil(0.95 * len(took)) - 1], 1)}


def upload(page: Served, sizes: Sizes) -> dict[str, Any]:
    """Speed of an upload in parts, and how much memory it takes."""
    size = sizes.upload_mb * 1_000_000
    line = b"sample-000001,Ann,Paris\n"
    part = (line * (PART // len(line) + 1))[:PART]
    page.client.get("/new").raise_for_status()
    before = page.memory_mb()
    told = page.client.post("/api/v1/uploads", json={"name": "large.csv", "size": size}).raise_for_status().json()
    began = time.perf_counter()
    offset = 0
    while offset < size:
        body = part[: min(PART, size - offset)]
        answer = page.client.put(f"/api/v1/uploads/{told['id']}?offset={offset}", content=body)
        offset = answer.raise_for_status().json()["offset"]
    took = time.perf_counter() - began
    found = {
        "MB": sizes.upload_mb,
        "MB/s": round(sizes.upload_mb / took, 1),
        "memory before, MB": round(before, 1),
        "memory at most, MB": round(page.memory_mb(peak=True), 1),
    }
    page.client.post(f"/new/{told['id']}/delete")
    return found


def click(page: Served, sizes: Sizes) -> dict[str, Any]:
    """From the click to the first moment of a run, and to its first accepted row, with a spare worker ready."""
    first_moment, first_accepted = [], []
    crew = page.crew
    crew.prepare()
    for _ in range(sizes.clicks):
        job = page.job(300_000 if sizes.rows > 100_000 else sizes.rows, "100/second")
        time.sleep(5)  # the spare worker has imported what it needs
        began = time.perf_counter()
        crew.begin(job)
        _until(lambda job=job: crew.post(job.run_id).moment() is not None)
        first_moment.append(time.perf_counter() - began)
        _until(
            lambda job=job: (
                _is_over(crew, job) or ((now := crew.post(job.run_id).moment()) is not None and now.accepted > 0)
            )
        )
        first_accepted.append(time.perf_counter() - began)
        crew.post(job.run_id).ask("stop", by="benchmark")
        _until(lambda job=job: not crew.is_alive(job.run_id))
    return {
        "rows": 300_000 if sizes.rows > 100_000 else sizes.rows,
        "first moment s, median": round(sorted(first_moment)[len(first_moment) // 2], 2),
        "first accepted s, median": round(sorted(first_accepted)[len(first_accepted) // 2], 2),
    }


def _is_over(crew: Crew, job: Job) -> bool:
    return not crew.is_alive(job.run_id)


def runs(page: Served, sizes: Sizes) -> dict[str, Any]:
    """Time of the list of many finished runs: the first is large, the others have 1,000 rows."""
    page.runs.mkdir(exist_ok=True)
    large, small = (page.job(rows, UNLIMITED).files[0] for rows in (sizes.rows, 1000))
    program = [sys.executable, "-m", "bulk_sender", "send", "--sandbox", "--yes", "--rate", UNLIMITED, "--again"]
    for number in range(sizes.runs):
        place = ["--run-id", f"finished-{number}", "--runs-dir", str(page.runs)]
        command = [*program, *place, small if number else large]
        subprocess.run(command, cwd=page.folder, env=page.environment, check=True, capture_output=True)
    took = []
    for _ in range(10):
        began = time.perf_counter()
        page.client.get("/").raise_for_status()
        took.append(1000 * (time.perf_counter() - began))
    return {
        "runs": sizes.runs,
        "rows of the large one": sizes.rows,
        "first ms": round(took[0], 1),
        "median ms": round(sorted(took)[5], 1),
    }


def streams(page: Served, sizes: Sizes) -> dict[str, Any]:
    """Memory with many browsers that watch a run."""
    crew = page.crew
    job = page.job(100_000, "8/second")
    crew.begin(job)
    _until(lambda: (moment := crew.post(job.run_id).moment()) is not None and moment.accepted > 0)
    before, seen = page.memory_mb(), [0] * sizes.streams
    over = threading.Event()

    def watch(number: int) -> None:
        with page.client.stream("GET", f"/api/v1/runs/{job.run_id}/events", timeout=LONGEST_S) as answer:
            for line in answer.iter_lines():
                seen[number] += line.startswith("data:")
                if over.is_set():
                    return

    threads = [threading.Thread(target=watch, args=(number,)) for number in range(sizes.streams)]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    _until(lambda: min(seen) >= 20)
    took = time.perf_counter() - began
    found = {
        "streams": sizes.streams,
        "memory before, MB": round(before, 1),
        "memory, MB": round(page.memory_mb(), 1),
        "moments a second for each": round(min(seen) / took, 1),
    }
    over.set()
    crew.post(job.run_id).ask("stop", by="benchmark")
    for thread in threads:
        thread.join()
    _until(lambda: not crew.is_alive(job.run_id))
    return found


def restart(page: Served, sizes: Sizes) -> dict[str, Any]:
    """From the start of a page that was killed to the live page of a run that continued."""
    crew = page.crew
    job = page.job(100_000, "8/second")
    crew.begin(job)
    _until(lambda: (moment := crew.post(job.run_id).moment()) is not None and moment.accepted > 0)
    page.client.close()
    page.process.kill()
    page.process.communicate()
    began = time.perf_counter()
    page.start()
    page.client.get(f"/runs/{job.run_id}/live").raise_for_status()
    took = time.perf_counter() - began
    crew.post(job.run_id).ask("stop", by="benchmark")
    _until(lambda: not crew.is_alive(job.run_id))
    return {"seconds": round(took, 2)}


MEASURES: dict[str, Callable[[Served, Sizes], dict[str, Any]]] = {
    "weight": weight,
    "answers": answers,
    "upload": upload,
    "click": click,
    "runs": runs,
    "streams": streams,
    "restart": restart,
}


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("this took too long")
        time.sleep(0.01)


@contextmanager
def _sandbox() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bulk_sender", "sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        found = re.search(r"http://[^\s\"]+", process.stdout.readline())
        assert found is not None
        yield found[0]
    finally:
        process.terminate()
        process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="MEASURE", help=", ".join(MEASURES))
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    if unknown := set(given.names) - set(MEASURES):
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    sizes, found = QUICK if given.quick else Sizes(), {}
    for name in given.names or MEASURES:  # a separate page process each, so that none changes another's memory
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            page = Served(folder, stack.enter_context(_sandbox()))
            stack.callback(page.end)
            found[name] = MEASURES[name](page, sizes)
        print(name, *(f"  {each:30} {value}" for each, value in found[name].items()), sep="\n", flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
