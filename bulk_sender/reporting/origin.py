"""How a run was started: what a command that sends in the same way has to repeat."""

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
    """``sandbox``: the run was a rehearsal with a simulated Braze, which is gone. ``given``: options and their values.

    ``given`` is None when no command can express them, for example when a program passed its configuration as a table.
    """

    sandbox: bool = False
    given: Mapping[str, str] | None = None

    @classmethod
    def of(cls, journal: RunReader) -> Self:
        return cls(bool(journal.facts().sandbox), journal.facts().given)

    @classmethod
    def behind(cls, about: Summary) -> Self:
        """Read the origin from the run's journal, if a command to be shown needs it: proving a large one takes time.

        A journal that cannot be read does not prevent showing the summary.
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
