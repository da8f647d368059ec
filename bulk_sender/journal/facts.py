"""The frozen facts of a run: how it was started.

They are stored with the journal and compared when the same run is started again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bulk_sender._version import __version__
from bulk_sender.config.difference import differing_keys
from bulk_sender.reading.layout import Layout

if TYPE_CHECKING:  # and imported in the methods below: shell completion must not load pydantic and polars
    from bulk_sender.config.model import Config
    from bulk_sender.reading.identity import FileIdentity

_FIRST_RELEASE: dict[str, dict[str, Any]] = {
    "braze": {"canvas_properties_name": "canvas_entry_properties"},
    "delivery": {"max_body_kb": 256},
    "input": {"liquid": "allow", "trim": False},
}
"""Settings that decide the requests and whose defaults have changed, with what they were before."""

Format = Literal["csv", "parquet", "ndjson", "xlsx"]
"""The format of a run's results file."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a run remembers of how it was started."""

    settings: dict[str, Any]
    config: str
    input: tuple[FileIdentity, ...]
    paths: tuple[str, ...]
    """Where the files are: absolute, or for spooled input within the run's folder."""
    sandbox: str
    """The weather of the embedded sandbox, empty for a real send."""
    format: Format
    created_at: str
    broadcast: bool = False
    """Whether the run is one request to a segment or audience, without rows."""
    exclude: tuple[str, ...] = ()
    """The runs and files whose people the caller left out."""
    left_out: tuple[str, ...] = ()
    """Why people were left out, for each list of them in the run's folder."""
    parents: tuple[str, ...] = ()
    """The runs whose rejected rows this one sends again."""
    plan: str = ""
    """The digest over all bodies from the run's plan file, empty when it was started without one."""
    given: dict[str, str] | None = None
    """The options of a command that sends the same way; None when no command can express them."""
    target_name: str = ""
    """The campaign's or Canvas' name when the run began; empty when Braze did not say."""
    layout: Layout | None = None
    """How the first file of the input is written, if that is a CSV or a workbook."""
    tool: str = f"bulk-sender {__version__}"

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Facts:
        """Return the facts from their stored form. An earlier release did not store all of them."""
        from bulk_sender.reading.identity import FileIdentity

        found = {name: stored[name] for name in cls.__dataclass_fields__ if stored.get(name) is not None}
        found["input"] = tuple(FileIdentity(**item) for item in found["input"])
        found |= {name: tuple(found.get(name, ())) for name in ("paths", "exclude", "left_out", "parents")}
        if "layout" in found:
            found["layout"] = Layout(**found["layout"])
        for table, keys in _FIRST_RELEASE.items():
            found["settings"][table] = keys | found["settings"].get(table, {})
        return cls(**found)

    def stored(self) -> dict[str, Any]:
        """Return the facts as values that JSON can hold."""
        return asdict(self)

    def located(self, folder: Path) -> list[tuple[FileIdentity, Path]]:
        """Return each file with its path, for a run in ``folder``."""
        return [(item, folder / path) for item, path in zip(self.input, self.paths, strict=True)]

    def revived(self) -> Config:
        """Return the configuration that the run was started with, also if defaults have changed since."""
        from bulk_sender.config.model import Config

        written = json.loads(self.config)
        for table, keys in _FIRST_RELEASE.items():
            settings = self.settings.get(table, {})
            written[table] = {name: settings[name] for name in keys if name in settings} | written.get(table, {})
        if (proxy := written.get("braze", {}).get("proxy")) and "@" in proxy:
            # An earlier release stored a proxy's password. It is not used, so that it is not shown either.
            scheme, separator, rest = proxy.rpartition("://")
            written["braze"]["proxy"] = scheme + separator + rest.rpartition("@")[2]
        return Config.model_validate_json(json.dumps(written))

    def difference(self, other: Facts) -> list[str]:
        """Return the dotted names of the settings that differ; ``input`` when the files do."""
        found = sorted(differing_keys(self.settings, other.settings))
        mine, theirs = ([item.sha256 for item in facts.input] for facts in (self, other))
        if mine != theirs:
            found.insert(0, "input")
        if self.exclude != other.exclude:
            found.append("exclude")
        if bool(self.sandbox) != bool(other.sandbox):
            found.append("sandbox")
        if self.broadcast != other.broadcast:
            found.append("kind (a broadcast, or a send to recipients)")
        return found
