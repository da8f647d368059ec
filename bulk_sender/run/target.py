"""Where a run sends its requests, and with which key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.config.model import BrazeConfig, MessageConfig
from bulk_sender.http.credential import Credential
from bulk_sender.run.options import Sandbox

SANDBOX_KEY = "sandbox-key"  # not a secret: the sandbox takes any key

MakeEndpoint = Callable[[BrazeConfig, MessageConfig], Endpoint]


def credential_for(sandbox: Sandbox | None, environment: Mapping[str, str]) -> Credential:
    """Return the key of the environment, or the sandbox's. Raises CredentialError when it is missing or malformed."""
    return Credential.from_environment(environment) if sandbox is None else Credential.check(SANDBOX_KEY)


@asynccontextmanager
async def place(
    braze: BrazeConfig, message: MessageConfig, sandbox: Sandbox | None, make: MakeEndpoint
) -> AsyncIterator[Endpoint]:
    """Yield where requests go: the configured endpoint, or a sandbox that lives as long as the block."""
    if sandbox is None:
        yield make(braze, message)
        return
    from bulk_sender.sandbox import Sandbox as Server

    async with Server(weather=sandbox.weather) as server:
        yield make(braze.model_copy(update={"endpoint": server.url}), message)
