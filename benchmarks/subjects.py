"""Who is compared: how each subject is installed, started and believed.

A subject's environment is made before anything is measured, and so are the bodies ``curl`` sends. What is
measured is one command that reads the file and sends it. What the subject says of its own work is its claim.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import environments
import measure
from measure import Finished
from rows import batches, message

HERE = Path(__file__).parent
PEERS = HERE / "peers"
KEY = "bench-key-0123456789"
PATH = "/campaigns/trigger/send"
OPEN = "100000/second"
"""A rate that no subject reaches, and no more than what the server says is left of its limit: it is never the limit."""


def environment() -> dict[str, str]:
    """What a run of this project's own code gets: none of the operator's settings, and the benchmark's key."""
    known = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return known | {"BRAZE_API_KEY": KEY, "PYTHONPATH": str(HERE.parent)}


@dataclass(frozen=True)
class Job:
    """One sending of ``file`` to ``url``; ``folder`` is empty, its own working directory and home."""

    url: str
    file: Path
    folder: Path


@dataclass(frozen=True)
class Launch:
    """The command to measure and what it needs in its environment beyond the bare minimum."""

    command: list[str]
    env: Mapping[str, str] = field(default_factory=dict)

    def environment(self, job: Job) -> dict[str, str]:
        """A small environment, so that no proxy, key or setting of the operator reaches a subject."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(job.folder),
            "LANG": "C.UTF-8",
            "BRAZE_API_KEY": KEY,
            **self.env,
        }


@dataclass(frozen=True)
class Claim:
    """What a subject says became of the recipients."""

    claimed: int
    failed: int = 0
    unknown: int = 0


@dataclass(frozen=True)
class Subject:
    """One row of the tables. ``install`` returns the program ``launch`` is given."""

    name: str
    title: str
    install: Callable[[Path], Path]
    launch: Callable[[Path, Job], Launch]
    claim: Callable[[Finished], Claim]


class SubjectError(Exception):
    """A subject ended without a claim."""


def perform(
    subject: Subject, program: Path, url: str, file: Path, *, core: int | None, timeout_s: float
) -> tuple[Finished, Claim]:
    """Let ``subject`` send ``file`` to ``url`` and hear its claim. Preparations are not measured."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job(url, file.resolve(), Path(folder))
        launch = subject.launch(program, job)
        finished = measure.run(
            launch.command, env=launch.environment(job), cwd=job.folder, core=core, timeout_s=timeout_s
        )
    try:
        return finished, subject.claim(finished)
    except (ValueError, LookupError) as error:
        raise SubjectError(f"exit code {finished.exit_code}: {finished.stderr.strip()[-600:]}") from error


def printed(finished: Finished) -> Claim:
    """The claim of our own scripts: the last line they print."""
    said = json.loads(finished.stdout.strip().splitlines()[-1])
    return Claim(said["claimed"], said["failed"])


def _script(script: Path) -> Callable[[Path, Job], Launch]:
    """A script of this folder, started as ``SCRIPT URL FILE`` with ``rows`` within its reach."""
    return lambda program, job: Launch([str(program), str(script), job.url, str(job.file)], {"PYTHONPATH": str(HERE)})


def _python(name: str, requirements: Path) -> Callable[[Path], Path]:
    return lambda work: environments.python(work, name, requirements.read_text())


# curl: the floor of the wire


def _launch_curl(program: Path, job: Job) -> Launch:
    """One transfer for each body, all in one configuration file; options do not outlive a ``next``."""
    transfers = []
    for number, batch in enumerate(batches(job.file), 1):
        body = job.folder / f"{number:06d}.json"
        body.write_text(json.dumps(message(batch), separators=(",", ":"), ensure_ascii=False), encoding="utf-8")
        transfers.append(
            f'url = "{job.url}{PATH}"\ndata-binary = "@{body.name}"\noutput = "{os.devnull}"\n'
            f'header = "Content-Type: application/json"\nheader = "Authorization: Bearer {KEY}"\n'
            'write-out = "%{http_code}\\n"\n'
        )
    (job.folder / "transfers").write_text("next\n".join(transfers))
    return Launch([str(program), "-sS", "-Z", "--parallel-max", "16", "-K", "transfers"])


