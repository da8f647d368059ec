"""The public functions, the same for Python callers and the command line.

Each takes its ``config`` as a path, a table or a ``Config``, gives typed results, and raises only
``BulkSenderError`` for what can be expected to go wrong before anything is sent. Once sending has begun, trouble
ends up in the ``Summary``: its ``state``, ``reason`` and ``exit_code``.
"""

from __future__ import annotations

from bulk_sender.broadcasting import broadcast, broadcast_async, preview_broadcast
from bulk_sender.checking import check
from bulk_sender.inspection import explain, report, runs, status
from bulk_sender.reconciliation import Reconciliation, reconcile, reconcile_async
from bulk_sender.resuming import resume, resume_async, retry, retry_async
from bulk_sender.run.opened import Input
from bulk_sender.run.preview import Preview
from bulk_sender.sending import send, send_async
from bulk_sender.settings import load_config
from bulk_sender.verdicts import last_state, resolve

__all__ = [
    "Input",
    "Preview",
    "Reconciliation",
    "broadcast",
    "broadcast_async",
    "check",
    "explain",
    "last_state",
    "load_config",
    "preview_broadcast",
    "reconcile",
    "reconcile_async",
    "report",
    "resolve",
    "resume",
    "resume_async",
    "retry",
    "retry_async",
    "runs",
    "send",
    "send_async",
    "status",
]
