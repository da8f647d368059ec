"""Column types of Parquet and Arrow files: each is sent right, or refused by its name before the first request."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bulk_sender as bs
from bulk_sender.errors import ConfigError, InputError
from bulk_sender.guessing.draft import draft
from bulk_sender.reading.panics import panics_hidden
from bulk_sender.reading.polars_errors import reading
from tests.kit.command import environment
from tests.kit.inputs import chunks, put, read, recipients

FILES = Path(__file__).parent / "data"
NOON = dt.datetime(2026, 2, 28, 12, tzinfo=dt.UTC)
_MAP = pa.map_(pa.string(), pa.int64())
_OPAQUE = pa.opaque(pa.string(), "name", "vendor")


def _dense_union() -> pa.Array:
    return pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])])


SENT: dict[str, tuple[pa.Array, Any]] = {
    "map": (pa.array([[("a", 1)]], _MAP), {"a": 1}),
    "map of maps": (pa.array([[("a", [("b", 1)])]], pa.map_(pa.string(), _MAP)), {"a": {"b": 1}}),
    "map with numbers as keys": (pa.array([[(7, "x")]], pa.map_(pa.int32(), pa.string())), {"7": "x"}),
    "map with dates as keys": (pa.array([[(NOON.date(), 1)]], pa.map_(pa.date32(), pa.int8())), {"2026-02-28": 1}),
    "list of maps": (pa.array([[[("b", 1)], []]], pa.list_(_MAP)), [{"b": 1}, {}]),
    "map in a struct": (pa.array([{"m": [("b", 1)]}], pa.struct([("m", _MAP)])), {"m": {"b": 1}}),
    "list of structs": (pa.array([[{"a": [1]}]]), [{"a": [1]}]),
    "fixed list": (pa.array([[1, 2]], pa.list_(pa.int64(), 2)), [1, 2]),
    "dictionary": (pa.array(["a"]).dictionary_encode(), "a"),
    "text view": (pa.array(["a"], pa.string_view()), "a"),
    "half float": (pa.array([1.5], pa.float16()), 1.5),
    "unsigned": (pa.array([2**64 - 1], pa.uint64()), 2**64 - 1),
    "decimal": (pa.array([decimal.Decimal("1.50")], pa.decimal128(38, 2)), 1.5),
    "date": (pa.array([NOON.date()], pa.date64()), "2026-02-28T00:00:00+00:00"),
    "time": (pa.array([dt.time(8, 30)], pa.time32("s")), "08:30:00"),
    "duration": (pa.array([90], pa.duration("s")), "PT1M30S"),
    "time zone": (pa.array([NOON], pa.timestamp("us", "Europe/Paris")), "2026-02-28T13:00:00+01:00"),
    "offset as a time zone": (pa.array([NOON], pa.timestamp("us", "+05:30")), "2026-02-28T12:00:00+00:00"),
    "offset in a list": (pa.array([[NOON]], pa.list_(pa.timestamp("ms", "+05:30"))), ["2026-02-28T12:00:00+00:00"]),
    "extension": (pa.ExtensionArray.from_storage(_OPAQUE, pa.array(["a"])), "a"),
    "JSON": (pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}"])), "{}"),
    "nothing": (pa.array([None], pa.null()), None),
}
REFUSED: dict[str, tuple[pa.Array, str]] = {
    "interval": (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "INTERVAL"),
    "list of intervals": (pa.array([[(1, 2, 3)]], pa.list_(pa.month_day_nano_interval())), "list with INTERVAL"),
    "wide decimal": (pa.array([decimal.Decimal("1.5")], pa.decimal256(60, 2)), "DECIMAL(60, 2)"),
    "binary": (pa.array([b"a"]), "Binary"),
    "map with bytes": (pa.array([[("a", b"a")]], pa.map_(pa.string(), pa.binary())), "Binary"),
}
UNKNOWN: dict[str, tuple[pa.Array, str]] = {
    "union": (pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]), "union"),
    "dense union": (_dense_union(), "union"),
    "list view": (pa.array([[1]], pa.list_view(pa.int64())), "list view"),
    "large list view": (pa.array([[1]], pa.large_list_view(pa.int64())), "list view"),
    "runs": (pa.RunEndEncodedArray.from_arrays([1], ["a"]), "run-end encoding"),
    "list of list views": (pa.array([[[1]]], pa.list_(pa.list_view(pa.int64()))), "list view"),
    "struct with a union": (pa.StructArray.from_arrays([_dense_union()], ["u"]), "union"),
}
WITHOUT_PYARROW = """
import sys
sys.modules["pyarrow"] = None
import bulk_sender as bs
"""


def _sent(given: Any, config: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return [json.loads(text) for text in recipients(given, config)]


def _table(array: pa.Array, rows: int = 1) -> pa.Table:
    ids = [f"u{number}" for number in range(rows)]
    return pa.table({"external_user_id": ids, "trigger_properties.v": pa.concat_arrays([array] * rows)})


def _arrow(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table)


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "parquet": lambda table, path: pq.write_table(table, path),
    "arrow": _arrow,
}


def _written(table: pa.Table, folder: Path, kind: str) -> Path:
    path = folder / f"table.{kind}"
    try:
        WRITERS[kind](table, path)
    except (NotImplementedError, pa.ArrowNotImplementedError, pa.ArrowInvalid):
        pytest.skip(f"pyarrow does not write this type to {kind}")
    return path


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", SENT)
def test_a_value_of_each_type_is_sent(name: str, kind: str, tmp_path: Path) -> None:
    array, expected = SENT[name]
    path = _written(_table(array), tmp_path, kind)
    [recipient] = _sent(path)
    assert recipient.get("trigger_properties", {}).get("v") == expected


@pytest.mark.parametrize("name", SENT)
def test_a_value_of_each_type_is_sent_from_a_frame(name: str, tmp_path: Path) -> None:
    array, expected = SENT[name]
    [recipient] = _sent(_table(array))
    assert recipient.get("trigger_properties", {}).get("v") == expected


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", REFUSED)
def test_a_column_that_cannot_be_sent_is_named_with_its_type(name: str, kind: str, tmp_path: Path) -> None:
    array, expected = REFUSED[name]
    path = _written(_table(array), tmp_path, kind)
    with pytest.raises(ConfigError, match=r"'trigger_properties\.v'") as caught:
        bs.check(path)
    assert expected in str(caught.value)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", UNKNOWN)
def test_a_type_that_polars_does_not_have_is_named_with_its_column(name: str, kind: str, tmp_path: Path) -> None:
    array, expected = UNKNOWN[name]
    path = _written(_table(array), tmp_path, kind)
    with pytest.raises(ConfigError, match=r"'trigger_properties\.v'") as caught:
        bs.check(path)
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_stream_with_a_type_that_polars_does_not_have_is_read(name: str) -> None:
    array, expected = UNKNOWN[name]
    table = _table(array, 3).append_column("trigger_properties.n", pa.array([1, 2, 3]))
    for given in (table, pa.RecordBatchReader.from_batches(table.schema, table.to_batches(2))):
        with pytest.raises(ConfigError, match=rf"'trigger_properties\.v' has the type .*{expected}"):
            bs.check(given)
    renamed = table.rename_columns(["external_user_id", "unused", "trigger_properties.n"])
    for given in (renamed, pa.RecordBatchReader.from_batches(renamed.schema, renamed.to_batches(2))):
        assert [each["trigger_properties"]["n"] for each in _sent(given)] == [1, 2, 3]


@pytest.mark.parametrize("name", ["interval", "list of intervals", "wide decimal"])
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_an_arrow_stream_in_a_file_is_read_without_what_json_does_not_have(
    name: str, rows: int, tmp_path: Path
) -> None:
    """polars crashes at the values of a list of intervals."""
    array, expected = REFUSED[name]
    table = _table(array, 3).slice(0, rows)
    for title, unused in (("v", True), ("trigger_properties.v", False)):
        path = tmp_path / f"{title}.arrows"
        renamed = table.rename_columns(["external_user_id", title])
        with pa.ipc.new_stream(path, renamed.schema) as file:
            file.write_table(renamed)
        if unused:
            assert sum(len(chunk.frame) for chunk in chunks(path)) == rows
        else:
            with pytest.raises(ConfigError, match=re.escape(expected)):
                bs.check(path)


@pytest.mark.parametrize("kind", ["arrow", "arrows"])
def test_a_list_of_intervals_beside_a_list_view_is_left_out(kind: str, tmp_path: Path) -> None:
    view, intervals = UNKNOWN["list view"][0], REFUSED["list of intervals"][0]
    table = pa.table({"external_user_id": ["u0"], "x": view, "y": intervals})
    with (pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream)(tmp_path / f"a.{kind}", table.schema) as file:
        file.write_table(table)
    assert bs.check(tmp_path / f"a.{kind}").valid == 1


def test_a_stream_without_a_column_that_can_be_read_is_refused() -> None:
    with pytest.raises(InputError, match="'a' has the type union, and no other column can be read"):
        bs.check(pa.table({"a": _dense_union()}))


def test_an_arrow_stream_in_a_file_with_an_unknown_type_is_read(tmp_path: Path) -> None:
    array, _ = UNKNOWN["union"]
    table = _table(array, 3).rename_columns(["external_user_id", "unused"])
    with pa.ipc.new_stream(tmp_path / "a.arrows", table.schema) as file:
        file.write_table(table)
    assert bs.check(tmp_path / "a.arrows").valid == 3


def _run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYARROW + code],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_union_of_duckdb_is_left_out_without_pyarrow(tmp_path: Path) -> None:
    sql = "select 'u' || i as external_user_id, union_value(n := i) as {name} from range(3) t(i)"
    with duckdb.connect(str(tmp_path / "w.duckdb")):
        pass
    unused, used = (f"bs.check(bs.Query({sql.format(name=name)!r}, 'w.duckdb'))" for name in ("x", '"attributes.x"'))
    assert _run(f"print({unused}.valid)", tmp_path).strip() == "3"
    assert "column 'attributes.x' has the type union" in _run(used, tmp_path)


def test_an_arrow_file_with_an_unknown_type_says_that_it_needs_pyarrow(tmp_path: Path) -> None:
    array, _ = UNKNOWN["union"]
    _arrow(_table(array).rename_columns(["external_user_id", "unused"]), tmp_path / "a.arrow")
    said = _run("bs.check('a.arrow')", tmp_path)
    assert "a.arrow has a column of a type that cannot be read: a union" in said
    assert "panicked" not in said


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", SENT | REFUSED | UNKNOWN)
def test_an_unused_column_of_any_type_changes_nothing(name: str, kind: str, tmp_path: Path) -> None:
    """The only bad row is the last of several chunks, so everything before it is planned first."""
    array, _ = (SENT | REFUSED | UNKNOWN)[name]
    rows = 16_000
    table = _table(array, rows).rename_columns(["external_user_id", "unused"])
    table = table.append_column("name", pa.array(["x"] * rows))
    ids = pa.array([None if row == rows - 2 else f"u{row}" for row in range(rows)])
    path = _written(table.set_column(0, "external_user_id", ids), tmp_path, kind)
    config = {"delivery": {"rate": "100000/second"}}
    summary = bs.send(path, config=config, sandbox=True, run_id="t", runs_dir=tmp_path / "runs")
    assert (summary.accepted, summary.rejected, summary.rows) == (rows - 1, 1, rows)
    assert len(bs.rejected("t", runs_dir=tmp_path / "runs")) == 1


def test_a_map_with_a_rejected_row_comes_back_as_json(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    path = FILES / "map_column.parquet"
    bs.send(path, sandbox=True, run_id="t", runs_dir=runs)
    [row] = bs.rejected("t", runs_dir=runs).to_dicts()
    assert json.loads(row["extra:json"]) == {"tier": "silver"}


def test_a_mapped_map_is_sent_as_an_object(tmp_path: Path) -> None:
    config = {"recipient": {"external_user_id": "external_user_id", "trigger_properties": {"m": "extra"}}}
    sent = _sent(FILES / "map_column.parquet", config)
    assert [each["trigger_properties"]["m"] for each in sent] == [{"tier": "gold"}, {"tier": "none"}]


_TWICE = pa.array([[("a", "1"), ("a", "2")], [("a", "1"), ("b", None)], [], None], pa.map_(pa.string(), pa.string()))
_NESTED = {
    "map": _TWICE,
    "list": pa.array([[each] for each in _TWICE.to_pylist()], pa.list_(_TWICE.type)),
    "struct": pa.StructArray.from_arrays([_TWICE], ["m"]),
    "map of maps": pa.array([[("x", each)] for each in _TWICE.to_pylist()], pa.map_(pa.string(), _TWICE.type)),
}


@pytest.mark.parametrize("name", _NESTED)
def test_a_map_with_one_key_twice_is_rejected(name: str, tmp_path: Path) -> None:
    ids = [f"u{row}" for row in range(4)]
    table = pa.table({"external_user_id": ids, "trigger_properties.v": _NESTED[name]})
    _arrow(table, tmp_path / "a.arrow")
    for given in (table, tmp_path / "a.arrow"):
        assert [each["external_user_id"] for each in _sent(given)] == ids[1:]


def test_the_reason_names_what_can_be_wrong_inside_a_type() -> None:
    table = pa.table({"external_user_id": ["u1", "u2"], "trigger_properties.v": pa.chunked_array([_TWICE[:2]])})
    [found] = bs.check(table).reasons["invalid_value"]["examples"]
    assert found["error"].endswith("is not valid: it contains one key twice")


@pytest.mark.parametrize(
    "array",
    [
        pa.array([[b"x"]]),
        pa.array([[("a", b"x")]], pa.map_(pa.string(), pa.binary())),
        pa.array([[(b"a", 1)]], pa.map_(pa.binary(), pa.int64())),
    ],
    ids=str,
)
def test_bytes_inside_a_list_or_a_map_are_refused_without_advice_that_fails(array: pa.Array) -> None:
    with pytest.raises(ConfigError, match="it has bytes inside") as refused:
        bs.check(_table(array))
    assert refused.value.hint == "convert them to text where the input is written"


_FAR = 2**63 - 1


def _times(unit: str, zone: str | None = None) -> pa.Array:
    return pa.array([_FAR, -_FAR, 0], pa.int64()).view(pa.timestamp(unit, zone))


_DATES = pa.array([2**31 - 1, -(2**31), 0], pa.int32()).view(pa.date32())
_BEYOND = {
    "date": _DATES,
    "us": _times("us"),
    "ms with a zone": _times("ms", "Europe/Paris"),
    "list": pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), _times("us")),
    "fixed list": pa.FixedSizeListArray.from_arrays(_DATES, 1),
    "struct": pa.StructArray.from_arrays([_DATES], ["d"]),
    "map": pa.MapArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), pa.array(["a", "b", "c"]), _DATES),
}


@pytest.mark.parametrize("kind", ["parquet", "arrow", "frame"])
@pytest.mark.parametrize("name", _BEYOND)
def test_a_date_that_polars_cannot_write_is_a_rejected_row(
    name: str, kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Databases have infinity as such a date, and other tools the largest number."""
    for column, valid in (("trigger_properties.v", ["u3"]), ("other", ["u1", "u2", "u3"])):
        table = pa.table(
            {"external_user_id": ["u1", "u2", "u3", None], column: pa.concat_arrays([_BEYOND[name], _BEYOND[name][2:]])}
        )
        given = table if kind == "frame" else _written(table, tmp_path, kind)
        run = bs.send(given, run_id=column, runs_dir=tmp_path / "runs", sandbox=True)
        results = bs.results(column, status="accepted", runs_dir=tmp_path / "runs")
        assert (run.accepted, run.rejected, results["identifier"].to_list()) == (len(valid), 4 - len(valid), valid)
        again = bs.check(tmp_path / "runs" / column / "rejected.csv")
        assert again.valid == 0
    assert "panicked" not in capfd.readouterr().err


