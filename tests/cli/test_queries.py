"""Queries on the command line: every command that takes an input, and what goes wrong with a database."""

from __future__ import annotations

import json
import shlex
import sqlite3
from pathlib import Path

import duckdb
import pytest

from bulk_sender.sandbox import RunningSandbox
from tests.braze.test_details import CAMPAIGN as DETAILS
from tests.kit.command import Here, Place
from tests.kit.target import CAMPAIGN

PEOPLE = 120_000
SQL = 'select id as external_user_id, n as "trigger_properties.n" from people order by id'
FAILING = (
    "select case when i = 119999 then error('disk lost') else 'u' || i end as external_user_id from range(120000) t(i)"
)


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    """A DuckDB file with many people; every third one has no number."""
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.sql(
            f"create table people as select 'u' || i as id, case when i % 3 then i end as n from range({PEOPLE}) t(i)"
        )
    return path


def _small(place: Place) -> Path:
    path = place.folder / "small.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "create table people (id text, n int); insert into people values ('u0', 1), ('u1', 2);"
        )
    return path


def test_a_plan_of_a_query_is_matched(place: Place, here: Here, braze: RunningSandbox, warehouse: Path) -> None:
    given = ("--database", warehouse, "--campaign-id", CAMPAIGN)
    sql = f"{SQL} limit 3000"
    planned = here.run(place, "check", sql, *given, "--plan", "plan.json")
    assert planned.code == 0, planned.err
    assert braze.ledger.requests == 0
    again = ("send", sql, *given, "--plan", "plan.json", "--run-id", "r", "--yes")
    done = here.run(place, *again)
    assert done.code == 0, done.err
    assert sum(braze.ledger.recipients.values()) == 3000
    assert here.run(place, *again).code == 0
    assert sum(braze.ledger.recipients.values()) == 3000


def test_a_query_with_another_result_differs_from_its_plan(
    place: Place, here: Here, braze: RunningSandbox, warehouse: Path
) -> None:
    given = ("--database", warehouse, "--campaign-id", CAMPAIGN)
    sql = f"{SQL} limit 30"
    assert here.run(place, "check", sql, *given, "--plan", "plan.json").code == 0
    with duckdb.connect(str(warehouse)) as connection:
        connection.sql("update people set n = 7 where id = 'u1'")
    done = here.run(place, "send", sql, *given, "--plan", "plan.json", "--yes")
    assert done.code == 2
    assert "differs from the plan in input" in done.err
    assert braze.ledger.requests == 0


def test_the_command_that_init_proposes_names_the_database(place: Place, here: Here, warehouse: Path) -> None:
    done = here.run(place, "init", SQL, "--database", warehouse)
    proposed = shlex.split(done.err.splitlines()[-1])[1:]
    assert here.run(place, *proposed).code == 0, proposed
    (place.folder / "recipients.toml").unlink()
    done = here.run(place, "init", SQL, BULK_SENDER_DATABASE=str(warehouse))
    assert "--database" not in done.err


def test_a_test_and_a_preview_take_a_query(place: Place, here: Here, braze: RunningSandbox, warehouse: Path) -> None:
    tested = here.run(
        place, "test", SQL, "--database", warehouse, "--to", "me", "--row", "2", "--campaign-id", CAMPAIGN, "--yes"
    )
    assert tested.code == 0, tested.err
    assert braze.ledger.recipients == {"external_user_id:me": 1}
    message = place.write("message.json", json.dumps(DETAILS))
    shown = here.run(place, "preview", SQL, "--database", warehouse, "--message", message, "--row", "2", "--json")
    assert shown.code == 0, shown.err
    assert shown.json["row"] == 2


@pytest.mark.parametrize("command", ["check", "send", "init"])
def test_a_query_that_fails_in_the_middle_sends_nothing(
    command: str, place: Place, here: Here, braze: RunningSandbox, warehouse: Path
) -> None:
    more = ("--campaign-id", CAMPAIGN, "--yes") if command == "send" else ()
    done = here.run(place, command, FAILING, "--database", warehouse, *more)
    assert done.code == 2
    assert "disk lost" in done.err
    assert "the query" in done.err
    assert "format" not in done.err, "a hint about files does not help"
    assert braze.ledger.requests == 0
    assert not place.runs.exists()


