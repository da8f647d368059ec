"""Worker processes: one for each run that the page begins, and how the page speaks with them.

A worker outlives the page. Of a run's worker the page knows a private folder: its log, its lock, and its socket.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

import bulk_sender as bs
from bulk_sender.errors import BulkSenderError
from bulk_sender.text.clean import clean
from bulk_sender.text.masking import without_addresses

DEFAULT_MOST_RUNS = 2
STATUSES = ("unknown", "failed", "rejected", "not_sent", "accepted", "duplicate")
"""Problems first, as in the report."""
LONGEST_LINE = 4096
"""Bytes of one message on a worker's socket."""
_LONGEST_SOCKET_PATH = 100
_ANSWER_S = 5.0
_LOCK_TRIES = 50
_LEAVING_S = 10.0
_BEGINS_S = 60.0
_LONGEST_REFUSAL = 500
_KEPT_S = 30 * 86400
_SECRETS = ("BRAZE_API_KEY", "BULK_SENDER_PROXY")

ERRANDS = ("check", "look")
"""Kinds of jobs that send nothing."""

Stage = Literal["queued", "preparing", "sending", "held", "ending", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a worker is to do.

    ``kind``: ``send`` and ``rehearse`` begin a run of this name, ``resume`` sends the rest of one, and ``retry`` sends
    ``rows`` or ``batches`` of a ``status`` again, all of that status if none are named. ``ask`` asks Braze about its
    unknown rows. ``check`` and ``look`` are errands before a run, whose answer goes to the file ``out``.

    ``by``: who decided. ``files`` and ``config``: what is sent, as ``bs.send`` takes it. ``key_file``: where the key
    is; empty for ``BRAZE_API_KEY_FILE`` of the page. ``starts``, for ``resume`` and ``retry``: how many processes had
    sent when the person decided. After another start that decision is void. ``plan``: the digest of the plan file that
    was approved. ``rejects``: where a check writes the wrong rows. ``row``: whose message ``look`` shows; None for the
    first one.
    """

    run_id: str
    kind: Literal["send", "rehearse", "resume", "retry", "ask", "check", "look"]
    by: str
    files: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    weather: str = "calm"
    canary: int | None = None
    plan_file: str = ""
    plan: str = ""
    again: bool = False
    key_file: str = ""
    starts: int = 0
    out: str = ""
    rejects: str = ""
    row: int | None = None
    status: Literal["failed", "unknown"] = "failed"
    rows: str = ""
    batches: tuple[int, ...] = ()
    why: str = ""

    @property
    def seat(self) -> str:
        """The name of the worker's place. A question about a run does not keep the run from being sent."""
        return f"{self.run_id}\0ask" if self.kind == "ask" else self.run_id

    def environment(self) -> dict[str, str]:
        """Return the environment of the library's calls. Where the job names an endpoint, no other counts."""
        environment = dict(os.environ)
        if self.key_file:
            environment["BRAZE_API_KEY_FILE"] = self.key_file
        if self.config.get("braze", {}).get("endpoint"):
            environment.pop("BRAZE_ENDPOINT", None)
        return environment

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return a job from its JSON object."""
        return cls(**{**told, "files": tuple(told["files"]), "batches": tuple(told["batches"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A snapshot of a worker's run, for the page.

    The six counts are those of the whole run. ``to_send``: recipients without an outcome; None while nobody has counted
    them. ``step``: ``hashing`` or ``counting`` before the first request, with ``done`` of ``total``.
    """

    stage: Stage = "preparing"
    rows: int = 0
    unknown: int = 0
    failed: int = 0
    rejected: int = 0
    not_sent: int = 0
    accepted: int = 0
    duplicate: int = 0
    to_send: int | None = None
    seconds_left: float | None = None
    rate: float = 0.0
    in_flight: int = 0
    waiting_s: float = 0.0
    waiting_on: str = ""
    held_after: int | None = None
    step: str = ""
    done: int = 0
    total: int | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return a moment from its JSON object. Fields of a later release are ignored."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in told.items() if name in known})

    @property
    def settled(self) -> int:
        """How many recipients have an outcome."""
        return self.accepted + self.failed + self.unknown


@dataclass(frozen=True, slots=True)
class Post:
    """The private folder of one run's worker. The worker holds its lock as long as it lives."""

    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Hold the lock while the block runs. Yield False when another worker has it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield _locked(descriptor, fcntl.LOCK_EX, tries=_LOCK_TRIES)  # the page looks at it for an instant
        finally:
            os.close(descriptor)

    def is_held(self) -> bool:
        """Whether a worker lives. No file or process number says so: a lock ends with its process."""
        try:
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _locked(descriptor, fcntl.LOCK_SH, tries=1)
        finally:
            os.close(descriptor)

    def is_beginning(self) -> bool:
        """Whether a process has this job and no lock yet: it imports for a second or two."""
        pid, _, at = self.read("begun").partition(" ")
        try:
            if time.time() - float(at) > _BEGINS_S:
                return False
            os.kill(int(pid), 0)
        except (ValueError, OSError):
            return False
        return True

    def write(self, name: str, text: str) -> None:
        """Replace a small file of this folder."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"{name}.{os.getpid()}.new"  # page and worker may write at the same time
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        path.replace(self.folder / name)

    def read(self, name: str) -> str:
        """Return a small file of this folder; empty if there is none."""
        with suppress(OSError):
            return (self.folder / name).read_text(encoding="utf-8")
        return ""

    def address(self) -> str:
        """Return the path of the worker's socket; empty before it listens."""
        return self.read("address")

    def remove_old_address(self) -> None:
        """Remove the socket of a worker that was killed, and its folder if that was a temporary one."""
        if old := self.address():
            with suppress(OSError):
                Path(old).unlink()
                Path(old).parent.rmdir()  # only a temporary one is empty

    def own_address(self) -> Path | None:
        """Return the path for a socket in this folder; None when that is too long for a socket."""
        path = self.folder / "socket"
        return path if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH else None

    def refusal(self) -> tuple[str, str] | None:
        """Return why the last worker ended before it sent anything, and the next step; None if it was not refused."""
        found = self.read("refusal")
        if not found:
            return None
        message, hint = json.loads(found)
        return message, hint

    def refuse(self, error: bs.BulkSenderError) -> None:
        """Write down why the worker ends, without addresses of people."""
        told = [clean(without_addresses(text), _LONGEST_REFUSAL) for text in (str(error), error.hint)]
        self.write("refusal", json.dumps(told))

    def recipients(self) -> int | None:
        """Return how many recipients the run has in all, if its first worker counted them."""
        found = self.read("recipients")
        return int(found) if found else None

    def ask(self, do: str, **more: Any) -> dict[str, Any] | None:
        """Send a command, and return the worker's answer; None when no worker has answered.

        The worker answers before it closes the connection: what is not read by then would be lost.
        """
        path = self.address()
        if not path:
            return None
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_ANSWER_S)
                connection.connect(path)
                connection.sendall(line_of({"do": do, **more}))
                with connection.makefile("rb") as answers:
                    answer = answers.readline(LONGEST_LINE)
            return json.loads(answer) if answer.endswith(b"\n") else None
        except (OSError, ValueError):
            return None

    def moment(self) -> Moment | None:
        """Return the worker's present moment; None when no worker has answered."""
        answer = self.ask("moment")
        return Moment.of(answer) if answer is not None else None


