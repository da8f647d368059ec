"""The report on a plan: what would be sent and what would not. Uses no network and writes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import polars as pl

from bulk_sender.braze.audience import unknown_words
from bulk_sender.braze.details import CampaignDetails
from bulk_sender.braze.endpoint import AUDIENCE_WORST_RATE, unaddressed
from bulk_sender.config.model import Config
from bulk_sender.guessing.fit import Fit
from bulk_sender.guessing.observed import Observers
from bulk_sender.guessing.warnings import INSIGHT_ROWS, insights
from bulk_sender.planning.batches import Payload, Planned
from bulk_sender.planning.digest import BodyDigest
from bulk_sender.planning.limits import Limits
from bulk_sender.planning.plan import EXCLUDED, reject_reasons
from bulk_sender.planning.prepared import PreparedInput
from bulk_sender.recipients.columns import is_nameless
from bulk_sender.recipients.mapping import RecipientMapping
from bulk_sender.text.numbers import duration, number, several

_EXAMPLES = 3
_MOST_REJECTS = 200


@dataclass(frozen=True, slots=True)
class Reject:
    """A rejected row: where it is, and why it would not be sent.

    ``row``: its number in reading order. ``source_row`` and ``source_line``: its number in its file, and its line there
    or its row of the sheet. ``column`` and ``value``: the cell that the reason is about, as text of at most 80
    characters; None for a reason about a whole row.
    """

    row: int
    source: str
    source_row: int
    source_line: int
    identifier_type: str | None
    identifier: str | None
    column: str | None
    value: str | None
    error_code: str
    error: str


@dataclass(slots=True)
class CheckReport:
    """The result of ``check``: ``valid`` + ``rejected`` + ``duplicate`` = ``rows``. ``seconds`` is at the set rate.

    ``filtered``: further rows, which ``[input] filter`` leaves out.
    """

    rows: int = 0
    valid: int = 0
    rejected: int = 0
    duplicate: int = 0
    filtered: int = 0
    requests: int = 0
    seconds: float = 0.0
    body_bytes: int = 0
    bodies_sha256: str = ""
    """The digest of all bodies in order, if a plan file was requested."""
    unused_columns: tuple[str, ...] = ()
    identifiers: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Error code → ``count`` and ``examples`` (row, source, source_row, source_line, identifier, error)."""
    rejects: list[Reject] = field(default_factory=list)
    """The first 200 rejected rows."""
    samples: list[dict[str, Any]] = field(default_factory=list)
    sample_request: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)
    refused: str = ""
    """Which limit would refuse to send this; empty if none."""
    fit: Fit | None = None
    """What does not fit between the message and the input; None without a message to compare with."""

    @property
    def rejections(self) -> dict[str, dict[str, Any]]:
        """The reasons why rows are rejected, without those for which they are duplicates."""
        return {code: facts for code, facts in self.reasons.items() if code not in ("duplicate", EXCLUDED)}

    @property
    def excluded(self) -> int:
        """How many of the duplicates are excluded: other runs or lists name their recipients."""
        return int(self.reasons.get(EXCLUDED, {"count": 0})["count"])

    @property
    def mostly_rejected(self) -> str:
        """What is wrong when more than half of the rows would be rejected; empty when they are not."""
        if 2 * self.rejected <= self.rows:
            return ""
        said = f"{number(self.rejected)} of {several(self.rows, 'row')} would be rejected: is this the right file, and "
        if 2 * self.reasons.get("malformed_row", {"count": 0})["count"] > self.rejected:
            return said + "do its header and its delimiter fit? See [input] header_row and delimiter"
        return said + "does the mapping fit? The reasons say what is wrong"

    @property
    def exit_code(self) -> int:
        """0 when every row could be sent, 1 when some would be rejected, 2 when none could be sent."""
        if not self.valid:
            return 2 if not self.rows else 1
        return 1 if self.rejected else 0

    def refusal(self, limits: Limits) -> str:
        """Return why a limit refuses this input; empty if none does."""
        return limits.refusal(self.rows, self.valid, self.rejected)

    def to_dict(self) -> dict[str, Any]:
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        rejects = [asdict(each) for each in self.rejects]
        return facts | {"fit": None if self.fit is None else asdict(self.fit), "rejects": rejects}


def examined(
    opened: PreparedInput,
    on_rows: Callable[[int], None] | None = None,
    *,
    canary: int | None = None,
    bodies: BodyDigest | None = None,
    details: CampaignDetails | None = None,
    on_piece: Callable[[Planned], None] | None = None,
) -> CheckReport:
    """Plan a whole input and report on it; ``bodies`` digests what would be sent. ``details``: its message to compare.

    ``on_piece`` receives each piece of the plan.
    Raises InputError, ConfigError.
    """
    target = unaddressed(opened.config.braze, opened.config.message)
    observers = Observers(opened.mapping, opened.source.schema)
    fit = opened.compared_with(details)
    filtered: list[int] = []
    planned = opened.plan(target, watch=_each_of(observers, fit), canary=canary, on_filtered=filtered.append)
    sample = opened.sample(INSIGHT_ROWS)
    unused = tuple(name for name in opened.mapping.unused if not is_nameless(sample[name]))
    mapping = replace(opened.mapping, unused=unused)
    if on_piece is not None:
        planned = _passing(planned, on_piece)
    report = examine(planned, mapping, opened.config, target.body, on_rows, bodies)
    report.filtered = sum(filtered)
    report.warnings += message_warnings(opened.mapping, opened.config)
    if target.has_audience:
        rate = target.first_rate(opened.config.delivery.pace)
        report.seconds = max(0, report.requests - 1) / rate.per_second
        report.warnings.append(audience_warning(report))
    if blank := opened.source.blank_rows:
        report.warnings.append(f"{several(blank, 'row')} without any value left out")
    report.warnings[:0] = [*opened.notes, *insights(sample, opened.mapping)]
    report.warnings.extend(observers.sentences())
    if left := opened.source.last_rows:
        report.warnings.append(f"{several(left, 'last row')} left out ([input] skip_last)")
    if fit is not None:
        report.fit = fit.result
        report.warnings.extend(report.fit.sentences())
    if report.mostly_rejected:
        report.warnings.insert(0, report.mostly_rejected)
    return report


