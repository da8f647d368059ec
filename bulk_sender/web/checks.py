"""Checks of whole files: each in a thread of the page, followed by its stages, and ended by a stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bulk_sender as bs
from bulk_sender.web import words

_MOST_REASONS = 50
_MOST_WARNINGS = 50

Done = Callable[[Mapping[str, Any] | None], None]
"""Gets the report of a check that reached the end; None for one that did not."""


@dataclass(slots=True)
class Job:
    """One check. ``trouble``: why it ended early; empty while it runs."""

    control: bs.Control = field(default_factory=bs.Control)
    rows: int = 0
    trouble: str = ""
    is_running: bool = True

    @property
    def said(self) -> str:
        return words.rows_checked(self.rows)

    def on_stage(self, stage: bs.Stage) -> None:
        if stage.name == "counting":
            self.rows = stage.done


class Checks:
    """The checks of one page, by the draft's id. They end with the page's process."""

    def __init__(self, runs_dir: Path) -> None:
        self._runs_dir = runs_dir
        """Where the run is that rejected rows which were fixed."""
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def of(self, id: str) -> Job | None:
        """Return the check of a draft that runs, or the last one."""
        return self._jobs.get(id)

    def is_running(self, id: str) -> bool:
        job = self._jobs.get(id)
        return job is not None and job.is_running

    def start(self, id: str, path: Path, config: Mapping[str, Any], rejects: Path, done: Done) -> None:
        """Begin a check. ``rejects``: where to write the rows that are wrong."""
        with self._lock:
            job = self._jobs[id] = Job()
        threading.Thread(target=self._run, args=(job, path, config, rejects, done), daemon=True).start()

    def stop(self, id: str) -> None:
        if (job := self._jobs.get(id)) is not None:
            job.control.stop("stopped on the page")

    def _run(self, job: Job, path: Path, config: Mapping[str, Any], rejects: Path, done: Done) -> None:
        found: Mapping[str, Any] | None = None
        try:
            rejects.unlink(missing_ok=True)
            watch = bs.Watch(on_stage=job.on_stage, control=job.control)
            found = told(bs.check(path, config, rejects=rejects, watch=watch, runs_dir=self._runs_dir))
        except bs.Interrupted:
            job.trouble = words.CHECK_STOPPED
        except bs.BulkSenderError as error:
            job.trouble = f"{error}: {error.hint}" if error.hint else str(error)
        except Exception as error:  # a bug must end as a sentence, not as a check that never ends
            job.trouble = str(bs.InternalError.of(error))
        finally:
            with suppress(bs.BulkSenderError):  # the draft was deleted meanwhile
                done(found)
            job.is_running = False


def told(report: bs.CheckReport) -> dict[str, Any]:
    """Return what the page keeps of a report."""
    reasons = []
    for code, facts in report.rejections.items():
        first = facts["examples"][0] if facts["examples"] else {}
        reasons.append(
            {
                "code": code,
                "count": facts["count"],
                "row": first.get("row") or 0,
                "identifier": first.get("identifier") or "",
                "error": first.get("error") or "",
            }
        )
    names = ("rows", "valid", "rejected", "duplicate", "filtered", "requests", "seconds")
    return {name: getattr(report, name) for name in names} | {
        "wrong_rows": [each.row for each in report.rejects],
        "reasons": sorted(reasons, key=lambda reason: -reason["count"])[:_MOST_REASONS],
        "warnings": list(report.warnings[:_MOST_WARNINGS]),
    }