class Crew:
    """The workers of a page. ``begin`` starts one; a spare one is kept ready, so that the next run begins at once."""

    def __init__(self, folder: Path, runs_dir: Path, *, most_runs: int = DEFAULT_MOST_RUNS) -> None:
        self._folder, self._runs_dir, self._most_runs = folder, runs_dir, most_runs
        self._lock = threading.Lock()
        self._spare: subprocess.Popen[bytes] | None = None
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def post(self, run: str) -> Post:
        """Return the folder of a run's worker, whether there is one or not."""
        named = f"{self._runs_dir.absolute()}\0{run}".encode("utf-8", "surrogatepass")
        return Post(self._folder / hashlib.sha256(named).hexdigest()[:16])

    def is_alive(self, run: str) -> bool:
        """Whether a worker has this run, also one that has not taken its lock yet."""
        process = self._started.get(run)
        if process is not None and process.poll() is None:  # a process that has ended is reaped here
            return True
        return self.post(run).is_held() or self.post(run).is_beginning()

    def is_busy(self, seat: str) -> bool:
        """Whether a worker at this place has not done its work yet."""
        return self.is_alive(seat) and not self.post(seat).read("over")

    def waiting(self) -> list[str]:
        """Return the runs whose worker waits for its turn, or gets ready, and has sent nothing yet."""
        found = []
        for lock in sorted(self._folder.glob("*/lock")):
            post = Post(lock.parent)
            run = post.read("run")
            if not run or "\0" in run or self.post(run) != post or post.read("over") or not post.is_held():
                continue
            moment = post.moment()
            if moment is None or moment.stage in ("queued", "preparing"):
                found.append(run)
        return found

    def prepare(self) -> None:
        """Start a spare worker. It ends when this process does."""
        with self._lock:
            self._remove_old()
            if self._spare is None or self._spare.poll() is not None:
                self._spare = self._start()

    def begin(self, job: Job) -> bool:
        """Begin or resume a run, once. Return False when there was nothing to begin.

        The same job again does nothing: two clicks, two tabs, and a form that was sent again make one run.
        """
        with self._lock:
            if not self._is_free(job.seat) or not self._is_due(job):
                return False
            self._reap()
            post = self.post(job.seat)
            for name in ("refusal", "over"):
                post.write(name, "")
            post.write("run", job.seat)
            told = {"job": asdict(job), "runs_dir": str(self._runs_dir), "post": str(post.folder)}
            slots = {"slots": str(self._folder / "slots"), "most_runs": self._most_runs}
            self._started[job.seat] = self._given(line_of(told | slots), post)
            self._spare = self._start()
            return True

    def _is_free(self, run: str) -> bool:
        """Whether no worker has this run. One that has done its work is waited for."""
        deadline = time.monotonic() + _LEAVING_S
        while self.is_alive(run):
            if not self.post(run).read("over") or time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _is_due(self, job: Job) -> bool:
        """Whether the run is as it was when the person decided. An errand is always due."""
        if job.kind in ERRANDS:
            return True
        try:
            found = bs.status(job.run_id, runs_dir=self._runs_dir)
        except bs.RunNotFoundError:
            return job.kind in ("send", "rehearse")
        if job.kind == "ask":
            return True
        if job.kind not in ("resume", "retry") or found.state == "running":
            return False
        if job.kind == "resume" and found.state == "finished":
            return False
        return len(bs.facts(job.run_id, runs_dir=self._runs_dir).starts) == job.starts

    def _given(self, told: bytes, post: Post) -> subprocess.Popen[bytes]:
        """Give a job to the spare worker, or to a new one if there is none. Raises BulkSenderError.

        Which process gets it is written first, for a page that is started again meanwhile.
        """
        for process in (self._spare, None):
            if process is not None and process.poll() is not None:
                continue
            taking = process or self._start()
            assert taking.stdin is not None
            post.write("begun", f"{taking.pid} {time.time()}")
            with suppress(BrokenPipeError):
                taking.stdin.write(told)
                taking.stdin.close()
                return taking
        raise BulkSenderError("no process for this run could be started", hint="the log of bulk-sender web says more")

    def _start(self) -> subprocess.Popen[bytes]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = os.open(self._folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "bulk_sender.web.worker"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={name: value for name, value in os.environ.items() if name not in _SECRETS},
                start_new_session=True,
            )
        except OSError as error:
            raise BulkSenderError(f"no process for a run can be started: {error.strerror}") from None
        finally:
            os.close(log)

    def _reap(self) -> None:
        self._started = {run: process for run, process in self._started.items() if process.poll() is None}

    def _remove_old(self) -> None:
        """Remove the folders of workers that ended a month ago."""
        with suppress(OSError):
            for lock in self._folder.glob("*/lock"):
                post, files = Post(lock.parent), list(lock.parent.iterdir())
                if time.time() - max(each.stat().st_mtime for each in files) > _KEPT_S and not post.is_held():
                    for path in files:
                        path.unlink()
                    post.folder.rmdir()


def line_of(told: Mapping[str, Any]) -> bytes:
    """Return a message as one line of JSON."""
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def _locked(descriptor: int, how: int, *, tries: int) -> bool:
    for attempt in range(tries):
        if attempt:
            time.sleep(0.02)
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except OSError:
            continue
        return True
    return False
