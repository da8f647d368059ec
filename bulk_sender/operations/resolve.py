"""Record the operator's decision about unknown rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bulk_sender import journal as journals
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.errors import ConfigError, GuardrailError
from bulk_sender.journal.answers import Doubt
from bulk_sender.journal.store import RunReader, RunRef, RunWriter
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.folder import run_folder
from bulk_sender.run.standing import rewritten


def decide(journal: RunWriter, statuses: Sequence[str], verdict: str, why: str) -> int:
    """Append a decision on every batch of ``statuses``. Returns the number of rows it concerns."""
    attempted = [(batch, batch.last_attempt) for batch in journal.batches_with(*statuses) if batch.last_attempt]
    journal.decide([attempt for _, attempt in attempted], verdict, why)
    return sum(batch.size for batch, _ in attempted)


def resolve(
    run: str,
    *,
    verdict: str,
    why: str = "",
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
    confirm: Callable[[tuple[Doubt, ...]], bool] | None = None,
) -> tuple[int, Summary]:
    """Record the operator's verdict (``accepted`` or ``failed``) on the unknown rows, without sending.

    Returns how many rows it concerned, and the run's summary. ``confirm`` is asked with the evidence, when there is
    anything to decide. Raises GuardrailError for a no.
    """
    if verdict not in ("accepted", "failed"):
        raise ConfigError(f"{verdict!r} is no verdict", hint="unknown rows become accepted or failed")
    with journals.open(RunRef.at(run_folder(Path(runs_dir), run))) as journal:
        evidence = journal.doubts()
        if evidence and confirm is not None and not confirm(evidence):
            raise GuardrailError("not confirmed: nothing was decided")
        count = decide(journal, ["unknown"], verdict, why or "resolve") if evidence else 0
        return count, rewritten(journal)


def refuse_broadcast(journal: RunReader) -> None:
    """Raises GuardrailError for a broadcast: it is gone on with by its own command only, and never sent again."""
    if journal.facts().broadcast:
        name = journal.run.name
        raise GuardrailError(
            f"run {name!r} is a broadcast, which is neither resumed nor retried",
            hint=f"bulk-sender broadcast --run-id {name} sends it if it was proved unsent, after its confirmation; "
            "resolve records what you know of an unknown one",
        )
