"""Where a run sends its requests, and with which key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.config.model import BrazeConfig, MessageConfig
from bulk_sender.errors import BulkSenderError
from bulk_sender.http.credential import Credential
from bulk_sender.observe.events import log
from bulk_sender.run.options import Sandbox

if TYPE_CHECKING:
    from bulk_sender.sandbox import Sandbox as Server

SANDBOX_KEY = "sandbox-key"  # not a secret: the sandbox takes any key
SANDBOX_LEDGER = "sandbox.ndjson"
"""The file in a rehearsal's folder with what its sandbox accepted."""

MakeEndpoint = Callable[[BrazeConfig, MessageConfig], Endpoint]


def credential_for(sandbox: Sandbox | None, environment: Mapping[str, str]) -> Credential:
    """Return the key of the environment, or the sandbox's. Raises CredentialError when it is missing or malformed."""
    return Credential.from_environment(environment) if sandbox is None else Credential.check(SANDBOX_KEY)


@asynccontextmanager
async def place(
    braze: BrazeConfig, message: MessageConfig, sandbox: Sandbox | None, make: MakeEndpoint, folder: Path
) -> AsyncIterator[Endpoint]:
    """Yield where requests go: the configured endpoint, or a sandbox that lives as long as the block.

    ``folder``: the run's, where a sandbox keeps its ledger.
    """
    if sandbox is None:
        yield make(braze, message)
        return
    async with served(sandbox, folder) as server:
        yield make(braze.model_copy(update={"endpoint": server.url}), message)
    for complaint in server.ledger.complaints():
        log.warning("a real Braze would have done less than asked: %s", complaint)


@asynccontextmanager
async def served(sandbox: Sandbox, folder: Path) -> AsyncIterator[Server]:
    """Serve and yield the sandbox of a run. It remembers what it accepted from earlier processes of the run.

    Its ledger is a file, so that its memory does not grow with the run. Raises BulkSenderError if it is damaged.
    """
    from bulk_sender.sandbox import Sandbox as Server  # here, because only rehearsals need it

    ledger = folder / SANDBOX_LEDGER
    try:
        server = Server(weather=sandbox.weather, ledger_file=ledger, keep_recipients=False)
    except (OSError, ValueError) as error:
        raise BulkSenderError(
            f"what the sandbox accepted cannot be read from {ledger}: {getattr(error, 'strerror', None) or error}",
            hint="rehearse under another --run-id",
        ) from None
    async with server:
        yield server
