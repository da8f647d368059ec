"""How a run was started, as far as a command that sends the like has to say it again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bulk_sender import journal as journals
from bulk_sender.errors import BulkSenderError
from bulk_sender.journal.store import RunReader, RunRef
from bulk_sender.reporting.summary import Summary


@dataclass(frozen=True, slots=True)
class Origin:
    """``sandbox``: it was a rehearsal, with a Braze inside its process, which is gone. ``given``: options and their
    values; None when no command could say them, as of a run whose program gave its configuration as a table.
    """

    sandbox: bool = False
    given: Mapping[str, str] | None = None

    @classmethod
    def of(cls, journal: RunReader) -> Self:
        return cls(bool(journal.facts().sandbox), journal.facts().given)

    @classmethod
    def behind(cls, about: Summary) -> Self:
        """Read from the run's journal, where a command to be shown may need it: proving a large one takes a moment.

        One that can't be read is no reason to say nothing of the run.
        """
        if not (about.rejected or about.unknown):
            return cls()
        folder = Path(about.files["journal"]).parent
        with suppress(BulkSenderError), journals.read(RunRef.at(folder)) as journal:
            return cls.of(journal)
        return cls()

    @property
    def options(self) -> list[str]:
        words = [word for option, value in (self.given or {}).items() for word in (option, value)]
        return [*words, "--sandbox"] if self.sandbox else words


UNKNOWN = Origin()
