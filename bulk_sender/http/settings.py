"""Settings of the HTTP client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """How one request travels."""

    timeout_s: float = 60.0
    """For a whole request, connecting included."""
    transport: Literal["auto", "httpx", "wire"] = "auto"
    """``auto``: the faster one of the extra ``fast`` where it is installed."""
    ca_bundle: str | None = None
    """A PEM file to trust instead of certifi's bundle."""
    proxy: str | None = None
    keepalive: bool = True
    """False: a fresh connection for every request."""
