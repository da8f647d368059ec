"""Fault server: plain sockets and a thread for each connection, so that no framework hides a fault."""

from __future__ import annotations

import contextlib
import heapq
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from .fault import Turn
from .ledger import Ledger
from .script import Plan, script_of
from .tls import TLS_MODES, Tls, authority, client_context
from .wire import PeerGone, Wire


class FaultServer:
    """A server that runs a script on 127.0.0.1 during a ``with`` block.

    ``tls`` is None or a name in ``TLS_MODES``. ``ledger_file`` gets one line per accepted request (None:
    memory only), synced with ``fsync``. ``port`` 0 takes a free one. ``patience`` bounds every single wait
    of the server and ``idle`` the wait for the next request of a connection, in seconds. ``receive_buffer``
    sets ``SO_RCVBUF``, in bytes, so that smaller requests get stuck. A bug in a fault fails the test when
    the ``with`` ends.
    """

    def __init__(
        self,
        script: Plan = "ok",
        tls: str | None = None,
        ledger_file: Path | None = None,
        port: int = 0,
        *,
        fsync: bool = False,
        patience: float = 30.0,
        idle: float | None = None,
        receive_buffer: int | None = None,
    ) -> None:
        self.script = script_of(script)
        self.tls: Tls | None = None if tls is None else TLS_MODES[tls]
        self.port = port
        self.errors: list[BaseException] = []
        self.ledger = Ledger(ledger_file, script=self.script.name, fsync=fsync)
        self._patience = patience
        self._idle = idle
        self._receive_buffer = receive_buffer
        self._lock = threading.Lock()
        self._given_back: list[int] = []
        self._last_index = 0
        self._last_connection = 0
        self._open: dict[int, Wire] = {}
        self._threads: list[threading.Thread] = []
        self._holder: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._stop_reader: socket.socket
        self._stop_writer: socket.socket

    @property
    def url(self) -> str:
        """Scheme, host and port, without a slash at the end."""
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def ca_pem(self) -> bytes:
        """The authority's certificate, to be trusted by a client."""
        return authority().cert_pem.bytes()

    def client_context(self) -> ssl.SSLContext:
        """A client's TLS context that trusts the authority and nothing else."""
        return client_context()

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self.errors and error is None:
            raise BaseExceptionGroup("the fault server broke down", self.errors)
        if self.errors and error is not None:
            error.add_note(f"the fault server broke down as well: {self.errors!r}")

    def listen(self) -> None:
        """Take connections; also again after ``go_dark``, on the same port."""
        listener = self._holder = self._holder or self._bound()
        listener.listen(256)
        self.port = listener.getsockname()[1]
        self._stop_reader, self._stop_writer = socket.socketpair()
        self._acceptor = self._thread(self._accept_connections, listener, self._stop_reader)

    def go_dark(self) -> None:
        """Simulate a network outage (F27): reset open connections and refuse new ones until ``listen``."""
        self._end_everything()
        self._holder = self._bound()  # keeps the port, and refuses, as it does not listen

    def close(self) -> None:
        """Stop immediately and end every waiting fault. Raise if a thread takes more than five seconds."""
        self._end_everything()
        if self._holder is not None:
            self._holder.close()
            self._holder = None
        self.ledger.close()

    # --- inside ---

    def _bound(self) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        sock.bind(("127.0.0.1", self.port))
        return sock

    def _end_everything(self) -> None:
        # each thread closes its socket; closed from here, a poll would continue with a descriptor that the
        # next socket reuses
        if self._acceptor is None:
            return
        self._stop_writer.send(b"x")
        self._acceptor.join(5.0)
        with self._lock:
            wires, threads = list(self._open.values()), [self._acceptor, *self._threads]
        _join(threads, 0.5)
        for wire in wires:  # those still here are stuck in sending
            with contextlib.suppress(OSError):
                # the base class, as SSLSocket would pull its session away from under the thread
                socket.socket.shutdown(wire.sock, socket.SHUT_RDWR)
        _join(threads, 5.0)
        alive = [thread.name for thread in threads if thread.is_alive()]
        if alive:
            raise RuntimeError(f"the fault server's threads hang: {alive}")
        self._acceptor = self._holder = None
        self._stop_reader.close()
        self._stop_writer.close()

    def _thread(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        def run() -> None:
            try:
                target(*arguments)
            except BaseException as error:
                self.errors.append(error)

        thread = threading.Thread(target=run, daemon=True, name=f"fault-server{target.__name__}")
        thread.start()
        return thread

    def _accept_connections(self, listener: socket.socket, stop: socket.socket) -> None:
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(stop, select.POLLIN)
        while stop.fileno() not in dict(poll.poll()):
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._threads = [thread for thread in self._threads if thread.is_alive()]
                self._threads.append(self._thread(self._serve, sock, stop))
        listener.close()

    def _serve(self, sock: socket.socket, stop: socket.socket) -> None:
        with self._lock:
            self._last_connection += 1
            number = self._last_connection
            wire = self._open[number] = Wire(sock, stop, self._patience)
        self.ledger.opened(number)
        try:
            if self.tls is None or self._secured(wire, number, self.tls):
                self._take_turns(wire, number)
        finally:
            with self._lock:
                del self._open[number]
            wire.close()
            self.ledger.opened(number, closed=True)

    def _secured(self, wire: Wire, number: int, tls: Tls) -> bool:
        try:
            tls.shake(wire)
        except (OSError, PeerGone) as error:
            self.ledger.opened(number, handshake=f"failed: {error}")
            return False
        if wire.closed or not isinstance(wire.sock, ssl.SSLSocket):
            self.ledger.opened(number, handshake=f"ended: {tls.name}")
            return False
        alpn = wire.sock.selected_alpn_protocol()
        self.ledger.opened(number, handshake="done", alpn=alpn)
        return alpn != "h2"  # a client that agrees to HTTP/2 is a test failure, so do not serve it

    def _take_turns(self, wire: Wire, number: int) -> None:
        nth = 0
        try:
            while nth == 0 or wire.arrived(self._idle):
                nth += 1
                if not self._take_turn(wire, number, nth):
                    break
            if not wire.closed:
                wire.goodbye()
        except PeerGone:
            wire.reset()

    def _take_turn(self, wire: Wire, number: int, nth: int) -> bool:
        index = self._next_index()
        turn = Turn(wire, self.ledger, index=index, connection=number, nth=nth)
        try:
            fault = self.script(turn)
            turn.fault = fault.name
            if turn.begun:  # the script read some of it before it could name the fault
                turn.note(fault=fault.name)
            fault.play(turn)
        finally:
            if not turn.begun:
                self._give_back(index)
        return turn.keep_alive and not wire.closed

    def _next_index(self) -> int:
        # a connection without a request returns its number, so that "the third request" stays correct
        with self._lock:
            if self._given_back:
                return heapq.heappop(self._given_back)
            self._last_index += 1
            return self._last_index

    def _give_back(self, index: int) -> None:
        with self._lock:
            heapq.heappush(self._given_back, index)


def _join(threads: Iterable[threading.Thread], seconds: float) -> None:
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
