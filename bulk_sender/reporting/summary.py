"""The summary of a run: the six counts and the facts around them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

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
    broadcast: BroadcastResult | None = None
    """Only for a broadcast, which has no rows, so that all counts are 0."""

    def __post_init__(self) -> None:
        parts = self.accepted + self.rejected + self.duplicate + self.failed + self.unknown + self.not_sent
        if parts != self.rows:
            raise AssertionError(f"the six counts of run {self.run_id} add up to {parts}, not to {self.rows} rows")

    @property
    def exit_code(self) -> int:
        """The exit code of the command: 0, 1, 3, 130 or 143."""
        if self.state == "interrupted":
            return 128 + (self.signal or 2)
        if self.state == "stopped":
            return 3
        unsettled = self.broadcast is not None and self.broadcast.status != "accepted"
        return 1 if unsettled or self.rejected or self.failed or self.unknown or self.not_sent else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the values as ``summary.json`` has them."""
        facts = asdict(self)
        del facts["signal"]
        for name in ("broadcast", "held"):
            if facts[name] is None:
                del facts[name]
        return facts
