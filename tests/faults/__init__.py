"""A server that fails on purpose, a ledger of what it truly took, and tools that kill a sender at a chosen
moment.

::

    with FaultServer(nth(3, "rst_after_read"), ledger_file=tmp_path / "ledger.ndjson") as server:
        ...  # send to server.url
    assert max(server.ledger.accepted_ids().values()) == 1
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
    run,
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
    "run",
    "sequence",
    "status_line_sent",
    "success",
    "under_strace",
    "unresolvable",
    "until",
]
