"""Small valid files of every format, for the fuzz test to damage."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
import random
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

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


_MORE: list[object] = [
    None,
    1,
    1.5,
    "x",
    [1, "a"],
    {"a": {"b": [1]}},
    True,
    10**30,
    2**53 + 1,
    10.0,
    [2**63, 0.5],
    {"a": {}},
    [],
]


def ndjson(rng: random.Random) -> bytes:
    """Return lines with numbers of any length, nested values, and in a few files one name twice."""
    rows = table(rng).rows(named=True)
    mixed = rng.random() < 0.5
    usual = rng.choice(_MORE)
    for row in rows:
        row["trigger_properties.more"] = rng.choice(_MORE) if mixed else rng.choice([usual, None])
        row["trigger_properties.n"] = rng.choice([1, 2.5, 10**17 + 1])
    text = "\n".join(json.dumps(row, ensure_ascii=rng.random() < 0.5) for row in rows)
    return (text if rng.random() < 0.9 else text.replace("more", "n", 2)).encode()


_NOON = dt.datetime(2026, 2, 28, 12, tzinfo=dt.UTC)
_MAP = pa.map_(pa.string(), pa.int64())
_TYPED: dict[str, tuple[pa.DataType, list[object]]] = {
    "map": (_MAP, [[("a", 1)], [("a", 1), ("a", 2)], [], None]),
    "maps": (pa.list_(pa.map_(pa.string(), _MAP)), [[[("a", [("b", 1)])]], [], None]),
    "bytes": (pa.binary(), [b"x", b"\xff", b'{"a": 1}', b"", b"\x00", None]),
    "decimal": (pa.decimal128(38, 2), [decimal.Decimal("1.50"), decimal.Decimal(10) ** 30, None]),
    "wide": (pa.decimal256(60, 2), [decimal.Decimal("1.5"), None]),
    "large": (pa.uint64(), [2**64 - 1, 0, None]),
    "float": (pa.float64(), [1.0, float("nan"), 1e300, None]),
    "struct": (pa.struct([("a", pa.list_(pa.int64())), ("b", _MAP)]), [{"a": [1], "b": [("x", 1)]}, {"a": None}, None]),
    "fixed": (pa.list_(pa.float32(), 2), [[1, 2.5], None]),
    "label": (pa.dictionary(pa.int32(), pa.string()), ["a", "b", None]),
    "moment": (pa.timestamp("ns", "+05:30"), [_NOON, None]),
    "naive": (pa.timestamp("s"), [_NOON.replace(tzinfo=None), None]),
    "day": (pa.date32(), [_NOON.date(), dt.date(1, 1, 1), None]),
    "time": (pa.time64("us"), [dt.time(8, 30), None]),
    "span": (pa.duration("s"), [dt.timedelta(seconds=90), None]),
    "nothing": (pa.null(), [None]),
}
_ARROW_ONLY: dict[str, tuple[pa.DataType, list[object]]] = {
    "interval": (pa.month_day_nano_interval(), [(1, 2, 3), None]),
    "intervals": (pa.list_(pa.month_day_nano_interval()), [[(1, 2, 3)], [], None]),
    "view": (pa.string_view(), ["x", None]),
    "list_view": (pa.list_view(pa.int64()), [[1], None]),
}
_GROUPS = ["trigger_properties.", "attributes.", "unused_", "unused_"]


def typed(rng: random.Random, more: dict[str, tuple[pa.DataType, list[object]]]) -> pa.Table:
    """Return a table with columns of several types, some of which a configuration without a mapping uses."""
    text = table(rng)
    found = text.to_arrow(compat_level=pl.CompatLevel.oldest())
    kinds = _TYPED | more
    for name in rng.sample(sorted(kinds), rng.choice([0, 1, 2, 4])):
        dtype, values = kinds[name]
        kept = values if rng.random() < 0.5 else values[:1]
        cells = pa.array([rng.choice(kept) for _ in range(len(text))], dtype)
        found = found.append_column(rng.choice(_GROUPS) + name, cells)
    if more and rng.random() < 0.1:
        codes = pa.array([0] * len(text), pa.int8())
        found = found.append_column("unused_union", pa.UnionArray.from_sparse(codes, [pa.array([1] * len(text))]))
    return found


_OF_DUCKDB = [
    "interval 3 day",
    "map {'a': 1}",
    "170141183460469231731687303715884105727::hugeint",
    "'{\"a\": 1}'::json",
    "'\\xFF'::blob",
    "'101'::bit",
    "time '08:30:00'",
    "{'a': [1, 2]}",
    "0.1::decimal(38, 10)",
]


def parquet(rng: random.Random) -> bytes:
    """Return a Parquet file by pyarrow, or by DuckDB with its own types."""
    if rng.random() < 0.8:
        buffer = io.BytesIO()
        pq.write_table(typed(rng, {}), buffer, row_group_size=rng.choice([1, 50, 1000]))
        return buffer.getvalue()
    made = table(rng).to_arrow(compat_level=pl.CompatLevel.oldest())
    columns = [f'{value} as "{rng.choice(_GROUPS)}{at}"' for at, value in enumerate(rng.sample(_OF_DUCKDB, 2))]
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config={"threads": 1}) as connection:
        path = Path(folder) / "made.parquet"
        connection.register("made", made)
        connection.sql(f"select *, {', '.join(columns)} from made").write_parquet(str(path))
        return path.read_bytes()


def _arrow(write: Callable[[io.BytesIO, pa.Schema], pa.ipc.RecordBatchWriter]) -> Callable[[random.Random], bytes]:
    def make(rng: random.Random) -> bytes:
        made = typed(rng, _ARROW_ONLY)
        buffer = io.BytesIO()
        with write(buffer, made.schema) as file:
            file.write_table(made, max_chunksize=rng.choice([1, 50, 1000]))
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
    "parquet": parquet,
    "arrow": _arrow(pa.ipc.new_file),
    "arrows": _arrow(pa.ipc.new_stream),
    "xlsx": workbook,
}
