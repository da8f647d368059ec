"""Faults of the connection and the wire (F08 to F28): what happens to the bytes, whatever they contain.

Each is played on the raw socket. ``seconds`` and ``delay`` are in seconds and meant to be set from the test
with ``Fault.using``: just over the client's own deadline is long enough.
"""

from __future__ import annotations

from .answer import http_answer, success
from .fault import Turn, fault
from .wire import PeerGone

# --- before the request is read -------------------------------------------------------------------


@fault("F08", stage="accept", expect="unknown", also=["unsent"])
def rst_on_accept(turn: Turn) -> None:
    """RST as soon as the connection is up; nothing is read.

    ``also``: the reset may arrive before a client has noticed that it is connected.
    """
    turn.note()
    turn.wire.reset()


@fault("F09", stage="accept", expect="unknown")
def fin_on_accept(turn: Turn) -> None:
    """Close as soon as the connection is up; bytes that come later are answered with RST by the kernel."""
    turn.note()
    turn.wire.close()


@fault("F09", stage="accept", expect="unknown")
def half_close_on_accept(turn: Turn) -> None:
    """FIN as soon as the connection is up; what the client sends is thrown away, without an RST."""
    turn.note()
    turn.wire.finish()


@fault("F12", stage="accept", expect="unknown")
def stop_reading(turn: Turn, *, seconds: float | None = None) -> None:
    """Never read a byte; a small request fits the kernel's buffers, a large one gets stuck."""
    turn.note()
    turn.wire.hang(seconds)
    turn.wire.reset()


@fault("F24", stage="accept", expect="unknown", also=["accepted"])
def early_response_before_request(turn: Turn, *, answer: bytes | None = None) -> None:
    """Send a whole 201 that begins before the request does. Nothing is accepted.

    A client can only tell by looking at the socket before it writes; on a fresh connection the two may cross,
    hence ``also``.
    """
    turn.note()
    turn.send(answer or http_answer(201, success("0" * 32)))
    turn.read_whole()
    turn.wire.finish()


# --- while the request is read --------------------------------------------------------------------


@fault("F10", stage="write", expect="unknown")
def rst_mid_body(turn: Turn, *, size: int = 200) -> None:
    """Read ``size`` bytes of the body, then RST. With a body of several MB this is F11."""
    turn.read_body(size)
    turn.wire.reset()


@fault("F10", stage="write", expect="unknown")
def fin_mid_body(turn: Turn, *, size: int = 200) -> None:
    """Read ``size`` bytes of the body, then FIN, leaving the rest unread."""
    turn.read_body(size)
    turn.wire.finish()


@fault("F55", stage="write", expect="unknown")
def stall_mid_body(turn: Turn, *, size: int = 200, seconds: float | None = None) -> None:
    """Read exactly ``size`` bytes of the body: the moment to kill a client in the middle of writing."""
    turn.read_body(size)
    turn.wire.hang(seconds)
    turn.wire.reset()


# --- the request is read, no byte of an answer ----------------------------------------------------


@fault("F14", stage="await", accepts=True, expect="unknown")
def fin_after_read(turn: Turn) -> None:
    """Accept the batch, then close without an answer."""
    turn.accept()
    turn.wire.finish()


@fault("F13", stage="await", accepts=True, expect="unknown")
def rst_after_read(turn: Turn) -> None:
    """Accept the batch, then RST."""
    turn.accept()
    turn.wire.reset()


@fault("F14", stage="await", expect="unknown")
def fin_after_read_not_taken(turn: Turn) -> None:
    """Read but do not accept the batch, then close; to the client the same as ``fin_after_read``."""
    turn.read_whole()
    turn.wire.finish()


@fault("F13", stage="await", expect="unknown")
def rst_after_read_not_taken(turn: Turn) -> None:
    """Read but do not accept the batch, then RST; to the client the same as ``rst_after_read``."""
    turn.read_whole()
    turn.wire.reset()


@fault("F15", stage="await", accepts=True, expect="unknown")
def hang_after_read(turn: Turn, *, seconds: float | None = None) -> None:
    """Accept the batch and never answer."""
    turn.accept()
    turn.wire.hang(seconds)
    turn.wire.reset()


@fault("F16", stage="await", accepts=True, expect="unknown")
def answer_after_deadline(turn: Turn, *, delay: float = 2.0) -> None:
    """Accept the batch and answer 201 after ``delay`` seconds, which should lie past the client's deadline."""
    dispatch_id = turn.accept()
    turn.wire.hang(delay)
    turn.answer(http_answer(201, success(dispatch_id)))


