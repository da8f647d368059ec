"""What runs beside the sending of one process, for engines that start more processes of its run.

The process that leads the run starts the others and notices when one has died; each of the others says that it has
begun.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bulk_sender.errors import ConfigError
from bulk_sender.journal.store import Team


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that this process has begun to send."""

    run: str
    epoch: int
    team: Team

    def has_work(self) -> bool:
        """Whether another process would find something to do. Raises JournalError."""
        if self.team.stopped:
            return False
        left = self.team.left()
        return not left.is_none or left.held_back > 0 or not left.is_planned


class Beside(Protocol):
    """Awaited beside the sending, and cancelled when that has ended. What it raises is logged, and stops nothing."""

    async def __call__(self, begun: Begun) -> None: ...


def refuse_alone(name: str, team: Team | None) -> Team:
    """Return the team of a run. Raises ConfigError where only one process can have it."""
    if team is None:
        raise ConfigError(f"run {name!r} has its journal in a file, so no other process can send it", hint=IN_POSTGRES)
    return team


IN_POSTGRES = "keep the journal in PostgreSQL: set [scale] journal, or BULK_SENDER_JOURNAL"
