"""What a run was started with: frozen in its journal, and compared whenever it is started again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bulk_sender._version import __version__
from bulk_sender.config.difference import differing_keys
from bulk_sender.config.model import Config
from bulk_sender.journal.sqlite.store import Journal
from bulk_sender.reading.source import FileIdentity
from bulk_sender.reporting.files import Format
from bulk_sender.run.folder import make_run_folder


@dataclass(frozen=True, slots=True)
class Facts:
    """What a run remembers of how it was started; frozen in its journal."""

    settings: dict[str, Any]
    config: str
    input: tuple[FileIdentity, ...]
    paths: tuple[str, ...]
    """Where the files are: absolute, or within the run's folder what was spooled there."""
    sandbox: str
    """The weather of the embedded sandbox, empty for a real send."""
    format: Format
    created_at: str
    broadcast: bool = False
    """Whether the run is one request to a segment or audience, without rows."""
    plan: str = ""
    """The digest over all bodies that the run's plan file promised, empty when it was started without one."""
    given: dict[str, str] | None = None
    """The options of a command that sends the like, and their values; None when no command could say them."""
    tool: str = f"bulk-sender {__version__}"

    @classmethod
    def of(cls, journal: Journal) -> Facts:
        names = cls.__dataclass_fields__
        facts = {name: journal.fact(name) for name in names}
        facts["input"] = tuple(FileIdentity(**item) for item in facts["input"])
        facts["paths"] = tuple(facts["paths"])
        facts["broadcast"] = bool(facts["broadcast"])
        facts["plan"] = facts["plan"] or ""
        return cls(**facts)

    def located(self, folder: Path) -> list[tuple[FileIdentity, Path]]:
        """Each file with its place, for a run that lives in ``folder``."""
        return [(item, folder / path) for item, path in zip(self.input, self.paths, strict=True)]

    def revived(self) -> Config:
        """The configuration the run was started with."""
        return Config.model_validate_json(self.config)

    def difference(self, other: Facts) -> list[str]:
        """Which settings differ, by dotted name; ``input`` when the files do."""
        found = sorted(differing_keys(self.settings, other.settings))
        mine, theirs = ([item.sha256 for item in facts.input] for facts in (self, other))
        if mine != theirs:
            found.insert(0, "input")
        if bool(self.sandbox) != bool(other.sandbox):
            found.append("sandbox")
        if self.broadcast != other.broadcast:
            found.append("kind (a broadcast, or a send to recipients)")
        return found


def create(folder: Path, facts: Facts) -> Journal:
    """A new run's folder and journal. Raises BulkSenderError when the place can't be had."""
    make_run_folder(folder)
    return Journal.create(folder, asdict(facts))
