"""The report of a run as ``report.html``: one file that needs no network, made from the journal alone.

Nothing in the page can run: there is no script, and its policy allows none. The template escapes everything that comes
from outside: messages, identifiers, names of columns, the campaign's id.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulk_sender.atomic import replacing
from bulk_sender.braze.answer import Verdict
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.config.model import Config
from bulk_sender.journal.answers import AttemptsOfBatches
from bulk_sender.journal.store import RunReader
from bulk_sender.reading.identity import FileIdentity
from bulk_sender.reporting import advice
from bulk_sender.reporting.lateness import IsLate, never
from bulk_sender.reporting.origin import Origin
from bulk_sender.reporting.reasons import Reasons, refusals, rejections, remarks
from bulk_sender.reporting.rejects_file import rejects_path
from bulk_sender.reporting.report import charts
from bulk_sender.reporting.report.charts import Chart, NoCharts
from bulk_sender.reporting.report.history import Event, history
from bulk_sender.reporting.report.timeline import GROUPS, Answer, Bucket, Timeline, timeline
from bulk_sender.reporting.summary import Summary
from bulk_sender.text import numbers as figures
from bulk_sender.text.clean import clean
from bulk_sender.text.masking import mask_in, without_credentials
from bulk_sender.text.pages import style, templates
from bulk_sender.text.times import clock, now

if TYPE_CHECKING:
    from jinja2 import Environment

REPORT = "report.html"
_HERE = Path(__file__).parent
_LONGEST_SETTING = 300


@dataclass(frozen=True, slots=True)
class Setting:
    """One configured value, as ``table.key``."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the page shows."""

    summary: Summary
    headline: str
    reason: str
    counts: list[advice.Count]
    slices: list[advice.Slice]
    broadcast: advice.Count | None
    """What happened to a broadcast, which has no rows to count."""
    target_kind: str
    target: str
    target_name: str
    endpoint: str
    weather: str
    files: tuple[FileIdentity, ...]
    kind: str
    """The ending of the results file's name."""
    explain: str
    timeline: Timeline
    asked_per_s: float
    throughput: Chart | None
    latency: Chart | None
    no_charts: str
    """Why there are no charts, empty when there are."""
    rejections: Reasons
    refusals: Reasons
    remarks: Reasons
    """What Braze said beside accepting; ``others`` counts requests."""
    attempts: tuple[AttemptsOfBatches, ...]
    split: int
    """Batches that were replaced by their halves, to find the rows that Braze refuses."""
    history: list[Event]
    settings: list[Setting]
    tool: str
    written_at: str

    @property
    def groups(self) -> dict[str, str]:
        """The groups of answers in the charts, with their labels."""
        return GROUPS

    @property
    def asked_is_drawn(self) -> bool:
        return charts.shows_asked(self.timeline, self.asked_per_s)

    @property
    def latency_unit(self) -> str:
        return "milliseconds" if charts.slowest_s(self.timeline) < 1 else "seconds"

    def clock_of(self, bucket: Bucket) -> str:
        """Return when a bucket began, with the date and with tenths of a second only where they are needed."""
        days = {found.at.date() for found in self.timeline.buckets}
        text = f"{bucket.at:%Y-%m-%d %H:%M:%S}"[0 if len(days) > 1 else 11 :]
        return f"{text}.{bucket.at.microsecond // 100_000}" if self.timeline.width_s < 1 else text

    @property
    def unconnected(self) -> int:
        """Requests for which no connection was possible."""
        return sum(count for answer, count in self._unsent() if answer.http_status is None)

    @property
    def troubled(self) -> int:
        """Requests that Braze answered with a temporary error."""
        return sum(count for answer, count in self._unsent() if answer.http_status is not None)

    def _unsent(self) -> Iterator[tuple[Answer, int]]:
        return ((answer, count) for answer, count in self.timeline.answers.items() if answer.verdict == Verdict.UNSENT)

    @property
    def throttled(self) -> int:
        """Requests answered with 429."""
        return sum(bucket.requests("throttled") for bucket in self.timeline.buckets)


