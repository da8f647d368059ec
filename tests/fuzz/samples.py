"""Small valid files of every format, for the fuzz test to damage."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable

import polars as pl

_NAMES = [
    "Zoé",
    "Jürgen",
    "Íñigo",
    "山田",
    "O'Brien",
    'the "Great"',
    "=1+1",
    "",
    " x ",
    "a;b",
    "l1\nl2",
    "-7",
    "\u202etxt",
]


def table(rng: random.Random) -> pl.DataFrame:
    """Return a few rows of text that look like recipients."""
    rows = rng.choice([0, 1, 3, 60, 400])
    return pl.DataFrame(
        {
            "external_user_id": [f"{n:05d}" for n in range(rows)],
            "trigger_properties.name": [rng.choice(_NAMES) for _ in range(rows)],
            "trigger_properties.total:float": [f"{rng.uniform(-5, 900):.2f}" for _ in range(rows)],
            "attributes.opted_in:boolean": [rng.choice(["true", "false", "yes", "", "maybe"]) for _ in range(rows)],
            "attributes.born:date": [rng.choice(["2001-02-28", "2001-02-30", "", "28/02/2001"]) for _ in range(rows)],
            "attributes.tags:list": [rng.choice(["a|b", "", '["a"]', "["]) for _ in range(rows)],
        },
        schema_overrides={"external_user_id": pl.String},
    )


def csv(rng: random.Random) -> bytes:
    separator, end = rng.choice(",;\t|"), rng.choice(["\n", "\r\n"])
    text = table(rng).write_csv(separator=separator, line_terminator=end)
    return (text if rng.random() < 0.8 else text.replace("\n", "\r")).encode()


def ndjson(rng: random.Random) -> bytes:
    rows = table(rng).rows(named=True)
    for row in rows:
        row["trigger_properties.more"] = rng.choice([None, 1, 1.5, "x", [1, "a"], {"a": {"b": [1]}}, True, 10**30])
    return "\n".join(json.dumps(row, ensure_ascii=rng.random() < 0.5) for row in rows).encode()


def _written(write: Callable[[pl.DataFrame, io.BytesIO], object]) -> Callable[[random.Random], bytes]:
    def make(rng: random.Random) -> bytes:
        buffer = io.BytesIO()
        write(table(rng), buffer)
        return buffer.getvalue()

    return make


def zipped(data: bytes, rng: random.Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(rng.choice([1, 1, 1, 0, 2])):
            archive.writestr(f"list{number}.csv", data)
    return buffer.getvalue()


SAMPLES: dict[str, Callable[[random.Random], bytes]] = {
    "csv": csv,
    "ndjson": ndjson,
    "parquet": _written(lambda frame, file: frame.write_parquet(file)),
    "arrow": _written(lambda frame, file: frame.write_ipc(file)),
    "arrows": _written(lambda frame, file: frame.write_ipc_stream(file)),
    "xlsx": _written(lambda frame, file: frame.write_excel(file)),
}
