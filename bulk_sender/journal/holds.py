"""Whether a run is held after its canary, as its records tell."""

from __future__ import annotations

from bulk_sender.journal.answers import CanaryStory
from bulk_sender.journal.store import RunReader


def was_approved_before(journal: RunReader, story: CanaryStory) -> bool:
    """Return whether the first release has resumed the held run: that was its approval, and it stored nothing of it."""
    return story.held_at == "" and journal.epochs()[-1].id > story.id


def hold_of(journal: RunReader) -> CanaryStory | None:
    """Return the canary after which the run is held now; None when it is not held."""
    story = next(reversed(journal.canaries()), None)
    if story is None or story.held_at is None or story.granted is not None or was_approved_before(journal, story):
        return None
    return story