def test_nanoseconds_beside_a_year_that_they_do_not_reach_are_read_together(tmp_path: Path) -> None:
    never = dt.datetime(9999, 12, 31)
    for place, array in enumerate([pa.array([NOON], pa.timestamp("ns")), pa.array([never], pa.timestamp("us"))]):
        table = pa.table({"external_user_id": [f"u{place}"], "trigger_properties.v": array})
        pq.write_table(table, tmp_path / f"{place}.parquet")
    sent = [each["trigger_properties"]["v"] for each in bs.check(tmp_path).samples]
    assert sent == ["2026-02-28T12:00:00+00:00", "9999-12-31T00:00:00+00:00"]


def test_a_stream_that_fails_is_an_error_without_a_traceback_or_an_address() -> None:
    batch = pa.record_batch({"external_user_id": ["u1"]})

    def batches() -> Iterator[pa.RecordBatch]:
        yield batch
        raise OSError("lost postgresql://user:secret@host/name")

    with pytest.raises(InputError, match="lost …") as failed:
        bs.check(pa.RecordBatchReader.from_batches(batch.schema, batches()))
    assert "secret" not in str(failed.value)
    assert "Traceback" not in str(failed.value)


def test_of_a_key_that_parquet_has_twice_the_last_value_counts(tmp_path: Path) -> None:
    """polars drops the first one while it reads the file."""
    array = pa.array([[("a", "1"), ("a", "2")]], pa.map_(pa.string(), pa.string()))
    [recipient] = _sent(_written(_table(array), tmp_path, "parquet"))
    assert recipient["trigger_properties"]["v"] == {"a": "2"}


