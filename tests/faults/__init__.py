"""Fault injection: a server that fails on purpose, a ledger of what it accepted, and tools to kill a sender.

::

    with FaultServer(nth(3, "rst_after_read"), ledger_file=tmp_path / "ledger.ndjson") as server:
        ...  # send to server.url
    assert max(server.ledger.accepted_ids().values()) == 1

What to play: ``FAULTS`` by name (``transport.py``, ``statuses.py``), composed with the scripts; ``tls=``
takes a name of ``TLS_MODES``; ``refusing_port``, ``black_hole`` and ``unresolvable`` are addresses without
a server. ``server.go_dark()`` and ``server.listen()`` disconnect and reconnect the network.

What is true: ``server.ledger``, or ``read_ledger(file)`` from elsewhere. Three faults break the promise that a
batch is never sent twice: ``accepted_json_500``, ``accepted_json_503`` and ``accepted_error_503`` take
the batch and answer what Braze documents as "nothing was sent". Leave them out of properties over duplicates,
unless ``server_errors = "hold"``.

When to kill: ``kill_when(command, request_read(server, 3))``, or at ``connected``, ``bytes_read``,
``status_line_sent``, ``failpoint``, ``after``; ``under_strace(command, killed_at("fdatasync", 3))``.
"""

from . import statuses, transport  # noqa: F401 - they fill FAULTS
from .answer import http_answer, success
from .fault import FAULTS, Fault, Head, Turn, fault
from .kill import (
    Condition,
    Ended,
    StillRunning,
    after,
    bytes_read,
    connected,
    failpoint,
    kill_when,
    request_read,
    run_command,
    status_line_sent,
)
from .ledger import Connection, Entry, Ledger, Seen, count_ids, read_ledger
from .mutation import mutate
from .script import (
    Plan,
    Script,
    always,
    by_body,
    by_head,
    every,
    first_with,
    nth,
    nth_on_connection,
    poison,
    random_mix,
    sequence,
    until,
)
from .server import FaultServer
from .strace import count_syscalls, failing_at, killed_at, needs_strace, under_strace
from .tls import TLS_MODES
from .unreachable import black_hole, refusing_port, unresolvable

ok = FAULTS["ok"]

__all__ = [
    "FAULTS",
    "TLS_MODES",
    "Condition",
    "Connection",
    "Ended",
    "Entry",
    "Fault",
    "FaultServer",
    "Head",
    "Ledger",
    "Plan",
    "Script",
    "Seen",
    "StillRunning",
    "Turn",
    "after",
    "always",
    "black_hole",
    "by_body",
    "by_head",
    "bytes_read",
    "connected",
    "count_ids",
    "count_syscalls",
    "every",
    "failing_at",
    "failpoint",
    "fault",
    "first_with",
    "http_answer",
    "kill_when",
    "killed_at",
    "mutate",
    "needs_strace",
    "nth",
    "nth_on_connection",
    "ok",
    "poison",
    "random_mix",
    "read_ledger",
    "refusing_port",
    "request_read",
    "run_command",
    "sequence",
    "status_line_sent",
    "success",
    "under_strace",
    "unresolvable",
    "until",
]
