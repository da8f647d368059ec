"""Session cookies: signed, for twelve hours. The server stores only which ones were ended before that."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

from bulk_sender.web.state import State

LASTS_S = 12 * 3600
_LONGEST = 4096
"""Characters of a Cookie header that are read."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Makes and checks the cookies of one page. ``is_https``: whether people reach it by https."""

    state: State
    port: int
    is_https: bool = False
    key: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.state.key())

    @property
    def name(self) -> str:
        """The cookie's name. Pages on other ports of this host have others, because cookies know no ports."""
        return f"__Host-bs_{self.port}" if self.is_https else f"bs_{self.port}"

    def begin(self) -> str:
        """Return a ``Set-Cookie`` header for a new session."""
        told = f"{int(time.time()) + LASTS_S}.{secrets.token_urlsafe(16)}"
        return self._set_cookie(f"{told}.{self._signature(told)}", LASTS_S)

    def end(self, cookies: str) -> str:
        """End the session in a ``Cookie`` header. Return a ``Set-Cookie`` header that removes it."""
        self.state.end_session(self._value(cookies), LASTS_S)
        return self._set_cookie("", 0)

    def is_open(self, cookies: str) -> bool:
        """Whether a ``Cookie`` header has a session of this page that has not ended."""
        value = self._value(cookies)
        told, _, signature = value.rpartition(".")
        if not hmac.compare_digest(self._signature(told).encode(), signature.encode("utf-8", "replace")):
            return False
        return int(told.partition(".")[0]) > time.time() and not self.state.has_ended(value)

    def _signature(self, told: str) -> str:
        signed = f"{self.name}.{told}".encode("utf-8", "replace")
        return hmac.new(self.key, signed, hashlib.sha256).hexdigest()

    def _value(self, cookies: str) -> str:
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(cookies[:_LONGEST])
        except CookieError:
            return ""
        return jar[self.name].value if self.name in jar else ""

    def _set_cookie(self, value: str, seconds: int) -> str:
        secure = "; Secure" if self.is_https else ""
        return f"{self.name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict{secure}"