@fault("F22", stage="await", accepts=True, expect="unknown", also=["accepted"])
def keepalive_close_race(turn: Turn) -> None:
    """Serve the connection's first request; take the next, and close as if the idle time had run out.

    ``also``: the first request of a connection is an ordinary one.
    """
    dispatch_id = turn.accept()
    if turn.nth == 1:
        turn.answer(http_answer(201, success(dispatch_id)))
    else:
        turn.wire.finish()


@fault("F23", stage="await", accepts=True, expect="unknown", also=["accepted"])
def keepalive_close_race_unread(turn: Turn) -> None:
    """Serve the connection's first request; close when the next arrives, without reading it."""
    if turn.nth == 1:
        turn.answer(http_answer(201, success(turn.accept())))
    else:
        turn.note()
        turn.wire.close()


# --- inside the answer ----------------------------------------------------------------------------


@fault("F17", stage="read", accepts=True, expect="unknown")
def drip_answer(turn: Turn, *, delay: float = 0.05) -> None:
    """Accept the batch and answer 201 one byte every ``delay`` seconds: no read time-out ever fires."""
    turn.answer(http_answer(201, success(turn.accept())), slice_size=1, delay=delay)


@fault("F28", stage="answer", accepts=True, expect="accepted")
def slow_link_201(turn: Turn, *, latency: float = 0.05, slice_size: int = 1, delay: float = 0.0) -> None:
    """A good 201 over a poor link: after ``latency``, in slices with ``delay`` between them."""
    answer = http_answer(201, success(turn.accept()))
    turn.wire.hang(latency)
    turn.answer(answer, slice_size=slice_size, delay=delay)


@fault("F18", stage="read", accepts=True, expect="unknown")
def endless_100_continue(turn: Turn, *, delay: float = 0.02, seconds: float = 10.0) -> None:
    """Accept the batch and send ``100 Continue`` over and over."""
    turn.accept()
    for _ in range(int(seconds / delay)):
        turn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        turn.wire.hang(delay)
    turn.wire.reset()


@fault("F19", stage="read", accepts=True, expect="unknown")
def half_status_line(turn: Turn) -> None:
    """Accept the batch, send ``HTTP/1.1 20``, close."""
    turn.accept()
    turn.send(b"HTTP/1.1 20")
    turn.wire.finish()


@fault("F19", stage="read", accepts=True, expect="unknown")
def half_headers(turn: Turn) -> None:
    """Accept the batch, send the status line and half a header, close."""
    turn.accept()
    turn.send(b"HTTP/1.1 201 Created\r\nContent-Ty")
    turn.wire.finish()


