"""``reconcile``: ask Braze about the unknown rows, and show what it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import RUNS_DIR, AsJson, Endpoint, Quiet, Run, RunsDir, Yes, located
from bulk_sender.cli.options import settings as settings_of

if TYPE_CHECKING:
    from bulk_sender.operations.reconcile import Reconciliation

_SHOWN = 20


def reconcile(
    run: Run,
    apply: Annotated[bool, typer.Option("--apply", help="Record rows with proof as accepted.")] = False,
    settle: Annotated[
        float, typer.Option("--settle", metavar="SECONDS", min=0, help="Skip attempts younger than this.")
    ] = 600.0,
    rate: Annotated[
        str, typer.Option("--rate", metavar="N/UNIT", help="Lookups per second, minute, hour or day.")
    ] = "250/minute",
    endpoint: Endpoint = None,
    runs_dir: RunsDir = RUNS_DIR,
    yes: Yes = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Ask Braze about a run's unknown rows, and show the evidence.

    With --apply, batches that Braze is proved to have accepted become accepted: two of their people received the
    message within 2 hours. Not found in Braze is never recorded as failed; wait at least 2 hours. The key needs the
    permission users.export.ids.
    """
    run, runs_dir = located(run, runs_dir)
    from bulk_sender.cli.console.questions import Question, must_be_able_to_ask
    from bulk_sender.errors import GuardrailError

    terminal.set_up(quiet=quiet)
    if apply:
        must_be_able_to_ask(yes, "reconcile --apply")
        if not yes and not Question().ask(f"Record as accepted what Braze proves about run {run}?"):
            raise GuardrailError("not confirmed: nothing was asked or recorded")

    import bulk_sender as bs
    from bulk_sender.cli.environment import take_environment

    found = bs.reconcile(
        run,
        apply=apply,
        settle_s=settle,
        rate=rate,
        endpoint=settings_of(endpoint=endpoint).get("endpoint"),
        environment=take_environment(),
        runs_dir=runs_dir,
    )
    if as_json:
        terminal.json(found.to_dict())
    else:
        terminal.show(_lines(found))
    raise typer.Exit(3 if found.stopped else 1 if found.left_unknown else 0)


def _lines(found: Reconciliation) -> list[str]:
    lines = [f"Run {found.run_id}: {len(found.rows)} unknown rows, {found.requests} lookups", ""]
    lines += [f"  {count:>7,}  {kind}" for kind, count in found.counts.items() if count]
    for batch in [batch for batch in found.batches if batch.word][:_SHOWN]:
        lines.append(f"  batch {batch.batch}, {batch.word}: {batch.evidence}")
    if found.stopped:
        lines += ["", f"The lookups ended early: {found.stopped}"]
    verb = "are accepted now" if found.applied else "would become accepted with --apply"
    lines += ["", f"{found.proved_rows} rows {verb}; {found.left_unknown} stay unknown"]
    if found.likely_rows:
        likely = [batch.batch for batch in found.batches if batch.word == "likely"]
        lines.append(
            f"{found.likely_rows} of these are likely accepted: one person of their batch was seen, and two prove it. "
            f"To accept them: bulk-sender resolve {found.run_id} --as accepted --batch {likely[0]}"
        )
    if found.counts["not found"]:
        lines.append(
            "Not found proves nothing. Wait at least 2 hours after the request, because Braze may send late, then ask "
            "again."
        )
    return lines