def _claim_curl(finished: Finished) -> Claim:
    """A line for every transfer: its status, or 000 where no answer came."""
    codes = finished.stdout.split()
    sent = codes.count("201")
    return Claim(sent * 50, (len(codes) - sent) * 50)


# drt


def _launch_drt(program: Path, job: Job) -> Launch:
    shutil.copytree(PEERS / "drt", job.folder, dirs_exist_ok=True)
    (job.folder / ".drt").mkdir()
    shutil.move(job.folder / "profiles.yml", job.folder / ".drt/profiles.yml")
    command = [str(program.with_name("drt")), "run", "--output", "json"]
    return Launch(command, {"BENCH_URL": job.url, "DRT_VAR_FILE": str(job.file), "DRT_TELEMETRY": "0"})


def _claim_drt(finished: Finished) -> Claim:
    sync = json.loads(finished.stdout)["syncs"][0]
    return Claim(sync["rows_synced"], sync["rows_failed"])


# bulk-sender


def _launch_bulk_sender(program: Path, job: Job) -> Launch:
    command = [str(program), "-m", "bulk_sender", "send", str(job.file)]
    command += ["--endpoint", job.url, "--campaign-id", "bench", "--runs-dir", str(job.folder / "runs")]
    command += ["--rate", OPEN, "--yes", "--json"]
    return Launch(command, {"PYTHONPATH": str(HERE.parent)})


def _claim_bulk_sender(finished: Finished) -> Claim:
    """Six statuses in three: whatever is neither accepted nor unknown was, by its account, not taken."""
    summary = json.loads(finished.stdout)
    rows, accepted, unknown = summary["rows"], summary["accepted"], summary["unknown"]
    return Claim(accepted, rows - accepted - unknown, unknown)


SUBJECTS = (
    Subject(
        "curl",
        "`curl -Z`, ready-made bodies",
        lambda work: Path(environments.program("curl")),
        _launch_curl,
        _claim_curl,
    ),
    Subject(
        "bulk-sender",
        "**bulk-sender**",
        lambda work: environments.python(
            work, "bulk-sender", environments.dependencies(HERE.parent / "pyproject.toml", "fast")
        ),
        _launch_bulk_sender,
        _claim_bulk_sender,
    ),
    Subject(
        "npm",
        "npm `braze-api` 2.13.4 + `p-limit`",
        lambda work: environments.node(work, "npm", PEERS / "npm/package.json", PEERS / "npm/send.mjs"),
        lambda script, job: Launch([environments.program("node"), str(script), job.url, str(job.file)]),
        printed,
    ),
    Subject(
        "edx",
        "`edx-braze-client` 1.1.4, 16 threads",
        _python("edx", PEERS / "edx/requirements.txt"),
        _script(PEERS / "edx/send.py"),
        printed,
    ),
    Subject(
        "drt",
        "`drt-core` 1.2.1 with duckdb",
        _python("drt", PEERS / "drt/requirements.txt"),
        _launch_drt,
        _claim_drt,
    ),
    Subject(
        "dlt",
        "`dlt` 1.31.0 custom destination",
        _python("dlt", PEERS / "dlt/requirements.txt"),
        _script(PEERS / "dlt/send.py"),
        printed,
    ),
    Subject(
        "naive",
        "`naive.py`",
        _python("httpx", HERE / "requirements.txt"),
        _script(HERE / "naive.py"),
        printed,
    ),
    Subject(
        "retrying",
        "`retrying.py`",
        _python("httpx", HERE / "requirements.txt"),
        _script(HERE / "retrying.py"),
        printed,
    ),
)
