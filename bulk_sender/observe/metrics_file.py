"""A metrics file in the OpenMetrics text format, as node_exporter's textfile collector reads it.

All are gauges with a label ``name``, the file's own name without its ending, so that the files of several jobs in one
folder never hold the same series.

======================================= ===========================================================================
name                                    meaning
======================================= ===========================================================================
bulk_sender_run_info                    1; labels run_id, kind (campaign, canvas), target (its id), version
bulk_sender_run_state                   1 for the state the run is in, 0 for the others; label state: running,
                                        finished, stopped, interrupted, refused (nothing was sent)
bulk_sender_run_exit_code               0, 1, 2, 3, 130 or 143; absent while the run is running
bulk_sender_rows                        rows of the run; label status: the six. While running, not_sent is what was
                                        read and has no outcome yet
bulk_sender_input_complete              1 when the input has been read to its end
bulk_sender_requests                    requests made by this process
bulk_sender_retries                     of these, retries
bulk_sender_throttled                   of these, answered with 429
bulk_sender_requests_in_flight          requests in flight
bulk_sender_rate_requests_per_second    the pace now
bulk_sender_waiting_seconds             how long all requests still wait; 0 if they do not
bulk_sender_waiting                     1 for what all requests wait for now, 0 for the others; label on: rate_limit,
                                        hours, connection, errors
bulk_sender_requests_at_once            requests that may be in flight now; below delivery.concurrency when errors or
                                        slow answers hold the run back
bulk_sender_elapsed_seconds             since this process began; at the end, of all processes together
bulk_sender_started_timestamp_seconds   when this process began (Unix time)
bulk_sender_updated_timestamp_seconds   when the file was written; an old one means a dead process
bulk_sender_finished_timestamp_seconds  when the run ended; absent while it is running
======================================= ===========================================================================
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bulk_sender._version import __version__
from bulk_sender.errors import ConfigError
from bulk_sender.journal.records import Status
from bulk_sender.observe.events import WAITS_ON, Beginning, Observer, Refusal

if TYPE_CHECKING:
    from bulk_sender.observe.events import Progress
    from bulk_sender.reporting.summary import Summary

EVERY_S = 15.0
STATES = ("running", "finished", "stopped", "interrupted", "refused")
STATUSES = tuple(status.value for status in Status)
HELP = {
    "run_info": "Which run this is.",
    "run_state": "1 for the state the run is in.",
    "run_exit_code": "The exit code of the run.",
    "rows": "Rows of the run by status.",
    "input_complete": "1 when the input has been read to its end.",
    "requests": "Requests made by this process.",
    "retries": "Requests that were retries.",
    "throttled": "Requests answered with 429.",
    "requests_in_flight": "Requests in flight.",
    "rate_requests_per_second": "The pace now.",
    "waiting_seconds": "How long all requests still wait.",
    "waiting": "1 for what all requests wait for now.",
    "requests_at_once": "Requests that may be in flight now.",
    "elapsed_seconds": "Time since the run began.",
    "started_timestamp_seconds": "When this process began.",
    "updated_timestamp_seconds": "When this file was written.",
    "finished_timestamp_seconds": "When the run ended.",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One value. ``name`` without the prefix ``bulk_sender_``."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def exposition(samples: Iterable[Sample], name: str) -> str:
    """Return the text of a metrics file. Pure."""
    lines: list[str] = []
    before = ""
    for sample in samples:
        metric = f"bulk_sender_{sample.name}"
        if sample.name != before:
            lines += [f"# HELP {metric} {HELP[sample.name]}", f"# TYPE {metric} gauge"]
            before = sample.name
        labels = ",".join(f'{label}="{_escaped(value)}"' for label, value in {"name": name, **sample.labels}.items())
        lines.append(f"{metric}{{{labels}}} {sample.value:.12g}")
    return "\n".join([*lines, "# EOF", ""])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class MetricsFile(Observer):
    """Writes the whole file when the run begins, every 15 seconds, and at its end."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._clock, self._wall = clock, wall
        self._due = float("-inf")
        self._last: Progress | None = None

    @classmethod
    def at(cls, path: Path) -> MetricsFile:
        """Raises ConfigError when the file cannot be written: monitoring must not fail silently."""
        if path.is_dir() or not os.access(path.absolute().parent, os.W_OK | os.X_OK):
            raise ConfigError(
                f"the metrics file {path} cannot be written",
                hint="give a file in an existing, writable folder; for node_exporter its name ends with .prom",
            )
        return cls(path)

    def began(self, beginning: Beginning) -> None:
        self._beginning = beginning
        self._started = self._wall()

    def moment(self, progress: Progress) -> None:
        self._last = progress
        if self._clock() >= self._due:
            self._due = self._clock() + EVERY_S
            self._write([*self._about("running"), *self._under_way(progress)])

    def refused(self, refusal: Refusal) -> None:
        self._beginning = Beginning(refusal.run_id, refusal.command, refusal.kind, refusal.target, {})
        self._started = self._wall()
        code = Sample("run_exit_code", refusal.exit_code)
        self._write([*self._about("refused"), code, Sample("finished_timestamp_seconds", self._wall())])

    def ended(self, summary: Summary) -> None:
        if summary.lost == "taken_over":  # by a process that may write to the same file
            return
        self._write([*self._about(summary.state), *self._at_the_end(summary)])

    def _about(self, state: str) -> Iterator[Sample]:
        run = self._beginning
        labels = {"run_id": run.run_id, "kind": run.kind, "target": run.target, "version": __version__}
        yield Sample("run_info", 1, labels)
        yield from (Sample("run_state", state == each, {"state": each}) for each in STATES)
        yield Sample("started_timestamp_seconds", self._started)
        yield Sample("updated_timestamp_seconds", self._wall())

    def _under_way(self, progress: Progress) -> Iterator[Sample]:
        before = self._beginning.counts
        rows = {status: before[status] for status in STATUSES}
        for status in ("accepted", "rejected", "duplicate", "failed", "unknown"):
            rows[status] += getattr(progress, status)
        rows["not_sent"] = progress.rows - (sum(rows.values()) - rows["not_sent"])
        yield from _rows(rows)
        yield Sample("input_complete", progress.plan_complete)
        yield from _traffic(progress)
        yield Sample("requests_in_flight", progress.in_flight)
        yield Sample("rate_requests_per_second", progress.rate_now)
        yield Sample("waiting_seconds", progress.waiting_s)
        yield from _waiting(progress.waiting_on)
        yield Sample("requests_at_once", progress.at_once)
        yield Sample("elapsed_seconds", progress.elapsed_s)

    def _at_the_end(self, summary: Summary) -> Iterator[Sample]:
        yield Sample("run_exit_code", summary.exit_code)
        yield Sample("finished_timestamp_seconds", self._wall())
        yield from _rows({status: getattr(summary, status) for status in STATUSES})
        if self._last is not None:
            yield Sample("input_complete", self._last.plan_complete)
            yield from _traffic(self._last)
        yield Sample("requests_in_flight", 0)
        yield Sample("rate_requests_per_second", 0)
        yield Sample("waiting_seconds", 0)
        yield from _waiting("")
        yield Sample("requests_at_once", 0)
        yield Sample("elapsed_seconds", summary.elapsed_s)

    def _write(self, samples: Iterable[Sample]) -> None:
        text = exposition(samples, self._path.stem)
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.chmod(0o644)  # the collector runs as another user
            temporary.replace(self._path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def _rows(rows: Mapping[str, int]) -> Iterator[Sample]:
    return (Sample("rows", rows[status], {"status": status}) for status in STATUSES)


def _waiting(on: str) -> Iterator[Sample]:
    return (Sample("waiting", cause == on, {"on": cause}) for cause in WAITS_ON)


def _traffic(progress: Progress) -> Iterator[Sample]:
    return (Sample(name, getattr(progress, name)) for name in ("requests", "retries", "throttled"))
