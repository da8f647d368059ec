"""bulk-sender: send large recipient files to Braze, with an account of every row.

    import bulk_sender as bs

    summary = bs.send("recipients.parquet", config="job.toml")
    print(summary.accepted, summary.unknown, summary.exit_code)

Names are imported when first used, so that ``import bulk_sender`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bulk_sender._version import __version__

if TYPE_CHECKING:
    from bulk_sender.config.model import Config
    from bulk_sender.errors import (
        BulkSenderError,
        ConfigError,
        CredentialError,
        GuardrailError,
        InputError,
        JournalError,
        RunHeldError,
        RunMismatchError,
        RunNotFoundError,
    )
    from bulk_sender.observe.events import Progress
    from bulk_sender.operations.broadcast import broadcast, broadcast_async, preview_broadcast
    from bulk_sender.operations.check import check
    from bulk_sender.operations.inspect import explain, report, runs, status
    from bulk_sender.operations.reconcile import Reconciliation, reconcile, reconcile_async
    from bulk_sender.operations.resolve import resolve
    from bulk_sender.operations.resume import resume, resume_async, retry, retry_async
    from bulk_sender.operations.send import send, send_async
    from bulk_sender.planning.report import CheckReport
    from bulk_sender.reporting.summary import Summary
    from bulk_sender.run.control import Control
    from bulk_sender.run.folder import run_id_for
    from bulk_sender.run.preview import Preview

_HOMES = {
    "bulk_sender.config.model": "Config",
    "bulk_sender.errors": "BulkSenderError ConfigError CredentialError GuardrailError InputError JournalError "
    "RunHeldError RunMismatchError RunNotFoundError",
    "bulk_sender.observe.events": "Progress",
    "bulk_sender.operations.broadcast": "broadcast broadcast_async preview_broadcast",
    "bulk_sender.operations.check": "check",
    "bulk_sender.operations.inspect": "explain report runs status",
    "bulk_sender.operations.reconcile": "Reconciliation reconcile reconcile_async",
    "bulk_sender.operations.resolve": "resolve",
    "bulk_sender.operations.resume": "resume resume_async retry retry_async",
    "bulk_sender.operations.send": "send send_async",
    "bulk_sender.planning.report": "CheckReport",
    "bulk_sender.reporting.summary": "Summary",
    "bulk_sender.run.control": "Control",
    "bulk_sender.run.folder": "run_id_for",
    "bulk_sender.run.preview": "Preview",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "BulkSenderError",
    "CheckReport",
    "Config",
    "ConfigError",
    "Control",
    "CredentialError",
    "GuardrailError",
    "InputError",
    "JournalError",
    "Preview",
    "Progress",
    "Reconciliation",
    "RunHeldError",
    "RunMismatchError",
    "RunNotFoundError",
    "Summary",
    "__version__",
    "broadcast",
    "broadcast_async",
    "check",
    "explain",
    "preview_broadcast",
    "reconcile",
    "reconcile_async",
    "report",
    "resolve",
    "resume",
    "resume_async",
    "retry",
    "retry_async",
    "run_id_for",
    "runs",
    "send",
    "send_async",
    "status",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'bulk_sender' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
