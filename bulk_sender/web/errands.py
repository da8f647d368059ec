"""What a worker process does before a send: check all rows, or ask Braze about the campaign.

The answer is a JSON file in the private folder of the send that somebody prepares. The page reads it later, and never
holds the key.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio.to_thread

import bulk_sender as bs
from bulk_sender.web.mapping import MOST_ROWS
from bulk_sender.web.workers import Job, Post

_MOST_REASONS = 50
_MOST_WARNINGS = 50
_MOST_TEXT = 20_000
"""Characters of one text of a message."""
_MOST_MESSAGES = 50


async def run_errand(job: Job, runs_dir: Path, watch: bs.Watch, environment: Mapping[str, str]) -> None:
    """Do an errand, and write its answer. Raises BulkSenderError."""
    if job.kind == "check":
        found = await anyio.to_thread.run_sync(checked, job, runs_dir, watch)
    else:
        found = await looked(job, environment)
    out = Path(job.out)
    Post(out.parent).write(out.name, json.dumps(found))


def read_answer(path: Path) -> dict[str, Any] | None:
    """Return the answer of an errand; None when there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def checked(job: Job, runs_dir: Path, watch: bs.Watch) -> dict[str, Any]:
    """Check all rows, and write a plan file where the job names one. ``runs_dir``: where the run of fixed rows is."""
    rejects, plan_file = Path(job.rejects), Path(job.plan_file) if job.plan_file else None
    rejects.unlink(missing_ok=True)
    if plan_file is not None:
        plan_file.unlink(missing_ok=True)
    report = bs.check(
        [Path(name) for name in job.files],
        dict(job.config),
        rejects=rejects,
        write_plan=plan_file,
        guards=bs.Guards(canary=job.canary),
        watch=watch,
        runs_dir=runs_dir,
        endpoint=job.config.get("braze", {}).get("endpoint"),  # stronger than the environment
    )
    is_planned = plan_file is not None and plan_file.is_file()
    return told(report) | {"plan": bs.PlanFile.read(plan_file).digest if is_planned and plan_file else ""}


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
    names = ("rows", "valid", "rejected", "duplicate", "filtered", "requests", "seconds", "refused")
    return {name: getattr(report, name) for name in names} | {
        "wrong_rows": [each.row for each in report.rejects],
        "reasons": sorted(reasons, key=lambda reason: -reason["count"])[:_MOST_REASONS],
        "warnings": list(report.warnings[:_MOST_WARNINGS]),
    }


async def looked(job: Job, environment: Mapping[str, str]) -> dict[str, Any]:
    """Ask Braze for name, state and message of the target, and render the message for one row."""
    config, problem = dict(job.config), ""
    details, why_not = None, ""
    row: int | None = None
    messages: list[dict[str, Any]] = []
    try:
        shown = await bs.preview_async(
            [Path(name) for name in job.files],
            config,
            row=job.row,
            limit=max(MOST_ROWS, job.row or 0),
            environment=environment,
        )
        details, why_not, row = shown.details, shown.why_not, shown.row
        messages = [_message(each) for each in shown.messages[:_MOST_MESSAGES]]
    except bs.BulkSenderError as error:
        problem = str(error)
        answer = await bs.campaign_async(config, environment=environment)
        details, why_not = answer.details, answer.why_not
    return {
        "at": time.time(),
        "name": details.name if details is not None else "",
        "state": details.state if details is not None else "",
        "refusal": details.refusal if details is not None else "",
        "channels": list(details.channels) if details is not None else [],
        "why_not": why_not.replace(job.key_file, Path(job.key_file).name) if job.key_file else why_not,
        "asked_row": job.row,
        "row": row,
        "messages": messages,
        "problem": problem,
    }


def _message(message: bs.RenderedMessage) -> dict[str, Any]:
    return {
        "channel": message.channel,
        "name": message.name,
        "fields": {name: text[:_MOST_TEXT] for name, text in message.fields.items()},
        "left": list(message.left[:20]),
        "faults": list(message.faults[:20]),
    }
