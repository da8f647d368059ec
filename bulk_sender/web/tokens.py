"""Tokens for programs that use the HTTP API. Of a token only its digest is stored, and it ends by itself.

A token can look or prepare. Approving, deciding about rows and seeing personal data are for people in a browser.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from bulk_sender.errors import BulkSenderError, ConfigError
from bulk_sender.web.roles import Person, Role

DEFAULT_DAYS = 90
MOST_DAYS = 366
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PREFIX = "bst_"
"""So that a search for secrets finds one that was committed somewhere."""
_DAY_S = 86400

TokenRole = Literal["look", "prepare"]
_ROLES: dict[TokenRole, frozenset[Role]] = {
    "look": frozenset({Role.LOOK}),
    "prepare": frozenset({Role.LOOK, Role.PREPARE}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token. ``made_at`` and ``ends_at``: seconds since 1970."""

    name: str
    role: TokenRole
    made_at: float
    ends_at: float

    @classmethod
    def of(cls, told: dict[str, str | float]) -> Self:
        role = told["role"]
        if role not in _ROLES:
            raise ValueError(role)
        return cls(name=str(told["name"]), role=role, made_at=float(told["made_at"]), ends_at=float(told["ends_at"]))

    @property
    def has_ended(self) -> bool:
        return time.time() >= self.ends_at


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one page, each a private file that is named by the token's digest."""

    folder: Path

    def make(self, name: str, role: TokenRole, days: int = DEFAULT_DAYS) -> str:
        """Return a new token of 256 bits. Raises ConfigError when the name is taken or wrong, or ``days`` is."""
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} is not a name of a token", hint="use up to 64 letters, digits and . _ -, with a letter first"
            )
        if not 1 <= days <= MOST_DAYS:
            raise ConfigError(f"a token lasts from 1 to {MOST_DAYS} days, not {days}")
        if any(each.name == name for each in self.all()):
            raise ConfigError(f"there is a token {name!r} already", hint="choose another name, or revoke it first")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        token, now = _PREFIX + secrets.token_urlsafe(32), time.time()
        told = {"name": name, "role": role, "made_at": now, "ends_at": now + days * _DAY_S}
        descriptor = os.open(self.folder / _digest(token), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(told, file)
            file.flush()
            os.fsync(file.fileno())
        return token

    def all(self) -> list[Token]:
        """Return the tokens that have not ended, by name. Those that have are deleted."""
        return sorted((token for _, token in self._all()), key=lambda token: token.name)

    def revoke(self, name: str) -> None:
        """End a token now. Raises BulkSenderError if there is none of that name."""
        found = [path for path, token in self._all() if token.name == name]
        if not found:
            raise BulkSenderError(f"there is no token {name!r}", hint="bulk-sender web token --list shows all")
        for path in found:
            path.unlink(missing_ok=True)

    def person(self, token: str) -> Person | None:
        """Return who uses a token; None if it is not one of this page, or has ended."""
        if len(token) > 200:
            return None
        found = _read(self.folder / _digest(token))
        if found is None or found.has_ended:
            return None
        return Person(f"token {found.name}", _ROLES[found.role])

    def _all(self) -> Iterator[tuple[Path, Token]]:
        if not self.folder.is_dir():
            return
        for path in sorted(self.folder.iterdir()):
            token = _read(path)
            if token is None or token.has_ended:
                path.unlink(missing_ok=True)
            else:
                yield path, token


def _read(path: Path) -> Token | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return Token.of(json.loads(path.read_text(encoding="utf-8")))
    return None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
