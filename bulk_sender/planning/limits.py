"""Limits on what a run may contain, checked before its first request. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bulk_sender.config.amount import Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a run may contain; None: no limit. A limit on the command line wins over one of the configuration."""

    min_recipients: int | None = None
    max_recipients: int | None = None
    max_rejected: Amount | None = None

    def __bool__(self) -> bool:
        return (self.min_recipients, self.max_recipients, self.max_rejected) != (None, None, None)

    def refusal(self, rows: int, valid: int, rejected: int) -> str:
        """Return why these counts are refused; empty when they are not."""
        if self.max_recipients is not None and valid > self.max_recipients:
            return f"{valid} recipients are more than --max-recipients {self.max_recipients}"
        if self.min_recipients is not None and valid < self.min_recipients:
            return f"{valid} recipients are fewer than --min-recipients {self.min_recipients}"
        if self.max_rejected is not None and not self.max_rejected.allows(rejected, rows):
            share = f" ({100 * rejected / rows:.1f}%)" if rows else ""
            return f"{rejected} of {rows} rows{share} are rejected, more than --max-rejected {self.max_rejected} allows"
        return ""


REFUSED_HINT = "check the file; if it is right, change the limit, which is an option or a key of [guard]"
