"""Bytes that no request had asked for: how to look for them, and what they are."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Protocol


class HasDescriptor(Protocol):
    def fileno(self) -> int: ...


def watch(socket: HasDescriptor) -> Callable[[], bool]:
    """Return a function that says whether the kernel has bytes, or an end, to read from an open socket.

    Not ``select``, which fails from descriptor 1024 on.
    """
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return lambda: bool(poll.poll(0))


def is_unasked(data: bytes) -> bool:
    """Whether bytes outside an answer are more than what servers send to end an idle connection.

    That is a 408, as some do before they close (RFC 9110, 15.5.9), or an empty line.
    """
    text = data.lstrip(b"\r\n")
    return bool(text) and not text.startswith((b"HTTP/1.1 408 ", b"HTTP/1.0 408 "))