def test_a_driver_that_fails_in_the_middle_sends_nothing(place: Place, here: Here, braze: RunningSandbox) -> None:
    path = _small(place)
    sql = "select id as external_user_id, abs(case when n = 2 then -9223372036854775807 - 1 else n end) from people"
    done = here.run(place, "send", sql, "--database", f"sqlite:{path}", "--campaign-id", CAMPAIGN, "--yes")
    assert done.code == 2
    assert "integer overflow" in done.err
    assert not place.runs.exists()
    assert braze.ledger.requests == 0


@pytest.mark.parametrize("database", ["duckdb", "sqlite"])
def test_a_query_without_rows_says_so(
    database: str, place: Place, here: Here, braze: RunningSandbox, warehouse: Path
) -> None:
    address = warehouse if database == "duckdb" else f"sqlite:{_small(place)}"
    sql = "select id as external_user_id from people where id = 'nobody'"
    for command in (("check",), ("send", "--campaign-id", CAMPAIGN, "--yes")):
        done = here.run(place, command[0], sql, "--database", address, *command[1:])
        assert done.code == 2
        assert "the query returned no rows" in done.err
    assert not [folder for folder in place.runs.glob("*") if folder.is_dir()]


@pytest.mark.parametrize("command", ["check", "send", "preview", "init"])
def test_a_database_without_a_query_is_refused(command: str, place: Place, here: Here, warehouse: Path) -> None:
    people = place.people(3)
    more = ("--sandbox", "--yes") if command == "send" else ()
    done = here.run(place, command, people, "--database", warehouse, *more)
    assert done.code == 2
    assert "--database is given, but the input is not a query" in done.err
    if command == "check":
        assert here.run(place, command, people, BULK_SENDER_DATABASE=str(warehouse)).code == 0


ADDRESSES = [
    "postgresql://me:S3cret%21pass@127.0.0.1:1/db",
    "postgresql://me:S3cret!p@ss:w0rd@127.0.0.1:1/db",
    "postgresql://127.0.0.1:1/db?user=me&password=S3cret!pass",
    "mysql://me:S3cret!pass@127.0.0.1:1/db",
    "snowflake://me:S3cret!pass@account/db/schema?warehouse=w",
    "sqlite://me:S3cret!pass@host/missing.db",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_password_is_in_no_message(how: str, address: str, place: Place, here: Here) -> None:
    given = ("--database", address) if how == "option" else ()
    variables = {"BULK_SENDER_DATABASE": address} if how == "variable" else {}
    for command in (("check", "--json"), ("send", "--sandbox", "--yes", "--log-format", "json")):
        done = here.run(place, command[0], SQL, *given, *command[1:], **variables)
        assert done.code == 2
        for part in ("S3cret", "w0rd", "p@ss"):
            assert part not in done.out + done.err


def test_a_password_is_in_no_file_of_a_run(place: Place, here: Here, braze: RunningSandbox) -> None:
    path = _small(place)
    folder = place.folder / "me:S3cret@host"
    folder.mkdir()
    path.rename(folder / "small.db")
    sql = "select id as external_user_id, '{{ x }}' as \"trigger_properties.n\" from people union all select '', 'x'"
    done = here.run(
        place, "send", sql, "--campaign-id", CAMPAIGN, "--yes", BULK_SENDER_DATABASE=f"sqlite:{folder / 'small.db'}"
    )
    assert done.code == 1, done.err
    assert "S3cret" not in done.out + done.err
    files = [file for file in place.runs.rglob("*") if file.is_file()]
    assert any(file.name == "journal.sqlite" for file in files)
    assert [file.name for file in files if b"S3cret" in file.read_bytes()] == []
