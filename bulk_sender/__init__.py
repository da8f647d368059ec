"""bulk-sender: send large recipient files to Braze, with an account of every row.

    import bulk_sender as bs

    summary = bs.send("recipients.parquet", config="job.toml")
    print(summary.accepted, summary.unknown, summary.exit_code)

Names are imported when first used, so that ``import bulk_sender`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bulk_sender._version import __version__ as __version__

if TYPE_CHECKING:  # for type checkers and editors; a test compares it with _HOMES
    from bulk_sender.braze.details import CampaignDetails as CampaignDetails
    from bulk_sender.braze.details import DetailsAnswer as DetailsAnswer
    from bulk_sender.braze.details import MessageDetails as MessageDetails
    from bulk_sender.braze.receipts import Finding as Finding
    from bulk_sender.braze.rendering import RenderedMessage as RenderedMessage
    from bulk_sender.config.model import Config as Config
    from bulk_sender.errors import BulkSenderError as BulkSenderError
    from bulk_sender.errors import ConfigError as ConfigError
    from bulk_sender.errors import CredentialError as CredentialError
    from bulk_sender.errors import GuardrailError as GuardrailError
    from bulk_sender.errors import InputError as InputError
    from bulk_sender.errors import InternalError as InternalError
    from bulk_sender.errors import Interrupted as Interrupted
    from bulk_sender.errors import JournalError as JournalError
    from bulk_sender.errors import RunHeldError as RunHeldError
    from bulk_sender.errors import RunMismatchError as RunMismatchError
    from bulk_sender.errors import RunNotFoundError as RunNotFoundError
    from bulk_sender.guessing.columns import Cell as Cell
    from bulk_sender.guessing.columns import Column as Column
    from bulk_sender.guessing.columns import Columns as Columns
    from bulk_sender.guessing.columns import ColumnUse as ColumnUse
    from bulk_sender.guessing.draft import Draft as Draft
    from bulk_sender.guessing.fit import EmptyValue as EmptyValue
    from bulk_sender.guessing.fit import Fit as Fit
    from bulk_sender.guessing.fit import Missing as Missing
    from bulk_sender.journal.answers import Counts as Counts
    from bulk_sender.journal.answers import Doubt as Doubt
    from bulk_sender.journal.answers import Worker as Worker
    from bulk_sender.journal.facts import Format as Format
    from bulk_sender.observe.events import Progress as Progress
    from bulk_sender.operations.broadcast import broadcast as broadcast
    from bulk_sender.operations.broadcast import broadcast_async as broadcast_async
    from bulk_sender.operations.broadcast import preview_broadcast as preview_broadcast
    from bulk_sender.operations.check import check as check
    from bulk_sender.operations.columns import columns as columns
    from bulk_sender.operations.columns import draft as draft
    from bulk_sender.operations.columns import suggest as suggest
    from bulk_sender.operations.correct import cells as cells
    from bulk_sender.operations.correct import corrected as corrected
    from bulk_sender.operations.doctor import Diagnosis as Diagnosis
    from bulk_sender.operations.doctor import Examination as Examination
    from bulk_sender.operations.doctor import doctor as doctor
    from bulk_sender.operations.doctor import doctor_async as doctor_async
    from bulk_sender.operations.export import export as export
    from bulk_sender.operations.export import export_parts as export_parts
    from bulk_sender.operations.frames import Like as Like
    from bulk_sender.operations.frames import rejected as rejected
    from bulk_sender.operations.frames import rejects as rejects
    from bulk_sender.operations.frames import results as results
    from bulk_sender.operations.inspect import advice as advice
    from bulk_sender.operations.inspect import configuration as configuration
    from bulk_sender.operations.inspect import explain as explain
    from bulk_sender.operations.inspect import facts as facts
    from bulk_sender.operations.inspect import report as report
    from bulk_sender.operations.inspect import runs as runs
    from bulk_sender.operations.inspect import status as status
    from bulk_sender.operations.join import join as join
    from bulk_sender.operations.join import join_async as join_async
    from bulk_sender.operations.preview import MessagePreview as MessagePreview
    from bulk_sender.operations.preview import campaign as campaign
    from bulk_sender.operations.preview import campaign_async as campaign_async
    from bulk_sender.operations.preview import preview as preview
    from bulk_sender.operations.preview import preview_async as preview_async
    from bulk_sender.operations.prune import prune as prune
    from bulk_sender.operations.reconcile import BatchFinding as BatchFinding
    from bulk_sender.operations.reconcile import Reconciliation as Reconciliation
    from bulk_sender.operations.reconcile import RowFinding as RowFinding
    from bulk_sender.operations.reconcile import reconcile as reconcile
    from bulk_sender.operations.reconcile import reconcile_async as reconcile_async
    from bulk_sender.operations.resolve import resolve as resolve
    from bulk_sender.operations.resume import resume as resume
    from bulk_sender.operations.resume import resume_async as resume_async
    from bulk_sender.operations.resume import retry as retry
    from bulk_sender.operations.resume import retry_async as retry_async
    from bulk_sender.operations.rows import find as find
    from bulk_sender.operations.rows import rows as rows
    from bulk_sender.operations.send import send as send
    from bulk_sender.operations.send import send_async as send_async
    from bulk_sender.operations.test import test as test
    from bulk_sender.operations.test import test_async as test_async
    from bulk_sender.pace.backoff import Waits as Waits
    from bulk_sender.planning.plan_file import PlanFile as PlanFile
    from bulk_sender.planning.prepared import InputLike as InputLike
    from bulk_sender.planning.report import CheckReport as CheckReport
    from bulk_sender.planning.report import Reject as Reject
    from bulk_sender.reading.layout import Setting as Setting
    from bulk_sender.reading.query import Query as Query
    from bulk_sender.reporting.advice import Advice as Advice
    from bulk_sender.reporting.pages import ResultRow as ResultRow
    from bulk_sender.reporting.pages import RowsPage as RowsPage
    from bulk_sender.reporting.pages import Search as Search
    from bulk_sender.reporting.run_facts import InputFacts as InputFacts
    from bulk_sender.reporting.run_facts import RunFacts as RunFacts
    from bulk_sender.reporting.run_facts import Start as Start
    from bulk_sender.reporting.summary import BroadcastResult as BroadcastResult
    from bulk_sender.reporting.summary import Hold as Hold
    from bulk_sender.reporting.summary import RunOverview as RunOverview
    from bulk_sender.reporting.summary import State as State
    from bulk_sender.reporting.summary import Summary as Summary
    from bulk_sender.run.control import Control as Control
    from bulk_sender.run.folder import run_id_for as run_id_for
    from bulk_sender.run.options import Approval as Approval
    from bulk_sender.run.options import BroadcastSettings as BroadcastSettings
    from bulk_sender.run.options import CheckSettings as CheckSettings
    from bulk_sender.run.options import DoctorSettings as DoctorSettings
    from bulk_sender.run.options import Guards as Guards
    from bulk_sender.run.options import PreviewSettings as PreviewSettings
    from bulk_sender.run.options import ResumeSettings as ResumeSettings
    from bulk_sender.run.options import RunName as RunName
    from bulk_sender.run.options import Sandbox as Sandbox
    from bulk_sender.run.options import SendSettings as SendSettings
    from bulk_sender.run.options import TargetSettings as TargetSettings
    from bulk_sender.run.options import Watch as Watch
    from bulk_sender.run.options import Which as Which
    from bulk_sender.run.preflight import Preflight as Preflight
    from bulk_sender.run.preview import BroadcastPreview as BroadcastPreview
    from bulk_sender.run.preview import Preview as Preview
    from bulk_sender.run.settings import ConfigLike as ConfigLike
    from bulk_sender.run.stages import Stage as Stage

_HOMES = {
    "braze.details": "CampaignDetails DetailsAnswer MessageDetails",
    "braze.receipts": "Finding",
    "braze.rendering": "RenderedMessage",
    "config.model": "Config",
    "errors": "BulkSenderError ConfigError CredentialError GuardrailError InputError InternalError Interrupted "
    "JournalError RunHeldError RunMismatchError RunNotFoundError",
    "guessing.columns": "Cell Column ColumnUse Columns",
    "guessing.draft": "Draft",
    "guessing.fit": "EmptyValue Fit Missing",
    "journal.answers": "Counts Doubt Worker",
    "journal.facts": "Format",
    "observe.events": "Progress",
    "operations.broadcast": "broadcast broadcast_async preview_broadcast",
    "operations.check": "check",
    "operations.columns": "columns draft suggest",
    "operations.correct": "cells corrected",
    "operations.doctor": "Diagnosis Examination doctor doctor_async",
    "operations.export": "export export_parts",
    "operations.frames": "Like rejected rejects results",
    "operations.inspect": "advice configuration explain facts report runs status",
    "operations.join": "join join_async",
    "operations.preview": "MessagePreview campaign campaign_async preview preview_async",
    "operations.prune": "prune",
    "operations.reconcile": "BatchFinding Reconciliation RowFinding reconcile reconcile_async",
    "operations.resolve": "resolve",
    "operations.resume": "resume resume_async retry retry_async",
    "operations.rows": "find rows",
    "operations.send": "send send_async",
    "operations.test": "test test_async",
    "pace.backoff": "Waits",
    "planning.plan_file": "PlanFile",
    "planning.prepared": "InputLike",
    "planning.report": "CheckReport Reject",
    "reading.layout": "Setting",
    "reading.query": "Query",
    "reporting.advice": "Advice",
    "reporting.pages": "ResultRow RowsPage Search",
    "reporting.run_facts": "InputFacts RunFacts Start",
    "reporting.summary": "BroadcastResult Hold RunOverview State Summary",
    "run.control": "Control",
    "run.folder": "run_id_for",
    "run.options": "Approval BroadcastSettings CheckSettings DoctorSettings Guards PreviewSettings ResumeSettings "
    "RunName Sandbox SendSettings TargetSettings Watch Which",
    "run.preflight": "Preflight",
    "run.preview": "BroadcastPreview Preview",
    "run.settings": "ConfigLike",
    "run.stages": "Stage",
}
_HOME = {name: f"bulk_sender.{home}" for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        if _HOME[name].startswith("bulk_sender.operations."):
            from bulk_sender.errors import require_posix

            require_posix()
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'bulk_sender' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
