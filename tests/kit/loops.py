"""The event loop that a test's ``kind`` asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import uvloop


@pytest.fixture(autouse=True)
def event_loop_of_kind(request: pytest.FixtureRequest) -> Iterator[None]:
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    if "uvloop" not in str(parameters.get("kind")):
        yield
        return
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    yield
    asyncio.set_event_loop_policy(None)
