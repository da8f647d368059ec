"""Queries as inputs: cursors, DuckDB, SQL text, results of SQLAlchemy, and dicts."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import bulk_sender as bs
from bulk_sender.errors import ConfigError, InputError
from bulk_sender.reading import rows
from tests.kit.command import Place
from tests.kit.inputs import read, recipients

NOON = dt.datetime(2026, 2, 28, 12, tzinfo=dt.UTC)
SQL = 'select id as external_user_id, n as "trigger_properties.n" from people order by id'


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    """A DuckDB file with three people."""
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.sql("create table people as select 'u' || i as id, i as n from range(3) t(i)")
    return path


class FakeCursor:
    """A cursor with given rows, for types that no database of the tests returns."""

    def __init__(self, names: list[str], cells: list[Any]) -> None:
        self.description = [(name, None, None, None, None, None, None) for name in names]
        self._rows = iter(cells)

    def fetchmany(self, size: int = 1) -> list[Any]:
        return [row for _, row in zip(range(size), self._rows, strict=False)]


def _expected() -> list[str]:
    return [f'{{"external_user_id":"u{n}","trigger_properties":{{"n":{n}}}}}' for n in range(3)]


def test_a_duckdb_relation_and_its_connection_are_inputs(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        assert recipients(connection.sql(SQL)) == _expected()
        assert recipients(connection.execute(SQL)) == _expected()


def test_a_query_is_an_input_of_every_function(warehouse: Path, tmp_path: Path) -> None:
    query = bs.Query(SQL, str(warehouse))
    assert recipients(query) == _expected()
    assert bs.check(query).valid == 3
    assert bs.check([query]).valid == 3
    assert "warehouse" not in repr(query)
    summary = bs.send(query, sandbox=True, run_id="t", runs_dir=tmp_path / "runs")
    assert summary.accepted == 3
    again = bs.send(query, sandbox=True, run_id="t", runs_dir=tmp_path / "runs")
    assert (again.run_id, again.accepted) == ("t", 3)


def test_a_query_in_a_file_is_an_input(warehouse: Path, tmp_path: Path) -> None:
    path = tmp_path / "people.sql"
    path.write_text(SQL)
    assert recipients(bs.Query.of(str(path), f"duckdb:{warehouse}")) == _expected()
    with pytest.raises(InputError, match=r"people\.sql is a query"):
        bs.check(path)


@pytest.mark.parametrize(
    ("sql", "database", "message"),
    [
        ("select * from nowhere", "", "the query fails: .*nowhere"),
        ("create table x (a int)", "", "the query"),
        ("select 1 as a, 2 as a", "sqlite", "two columns|a"),
        ("select 1", "missing.duckdb", "not found"),
    ],
)
def test_a_query_that_fails_is_an_input_error(sql: str, database: str, message: str, warehouse: Path) -> None:
    if database == "sqlite":
        with pytest.raises(InputError, match=message):
            read(sqlite3.connect(":memory:").execute(sql))
        return
    with pytest.raises(InputError, match=message):
        read(bs.Query(sql, database or str(warehouse)))


@pytest.mark.parametrize("kind", ["duckdb", "sqlite"])
def test_several_statements_are_refused_because_one_result_would_be_lost(kind: str, warehouse: Path) -> None:
    path = warehouse.with_suffix(".sqlite")
    sqlite3.connect(path).close()
    database = str(warehouse) if kind == "duckdb" else f"sqlite:{path}"
    one = "select 'a;b' as external_user_id -- ; a comment"
    assert recipients(bs.Query(f"{one}\n;\n-- the end\n", database)) == ['{"external_user_id":"a;b"}']
    with pytest.raises(InputError, match="the query has several statements"):
        bs.check(bs.Query(f"select 'u1' as external_user_id; {one}", database))


def test_settings_may_stand_before_a_query_of_duckdb(warehouse: Path) -> None:
    assert recipients(bs.Query(f"set threads = 1; {SQL};", str(warehouse))) == _expected()


def test_two_columns_of_one_name_are_named(warehouse: Path) -> None:
    with pytest.raises(InputError, match="the query has two columns 'n'") as refused:
        bs.check(bs.Query("select id as external_user_id, n, n from people", f"{warehouse}"))
    assert refused.value.hint == "give one of them another name"


def test_the_address_of_a_database_is_in_no_message() -> None:
    for address in ("mysql://me:secret@host/db", "postgresql://me:secret@127.0.0.1:1/db"):
        with pytest.raises((InputError, ConfigError)) as caught:
            read(bs.Query("select 1", address))
        assert "secret" not in str(caught.value) + caught.value.hint


def test_a_cursor_of_sqlite_keeps_the_types_of_its_values() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (id, mixed, empty, late)")
    cells = [("a", 1, None, None), ("b", "x", None, None), ("c", 2.5, None, 2**40)]
    connection.executemany("insert into t values (?, ?, ?, ?)", cells)
    found = read(connection.execute("select * from t"))
    assert found.to_dict(as_series=False) == {
        "id": ["a", "b", "c"],
        "mixed": ["1", "x", "2.5"],
        "empty": [None] * 3,
        "late": [None, None, 2**40],
    }
    connection.row_factory = sqlite3.Row
    assert read(connection.execute("select * from t")).equals(found)


def test_a_cursor_of_sqlite_is_read_in_the_thread_that_made_it(tmp_path: Path) -> None:
    connection = sqlite3.connect(":memory:")
    name = bs.RunName(folder=tmp_path / "runs")
    job = {"braze": {"campaign_id": "winter"}}

    def cursor() -> sqlite3.Cursor:
        return connection.execute("select 'u1' as external_user_id union select 'u2'")

    assert bs.check(cursor()).valid == 2
    assert bs.preview(cursor(), job, environment={}, row=2).row == 2
    assert bs.send(cursor(), job, run=name, sandbox=True).accepted == 2
    assert bs.test(cursor(), job, to="me", run=name, sandbox=True).accepted == 1


@pytest.mark.parametrize("given", ["select 1 as external_user_id", "SELECT * FROM people", "people.sql"])
def test_a_query_without_its_database_is_refused_in_python(given: str) -> None:
    with pytest.raises(InputError, match="is a query, and its database is not known") as caught:
        bs.check(given)
    assert "Query.of(query, database)" in caught.value.hint


def test_a_connection_is_not_an_address(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as connection, pytest.raises(ConfigError, match="path or an address") as caught:
        bs.Query(SQL, connection)  # type: ignore[arg-type]
    assert "pass a cursor" in caught.value.hint
    assert recipients(bs.Query(SQL, warehouse)) == _expected()  # type: ignore[arg-type]


def test_an_unexecuted_cursor_is_refused() -> None:
    with pytest.raises(InputError, match="no result"):
        read(sqlite3.connect(":memory:").cursor())


@pytest.mark.parametrize(
    ("values", "sent"),
    [
        ([decimal.Decimal("1.50"), decimal.Decimal("2.00")], ["1.50", "2.00"]),
        ([decimal.Decimal("1.5"), decimal.Decimal("10"), None], ["1.5", "10", None]),
        ([decimal.Decimal("1E+3")], ["1000"]),
        ([1, 2.5, 2**60], ["1", "2.5", str(2**60)]),
        ([2**200], [str(2**200)]),
        ([NOON, None], ['"2026-02-28T12:00:00+00:00"', None]),
        ([NOON.astimezone(dt.timezone(dt.timedelta(hours=2)))], ['"2026-02-28T12:00:00+00:00"']),
        ([NOON.date()], ['"2026-02-28"']),
        ([dt.time(8, 30)], ['"08:30:00"']),
        ([uuid.UUID(int=1)], ['"00000000-0000-0000-0000-000000000001"']),
        ([True, False], ["true", "false"]),
        ([True, "x", 1], ['"true"', '"x"', '"1"']),
        ([{"a": 1, "b": [1, 2.5]}, {"a": None}], ['{"a":1,"b":[1,2.5]}', None]),
        ([[1], [], None], ["[1]", "[]", None]),
        ([None, None], [None, None]),
    ],
)
@pytest.mark.parametrize("batch", [1, 1000])
def test_values_of_python_are_sent_as_json(
    values: list[Any], sent: list[str | None], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "chunk_rows", lambda columns: batch)
    cursor = FakeCursor(["external_user_id", "trigger_properties.v"], [("u", value) for value in values])
    found = [json.loads(text, parse_float=str, parse_int=str) for text in recipients(cursor)]
    shown = [each.get("trigger_properties", {}).get("v") for each in found]
    assert shown == [None if text is None else json.loads(text, parse_float=str, parse_int=str) for text in sent]


@pytest.mark.parametrize("values", [["x", NOON], [NOON, NOON.replace(tzinfo=None)], [object()], [{"a": 1}, "x"]])
def test_values_without_a_common_type_are_named_only_when_they_are_used(values: list[Any]) -> None:
    cells = [(f"u{number}", value) for number, value in enumerate(values)]
    assert bs.check(FakeCursor(["external_user_id", "v"], cells)).valid == len(values)
    with pytest.raises(ConfigError, match=r"column 'attributes\.v'"):
        bs.check(FakeCursor(["external_user_id", "attributes.v"], cells))


def test_a_cursor_that_fails_in_the_middle_is_an_input_error() -> None:
    def cells() -> Iterator[Any]:
        yield ("u",)
        raise RuntimeError("connection lost")

    cursor = FakeCursor(["external_user_id"], [])
    cursor._rows = cells()
    with pytest.raises(InputError, match="connection lost"):
        read(cursor)


def test_a_result_of_sqlalchemy_is_an_input(tmp_path: Path) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    with sqlalchemy.create_engine(f"sqlite:///{tmp_path}/s.db").connect() as connection:
        found = read(connection.execute(sqlalchemy.text("select 'a' as id, 1 as n")))
    assert found.to_dicts() == [{"id": "a", "n": 1}]


def test_a_cursor_of_adbc_is_an_input(tmp_path: Path) -> None:
    dbapi = pytest.importorskip("adbc_driver_sqlite.dbapi")
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as connection:
        connection.executescript("create table people (id text, n int); insert into people values ('u0', 0);")
    with dbapi.connect(str(path)) as connection, connection.cursor() as cursor:
        cursor.execute(SQL)
        assert recipients(cursor) == _expected()[:1]
    assert recipients(bs.Query(SQL, f"sqlite:{path}")) == _expected()[:1]


def test_dicts_are_inputs(tmp_path: Path) -> None:
    given = [{"external_user_id": "a"}, {"external_user_id": "b", "trigger_properties": {"n": 9007199254740993}}]
    expected = ['{"external_user_id":"a"}', '{"external_user_id":"b","trigger_properties":{"n":9007199254740993}}']
    assert recipients(given) == expected
    assert recipients(row for row in given) == expected
    assert bs.send(given, sandbox=True, runs_dir=tmp_path).accepted == 2


@pytest.mark.parametrize(("given", "message"), [([{"a": 1}, 5], "row 2 is a int"), ({"a": 1}, "cannot send a dict")])
def test_what_is_not_a_row_is_refused(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(iter(given) if isinstance(given, list) else given)


@pytest.mark.parametrize("command", ["check", "send", "preview"])
def test_a_query_is_an_input_of_every_command(command: str, warehouse: Path, tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write("people.sql", SQL)
    more = {"send": ["--sandbox", "--yes"], "check": []}.get(command)
    if more is None:
        found = place.run("check", "people.sql", "--json", BULK_SENDER_DATABASE=str(warehouse))
    else:
        found = place.run(command, SQL, "--database", warehouse, *more)
    assert found.code == 0, found.err
    assert "warehouse.duckdb" not in found.out + found.err


def test_init_reads_a_query(warehouse: Path, tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert place.run("init", SQL, "--database", warehouse).code == 0
    assert (tmp_path / "recipients.toml").exists()


def test_a_query_without_its_database_is_refused(tmp_path: Path) -> None:
    found = Place(tmp_path).run("check", "select 1")
    assert found.code == 2
    assert "--database" in found.err
