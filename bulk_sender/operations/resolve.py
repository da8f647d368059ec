"""Record the operator's decision about unknown rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bulk_sender import journal as journals
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.errors import ConfigError, GuardrailError
from bulk_sender.journal.answers import Doubt
from bulk_sender.journal.store import RunRef
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.folder import run_folder
from bulk_sender.run.standing import decide, rewritten


def resolve(
    run: str,
    *,
    verdict: str,
    why: str = "",
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
    confirm: Callable[[tuple[Doubt, ...]], bool] | None = None,
) -> tuple[int, Summary]:
    """Record the operator's verdict (``accepted`` or ``failed``) on the unknown rows, without sending.

    Return how many rows it concerned, and the run's summary. ``confirm`` is called with the evidence if any row is
    unknown; False raises GuardrailError. ``why`` is kept in the journal.
    """
    if verdict not in ("accepted", "failed"):
        raise ConfigError(f"{verdict!r} is not a valid verdict", hint="unknown rows become accepted or failed")
    with journals.open(RunRef.at(run_folder(Path(runs_dir), run))) as journal:
        evidence = journal.doubts()
        if evidence and confirm is not None and not confirm(evidence):
            raise GuardrailError("not confirmed: nothing was recorded")
        count = decide(journal, ["unknown"], verdict, why or "resolve") if evidence else 0
        return count, rewritten(journal)
