"""bulk-sender: send large recipient files to Braze, with an account of every row.

    import bulk_sender as bs

    summary = bs.send("recipients.parquet", config="job.toml")
    print(summary.accepted, summary.unknown, summary.exit_code)

Names are imported when first used, so that ``import bulk_sender`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bulk_sender.api import (
        Preview,
        Reconciliation,
        broadcast,
        broadcast_async,
        check,
        explain,
        preview_broadcast,
        reconcile,
        reconcile_async,
        report,
        resolve,
        resume,
        resume_async,
        retry,
        retry_async,
        runs,
        send,
        send_async,
        status,
    )
    from bulk_sender.config import Config
    from bulk_sender.control import Control
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
    from bulk_sender.folder import run_id_for
    from bulk_sender.results.summary import Summary
    from bulk_sender.run.examination import CheckReport
    from bulk_sender.run.progress import Progress

_HOMES = {
    "bulk_sender.api": "Preview Reconciliation broadcast broadcast_async check explain preview_broadcast reconcile "
    "reconcile_async report resolve resume resume_async retry retry_async runs send send_async status",
    "bulk_sender.checking": "CheckReport",
    "bulk_sender.config": "Config",
    "bulk_sender.control": "Control",
    "bulk_sender.errors": "BulkSenderError ConfigError CredentialError GuardrailError InputError JournalError "
    "RunHeldError RunMismatchError RunNotFoundError",
    "bulk_sender.folder": "run_id_for",
    "bulk_sender.results.summary": "Summary",
    "bulk_sender.run.progress": "Progress",
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
