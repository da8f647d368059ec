"""The API key: read from the environment or a private file, checked before use, and kept out of all text."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from bulk_sender.config.loading import PROXY
from bulk_sender.errors import CredentialError
from bulk_sender.http.settings import HttpSettings

_SHAPE = re.compile(r"[A-Za-z0-9._~+/=-]{8,512}")
_BRAZE = re.compile(r"(?i)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
"""The form of every REST API key that Braze shows."""
_HINT = "set BRAZE_API_KEY, or BRAZE_API_KEY_FILE to the path of a file that only you can read (chmod 600)"


@dataclass(frozen=True, slots=True)
class Credential:
    """A key that is never shown: ``repr`` and ``str`` are stars; only ``authorization`` contains it."""

    _key: str
    _proxy: str = ""
    """The address of a proxy, with its user and password."""

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    @property
    def authorization(self) -> str:
        return f"Bearer {self._key}"

    def routed(self, settings: HttpSettings) -> HttpSettings:
        """Return the settings with the proxy of the environment, if one is set there."""
        return replace(settings, proxy=self._proxy) if self._proxy else settings

    @property
    def warning(self) -> str:
        """What is unusual about the key's form; empty for a key like those that Braze makes."""
        if _BRAZE.fullmatch(self._key):
            return ""
        return (
            "the API key does not have the form of a Braze REST API key (8-4-4-4-12 hexadecimal digits). "
            "Is it the whole key, and not the key of an app?"
        )

    def scrub(self, text: str) -> str:
        """Return ``text`` without the key, in case a server quoted it."""
        return text.replace(self._key, "***")

    def scrub_json(self, body: bytes) -> bytes:
        """Return an answer's body without the key, even where JSON escapes it (``\\/``, ``\\u002f``)."""
        if b"\\" in body:
            try:
                plain = json.dumps(json.loads(body.decode())).encode()
            except (ValueError, RecursionError):
                plain = b""
            if self._key.encode() in plain:
                body = plain
        return body.replace(self._key.encode(), b"***")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key must not be pickled")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Credential:
        """Return the key. Raise CredentialError when none is set, or it is malformed. Never quote what was found."""
        raw, origin = environment.get("BRAZE_API_KEY", ""), "BRAZE_API_KEY"
        if not raw.strip() and (path := environment.get("BRAZE_API_KEY_FILE")):
            raw, origin = _read_private(Path(path)), f"BRAZE_API_KEY_FILE ({path})"
        if not raw.strip():
            raise CredentialError("no API key is set", hint=_HINT)
        return replace(cls.check(raw, origin), _proxy=_proxy_of(environment))

    @classmethod
    def check(cls, raw: str, origin: str = "the key") -> Credential:
        key = raw.strip()
        if not _SHAPE.fullmatch(key):
            raise CredentialError(
                f"{origin} does not contain a valid key: it {_fault(key)}",
                hint="copy the REST API key from Braze again (it is not shown here on purpose)",
            )
        return cls(key)


def _proxy_of(environment: Mapping[str, str]) -> str:
    """Return the proxy of the environment, empty without one. Raise CredentialError, and never quote what was found."""
    address = environment.get(PROXY, "").strip()
    try:
        parts = urlsplit(address)
        is_sound = not address or (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
    except ValueError:
        is_sound = False
    if not is_sound:
        raise CredentialError(
            f"{PROXY} is not the address of a proxy", hint="write http://USER:PASSWORD@HOST:PORT (it is not shown here)"
        )
    return address


def _fault(key: str) -> str:
    """Return why a key can be no header, or would certainly be refused. Never quote it."""
    if key[:6].lower() == "bearer" and key[6:7] in (" ", "\t", ":"):
        return 'begins with "Bearer", which is added by this program'
    if key[:1] in "\"'`“”‘’«»" or key[-1:] in "\"'`“”‘’«»":
        return "has quotation marks around it: set it without them"
    if "\n" in key or "\r" in key:
        return "has more than one line"
    if any(character.isspace() for character in key):
        return "has a space in it"
    if not key.isascii() or not key.isprintable():
        return "has a character that no key has, perhaps an invisible one from a web page"
    if len(key) < 8:
        return "is too short"
    return "is too long" if len(key) > 512 else "has invalid characters"


def _read_private(path: Path) -> str:
    try:
        # not blocking: a pipe without a writer would hang the program
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a valid path"
        raise CredentialError(f"BRAZE_API_KEY_FILE: cannot read {path}: {why}", hint=_HINT) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise CredentialError(f"BRAZE_API_KEY_FILE: {path} is not a regular file", hint=_HINT)
        # A file that root gives to a service's group (a Kubernetes Secret, a systemd credential) is private, too.
        allowed = 0o040 if status.st_uid == 0 != os.geteuid() else 0
        if status.st_mode & 0o077 & ~allowed:
            raise CredentialError(
                f"BRAZE_API_KEY_FILE: {path} can be read by others (mode {status.st_mode & 0o777:04o})",
                hint=f"chmod 600 {path}",
            )
        return os.read(descriptor, 4096).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