@fault("F57", stage="read", accepts=True, expect="unknown")
def stall_after_status_line(turn: Turn, *, seconds: float | None = None) -> None:
    """Accept the batch, send the head of a 201 and no body: the moment to kill a client in between."""
    answer = http_answer(201, success(turn.accept()))
    turn.send(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    turn.wire.hang(seconds)
    turn.wire.reset()


def _half_body(turn: Turn) -> None:
    turn.send(http_answer(201, success(turn.accept()))[:-10])


@fault("F20", stage="read", accepts=True, expect="unknown")
def half_body_fin(turn: Turn) -> None:
    """Accept the batch, answer 201 with 10 bytes of the body missing, FIN."""
    _half_body(turn)
    turn.wire.finish()


@fault("F20", stage="read", accepts=True, expect="unknown")
def half_body_rst(turn: Turn, *, delay: float = 0.1) -> None:
    """Accept the batch, answer 201 with 10 bytes of the body missing, RST after ``delay`` seconds."""
    _half_body(turn)
    turn.wire.hang(delay)
    turn.wire.reset()


@fault("F20", stage="read", accepts=True, expect="unknown")
def half_body_hang(turn: Turn, *, seconds: float | None = None) -> None:
    """Accept the batch, answer 201 with 10 bytes of the body missing, never send them."""
    _half_body(turn)
    turn.wire.hang(seconds)
    turn.wire.reset()


@fault("F20", stage="read", expect="unknown")
def half_body_400_fin(turn: Turn) -> None:
    """Refuse the batch, and cut the refusal: a proof needs a complete answer."""
    turn.read_whole()
    turn.send(http_answer(400, {"message": "Bad syntax"})[:-10])
    turn.wire.finish()


@fault("F21", stage="read", accepts=True, expect="unknown")
def read_to_close_truncated(turn: Turn) -> None:
    """Accept the batch; a 201 with no length, cut by a bare FIN: no client library complains."""
    answer = http_answer(201, success(turn.accept()), length=False)
    turn.send(answer[: answer.index(b"dispatch") + len("dispatch")])
    turn.wire.finish()


@fault("F21", stage="answer", accepts=True, expect="accepted")
def read_to_close_201(turn: Turn) -> None:
    """A good 201 with no length, ended by closing."""
    turn.send(http_answer(201, success(turn.accept()), length=False))
    turn.wire.goodbye()


@fault("F20", stage="read", accepts=True, expect="unknown")
def chunked_truncated(turn: Turn) -> None:
    """Accept the batch; a chunked 201 that ends inside a chunk."""
    answer = http_answer(201, success(turn.accept()), chunked=True)
    turn.send(answer[:-20])
    turn.wire.finish()


@fault("F20", stage="read", accepts=True, expect="unknown")
def chunked_unfinished(turn: Turn) -> None:
    """Accept the batch; a chunked 201 with all of its JSON, but without the last, empty chunk."""
    answer = http_answer(201, success(turn.accept()), chunked=True)
    turn.send(answer.removesuffix(b"0\r\n\r\n"))
    turn.wire.finish()


@fault("F24", stage="answer", expect="unknown", also=["throttled"])
def desync_429_201(turn: Turn) -> None:
    """Refuse with 429, and in the same segment a stray 201, for the connection's next batch to find.

    ``also``: what a client says that does not look behind the answer.
    """
    turn.read_whole()
    stray = http_answer(201, success(f"{turn.index:032x}"))
    turn.answer(http_answer(429, {"message": "Rate limit exceeded"}) + stray)


@fault("F24", stage="answer", accepts=True, expect="unknown", also=["accepted"])
def desync_201_201(turn: Turn) -> None:
    """Accept the batch and answer 201 twice in one segment, with two dispatch ids. ``also``: as above."""
    dispatch_id = turn.accept()
    turn.answer(http_answer(201, success(dispatch_id)) + http_answer(201, success(f"{turn.index:032x}")))


@fault("F24", stage="answer", accepts=True, expect="accepted", also=["unknown"])
def stray_201_while_idle(turn: Turn, *, delay: float = 0.05) -> None:
    """Accept the batch, answer 201, and send another answer ``delay`` seconds later.

    ``also``: the connection proves to be mixed up afterwards.
    """
    turn.answer(http_answer(201, success(turn.accept())))
    turn.wire.hang(delay)
    turn.send(http_answer(201, success(f"{turn.index:032x}")))


@fault("F26", stage="read", accepts=True, expect="unknown")
def junk_status(turn: Turn) -> None:
    """Accept the batch and answer with something that is not HTTP."""
    turn.accept()
    turn.send(b"SSH-2.0-OpenSSH_9.6\r\n\x00\xff\xfe junk \r\n\r\n")
    turn.wire.finish()


@fault("F26", stage="read", accepts=True, expect="unknown")
def tls_alert_bytes(turn: Turn) -> None:
    """Accept the batch and answer with the bytes of a TLS alert (handshake_failure), in clear."""
    turn.accept()
    turn.send(b"\x15\x03\x03\x00\x02\x02\x28")
    turn.wire.finish()


@fault("F26", stage="read", accepts=True, expect="unknown", also=["accepted"])
def header_bomb(turn: Turn, *, size: int = 300_000) -> None:
    """Accept the batch and answer 201 with one header of ``size`` bytes. ``also``: it is still valid HTTP."""
    padding = "x" * size
    answer = http_answer(201, success(turn.accept()), {"X-Padding": padding})
    try:
        turn.answer(answer)
    except PeerGone:  # a client that disconnects partway has still seen the bomb
        turn.wire.reset()


@fault("F07", stage="answer", expect="refused", also=["unsent", "unknown"])
def proxy_refuses_connect(turn: Turn) -> None:
    """Answer 407 to CONNECT, as a proxy would, so that no batch is ever sent. To a POST it is another 4xx."""
    turn.read_whole()
    turn.answer(http_answer(407, b"", {"Proxy-Authenticate": "Basic"}))
