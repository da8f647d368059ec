"""One accepted socket, plain or TLS, with the abrupt operations that faults need: reset, half-close, hang, drip.

Every wait ends when the server stops, so a test never hangs on a fault that hangs.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_PEER_LEFT = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


class PeerGone(Exception):
    """The client closed or reset the connection, the server stops, or patience ran out."""


class Wire:
    """``stop`` turns readable when the server stops; ``patience`` bounds each wait, in seconds."""

    sock: socket.socket

    def __init__(self, sock: socket.socket, stop: socket.socket, patience: float) -> None:
        self.sock = sock
        self.closed = False
        self._stop = stop
        self._patience = patience
        self._kept = b""
        sock.settimeout(patience)

    def secure(self, context: ssl.SSLContext) -> str | None:
        """Shake hands as a TLS server; the protocol agreed on (ALPN), or None. ``OSError`` when it fails."""
        if not self.arrived():
            raise PeerGone("no hello")
        # not in the constructor: the server must hold the new socket while the handshake may still block
        secured = context.wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False)
        self.sock = secured
        secured.do_handshake()
        return secured.selected_alpn_protocol()

    def arrived(self, seconds: float | None = None) -> bool:
        """Wait until a byte lies in the kernel's buffer, and read none.

        False when the client left, or after ``seconds``; ``PeerGone`` when the server stops.
        """
        if self._kept or self._pending():
            return True
        if not self._wait(select.POLLIN, seconds):
            return False
        try:
            # the base class: SSLSocket refuses to peek, and an encrypted byte tells as much as a plain one
            return socket.socket.recv(self.sock, 1, socket.MSG_PEEK) != b""
        except OSError:
            return False

    def receive(self, size: int) -> bytes:
        """At least one byte and at most ``size``; ``PeerGone`` at the end of the stream."""
        if self._kept:
            taken, self._kept = self._kept[:size], self._kept[size:]
            return taken
        return self._receive(size)

    def receive_until(self, mark: bytes, *, limit: int, greedy: bool) -> bytes:
        """All bytes up to and including ``mark``. Not ``greedy``: no byte behind the mark leaves the
        kernel.
        """
        got = b""
        while mark not in got:
            if len(got) > limit:
                raise PeerGone(f"no {mark!r} in {limit} bytes")
            got += self.receive(65536 if greedy else 1)
        whole, mark_found, behind = got.partition(mark)
        self._keep(behind)
        return whole + mark_found

    def send(self, data: bytes) -> None:
        """Send all of it; ``PeerGone`` when the client no longer listens."""
        self._guard()
        try:
            self.sock.sendall(data)
        except (OSError, ValueError) as error:
            raise PeerGone(str(error)) from error

    def hang(self, seconds: float | None = None) -> None:
        """Do nothing until ``seconds`` passed (default: patience).

        ``PeerGone`` when the client leaves earlier, or the server stops.
        """
        if self._wait(_PEER_LEFT, seconds):
            raise PeerGone("the client left")

    def reset(self) -> None:
        """Close with RST: what the kernel still holds, in both directions, is thrown away."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close()

    def close(self) -> None:
        """Close immediately without close_notify: FIN, or RST when the kernel has unread bytes."""
        self.closed = True
        self.sock.close()

    def finish(self, linger: float = 5.0) -> None:
        """Send FIN, then read and drop what still comes until the client closes: never turns into an RST."""
        with contextlib.suppress(OSError):
            # the base class: SSLSocket.shutdown() would forget the session while bytes are still coming
            socket.socket.shutdown(self.sock, socket.SHUT_WR)
        end = time.monotonic() + min(linger, self._patience)
        with contextlib.suppress(OSError, PeerGone):
            while (left := end - time.monotonic()) > 0 and self._wait(select.POLLIN, left):
                if not socket.socket.recv(self.sock, 65536):
                    break
        self.close()

    def goodbye(self) -> None:
        """End properly: send TLS close_notify where there is TLS, then FIN."""
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.settimeout(0.05)
            with contextlib.suppress(OSError, ValueError):
                self.sock.unwrap()
        self.finish(linger=0.2)

    # --- inside ---

    def _pending(self) -> bool:
        return isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0

    def _keep(self, data: bytes) -> None:
        self._kept = data + self._kept

    def _guard(self) -> None:
        if self.closed:
            raise PeerGone("closed")

    def _wait(self, what: int, seconds: float | None = None) -> bool:
        self._guard()
        wait = self._patience if seconds is None else min(seconds, self._patience)
        poll = select.poll()
        poll.register(self.sock, what)
        poll.register(self._stop, select.POLLIN)
        ready = dict(poll.poll(wait * 1000))
        if self._stop.fileno() in ready:
            raise PeerGone("the server stops")
        return bool(ready)

    def _receive(self, size: int) -> bytes:
        if not self._pending() and not self._wait(select.POLLIN):
            raise PeerGone("patience ran out")
        try:
            data = self.sock.recv(size)
        except (OSError, ValueError) as error:
            raise PeerGone(str(error)) from error
        if not data:
            raise PeerGone("end of stream")
        return data
