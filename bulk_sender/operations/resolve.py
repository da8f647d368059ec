"""Record the operator's decision about unknown rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bulk_sender import journal as journals
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.errors import ConfigError, GuardrailError
from bulk_sender.journal.answers import Doubt, evidence_of
from bulk_sender.journal.store import RunRef
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.caller import account
from bulk_sender.run.catalogue import note_end
from bulk_sender.run.choosing import chosen, decided
from bulk_sender.run.folder import run_folder
from bulk_sender.run.options import Which
from bulk_sender.run.standing import decide, rewritten

_VERDICTS = ("accepted", "failed")


def resolve(
    run: str,
    *,
    verdict: str | None = None,
    which: Which = Which(),
    why: str = "",
    by: str | None = None,
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
    confirm: Callable[[tuple[Doubt, ...]], bool] | None = None,
) -> tuple[int, Summary]:
    """Record the operator's verdict (``accepted`` or ``failed``) on unknown rows, without sending.

    ``which``: some of them. With ``Which.file`` the verdicts are those of the file, and ``verdict`` is left out. Return
    how many rows were decided, and the run's summary. ``confirm`` is called with the evidence if there is any row to
    decide; False raises GuardrailError. ``why`` and ``by`` are kept in the journal; ``by`` is the account of this
    process by default.
    """
    if which.file is not None and verdict is not None:
        raise ConfigError("a file of decisions has its own verdicts", hint="leave out --as")
    if which.file is None and verdict not in _VERDICTS:
        raise ConfigError(
            f"{verdict!r} is not a valid verdict" if verdict else "no verdict is given",
            hint="unknown rows become accepted or failed: give --as, or --from a file with a column verdict",
        )
    with journals.open(RunRef.at(run_folder(Path(runs_dir), run))) as journal:
        if which.file is not None:
            batches = decided(journal, ("unknown",), Path(which.file), *_VERDICTS)
        else:
            batches = {str(verdict): chosen(journal, ("unknown",), which)}
        evidence = tuple(doubt for said, alike in batches.items() for doubt in evidence_of(alike, said))
        if evidence and confirm is not None and not confirm(evidence):
            raise GuardrailError("not confirmed: nothing was recorded")
        count = decide(journal, batches, why or "resolve", by or account()) if evidence else 0
        summary = rewritten(journal)
        note_end(journal, summary)
        return count, summary
