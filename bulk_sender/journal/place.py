"""Where the journals of a folder's runs are: in the folders of the runs, or in a PostgreSQL database.

The environment names a database for every folder. A configuration names it for the folder of its runs, which remembers
it in ``journal.toml``, so that later commands find the journals without the configuration.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from bulk_sender.config.database import (
    DEFAULT_SCHEMA,
    DEFAULT_TTL_S,
    is_address,
    is_schema_name,
    without_password,
)
from bulk_sender.config.defaults import ANOTHER_RUNS_DIR
from bulk_sender.durable import make_folders, sync_folder, sync_path
from bulk_sender.errors import ConfigError, JournalError

VARIABLE = "BULK_SENDER_JOURNAL"
SCHEMA_VARIABLE = "BULK_SENDER_JOURNAL_SCHEMA"
POINTER = "journal.toml"
"""The file that says where a journal is. It holds no password."""


@dataclass(frozen=True, slots=True)
class Place:
    """A database with journals. ``ttl_s``: after so long without a beat, the process of a run counts as dead."""

    address: str = field(repr=False)
    """As libpq takes it; it may hold a password, so it is never shown."""
    schema: str = DEFAULT_SCHEMA
    ttl_s: float = DEFAULT_TTL_S
    store: str = ""
    """Where the rows of new runs lie; empty for the database."""

    def __str__(self) -> str:
        return without_password(self.address)

    def pointer(self) -> str:
        """Return the text of a file that says where journals are."""
        store = f"store = {json.dumps(self.store)}\n" if self.store else ""
        return (
            "# The journals of these runs are in PostgreSQL. A password is never stored here.\n"
            f"journal = {json.dumps(str(self))}\nschema = {json.dumps(self.schema)}\nttl = {self.ttl_s!r}\n{store}"
        )


def place_of(runs_dir: Path, wanted: str | None = None, schema: str = DEFAULT_SCHEMA) -> Place | None:
    """Return the database of a folder's journals; None when each is in its run's folder. Raises ConfigError.

    ``wanted`` and ``schema``: what a configuration says that the folder does not know yet.
    """
    noted = _noted(runs_dir) if wanted is None else Place(wanted, schema)
    given = os.environ.get(VARIABLE, "")
    if not given:
        return noted
    if not is_address(given):
        raise ConfigError(
            f"{VARIABLE} is not a valid address: it has to begin with postgresql:",
            hint=f"for example {VARIABLE}=postgresql://user@host/database, or postgresql: with PGHOST and the like",
        )
    schema = os.environ.get(SCHEMA_VARIABLE, "") or (noted.schema if noted else DEFAULT_SCHEMA)
    if not is_schema_name(schema):
        raise ConfigError(f"{SCHEMA_VARIABLE}: {schema!r} is not a name of a schema", hint="use a-z, 0-9 and _")
    _refuse_mixing(runs_dir)
    return replace(noted, address=given, schema=schema) if noted else Place(given, schema)


def keep_in(runs_dir: Path, place: Place) -> None:
    """Remember that the journals of this folder's runs are in a database. Raises ConfigError, JournalError.

    A folder keeps all its journals in one place, and so knows of each input whether it was sent before.
    """
    noted = _noted(runs_dir)
    if noted is None:
        _refuse_mixing(runs_dir)
    elif (str(noted), noted.schema) != (str(place), place.schema):
        raise ConfigError(
            f"the journals of the runs in {runs_dir} are in {noted}, schema {noted.schema}, not in {place}, schema "
            f"{place.schema}",
            hint=f"keep the journal that the folder has, or {ANOTHER_RUNS_DIR}",
        )
    if noted != place:
        write_pointer(runs_dir, place)


def write_pointer(folder: Path, place: Place) -> None:
    """Write into a folder where its journals are. Raises JournalError."""
    try:
        make_folders(folder)
        temporary = folder / f".{POINTER}.new"
        temporary.unlink(missing_ok=True)
        with open(temporary, "x", encoding="utf-8", opener=_private) as file:
            file.write(place.pointer())
        sync_path(temporary)
        temporary.replace(folder / POINTER)
        sync_folder(folder)
    except OSError as error:
        raise JournalError(f"{folder / POINTER} cannot be written: {error.strerror or error}") from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _noted(runs_dir: Path) -> Place | None:
    path = runs_dir / POINTER
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    import tomllib

    try:
        found = tomllib.loads(text)
        place = Place(str(found["journal"]), str(found["schema"]), float(found["ttl"]), str(found.get("store", "")))
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from None
    if not is_address(place.address) or not is_schema_name(place.schema):
        raise ConfigError(f"{path} does not name a journal in PostgreSQL", hint=f"name it with {VARIABLE}")
    return place


def _unreadable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"{path}, which says where the journals of these runs are, cannot be read ({type(error).__name__})",
        hint=f"restore it, or name the journal with {VARIABLE}",
    )


def _refuse_mixing(runs_dir: Path) -> None:
    if (runs_dir / "index.sqlite").is_file():
        raise ConfigError(
            f"the runs in {runs_dir} have their journals in their folders, and this command wants one in PostgreSQL",
            hint=f"leave out the journal ({VARIABLE}, or journal in [scale]) for these runs, or {ANOTHER_RUNS_DIR}",
        )
