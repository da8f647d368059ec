"""A program that sends a DataFrame: ``python -m tests.cluster.spark_job CONFIG RUNS_DIR STORE ROWS WORKERS``.

It sends twice under one name, as a scheduler would that missed the end, and prints both summaries.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import bulk_sender as bs
import bulk_sender.spark as bss
from bulk_sender.reading import chunk

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "512m",
    "spark.eventLog.enabled": "true",
    "spark.eventLog.compress": "false",
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.task.duration.threshold": "2s",
}


def main(config: str, runs_dir: str, store: str, rows: str, workers: str) -> None:
    chunk.CHUNK_CELLS = 1000  # so that there is something to share
    building = SparkSession.builder.master("local[4,4]")
    for name, value in SETTINGS.items():
        building = building.config(name, value)
    events = Path(runs_dir).with_name("events")
    events.mkdir()
    spark = building.config("spark.eventLog.dir", events.as_uri()).getOrCreate()
    people = spark.range(0, int(rows), 1, 3).select(
        F.concat(F.lit("u"), F.col("id").cast("string")).alias("external_user_id"),
        F.current_timestamp().cast("string").alias("attributes.seen"),  # another value, whenever it is computed
    )
    given = {"config": config, "runs_dir": runs_dir, "run_id": "winter", "workers": int(workers), "store": store}
    try:
        print(json.dumps([bss.send(people, **given).to_dict() for _ in range(2)]))
    except bs.BulkSenderError as error:
        print(f"{error} ({error.hint})", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    finally:
        spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