def write_report(journal: RunReader, summary: Summary, path: Path, *, is_late: IsLate = never) -> None:
    """Write the page, private, and as a whole or not at all. Raises BulkSenderError, and OutOfTime once it ``is_late``.

    A million attempts take about three seconds of CPU time (``python benchmarks/long_report.py``).
    """
    page = render(gather(journal, summary, is_late=is_late))
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")  # a file's name may have invalid UTF-8


def gather(journal: RunReader, summary: Summary, *, is_late: IsLate = never) -> Report:
    """Return everything that the page shows, from the journal. Raises OutOfTime once it ``is_late``."""
    facts = journal.facts()
    config = facts.revived()
    over_time = timeline(journal, config.delivery, is_late=is_late)
    throughput, latency, no_charts = _charts(over_time, config.delivery.pace.per_second)
    folder = journal.run.folder
    elsewhere = "" if folder.parent.name == DEFAULT_RUNS_DIR else str(folder.parent)
    counts = advice.counts(
        summary,
        runs_dir=elsewhere,
        rejects=summary.rejects_file or str(rejects_path(folder)),
        origin=Origin.of(journal),
    )
    return Report(
        summary=summary,
        headline=advice.headline(summary),
        reason=mask_in(clean(summary.reason)),
        counts=counts,
        slices=advice.slices(counts),
        broadcast=advice.of_broadcast(summary, runs_dir=elsewhere) if summary.broadcast else None,
        target_kind="Canvas" if config.is_canvas else "Campaign",
        target=config.target or "",
        target_name=facts.target_name,
        endpoint=without_credentials(config.braze.endpoint or ""),
        weather=facts.sandbox,
        files=facts.input,
        kind=facts.format,
        explain=advice.explain_command(summary, elsewhere),
        timeline=over_time,
        asked_per_s=config.delivery.pace.per_second,
        throughput=throughput,
        latency=latency,
        no_charts=no_charts,
        rejections=rejections(journal),
        refusals=refusals(journal),
        remarks=remarks(journal),
        attempts=journal.attempts_of_batches(),
        split=journal.batches_split(),
        history=history(journal),
        settings=list(settings(config)),
        tool=facts.tool,
        written_at=now(),
    )


def _charts(over_time: Timeline, asked_per_s: float) -> tuple[Chart | None, Chart | None, str]:
    if not charts.is_worth_drawing(over_time):
        return None, None, "The sending was too short for charts; the table has the numbers." if over_time.parts else ""
    try:
        answered = any(bucket.p50_s is not None for bucket in over_time.buckets)
        return charts.throughput(over_time, asked_per_s), charts.latency(over_time) if answered else None, ""
    except NoCharts as error:
        return None, None, str(error)


def settings(config: Config) -> Iterator[Setting]:
    """Yield what was configured, and how it was delivered. A configuration has no key; URLs lose their password."""
    given = config.model_dump(mode="json", exclude_defaults=True)
    given.get("recipient", {}).pop("identifier_order", None)
    given["delivery"] = config.delivery.model_dump(mode="json")
    for name, value in _flat(given, ""):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield Setting(name.removesuffix(".column"), clean(without_credentials(text), _LONGEST_SETTING))


def _flat(table: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value


def render(report: Report) -> str:
    """Return the page."""
    whole = style(_HERE / "report.css")
    digest = base64.b64encode(hashlib.sha256(whole.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return _environment().get_template("report.html.jinja").render(report=report, style=whole, policy=policy)


def _environment() -> Environment:
    environment = templates(_HERE)
    environment.filters |= {
        "number": figures.number,
        "duration": figures.duration,
        "share": figures.share,
        "masked": lambda text: mask_in(clean(text)),
        "clock": clock,
    }
    return environment
