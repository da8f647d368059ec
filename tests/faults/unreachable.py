"""Addresses without a server (F01 to F03). Each is reserved for as long as the ``with`` block lasts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def refusing_port() -> Iterator[str]:
    """The URL of a port that refuses every connection: bound, so that it stays free, but not listening."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{holder.getsockname()[1]}"


@contextmanager
def black_hole() -> Iterator[str]:
    """The URL of a port whose queue is full: connecting never ends, as Linux drops what comes."""
    with ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(16):
            filler = held.enter_context(socket.socket())
            filler.settimeout(0.1)
            try:
                filler.connect(listener.getsockname())
            except TimeoutError:
                break
        else:
            raise RuntimeError("the queue never filled")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def unresolvable() -> Iterator[str]:
    """A URL whose host has no address. No resolver is asked: ``.invalid`` fails in this process itself."""
    asked = socket.getaddrinfo

    def getaddrinfo(host: object, *rest: object, **more: object) -> object:
        if str(host).endswith(".invalid") or (isinstance(host, bytes) and host.endswith(b".invalid")):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return asked(host, *rest, **more)  # type: ignore[arg-type]

    socket.getaddrinfo = getaddrinfo  # type: ignore[assignment]
    try:
        yield "http://rest.example.invalid"
    finally:
        socket.getaddrinfo = asked
