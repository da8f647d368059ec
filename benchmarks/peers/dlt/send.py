"""dlt: a custom destination that POSTs 50 recipients at a time. ``python send.py URL FILE``.

Arrow tables in, parquet between, dlt's own ``requests`` out: the documented fast path. The load package is
cut into files of 20,000 rows: load jobs run in parallel by file, and the destination writes the progress of
every file to disk after every batch, so that many small files cost more.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Settings must stand before the first import of dlt: no call home, and one load job for every 20,000 rows.
FILE_ROWS = 20_000
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DATA_WRITER__FILE_MAX_ITEMS"] = str(FILE_ROWS)

import dlt  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.csv as pa_csv  # noqa: E402
from dlt.sources.helpers import requests  # noqa: E402
from rows import BATCH, message  # noqa: E402

HEADERS = {"Authorization": "Bearer bench-key"}
GROUPS = ("trigger_properties", "attributes")


def nested(path: Path) -> pa.Table:
    """The file as one table, the dotted columns gathered in structs; every value stays text."""
    with path.open(encoding="utf-8") as file:
        columns = file.readline().rstrip("\n").split(",")
    text = pa_csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()))
    table = pa_csv.read_csv(path, convert_options=text).combine_chunks()
    gathered = {"external_user_id": table["external_user_id"]}
    for group in GROUPS:
        names = [column for column in columns if column.startswith(group + ".")]
        arrays = [table[name].combine_chunks() for name in names]
        gathered[group] = pa.StructArray.from_arrays(arrays, [name.partition(".")[2] for name in names])
    return pa.table(gathered)


@dlt.resource(name="recipients")
def recipients(path: Path) -> Iterator[pa.Table]:
    table = nested(path)
    for first in range(0, table.num_rows, FILE_ROWS):
        yield table.slice(first, FILE_ROWS)


@dlt.destination(name="braze", batch_size=BATCH, loader_file_format="parquet", max_parallel_load_jobs=16)
def braze(items: pa.RecordBatch, table: dict[str, object], url: str = dlt.config.value) -> None:
    requests.post(url, json=message(items.to_pylist()), headers=HEADERS)


def main(url: str, path: Path) -> None:
    pipeline = dlt.pipeline("bench", destination=braze(url=url), pipelines_dir=str(Path.home() / "pipelines"))
    info = pipeline.run(recipients(path))
    loaded = pipeline.last_trace.last_normalize_info.row_counts["recipients"]
    print(json.dumps({"claimed": 0, "failed": loaded} if info.has_failed_jobs else {"claimed": loaded, "failed": 0}))


if __name__ == "__main__":
    main(sys.argv[1] + "/campaigns/trigger/send", Path(sys.argv[2]))