def _passing(planned: Iterator[Planned], on_piece: Callable[[Planned], None]) -> Iterator[Planned]:
    for piece in planned:
        on_piece(piece)
        yield piece


_Watch = Callable[[pl.DataFrame, pl.DataFrame], None]


def _each_of(*watches: _Watch | None) -> _Watch:
    def watch(frame: pl.DataFrame, planned: pl.DataFrame) -> None:
        for each in watches:
            if each is not None:
                each(frame, planned)

    return watch


def audience_warning(report: CheckReport | None = None) -> str:
    """Return what an audience beside recipients means for the time a send takes, with both estimates."""
    text = (
        "an audience beside recipients may have a limit for itself: sending begins at 250 requests a minute, until "
        "Braze reports more"
    )
    if report is None or report.requests < 2:
        return text
    worst = (report.requests - 1) / AUDIENCE_WORST_RATE.per_second
    return f"{text}. That takes about {duration(report.seconds)}, and at worst, at 10 a minute, {duration(worst)}"


def message_warnings(mapping: RecipientMapping, config: Config) -> list[str]:
    """Return warnings about what every request has in common, and about names."""
    found = list(unknown_words(config.message.audience))
    found += [
        f"attachment {item.file_name!r}: the name has an extension, which Braze takes from the URL: leave it out"
        for item in config.message.attachments
        if re.search(r"\.[A-Za-z0-9]{1,5}$", item.file_name)
    ]
    if config.is_canvas:
        names = dict.fromkeys([*config.message.trigger_properties, *(field.path[0] for field in mapping.properties)])
        found += [
            f"{mapping.properties_name} {name[:60]!r} is not a valid name of a Canvas variable: use up to 100 letters, "
            "digits and underscores"
            for name in names
            if not re.fullmatch(r"[A-Za-z0-9_]{1,100}", name)
        ]
    return found


def examine(
    planned: Iterable[Planned],
    mapping: RecipientMapping,
    config: Config,
    body: Callable[[bytes], bytes],
    on_rows: Callable[[int], None] | None = None,
    bodies: BodyDigest | None = None,
) -> CheckReport:
    """Report on a plan. ``body`` puts a request around recipients."""
    report = CheckReport(unused_columns=mapping.unused)
    for piece in planned:
        _count(report, piece)
        _places(report, piece)
        if piece.sizes:
            _sample(report, piece, body)
        if bodies is not None:
            bodies.add(Payload.of(piece.rows["recipient"]), piece.sizes)
        if on_rows is not None:
            on_rows(report.rows)
    report.seconds = max(0, report.requests - 1) / config.delivery.pace.per_second
    report.warnings = _warnings(report, mapping)
    report.bodies_sha256 = bodies.sha256 if bodies is not None else ""
    return report


def _count(report: CheckReport, piece: Planned) -> None:
    report.rows += len(piece.rows)
    report.requests += len(piece.sizes)
    for verdict, count in piece.rows["verdict"].value_counts().iter_rows():
        setattr(report, verdict, getattr(report, verdict) + count)
    valid = piece.rows.filter(verdict="valid")
    for kind, count in valid["identifier_type"].value_counts().iter_rows():
        report.identifiers[kind] = report.identifiers.get(kind, 0) + count
    broken = piece.rows.filter(pl.col("error_code").is_not_null())
    for (code,), rows in broken.group_by("error_code", maintain_order=True):
        reason = report.reasons.setdefault(str(code), {"count": 0, "examples": []})
        reason["count"] += len(rows)
        room = _EXAMPLES - len(reason["examples"])
        reason["examples"].extend(
            rows.head(room).select("row", "source", "source_row", "source_line", "identifier", "error").to_dicts()
        )


def _places(report: CheckReport, piece: Planned) -> None:
    room = _MOST_REJECTS - len(report.rejects)
    if room > 0 and len(piece.rejects):
        found = reject_reasons(piece.rows, piece.rejects).head(room)
        report.rejects.extend(Reject(*row) for row in found.iter_rows())


def _sample(report: CheckReport, piece: Planned, body: Callable[[bytes], bytes]) -> None:
    wanted = min(_EXAMPLES - len(report.samples), sum(piece.sizes))
    if not wanted:
        return
    payload = Payload.of(piece.rows["recipient"])
    if report.sample_request is None:
        first = body(payload.recipients(0, piece.sizes[0]))
        report.sample_request = json.loads(first)
        report.body_bytes = len(first)
    report.samples.extend(payload.recipient(slot) for slot in range(wanted))


def _warnings(report: CheckReport, mapping: RecipientMapping) -> list[str]:
    warnings = []
    if mapping.unused:
        named = ", ".join(repr(name) for name in mapping.unused[:10])
        more = f" and {len(mapping.unused) - 10} more" if len(mapping.unused) > 10 else ""
        warnings.append(f"columns that will not be sent: {named}{more}")
    grouped = mapping.subscription_groups or any(item.path[0] == "subscription_groups" for item in mapping.attributes)
    if grouped and mapping.properties_name != "trigger_properties":
        warnings.append("a Canvas does not change subscription_groups, unless Braze has allowed it for your company")
    if report.rows and not report.valid:
        warnings.append("no row could be sent")
    return warnings
