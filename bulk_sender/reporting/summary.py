"""The summary of a run: the six counts and the facts around them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from bulk_sender.config.amount import Amount

if TYPE_CHECKING:  # and imported below: the terminal needs only the summary
    from bulk_sender.journal.answers import Worker

State = Literal["finished", "stopped", "interrupted", "running"]


@dataclass(frozen=True, slots=True)
class BroadcastResult:
    """What happened to a broadcast's one request. The fields mean the same as in a row of the results."""

    status: str
    dispatch_id: str | None = None
    attempts: int = 0
    http_status: int | None = None
    error_code: str | None = None
    error: str | None = None
    sent_at: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """A run that waits for an answer to whether the rest follows its canary.

    ``rows``: the canary's. ``since``: when the canary had its outcome (UTC, ISO 8601). Runs of the first release have
    neither: 0, and empty.
    """

    rows: int
    since: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The content of ``summary.json``. The six counts always add up to ``rows``.

    ``elapsed_s``: seconds spent in all epochs of the run. ``recipients_per_s``: accepted per second.
    """

    run_id: str
    state: State
    rows: int
    accepted: int
    rejected: int
    duplicate: int
    failed: int
    unknown: int
    not_sent: int
    batches: int
    requests: int
    started_at: str | None
    finished_at: str | None
    elapsed_s: float
    recipients_per_s: float
    reason: str | None
    files: dict[str, str]
    held: Hold | None = None
    """Only while the run is held after its canary."""
    accepted_with_errors: int = 0
    """Accepted rows of requests that Braze accepted with errors that name no row."""
    signal: int = 0
    sent_again: int = 0
    """How many of the rejected rows another run has sent since, from a fixed ``rejected.csv``."""
    lost: Literal["", "journal", "taken_over"] = ""
    """How the process that sent has lost the run: its journal was deleted, moved or replaced, or another process has
    taken over. Then it wrote no files, and ``reason`` says what to do. Empty otherwise."""
    broadcast: BroadcastResult | None = None
    """Only for a broadcast, which has no rows, so that all counts are 0."""
    workers: tuple[Worker, ...] = ()
    """The processes that sent since somebody last started or resumed the run. Only with a journal in PostgreSQL."""
    epochs: int = 0
    """How many processes have had the run, from its start. Only with a journal in PostgreSQL."""
    later_rows_unread: bool = False
    """Whether the input is not read to its end, or not yet: ``rows`` does not count the rows after these."""

    def __post_init__(self) -> None:
        parts = self.accepted + self.rejected + self.duplicate + self.failed + self.unknown + self.not_sent
        if parts != self.rows:
            raise AssertionError(f"the six counts of run {self.run_id} add up to {parts}, not to {self.rows} rows")

    @property
    def rejects_file(self) -> str:
        """The file in which rejected rows are to be fixed: a workbook if the input was one; empty if unknown."""
        return self.files.get("rejected_xlsx") or self.files.get("rejected", "")

    @property
    def exit_code(self) -> int:
        """The exit code of the command: 0, 1, 3, 130 or 143."""
        if self.state == "interrupted":
            return 128 + (self.signal or 2)
        if self.state == "stopped":
            return 3
        unsettled = self.broadcast is not None and self.broadcast.status != "accepted"
        return 1 if unsettled or self.rejected or self.failed or self.unknown or self.not_sent else 0

    def code_tolerating(self, most: Amount | None) -> int:
        """Return the exit code of a caller to whom up to ``most`` rejected rows are no trouble; None: not one."""
        only_rejected = self.rejected and not (self.failed or self.unknown or self.not_sent)
        is_tolerated = most is not None and only_rejected and most.allows(self.rejected, self.rows)
        return 0 if self.exit_code == 1 and is_tolerated else self.exit_code

    @property
    def open_rows(self) -> int:
        """How many rows need attention or are still to be sent. A broadcast counts as one."""
        if self.broadcast is not None:
            return int(self.broadcast.status != "accepted")
        return self.unknown + self.failed + self.rejected - self.sent_again + self.not_sent

    def to_dict(self) -> dict[str, Any]:
        """Return the values as ``summary.json`` has them."""
        facts = asdict(self)
        facts["workers"] = list(facts["workers"])
        del facts["signal"]
        for name in ("broadcast", "held", "lost", "workers", "epochs", "later_rows_unread"):
            if not facts[name]:
                del facts[name]
        return facts


@dataclass(frozen=True, slots=True)
class RunOverview(Summary):
    """A run in the list of all runs: its summary, and what it sent where."""

    inputs: tuple[str, ...] = ()
    """The names of the input's files."""
    kind: str = "campaign"
    """``campaign`` or ``canvas``."""
    target: str = ""
    """The campaign's or Canvas' id."""
    endpoint: str = ""
    rehearsal: bool = False
    """Whether it went to the built-in sandbox."""
    is_gone: bool = False
    """Whether the run's folder is gone, so that only these figures are left."""
    pruned_at: str = ""
    """When the run's data was removed on purpose; empty while it is there."""

    @classmethod
    def of(cls, name: str, summary: dict[str, Any], *, started_at: str, **facts: Any) -> RunOverview:
        """Return the overview of a run. ``summary``: as ``Summary.to_dict`` has it; empty when nothing is known."""
        unknown: dict[str, Any] = dict.fromkeys(_COUNTS, 0) | {
            "run_id": name,
            "state": "running",
            "started_at": started_at,
            "finished_at": None,
            "elapsed_s": 0.0,
            "recipients_per_s": 0.0,
            "reason": None,
            "files": {},
        }
        told, held = summary.get("broadcast"), summary.get("held")
        known = {key: value for key, value in summary.items() if key in Summary.__dataclass_fields__}
        if known.pop("workers", ()):
            from bulk_sender.journal.answers import Worker

            known["workers"] = tuple(Worker(**each) for each in summary["workers"])
        known |= {"broadcast": BroadcastResult(**told) if told else None, "held": Hold(**held) if held else None}
        return cls(**(unknown | known), **facts)

    def to_dict(self) -> dict[str, Any]:
        """Return the values as ``runs --json`` has them."""
        return Summary.to_dict(self) | {"inputs": list(self.inputs)}


_COUNTS = ("rows", "accepted", "rejected", "duplicate", "failed", "unknown", "not_sent", "batches", "requests")
