"""The rate of a workspace that several processes share: what the limiter needs of it.

``FileRate`` shares it between the processes of one machine, the journal's database between machines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol


class SharedRate(Protocol):
    """Turns of one workspace. Nothing here waits for a disk or a network on the event loop."""

    def is_due(self) -> bool:
        """Whether a turn is due now, so that ``take`` would return 0.0."""
        ...

    def take(self) -> float:
        """Take a turn. Return the seconds until it is due."""
        ...

    async def turn(self, held_s: Callable[[], float]) -> None:
        """Wait for a turn and take it. ``held_s``: the seconds for which other limits hold requests back now."""
        ...

    async def leave(self) -> None:
        """Wait, if needed, just before the request of a turn leaves."""
        ...

    def pause(self, seconds: float) -> None:
        """Make the whole workspace wait, as a server asked for."""
        ...

    def allowed(self, rate: float) -> None:
        """Note the rate, in requests a second, that the rest of the workspace's limit allows."""
        ...

    def close(self) -> None: ...


def workspace_of(endpoint: str, authorization: str) -> str:
    """Return a name for the workspace of an endpoint and a key.

    It is a short part of a digest, so the key cannot be recovered from it.
    """
    return hashlib.sha256(f"{endpoint}\n{authorization}".encode()).hexdigest()[:16]
