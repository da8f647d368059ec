"""How a run that the page may have begun stands now, and the stream of its moments.

The journal's lock says whether a run is being sent, then the worker's own lock whether it is about to be. A socket
alone says nothing: it outlives its process.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

import bulk_sender as bs
from bulk_sender.web import runs, words
from bulk_sender.web.workers import LONGEST_LINE, STATUSES, Crew, Moment, Post, line_of

MOST_STREAMS = 40
_LOOK_S = 2.0
_QUIET_S = 20.0
"""A worker sends something four times a second; after so long the journal is asked."""

State = Literal["queued", "preparing", "sending", "held", "ending", "ended", "refused"]


@dataclass(frozen=True, slots=True)
class Live:
    """How a run stands.

    ``run``: what the journal has of it; None before its first row is in the journal. ``ours``: whether a worker of this
    page sends it, so that it takes commands. ``refusal``: why the last worker ended before it sent anything, and the
    next step.
    """

    name: str
    state: State
    run: bs.RunOverview | None
    moment: Moment
    ours: bool = False
    refusal: tuple[str, str] | None = None


def live(crew: Crew, runs_dir: Path, name: str) -> Live:
    """Return how a run stands. Raises RunNotFoundError if nobody has ever begun it."""
    is_alive = crew.is_alive(name)  # before the journal: a run that ends in between has ended there
    post = crew.post(name)
    run: bs.RunOverview | None = None
    try:
        run = runs.overview(runs_dir, name)
    except bs.RunNotFoundError:
        if not is_alive and post.refusal() is None:
            raise
    moment = post.moment() if is_alive else None
    if run is not None and run.state == "running":
        if moment is None:
            return Live(name, "held" if run.held is not None else "sending", run, moment_of(run))
        return Live(name, "ending" if moment.stage == "ended" else moment.stage, run, moment, ours=True)
    if is_alive and not post.read("over"):
        stage = moment.stage if moment is not None else "preparing"
        return Live(name, stage, run, moment or Moment(), ours=True)
    return Live(name, "ended" if run is not None else "refused", run, Moment(), refusal=post.refusal())


def moment_of(run: bs.Summary) -> Moment:
    """Return a moment of a run that no worker of this page sends."""
    counts = {name: getattr(run, name) for name in STATUSES}
    held_after = run.held.rows if run.held is not None else None
    to_send = None if run.later_rows_unread else run.not_sent
    return Moment(
        stage="sending" if run.held is None else "held",
        rows=run.rows,
        to_send=to_send,
        held_after=held_after,
        **counts,
    )


class Streams:
    """Streams of moments to browsers, each in the form of server-sent events. There are at most so many at a time."""

    def __init__(self, crew: Crew, runs_dir: Path, most: int = MOST_STREAMS) -> None:
        self._crew, self._runs_dir, self._most = crew, runs_dir, most
        self._open = 0

    def are_full(self) -> bool:
        """Whether one more stream would be too many."""
        return self._open >= self._most

    async def of(self, name: str) -> AsyncIterator[bytes]:
        """Yield the events of a run until it has ended, or waits for an answer in another state than before."""
        self._open += 1
        try:
            yield b"retry: 3000\n\n"
            while True:
                found = await anyio.to_thread.run_sync(live, self._crew, self._runs_dir, name)
                yield event(found.moment, found.state)
                if found.state in ("ended", "refused"):
                    yield b"event: end\ndata: {}\n\n"
                    return
                if found.ours:
                    async for moment in _moments(self._crew.post(name)):
                        if moment.stage != "ended":
                            yield event(moment, moment.stage)
                await anyio.sleep(_LOOK_S if not found.ours else 0.2)
        except bs.BulkSenderError:
            yield b"event: end\ndata: {}\n\n"
        finally:
            self._open -= 1


async def _moments(post: Post) -> AsyncIterator[Moment]:
    """Yield the moments of a worker until it closes the connection, or is silent for too long."""
    path = post.address()
    if not path:
        return
    with suppress(OSError, ValueError, anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
        async with await anyio.connect_unix(path) as stream:
            await stream.send(line_of({"do": "watch"}))
            lines = BufferedByteReceiveStream(stream)
            while True:
                with anyio.fail_after(_QUIET_S):
                    line = await lines.receive_until(b"\n", LONGEST_LINE)
                yield Moment.of(json.loads(line))


def event(moment: Moment, state: State) -> bytes:
    """Return a moment as one event: the numbers, and the sentences, so that the script has no words."""
    told = {
        "state": state,
        "counts": {name: f"{getattr(moment, name):,}" for name in STATUSES},
        "said": words.live_sentence(moment, state),
        "note": words.live_note(moment),
        "parts": [[part.status, part.left, part.width] for part in runs.parts(moment)],
    }
    return b"data: " + json.dumps(told, separators=(",", ":")).encode() + b"\n\n"
