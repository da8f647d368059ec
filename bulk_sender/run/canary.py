"""A run's canary: what the journal says of it, and what is still to be asked."""

from __future__ import annotations

from dataclasses import dataclass

from bulk_sender.errors import GuardrailError
from bulk_sender.journal.answers import CanaryStory
from bulk_sender.journal.holds import was_approved_before
from bulk_sender.journal.store import RunReader


@dataclass(frozen=True, slots=True)
class Canary:
    """The canary of one process' share of a run.

    ``rows``: how many go first, None for no canary. ``story``: what the journal has of it, None for a new one.
    """

    rows: int | None = None
    story: CanaryStory | None = None

    @property
    def is_granted(self) -> bool:
        """Whether somebody has let the rest follow, so that nobody is asked again."""
        return self.story is not None and self.story.granted is not None

    @property
    def planned(self) -> int | None:
        """The row after which planning begins another batch; None without one."""
        return self.rows or None


NO_CANARY = Canary()


def canary_of(journal: RunReader, asked: int | None) -> Canary:
    """Return the canary that holds for the next process; ``asked``: the rows that its caller asks for.

    A canary that nobody has approved holds for every later process, however the one before ended. Raises
    GuardrailError for another one.
    """
    story = next(reversed(journal.canaries()), None)
    if story is None or was_approved_before(journal, story):
        return Canary(asked)
    if story.held_at == "":  # of the first release: this process records it again, to be answered
        return Canary(0)
    if story.granted is not None:
        return Canary(asked, story) if asked is None or asked <= story.rows else Canary(asked)
    if asked not in (None, story.rows):
        raise GuardrailError(
            f"run {journal.run.name!r} has a canary of {story.rows} rows that nobody has approved yet, not {asked}",
            hint=f"give --canary {story.rows}, or leave it out: the canary of the run holds until it is approved",
        )
    return Canary(story.rows, story)


def ramp_is_due(journal: RunReader) -> bool:
    """Whether the rest was approved, and no process since then has ended in order: so it has to start slowly."""
    story = next(reversed(journal.canaries()), None)
    if story is None or (answer := story.granted) is None:
        return False
    return all(epoch.state is None for epoch in journal.epochs() if epoch.id >= answer.epoch)


def held_after(rows: int) -> str:
    """Return why a held run has stopped."""
    return f"held after the first {'row' if rows == 1 else f'{rows} rows'}" if rows else "held after its canary"
