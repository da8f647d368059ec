"""What a run was started with: frozen in its journal, and compared whenever it is started again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bulk_sender._version import __version__
from bulk_sender.config.difference import differing_keys
from bulk_sender.config.model import Config
from bulk_sender.journal.sqlite.store import Journal, now
from bulk_sender.reading.source import FileIdentity
from bulk_sender.reporting.files import Format
from bulk_sender.run.folder import make_run_folder
from bulk_sender.run.options import Sandbox


@dataclass(frozen=True, slots=True)
class Facts:
    """What a run remembers of its start. The fields are the facts in its journal."""

    settings: dict[str, Any]
    config: str
    input: tuple[FileIdentity, ...]
    paths: tuple[str, ...]
    """Where the files are: an absolute path, or a path in the run's folder for a spooled file."""
    sandbox: str
    """The weather of the embedded sandbox, empty for a real send."""
    format: Format
    created_at: str
    broadcast: bool = False
    """Whether the run is one request to a segment or audience, without rows."""
    plan: str = ""
    """SHA-256 over all bodies of the run's plan file, empty without one."""
    given: dict[str, str] | None = None
    """The options of a command that sends the same, and their values; None when no command could."""
    tool: str = f"bulk-sender {__version__}"

    @classmethod
    def new(
        cls,
        config: Config,
        sandbox: Sandbox | None,
        *,
        files: Sequence[tuple[FileIdentity, str]] = (),
        format: Format = "csv",
        broadcast: bool = False,
        plan: str = "",
        given: dict[str, str] | None = None,
    ) -> Facts:
        """Return the facts of a run that starts now. ``files``: those of its input, with their paths."""
        return cls(
            settings=config.frozen_settings(),
            config=config.model_dump_json(exclude_unset=True),
            input=tuple(identity for identity, _ in files),
            paths=tuple(path for _, path in files),
            sandbox=sandbox.weather if sandbox is not None else "",
            format=format,
            created_at=now(),
            broadcast=broadcast,
            plan=plan,
            given=given,
        )

    @classmethod
    def of(cls, journal: Journal) -> Facts:
        """Read the facts of a run from its journal."""
        names = cls.__dataclass_fields__
        facts = {name: journal.fact(name) for name in names}
        facts["input"] = tuple(FileIdentity(**item) for item in facts["input"])
        facts["paths"] = tuple(facts["paths"])
        facts["broadcast"] = bool(facts["broadcast"])
        facts["plan"] = facts["plan"] or ""
        return cls(**facts)

    @property
    def rehearsal(self) -> Sandbox | None:
        """The sandbox that the run is sent to; None for a real send."""
        return Sandbox(weather=self.sandbox) if self.sandbox else None

    def located(self, folder: Path) -> list[tuple[FileIdentity, Path]]:
        """Return each file with its path, for a run in ``folder``."""
        return [(item, folder / path) for item, path in zip(self.input, self.paths, strict=True)]

    def revived(self) -> Config:
        """Return the configuration that the run was started with."""
        return Config.model_validate_json(self.config)

    def difference(self, other: Facts) -> list[str]:
        """Return which settings differ, by dotted name; ``input`` when the files do."""
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
    """Create a new run's folder and journal. Raises BulkSenderError when that is impossible."""
    make_run_folder(folder)
    return Journal.create(folder, asdict(facts))
