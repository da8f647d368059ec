"""Dagster: a daily partitioned asset that represents "this day's file is sent".

The run is named after the partition. Materializing it again (a retry, a re-execution, a second click) resumes the
run of that day, or only reports it, so nobody gets the day's message twice. A day is sent again only under another
name.

(No "from __future__ import annotations" here: Dagster reads the context's annotation as it stands.)
"""

import os

import dagster as dg

import bulk_sender as bs

FOLDER = os.environ.get("WINTER_FOLDER", "/data/winter")
CONFIG = os.environ.get("WINTER_CONFIG", "/etc/bulk-sender/winter.toml")
RUNS_DIR = os.environ.get("BULK_SENDER_RUNS", "/var/lib/bulk-sender/runs")


@dg.asset(
    partitions_def=dg.DailyPartitionsDefinition(start_date="2026-01-01"),
    retry_policy=dg.RetryPolicy(max_retries=4, delay=600),
    kinds={"braze"},
)
def winter_campaign(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """The day's recipients, handed to Braze. The key is in BRAZE_API_KEY or BRAZE_API_KEY_FILE."""
    day = context.partition_key
    run_id = bs.run_id_for("winter", day)
    run = bs.RunName(id=run_id, folder=RUNS_DIR, must_exist=True)  # a missing disk must not look like a first run
    try:
        summary = bs.send(f"{FOLDER}/{day}.csv", config=CONFIG, run=run)
    except bs.RunHeldError as error:
        raise dg.Failure(str(error)) from None  # an earlier attempt is still ending: retry later
    except bs.BulkSenderError as error:
        raise dg.Failure(f"{error} {error.hint}", allow_retries=False) from None
    counts = {
        name: dg.MetadataValue.int(getattr(summary, name))
        for name in ("rows", "accepted", "rejected", "duplicate", "failed", "unknown", "not_sent")
    }
    metadata = {**counts, "run_id": run_id, "results": dg.MetadataValue.path(summary.files["results"])}
    if summary.state != "finished":
        raise dg.Failure(f"{summary.state}: {summary.reason}", metadata=metadata)  # the retry resumes it
    if summary.failed or summary.unknown:
        raise dg.Failure("rows are failed or unknown: someone has to decide", metadata=metadata, allow_retries=False)
    return dg.MaterializeResult(metadata=metadata)


defs = dg.Definitions(assets=[winter_campaign])
