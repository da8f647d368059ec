"""Where a run is sent, and with which key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.config.model import Config
from bulk_sender.http.credential import Credential
from bulk_sender.run.settings import load_config

SANDBOX_KEY = "sandbox-key"  # no secret: the sandbox takes any key


def credential_for(weather: str, environment: Mapping[str, str]) -> Credential:
    """The key, in a ``weather`` the sandbox's. Raises CredentialError when there is none, or none that could be one."""
    return Credential.check(SANDBOX_KEY) if weather else Credential.from_environment(environment)


@asynccontextmanager
async def place(settings: Config, weather: str, make: Callable[[Config], Endpoint]) -> AsyncIterator[Endpoint]:
    """Where requests go: the configured endpoint or, in a ``weather``, a sandbox that lives as long as the block."""
    if not weather:
        yield make(settings)
        return
    from bulk_sender.sandbox import Sandbox

    async with Sandbox(weather=weather) as sandbox:
        yield make(load_config(settings, {"braze.endpoint": sandbox.url}))
