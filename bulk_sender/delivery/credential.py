"""The API key: from the environment or a private file, checked before any client is built, and kept out of text."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bulk_sender.errors import CredentialError

_SHAPE = re.compile(r"[A-Za-z0-9._~+/=-]{8,512}")
_HINT = "set BRAZE_API_KEY, or BRAZE_API_KEY_FILE to the path of a file that only you can read (chmod 600)"


@dataclass(frozen=True, slots=True)
class Credential:
    """A key that shows itself to nobody: ``repr`` and ``str`` are stars; only ``authorization`` has it."""

    _key: str

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    @property
    def authorization(self) -> str:
        return f"Bearer {self._key}"

    def scrub(self, text: str) -> str:
        """``text`` without the key, should a server have quoted it."""
        return text.replace(self._key, "***")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Credential:
        """Raises CredentialError when no key is set, or it can't be one. Never quotes what it found."""
        raw, origin = environment.get("BRAZE_API_KEY"), "BRAZE_API_KEY"
        if raw is None and (path := environment.get("BRAZE_API_KEY_FILE")):
            raw, origin = _read_private(Path(path)), f"BRAZE_API_KEY_FILE ({path})"
        if raw is None or not raw.strip():
            raise CredentialError("no API key is set", hint=_HINT)
        return cls.check(raw, origin)

    @classmethod
    def check(cls, raw: str, origin: str = "the key") -> Credential:
        key = raw.strip()
        if not _SHAPE.fullmatch(key):
            raise CredentialError(
                f"{origin} does not hold a key: it is too short, too long or has characters no key has",
                hint="copy the REST API key from Braze again; it is not shown here on purpose",
            )
        return cls(key)


def _read_private(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CredentialError(f"BRAZE_API_KEY_FILE: {path} can't be read: {error.strerror}", hint=_HINT) from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise CredentialError(f"BRAZE_API_KEY_FILE: {path} is not a regular file", hint=_HINT)
        if status.st_mode & 0o077:
            raise CredentialError(
                f"BRAZE_API_KEY_FILE: {path} can be read by others (mode {status.st_mode & 0o777:04o})",
                hint=f"chmod 600 {path}",
            )
        return file.read(4096).decode("utf-8", "replace")
