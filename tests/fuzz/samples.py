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


_XML = [
    "<!-- -->",
    "<![CDATA[x]]>",
    "&amp;",
    "&bad;",
    "&#xD800;",
    "<v>",
    "</v>",
    "</c>",
    "</row>",
    '<row r="1">',
    '<c r="A1"><v>1</v></c>',
    '<c r="XFD1048576" t="s"><v>99999</v></c>',
    "<c><f>A1</f></c>",
    "NaN",
    "1e400",
    "-",
    "9" * 30,
    "\x00",
    "\ufffe",
    "<!DOCTYPE a [<!ENTITY b 'c'>]>",
    "hidden=",
    "_x0000_",
    "[h]",
    "veryHidden",
]


def workbook(rng: random.Random) -> bytes:
    """Return a workbook with columns of several types. In half of them, one part is damaged inside a sound zip."""
    frame = table(rng).with_columns(
        pl.int_range(pl.len()).alias("trigger_properties.n"),
        pl.datetime(2026, 2, 28, 10, 30).alias("trigger_properties.at"),
        pl.date(2026, 2, 28).alias("trigger_properties.day"),
        (pl.int_range(pl.len()) % 2 == 0).alias("trigger_properties.flag"),
    )
    buffer = io.BytesIO()
    frame.write_excel(buffer)
    if rng.random() < 0.5:
        return buffer.getvalue()
    damaged = io.BytesIO()
    with zipfile.ZipFile(buffer) as sound, zipfile.ZipFile(damaged, "w", zipfile.ZIP_DEFLATED) as made:
        names = sound.namelist()
        chosen = rng.choice([name for name in names if "xl/" in name or rng.random() < 0.1] or names)
        for name in names:
            text = sound.read(name).decode()
            if name == chosen:
                for _ in range(rng.choice([1, 1, 2, 5])):
                    at = rng.randrange(len(text) + 1)
                    text = text[:at] + rng.choice([*_XML, ""]) + text[at + rng.choice([0, 0, 1, 7, 200]) :]
            made.writestr(name, text.encode("utf-8", "replace"))
    return damaged.getvalue()


SAMPLES: dict[str, Callable[[random.Random], bytes]] = {
    "csv": csv,
    "ndjson": ndjson,
    "parquet": _written(lambda frame, file: frame.write_parquet(file)),
    "arrow": _written(lambda frame, file: frame.write_ipc(file)),
    "arrows": _written(lambda frame, file: frame.write_ipc_stream(file)),
    "xlsx": workbook,
}
