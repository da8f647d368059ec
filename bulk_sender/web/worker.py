"""One run as a process: ``python -m bulk_sender.web.worker``, with its job as a line of JSON on standard input.

It outlives the page that started it. On a private socket it says how its run is doing, and takes commands. A worker
that gets no job before the page ends does nothing.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import SocketStream

import bulk_sender as bs
from bulk_sender.eventloop import run
from bulk_sender.text.masking import without_addresses
from bulk_sender.web import errands
from bulk_sender.web.asking import Asker
from bulk_sender.web.workers import ERRANDS, LONGEST_LINE, STATUSES, Job, Moment, Post, Stage, line_of

_MOMENTS_S = 0.25
_TURN_S = 0.2
_COMMAND_S = 5.0
_WATCHING_S = 30.0
"""A watcher that takes nothing for so long is not there any more."""

_log = logging.getLogger("bulk_sender.web.worker")


class Worker:
    """Sends one run, and answers on its socket."""

    def __init__(self, job: Job, runs_dir: Path, post: Post, slots: Slots) -> None:
        self._job, self._runs_dir, self._post, self._slots = job, runs_dir, post, slots
        self._control = bs.Control()
        self._moment = Moment(stage="queued")
        self._recipients = post.recipients()
        self._answer: bs.Approval | None = None
        self._answered = anyio.Event()

    async def work(self) -> int:
        """Do the job. Return an exit code."""
        with self._control.on_signals():
            async with anyio.create_task_group() as group, self._listening() as listener:
                group.start_soon(listener.serve, self._serve)
                try:
                    code = await self._deliver()
                finally:
                    self._moment = replace(self._moment, stage="ended")
                    self._post.write("over", "yes")  # the page may begin another worker once this one has left
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(2 * _MOMENTS_S)  # watchers see the end
                group.cancel_scope.cancel()
        return code

    async def _deliver(self) -> int:
        try:
            if self._job.kind in ERRANDS:  # it sends nothing, so it takes no other run's turn
                self._moment = Moment()
                watch = bs.Watch(on_stage=self._on_stage, control=self._control)
                await errands.run_errand(self._job, self._runs_dir, watch, self._job.environment())
                return 0
            await self._take_turn()
            self._moment = Moment()
            summary = await self._send()
        except bs.BulkSenderError as error:
            _log.error("%s: %s", type(error).__name__, without_addresses(str(error)))
            self._post.refuse(error)
            return error.exit_code
        except Exception as error:
            found = bs.InternalError.of(error)
            _log.error("%s", found, exc_info=error if os.environ.get("BULK_SENDER_DEBUG") else None)
            self._post.refuse(found)
            return found.exit_code
        _log.info("%s %s", summary.run_id, summary.state)
        return summary.exit_code

    async def _send(self) -> bs.Summary:
        job = self._job
        watch = bs.Watch(
            on_progress=self._on_progress, on_stage=self._on_stage, on_canary=self._on_canary, control=self._control
        )
        environment = self._job.environment()
        plan_file = job.plan_file or None
        if plan_file and job.plan and bs.PlanFile.read(plan_file).digest != job.plan:
            raise bs.GuardrailError(
                "the plan file is not the one that was reviewed: nothing was sent", hint="check all rows again"
            )
        if job.kind == "resume":
            return await bs.resume_async(
                job.run_id,
                guards=bs.Guards(again=job.again, plan_file=plan_file),
                watch=watch,
                runs_dir=self._runs_dir,
                environment=environment,
                by=job.by,
            )
        if job.kind == "retry":
            return await bs.retry_async(
                job.run_id,
                failed=job.status == "failed",
                unknown=job.status == "unknown",
                which=bs.Which(rows=job.rows or None, batches=job.batches),
                why=job.why,
                watch=watch,
                runs_dir=self._runs_dir,
                environment=environment,
                by=job.by,
            )
        return await bs.send_async(
            list(job.files),
            config=dict(job.config),
            run=bs.RunName(id=job.run_id, folder=self._runs_dir),
            guards=bs.Guards(again=job.again, plan_file=plan_file, canary=job.canary, confirm=self._confirm),
            watch=watch,
            sandbox=bs.Sandbox(weather=job.weather) if job.kind == "rehearse" else None,
            environment=environment,
            by=job.by,
        )

    async def _take_turn(self, *, stoppable: bool = True) -> None:
        """Wait until fewer runs are being sent than may be. ``stoppable``: a stop then raises Interrupted."""
        while not self._slots.take():
            if stoppable:
                self._control.refuse_stopped()
            await anyio.sleep(_TURN_S)

    # --- what the library calls ---------------------------------------------------------------------------------

    def _confirm(self, about: bs.Preview) -> bool:
        """Called in a thread. A person has agreed on the page; here only the number of recipients is noted."""
        if about.recipients is not None:
            self._recipients = about.recipients
            self._post.write("recipients", str(about.recipients))
        self._control.refuse_stopped()
        return True

    def _on_stage(self, stage: bs.Stage) -> None:
        """Called in a thread. A stop ends the work before the first request."""
        self._control.refuse_stopped()
        self._moment = replace(self._moment, step=stage.name, done=stage.done, total=stage.total)

    def _on_progress(self, progress: bs.Progress) -> None:
        stage: Stage = "sending"
        if self._moment.stage == "ending":
            stage = "ending"
        elif progress.held_after is not None:
            stage = "queued" if self._answered.is_set() else "held"
        counts = {name: getattr(progress.so_far, name) for name in STATUSES}
        settled = sum(counts[name] for name in ("accepted", "failed", "unknown"))
        to_send = progress.to_send
        if to_send is None and self._recipients is not None:
            to_send = max(0, self._recipients - settled)
        unread = max(0, (to_send or 0) - counts["not_sent"])
        counts["not_sent"] += unread
        self._moment = Moment(
            stage=stage,
            rows=progress.so_far.rows + unread,
            **counts,
            to_send=to_send,
            seconds_left=progress.seconds_left,
            rate=round(progress.rate_now, 3),
            in_flight=progress.in_flight,
            waiting_s=round(progress.waiting_s, 1),
            waiting_on=progress.waiting_on,
            held_after=progress.held_after,
        )

    async def _on_canary(self, progress: bs.Progress) -> bs.Approval | None:
        """Wait for an answer from the page. A stop ends the wait. Meanwhile another run may have this one's turn."""
        self._on_progress(progress)
        self._slots.release()
        await self._answered.wait()
        await self._take_turn(stoppable=False)
        return self._answer

    # --- the socket ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[Any]:
        self._post.remove_old_address()
        path = self._post.own_address()
        folder = None
        if path is None:
            folder = Path(tempfile.mkdtemp(prefix="bulk-sender-"))
            path = folder / "socket"
        try:
            async with await anyio.create_unix_listener(path, mode=0o600) as listener:
                self._post.write("address", str(path))
                yield listener
        finally:
            for left in (path, self._post.folder / "address"):
                left.unlink(missing_ok=True)
            if folder is not None:
                with suppress(OSError):
                    folder.rmdir()

    async def _serve(self, stream: SocketStream) -> None:
        with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, ValueError):
            async with stream:
                with anyio.fail_after(_COMMAND_S):
                    told = json.loads(await _line(stream))
                if not isinstance(told, dict):
                    raise ValueError("a command is an object")
                if told.get("do") == "watch":
                    await self._show(stream)
                    return
                answer = self._obey(told)
                with anyio.fail_after(_COMMAND_S):
                    await stream.send(line_of(answer))
                    with suppress(anyio.EndOfStream):
                        await stream.receive()  # who asked closes first

    async def _show(self, stream: SocketStream) -> None:
        """Send each moment that differs from the one before, until the run has ended."""
        shown: Moment | None = None
        while shown is None or shown.stage != "ended":
            if self._moment != shown:
                shown = self._moment
                with anyio.fail_after(_WATCHING_S):
                    await stream.send(line_of(asdict(shown)))
            await anyio.sleep(_MOMENTS_S)

    def _obey(self, told: dict[str, Any]) -> dict[str, Any]:
        """Carry out a command. The answer acknowledges it, or says why it was refused."""
        by = str(told.get("by") or "")
        match told.get("do"):
            case "moment":
                return asdict(self._moment)
            case "stop":
                who = by or "someone"
                self._control.stop(
                    f"paused by {who}" if told.get("how") == "pause" else f"{who} stopped it on the page"
                )
                self._moment = replace(self._moment, stage="ending")
                return {"done": "stop"}
            case "answer" if self._moment.stage != "held" or self._answered.is_set():
                return {"refused": "not_held"}
            case "answer" if told.get("granted") and told.get("to_send") != self._moment.to_send:
                return {"refused": "count"}
            case "answer":
                self._answer = bs.Approval(bool(told.get("granted")), by)
                self._moment = replace(self._moment, stage="queued" if self._answer.granted else "ending")
                self._answered.set()
                return {"done": "answer"}
        return {"refused": "unknown"}


