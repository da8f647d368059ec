"""Plan an input without sending it: everything up to the first request, with no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

import polars as pl

from bulk_sender.braze.endpoint import endpoint, endpoint_warning, unaddressed
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.operations.preview import read_message
from bulk_sender.planning.batches import Planned
from bulk_sender.planning.digest import BodyDigest
from bulk_sender.planning.plan import RAW
from bulk_sender.planning.plan_file import PlanFile, refuse_to_replace
from bulk_sender.planning.prepared import InputLike, PreparedInput, no_rows
from bulk_sender.planning.report import CheckReport, examined
from bulk_sender.reading.spool import Spool
from bulk_sender.reporting.files import refuse_to_replace_rejects, write_rejects_of_check
from bulk_sender.reporting.rows import rejects_of
from bulk_sender.run.folder import new_run_id
from bulk_sender.run.leaving_out import excluded, family_of
from bulk_sender.run.options import CheckSettings, Guards, Watch, guarded, refuse_unknown, watching
from bulk_sender.run.settings import ConfigLike, config_of
from bulk_sender.run.stages import Stages


def check(
    source: InputLike,
    config: ConfigLike = None,
    *,
    write_plan: str | Path | None = None,
    rejects: str | Path | None = None,
    message: str | Path | None = None,
    guards: Guards = Guards(),
    watch: Watch = Watch(),
    **plain: Unpack[CheckSettings],
) -> CheckReport:
    """Report what a send would do, with no network, key or endpoint. Raises ConfigError, InputError.

    The arguments mean the same as those of ``send``, so the same ``guards`` can go to both. ``write_plan`` is where to
    write a plan file, which ``send`` takes as ``Guards.plan_file``. It needs a campaign or Canvas, and an endpoint.
    ``message``: a file with an answer of ``/campaigns/details`` or ``/canvas/details``, to compare with the columns.
    ``rejects``: a new file for the rejected rows, as a run writes it: fixed rows can be sent from it. It is a CSV, or a
    workbook if it is named ``.xlsx``. ``CheckReport.rejects`` has the first 200 of them with their places.
    Input that ``guards`` refuse is reported, with the reason in ``refused``, and no plan is written. With
    ``Guards.plan_file`` raises
    GuardrailError when the send would differ from that plan. ``Watch.control`` ends the check: it raises Interrupted.
    """
    refuse_unknown("check", CheckSettings, plain, "guards", "watch")
    guards, stages = guarded(guards, plain), Stages(watching(watch, plain), ends=True)
    settings = config_of(config, plain)
    plan_file = PlanFile.read(Path(guards.plan_file)) if guards.plan_file is not None else None
    if write_plan is not None:
        endpoint(settings.braze, settings.message)  # fail on a bad endpoint before reading the input
        refuse_to_replace(Path(write_plan))
    if rejects is not None:
        refuse_to_replace_rejects(Path(rejects))
    details = read_message(message) if message is not None else None
    is_planned = write_plan is not None or plan_file is not None
    with Spool() as spool:
        prepared = PreparedInput.open(source, settings, spool)
        stages.refuse_stopped()
        identity = prepared.source.identify(stages.hashing(prepared.source)) if is_planned else ()
        if plan_file is not None:
            plan_file.refuse_other_terms(identity, settings, guards.canary, sandbox=False)
        name, runs_dir = new_run_id(), Path(plain.get("runs_dir") or DEFAULT_RUNS_DIR).absolute()
        family = family_of(prepared.source, runs_dir, name, is_rehearsal=False, anyway=guards.again)
        out = excluded(guards.exclude, family, settings, runs_dir, spool, is_rehearsal=False)
        prepared = prepared.leaving_out(out)
        bodies = BodyDigest(unaddressed(settings.braze, settings.message)) if is_planned else None
        kept = _Rejected(spool) if rejects is not None else None
        report = examined(
            prepared, stages.counting, canary=guards.canary, bodies=bodies, details=details, on_piece=kept
        )
        if not report.rows:
            raise no_rows(prepared, source)
        stages.refuse_stopped()
        if rejects is not None and kept is not None:
            write_rejects_of_check(kept.frames, Path(rejects), prepared.source.layout, settings.input)
    if unusual := endpoint_warning(settings.braze.endpoint):
        report.warnings.append(unusual)
    if plan_file is not None:
        plan_file.refuse_other_outcome(report)
    report.refused = report.refusal(guards.limits(settings.guard))
    if write_plan is not None and not report.refused:
        PlanFile.of(identity, settings, guards.canary, report).write(Path(write_plan))
    return report


class _Rejected:
    """Keeps the rejected rows of a plan on disk, so that many of them take no memory."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._pieces: list[tuple[Path, Path]] = []
        self._has_unreadable = False

    def __call__(self, piece: Planned) -> None:
        if self._pieces and not len(piece.rejects):  # the first one gives the columns of a file without rows
            return
        self._has_unreadable |= RAW in piece.rejects.columns
        paths = self._spool.place(".reasons"), self._spool.place(".rejects")
        piece.rows.filter(verdict="rejected").drop("recipient").write_ipc(paths[0])
        piece.rejects.write_ipc(paths[1])
        self._pieces.append(paths)

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows as a file of rejected rows has them."""
        for reasons, rejects in self._pieces:
            yield rejects_of(pl.read_ipc(reasons), pl.read_ipc(rejects), None, is_needed=self._has_unreadable)
