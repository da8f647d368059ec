"""TLS modes of the fault server: one valid certificate, and failing handshakes (F04, F05, F25).

Certificates are made when first needed and live in memory; a test's client trusts them with
``server.client_context()`` or by writing ``server.ca_pem`` to a file.
"""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import trustme

from .wire import Wire

NO_APPLICATION_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"  # a fatal alert, as Go's and nginx's servers send it


@dataclass(frozen=True)
class Tls:
    """One way to meet a client hello. ``shake`` secures the wire, or ends it.

    ``unsent``: no request can ever leave. ``fatal``: trying again is pointless and would hide an attack.
    """

    name: str
    id: str
    unsent: bool
    fatal: bool
    shake: Callable[[Wire], object]


@functools.cache
def authority() -> trustme.CA:
    """The authority that the tests' clients trust."""
    return trustme.CA(organization_name="Fault server")


def client_context() -> ssl.SSLContext:
    """A strict client context that trusts the authority and nothing else."""
    # not create_default_context(): it loads the system's authorities first, which takes most of a test's time
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return context


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _with_leaf(leaf: trustme.LeafCert, *alpn: str) -> ssl.SSLContext:
    context = _server_context()
    leaf.configure_cert(context)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


@functools.cache
def _good() -> ssl.SSLContext:
    return _with_leaf(authority().issue_cert("127.0.0.1", "localhost"), "h2", "http/1.1")


@functools.cache
def _expired() -> ssl.SSLContext:
    now = datetime.now(UTC)
    leaf = authority().issue_cert("127.0.0.1", not_before=now - timedelta(days=30), not_after=now - timedelta(days=1))
    return _with_leaf(leaf)


@functools.cache
def _wrong_host() -> ssl.SSLContext:
    return _with_leaf(authority().issue_cert("rest.example.invalid"))


@functools.cache
def _unknown_authority() -> ssl.SSLContext:
    return _with_leaf(trustme.CA().issue_cert("127.0.0.1"))


@functools.cache
def _self_signed() -> ssl.SSLContext:
    # a root signs itself: served as if it were a server's own certificate
    root = trustme.CA()
    context = _server_context()
    with root.private_key_pem.tempfile() as key, root.cert_pem.tempfile() as certificate:
        context.load_cert_chain(certificate, key)
    return context


@functools.cache
def _h2() -> ssl.SSLContext:
    return _with_leaf(authority().issue_cert("127.0.0.1"), "h2")


def _presenting(context: Callable[[], ssl.SSLContext]) -> Callable[[Wire], object]:
    return lambda wire: wire.secure(context())


def _await_hello(wire: Wire) -> bytes:
    return wire.sock.recv(65536, socket.MSG_PEEK) if wire.arrived() else b""


def _reset(wire: Wire) -> None:
    _await_hello(wire)
    wire.reset()


def _finish(wire: Wire) -> None:
    _await_hello(wire)
    wire.finish()


def _silent(wire: Wire) -> None:
    wire.hang()
    wire.reset()


def _in_clear(wire: Wire) -> None:
    _await_hello(wire)
    wire.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    wire.finish()


def _h2_only(wire: Wire) -> None:
    # Python's server continues without a common protocol; a strict server sends an alert, which is simulated
    # here
    if b"\x02h2" in _await_hello(wire):
        wire.secure(_h2())
    else:
        wire.send(NO_APPLICATION_PROTOCOL)
        wire.finish()


TLS_MODES: dict[str, Tls] = {
    mode.name: mode
    for mode in (
        Tls("good", "", False, False, _presenting(_good)),
        Tls("expired", "F04", True, True, _presenting(_expired)),
        Tls("self_signed", "F04", True, True, _presenting(_self_signed)),
        Tls("unknown_authority", "F04", True, True, _presenting(_unknown_authority)),
        Tls("wrong_host", "F04", True, True, _presenting(_wrong_host)),
        Tls("reset_in_handshake", "F05", True, False, _reset),
        Tls("fin_in_handshake", "F05", True, False, _finish),
        Tls("silent_handshake", "F05", True, False, _silent),
        Tls("http_in_clear", "F26", True, False, _in_clear),
        Tls("h2_only", "F25", True, False, _h2_only),
    )
}
