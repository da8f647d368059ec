"""Airflow 3: a DAG whose task sends one file.

The run is named after the task's run, so that a retry (or clearing the task) resumes it and never sends again what
Braze may have taken. The retry must find the same folder of runs: on a disk of the worker (then pin the task to that
worker by its queue) or on a volume, but not on NFS, where SQLite's locks are unreliable.
Workers without a common disk keep journals in PostgreSQL: BULK_SENDER_JOURNAL (docs/howto/postgres.md).
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

import bulk_sender as bs

RUNS_DIR = os.environ.get("BULK_SENDER_RUNS", "/var/lib/bulk-sender/runs")


@task(retries=4, retry_delay=timedelta(minutes=10))
def send_to_braze(source: str, config: str) -> dict[str, int]:
    """Send ``source`` with the configuration ``config``, a TOML file. The worker's BRAZE_API_KEY_FILE names the key."""
    ti = get_current_context()["ti"]
    run_id = bs.run_id_for(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)
    run = bs.RunName(id=run_id, folder=RUNS_DIR, must_exist=True)  # a missing disk must not look like a first run
    try:
        with bs.Control().on_signals() as control:  # requests in flight finish when the worker shuts down
            summary = bs.send(source, config=config, run=run, watch=bs.Watch(control=control))
    except bs.RunHeldError as error:
        raise AirflowException(str(error)) from None  # an earlier attempt is still ending: retry later
    except bs.BulkSenderError as error:
        raise AirflowFailException(f"{error} {error.hint}") from None  # a retry would end the same way
    if summary.state != "finished":
        raise AirflowException(f"run {run_id} {summary.state}: {summary.reason}")  # the retry resumes it
    if summary.failed or summary.unknown:
        raise AirflowFailException(
            f"run {run_id}: {summary.failed} rows failed, {summary.unknown} are unknown; someone has to decide"
        )
    return {"rows": summary.rows, "accepted": summary.accepted, "rejected": summary.rejected}


@dag(schedule="0 6 * * *", start_date=datetime(2026, 1, 1), catchup=False)
def winter_campaign() -> None:
    # .expand(source=[…]) sends several files, each as a separate run.
    send_to_braze("/data/winter/recipients.parquet", "/etc/bulk-sender/winter.toml")


winter_campaign()
