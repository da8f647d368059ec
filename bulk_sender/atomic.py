"""Files written whole or not at all: private, synced, renamed into place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from bulk_sender import failpoints
from bulk_sender.durable import sync_folder, sync_path
from bulk_sender.errors import BulkSenderError, ConfigError
from bulk_sender.text.clean import escaped


def taken(path: Path) -> ConfigError:
    """Return the refusal to write to ``path``, where there is a file that somebody may have changed."""
    return ConfigError(
        f"{path} already exists and is never overwritten", hint="choose another name, or move the file away"
    )


def create_private(path: Path) -> None:
    """Create an empty file that only this user can read, replacing whatever is there."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600))


def write_json(path: Path, facts: dict[str, Any]) -> None:
    """Write ``facts`` as JSON, whole or not at all. Raise BulkSenderError."""
    with replacing(path) as temporary:
        # A file name may hold bytes that are not text; their escapes are JSON, and the name can be read back.
        text = escaped(json.dumps(facts, ensure_ascii=False, indent=2)) + "\n"
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


class replacing:
    """A private temporary file that replaces ``path``, synced, when the block ends without an error.

    A symbolic link at ``path`` is replaced, not followed. Raise BulkSenderError when the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path.with_name(f".{path.name}.new")

    def __enter__(self) -> Path:
        failpoints.reach("before_results")
        self._try(lambda: create_private(self.temporary))
        return self.temporary

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is not None:
            with suppress(OSError):
                self.temporary.unlink()
            if isinstance(error, OSError | pl.exceptions.PolarsError):
                raise self._refusal(error) from None
            return
        try:
            self._try(self._publish)
        except BulkSenderError:
            self.temporary.unlink(missing_ok=True)
            raise

    def _publish(self) -> None:
        self.temporary.chmod(0o600)
        sync_path(self.temporary)
        failpoints.reach("before_rename")
        self.temporary.replace(self.path)
        failpoints.reach("after_rename")
        sync_folder(self.path.parent)

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            raise self._refusal(error) from None

    def _refusal(self, error: Exception) -> BulkSenderError:
        return BulkSenderError(
            f"{self.path} cannot be written: {error}",
            hint="free some space or fix the permissions; then bulk-sender export writes the results from the journal",
        )
