"""A run that nobody is sending: how it stands, and what its operator decides about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bulk_sender.delivery.journal import JOURNAL, Journal
from bulk_sender.errors import ConfigError, GuardrailError
from bulk_sender.folder import DEFAULT_RUNS_DIR, run_folder
from bulk_sender.results import frames
from bulk_sender.results.doubts import Doubt, doubts
from bulk_sender.results.report import REPORT
from bulk_sender.results.summary import State, Summary
from bulk_sender.run import summarize, write_files


def decide(journal: Journal, statuses: Sequence[str], verdict: str, why: str) -> int:
    """Append a decision on every batch of ``statuses``. Returns the number of rows it concerns."""
    marks = ",".join("?" * len(statuses))
    found = journal.query(
        f"SELECT batch, attempt, size FROM state WHERE attempt IS NOT NULL AND status IN ({marks})",
        tuple(statuses),
    )
    journal.decide([(row["batch"], row["attempt"]) for row in found], verdict, why)
    return sum(row["size"] for row in found)


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
    with Journal.hold(run_folder(Path(runs_dir), run)) as journal:
        evidence = doubts(journal)
        if evidence and confirm is not None and not confirm(evidence):
            raise GuardrailError("not confirmed: nothing was decided")
        count = decide(journal, ["unknown"], verdict, why or "resolve") if evidence else 0
        return count, rewritten(journal)


def refuse_broadcast(journal: Journal) -> None:
    """Raises GuardrailError for a broadcast: it is gone on with by its own command only, and never sent again."""
    if journal.fact("broadcast"):
        name = journal.folder.name
        raise GuardrailError(
            f"run {name!r} is a broadcast, which is neither resumed nor retried",
            hint=f"bulk-sender broadcast --run-id {name} sends it if it was proved unsent, after its confirmation; "
            "resolve records what you know of an unknown one",
        )


def rewritten(journal: Journal) -> Summary:
    """The run's files written again, after a decision."""
    return write_files(journal, journal.fact("format"), *last_state(journal))


def standing(journal: Journal) -> Summary:
    """What came of a run that nobody is sending."""
    return summarize(journal, *last_state(journal), files(journal))


def ended(journal: Journal) -> Summary | None:
    """The summary as the run last ended, or None when it never did."""
    last = journal.query("SELECT epoch, state, reason FROM ending ORDER BY epoch DESC LIMIT 1")
    if not last or last[0]["epoch"] != journal.query("SELECT max(id) AS id FROM epoch")[0]["id"]:
        return None
    if last[0]["state"] == "finished" and frames.has_unsent(journal):
        return None  # a later decision asked for rows to be sent again
    return summarize(journal, last[0]["state"], last[0]["reason"] or None, files(journal))


def last_state(journal: Journal) -> tuple[State, str | None]:
    """How the run stands when nobody is sending it."""
    summary = ended(journal)
    if summary is not None:
        return summary.state, summary.reason
    left = frames.has_unsent(journal) or not journal.fact("plan_complete")
    return ("stopped", "the process ended without closing the run") if left else ("finished", None)


def files(journal: Journal) -> dict[str, str]:
    """The paths of the files in the run's folder, by what they hold."""
    names = {
        "results": f"results.{journal.fact('format')}",
        "rejected": "rejected.csv",
        "journal": JOURNAL,
        "summary": "summary.json",
        "report": REPORT,
    }
    return {name: str(journal.folder / file) for name, file in names.items()}