class Slots:
    """At most so many runs are sent at a time, over all workers of a page: each needs one of as many locks."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder, most
        self._taken: int | None = None

    def take(self) -> bool:
        """Take a free slot, without waiting. Return whether this process has one now."""
        import fcntl

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(self._most):
            if self._taken is not None:
                break
            descriptor = os.open(self._folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._taken = descriptor
            except OSError:
                os.close(descriptor)
        return self._taken is not None

    def release(self) -> None:
        """Let another process have this one's slot."""
        if self._taken is not None:
            os.close(self._taken)
            self._taken = None


async def _line(stream: SocketStream) -> bytes:
    found = b""
    while not found.endswith(b"\n"):
        found += await stream.receive(LONGEST_LINE)
        if len(found) > LONGEST_LINE:
            raise ValueError("a command is too long")
    return found


def main() -> int:
    """Wait for a job on standard input, and do it. Return an exit code."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no core file with the key
    _import_all()
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):  # the page has ended
        return 0
    told = json.loads(line)
    os.umask(0o077)
    post = Post(Path(told["post"]))
    with post.held() as is_ours:
        if not is_ours:  # another worker sends this run
            return 0
        post.write("begun", "")
        with _output_to(post.log):
            job = Job.of(told["job"])
            if job.kind == "ask":
                return run(Asker(job, Path(told["runs_dir"]), post).work)
            worker = Worker(job, Path(told["runs_dir"]), post, Slots(Path(told["slots"]), told["most_runs"]))
            return run(worker.work)


def _import_all() -> None:
    """Import what a run needs, before there is one."""
    for name in (
        "send_async",
        "resume_async",
        "retry_async",
        "reconcile_async",
        "check",
        "Which",
        "Guards",
        "Watch",
        "Sandbox",
        "Approval",
        "RunName",
        "Control",
    ):
        getattr(bs, name)


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Send all output of this process to a file, and close its standard input."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, source in ((0, nothing), (1, descriptor), (2, descriptor)):
        os.dup2(source, number)
    for source in (descriptor, nothing):
        os.close(source)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    yield


if __name__ == "__main__":
    sys.exit(main())