def test_an_interval_of_duckdb_is_named_and_otherwise_ignored(tmp_path: Path) -> None:
    path = shutil.copy(FILES / "interval_column.parquet", tmp_path)
    report = bs.check(path)
    assert report.valid == 1
    assert "columns with a type that cannot be sent: 'waited' (INTERVAL)" in report.warnings
    mapped = {"recipient": {"external_user_id": "external_user_id", "attributes": {"w": "waited"}}}
    with pytest.raises(ConfigError, match="column 'waited' has the type INTERVAL"):
        bs.check(path, mapped)


@pytest.mark.parametrize("backtrace", ["0", "1", "full"])
def test_no_panic_is_shown_for_an_interval(backtrace: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "bulk_sender", "check", FILES / "interval_column.parquet"],
        env=os.environ | {"RUST_BACKTRACE": backtrace},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0
    assert "panicked" not in found.stderr
    assert "backtrace" not in found.stderr


DISTANT = {
    "date": pl.Series([1, 2**31 - 1, -(2**31), None], dtype=pl.Int32).cast(pl.Date),
    "ms": pl.Series([1, 2**63 - 1, -(2**63) + 1, None]).cast(pl.Datetime("ms")),
    "us": pl.Series([1, 2**63 - 1, -(2**63) + 1, None]).cast(pl.Datetime("us")),
    "ms in UTC": pl.Series([1, 2**62, -(2**62), None]).cast(pl.Datetime("ms", "UTC")),
    "us in Paris": pl.Series([1, 2**62, -(2**62), None]).cast(pl.Datetime("us", "Europe/Paris")),
}
"""Dates that polars cannot write, as DuckDB and PostgreSQL use them for infinity, and one that it can."""


