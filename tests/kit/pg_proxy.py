"""A way to a database that loses answers, cuts connections, or swallows everything."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Proxy:
    """Forwards connections from a port on loopback to another one.

    ``lose_answer(n)``: the n-th answer from now on is read from the database, and its connection is cut instead of
    passing it on: what was asked has happened, and nobody was told.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._flows = threading.Event()
        self._flows.set()
        self._ended = threading.Event()
        self._answers_left = 0
        self.lost = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._flows.set()
        self._listening.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def lose_answer(self, nth: int = 1) -> None:
        self.lost.clear()
        self._answers_left = nth

    def cut(self) -> None:
        """Cut all connections, as a firewall does with idle ones."""
        for pair in self._pairs:
            for each in pair:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """Take bytes from both sides and pass none on: a network that swallows packets."""
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def _accept(self) -> None:
        while not self._ended.is_set():
            if not select.select([self._listening], [], [], 0.1)[0]:
                continue
            with suppress(OSError):
                client, _ = self._listening.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._to), timeout=5)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                self._pairs.append((client, server))
                self._threads.append(threading.Thread(target=self._forward, args=(client, server), daemon=True))
                self._threads[-1].start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        has_asked = False
        with client, server, suppress(OSError):
            while not self._ended.is_set():
                for ready in select.select([client, server], [], [], 0.1)[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    self._flows.wait()
                    if ready is client:
                        has_asked = True
                    elif has_asked:
                        has_asked = False
                        if self._answers_left and not self._still_to_come():
                            self.lost.set()
                            return
                    (server if ready is client else client).sendall(data)

    def _still_to_come(self) -> bool:
        """Count an answer. Return False for the one that is lost."""
        self._answers_left -= 1
        return self._answers_left > 0