def _check(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bulk_sender", "check", path, *options]
    return subprocess.run(
        command, env=os.environ | {"RUST_BACKTRACE": "1"}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("where", ["alone", "in a struct", "in a list", "in a map"])
@pytest.mark.parametrize("name", DISTANT)
def test_a_date_too_distant_to_be_written_is_rejected_and_stays_so(name: str, where: str, tmp_path: Path) -> None:
    value = DISTANT[name].alias("x")
    if where != "alone":
        nested = {
            "in a struct": pl.struct(pl.col("x"), n=1),
            "in a list": pl.concat_list("x"),
            "in a map": pl.concat_list(pl.struct(key=pl.lit("k"), value="x")).list.to_map(),
        }[where]
        value = value.to_frame().select(nested.alias("x")).to_series()
    frame = pl.DataFrame({"external_user_id": ["u1", "u2", "u3", "u4"], "trigger_properties.x": value})
    path = tmp_path / "people.parquet"
    frame.write_parquet(path)
    first = bs.send(path, sandbox=True, run_id="one", runs_dir=tmp_path / "runs")
    again = bs.send(tmp_path / "runs" / "one" / "rejected.csv", sandbox=True, run_id="two", runs_dir=tmp_path / "runs")
    assert (first.accepted, first.rejected) == (2, 2)
    assert (again.accepted, again.rejected) == (0, 2)


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Paris"])
@pytest.mark.parametrize("wanted", ["date", "datetime", "string"])
@pytest.mark.parametrize("name", DISTANT)
def test_a_distant_date_is_rejected_as_any_type(name: str, wanted: str, timezone: str, tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    pl.DataFrame({"external_user_id": list("abcd"), "x": DISTANT[name]}).write_parquet(path)
    field = {"column": "x", "type": wanted}
    config = {
        "input": {"timezone": timezone},
        "recipient": {"external_user_id": "external_user_id", "attributes": {"x": field}},
    }
    report = bs.check(path, config)
    assert (report.valid, report.rejected) == (2, 2)


@pytest.mark.parametrize("name", DISTANT)
def test_an_unused_distant_date_beside_a_rejected_row_shows_no_panic(name: str, tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    pl.DataFrame({"external_user_id": ["a", None, None, "d"], "x": DISTANT[name]}).write_parquet(path)
    found = _check(path)
    assert (found.returncode, "2  of 4 rows" in found.stdout, "panicked" in found.stderr) == (1, True, False), found
    assert "x" in draft([path])


def test_a_filter_that_writes_a_distant_date_is_an_error_without_a_panic(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    pl.DataFrame({"external_user_id": list("abcd"), "until": DISTANT["date"]}).write_parquet(path)
    config = put(tmp_path, "config.toml", "[input]\nfilter = \"CAST(until AS VARCHAR) > '2000'\"\n")
    found = _check(path, "--config", str(config))
    assert found.returncode == 2
    assert "input.filter cannot be applied to every row: out-of-range date" in found.stderr
    assert "panicked" not in found.stderr


def test_no_panic_is_shown_when_damaged_values_are_used(capfd: pytest.CaptureFixture[str]) -> None:
    def panics() -> None:
        DISTANT["date"].cast(pl.String)

    for nested in (nullcontext, panics_hidden):
        with pytest.raises(InputError, match="damaged"), reading("people.parquet", "recipients", typed=True), nested():
            panics()
    assert "panicked" not in capfd.readouterr().err
    with pytest.raises(InputError), reading("people.csv", "recipients"):
        panics()
    assert "panicked" in capfd.readouterr().err


@pytest.mark.parametrize("backtrace", ["0", "1", "full"])
def test_a_file_with_damaged_texts_is_refused_without_a_panic_or_a_traceback(backtrace: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "bulk_sender", "check", FILES / "damaged_texts.parquet"],
        env=os.environ | {"RUST_BACKTRACE": backtrace},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert found.stderr.splitlines()[0].startswith("error: ")
    assert len(found.stderr.splitlines()) == 2


def test_the_infinity_of_duckdb_is_rejected_by_its_column() -> None:
    rows = "SELECT 'a' external_user_id, DATE '2026-02-28' AS \"attributes.until\""
    query = rows + " UNION ALL SELECT 'b', DATE 'infinity'"
    report = bs.check(duckdb.sql(query))
    assert (report.valid, report.rejected) == (1, 1)
    assert "column 'attributes.until'" in str(report.to_dict())


def test_bytes_that_are_text_can_be_identifiers(tmp_path: Path) -> None:
    table = pa.table({"id": pa.array([b"u1", b"\xff"])})
    path = _written(table, tmp_path, "parquet")
    with pytest.raises(ConfigError, match="type Binary"):
        bs.check(path, {"recipient": {"external_user_id": "id"}})
    typed = {"recipient": {"external_user_id": {"column": "id", "type": "string"}}}
    assert [each["external_user_id"] for each in _sent(path, typed)] == ["u1"]


@pytest.mark.parametrize("field", ["attributes", "identifier"])
@pytest.mark.parametrize("cell", [b"Z\xfcrich", b"\xff", b'\xfc\x00\n,"\\'])
def test_bytes_that_nobody_fixed_are_rejected_again(field: str, cell: bytes, tmp_path: Path) -> None:
    table = pa.table({"id": ["u1", "u2", None], "v": pa.array([b"x", cell, b"\xfe"])})
    path = _written(table, tmp_path, "parquet")
    source = {"column": "v", "type": "string"}
    config: dict[str, Any] = {"recipient": {"external_user_id": "id", "attributes": {"v": source}}}
    if field == "identifier":
        config = {"recipient": {"external_user_id": source}}
    first = bs.send(path, config, sandbox=True, run_id="one", runs_dir=tmp_path / "runs")
    rejected = tmp_path / "runs" / "one" / "rejected.csv"
    again = bs.send(rejected, config, sandbox=True, run_id="two", runs_dir=tmp_path / "runs")
    assert (first.accepted, first.rejected) == (1, 2)
    assert (again.accepted, again.rejected) == (0, 2)
    own = [bs.rejected(run, runs_dir=tmp_path / "runs").select("id", "v") for run in ("one", "two")]
    assert own[0].equals(own[1])


def test_bytes_that_somebody_fixed_are_sent(tmp_path: Path) -> None:
    table = pa.table({"external_user_id": ["u1"], "attributes.city:string": pa.array([b"Z\xfcrich"])})
    path = _written(table, tmp_path, "parquet")
    bs.send(path, sandbox=True, run_id="one", runs_dir=tmp_path / "runs")
    rejected = tmp_path / "runs" / "one" / "rejected.csv"
    text = rejected.read_text()
    assert "b'Z\\xfcrich'" in text
    rejected.write_text(text.replace("b'Z\\xfcrich'", "Zürich"))
    assert _sent(rejected) == [{"external_user_id": "u1", "attributes": {"city": "Zürich"}}]


def test_a_column_of_mixed_python_objects_is_named(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"external_user_id": ["a", "b"], "x": [1, "y"]})
    assert bs.check(frame).valid == 2
    mapped = {"recipient": {"external_user_id": "external_user_id", "attributes": {"x": "x"}}}
    with pytest.raises(ConfigError, match="column 'x' has the type int and str"):
        bs.check(frame, mapped)


@pytest.mark.parametrize("array", [SENT["offset as a time zone"][0], UNKNOWN["list view"][0], None])
def test_small_files_with_a_type_that_needs_care_are_read_one_by_one(array: pa.Array | None, tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / f"{number}.parquet"
        if array is None:
            shutil.copy(FILES / "interval_column.parquet", path)
        else:
            pq.write_table(_table(array, 2).rename_columns(["external_user_id", "x"]), path)
    report = bs.check(tmp_path)
    assert (report.rows, report.rejected) == ((3, 0) if array is None else (6, 0))


def _parts(*arrays: pa.Array) -> Iterator[pa.Table]:
    for number, array in enumerate(arrays):
        yield pa.table({"external_user_id": [f"u{number}"] * len(array), "trigger_properties.v": array})


MERGED: dict[str, tuple[list[pa.Array], list[Any]]] = {
    "integers": ([pa.array([1], pa.int32()), pa.array([2**40])], ["1", "1099511627776"]),
    "signs": ([pa.array([-1], pa.int64()), pa.array([2**64 - 1], pa.uint64())], ["-1", "18446744073709551615"]),
    "no values": ([pa.array([None], pa.null()), pa.array(["x"])], [None, '"x"']),
    "no values later": ([pa.array(["x"]), pa.array([None], pa.null())], ['"x"', None]),
    "a gap made floats": ([pa.array([2**53 + 1]), pa.array([1.5])], ["9007199254740993", "1.5"]),
    "small floats": ([pa.array([0.1], pa.float32()), pa.array([0.1])], ["0.1", "0.1"]),
    "scales": (
        [pa.array([decimal.Decimal("1.50")]), pa.array([decimal.Decimal("1.5")])],
        ["1.50", "1.5"],
    ),
    "dictionary": ([pa.array(["a"]).dictionary_encode(), pa.array(["b"])], ['"a"', '"b"']),
    "units": (
        [pa.array([NOON], pa.timestamp("ms", "UTC")), pa.array([NOON], pa.timestamp("us", "UTC"))],
        ['"2026-02-28T12:00:00+00:00"'] * 2,
    ),
    "lists": ([pa.array([[1]], pa.list_(pa.int32())), pa.array([[2.5, None]])], ["[1]", "[2.5]"]),
    "structs": ([pa.array([{"a": 1}]), pa.array([{"a": 2, "b": "x"}])], ['{"a":1}', '{"a":2,"b":"x"}']),
    "maps": (
        [pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int32())), pa.array([[("a", 2)]], _MAP)],
        ['{"a":1}', '{"a":2}'],
    ),
}


@pytest.mark.parametrize("turned", [False, True], ids=["as given", "the other way round"])
@pytest.mark.parametrize("name", MERGED)
def test_parts_with_other_types_keep_their_values(name: str, turned: bool, tmp_path: Path) -> None:
    arrays, expected = MERGED[name]
    if turned:
        arrays, expected = arrays[::-1], expected[::-1]
    for number, table in enumerate(_parts(*arrays)):
        pq.write_table(table, tmp_path / f"{number}.parquet")
    texts = recipients(tmp_path)
    found = [text.partition('"v":')[2].removesuffix("}}") or None for text in texts]
    assert found == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array(["1"]), pa.array([1])),
        (pa.array([True]), pa.array([1])),
        (pa.array([NOON.date()]), pa.array([NOON])),
        (pa.array([NOON], pa.timestamp("us")), pa.array([NOON], pa.timestamp("us", "UTC"))),
        (pa.array([b"a"]), pa.array(["a"])),
        (pa.array([[1]]), pa.array([1])),
        (pa.array([{"a": 1}]), pa.array([{"a": "1"}])),
    ],
)
def test_types_without_a_common_one_are_named_with_file_and_column(
    one: pa.Array, other: pa.Array, tmp_path: Path
) -> None:
    for number, table in enumerate(_parts(one, other)):
        pq.write_table(table, tmp_path / f"{number}.parquet")
    types = [read(tmp_path / f"{number}.parquet").schema["trigger_properties.v"] for number in (0, 1)]
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    for part in ("1.parquet", "0.parquet", "'trigger_properties.v'", *map(str, types)):
        assert part in str(caught.value)


def test_a_long_number_beside_a_fraction_in_two_ndjson_files(tmp_path: Path) -> None:
    put(tmp_path, "0.ndjson", '{"external_user_id":"a","trigger_properties":{"n":9007199254740993,"l":[1]}}\n')
    put(tmp_path, "1.ndjson", '{"external_user_id":"b","trigger_properties":{"n":1.5,"l":[1,2.50]}}\n')
    texts = recipients(tmp_path)
    assert [text.partition('"trigger_properties":')[2] for text in texts] == [
        '{"n":9007199254740993,"l":[1]}}',
        '{"n":1.5,"l":[1,2.50]}}',
    ]


def test_a_column_that_polars_knows_keeps_its_type(tmp_path: Path) -> None:
    frame = pl.DataFrame({"external_user_id": ["a"], "t": [NOON]})
    frame.write_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").equals(frame)
