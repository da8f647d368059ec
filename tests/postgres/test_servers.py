"""Which databases may hold a journal: safe settings, the same server as before, a connection that proves the host."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from bulk_sender import journal as journals
from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError, CredentialError, JournalError
from bulk_sender.journal.place import POINTER, SCHEMA_VARIABLE, VARIABLE, Place, keep_in, place_of
from bulk_sender.journal.postgres import session
from bulk_sender.journal.postgres.runs import PostgresRuns
from bulk_sender.journal.records import PlanComplete
from bulk_sender.journal.store import RunRef
from tests.crash.nursery import Nursery
from tests.journal.contract import Sending
from tests.kit.journals import run_facts
from tests.kit.postgres import Server, running
from tests.kit.target import KEY

SECRET = "geheim-4711"


def begun(runs: PostgresRuns, run: RunRef) -> None:
    with runs.create(run, run_facts()) as writer:
        writer.begin_epoch("send")
        sending = Sending(writer)
        sending.send(sending.plan(50)[0])


# --- settings ---------------------------------------------------------------------------------------------------------


@contextmanager
def setting(server: Server, name: str, value: str) -> Iterator[None]:
    server.sql(f"ALTER SYSTEM SET {name} = {value}")
    server.sql("SELECT pg_reload_conf()")
    try:
        _until(server, name, value)
        yield
    finally:
        server.sql(f"ALTER SYSTEM RESET {name}")
        server.sql("SELECT pg_reload_conf()")


def _until(server: Server, name: str, value: str) -> None:
    while server.sql(f"SHOW {name}") != [(value,)]:
        pass


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_a_server_that_may_forget_is_refused(
    postgres: Server, place: Place, runs: PostgresRuns, run: RunRef, name: str
) -> None:
    begun(runs, run)
    with setting(postgres, name, "off"):
        for refused in (
            lambda: journals.make_schema(place),
            lambda: runs.open_to_write(run),
            lambda: runs.create(RunRef.at(run.folder.parent / "other"), run_facts()),
        ):
            with pytest.raises(JournalError, match=f"runs with {name} = off: it may forget"):
                refused()
        runs.open_to_read(run).close()
    runs.open_to_write(run).close()


@pytest.fixture
def guarded(postgres: Server, place: Place) -> Iterator[Place]:
    """The same place for an account that needs a password."""
    postgres.sql("CREATE ROLE guarded SUPERUSER LOGIN PASSWORD 'right'")
    rules = postgres.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{before}")
    postgres.sql("SELECT pg_reload_conf()")
    yield replace(place, address=place.address.replace("postgres@", "guarded@"))
    rules.write_text(before)
    postgres.sql("SELECT pg_reload_conf()")
    postgres.sql("DROP ROLE guarded")


@pytest.mark.parametrize(
    ("account", "password", "why"),
    [
        ("guarded", "wrong", 'password authentication failed for user "guarded"'),
        ("guarded", "", "no password supplied"),
        ("nobody", "", 'role "nobody" does not exist'),
    ],
)
def test_an_account_that_is_refused_is_not_waited_for(
    guarded: Place, nursery: Nursery, tmp_path: Path, account: str, password: str, why: str
) -> None:
    address = guarded.address.replace("guarded@", f"{account}@")
    env = {VARIABLE: address, SCHEMA_VARIABLE: guarded.schema, "PGPASSWORD": password}
    (tmp_path / "people.csv").write_text("external_user_id\nann\n")
    (tmp_path / "job.toml").write_text('[braze]\ncampaign_id = "c"\nendpoint = "http://127.0.0.1:1"\n')
    for command in (["status", "winter"], ["send", "people.csv", "--config", "job.toml", "--yes"], ["journal", "init"]):
        began = time.monotonic()
        refused = nursery.run(command, env | {"BRAZE_API_KEY": KEY}, cwd=tmp_path)
        assert time.monotonic() - began < 4.0
        assert refused.code == 2, refused
        assert f"does not admit this account: {why}" in refused.err
        assert "PGPASSWORD" in refused.err and "wrong" not in refused.err
    assert not (tmp_path / "bulk-sender-runs").exists()


def test_a_password_that_is_changed_during_a_run_is_waited_for(
    guarded: Place, postgres: Server, run: RunRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "right")
    with PostgresRuns(guarded).create(run, run_facts()) as writer:
        writer.begin_epoch("send")
        postgres.sql("ALTER ROLE guarded PASSWORD 'new'")
        writer._session.cut()
        changing = threading.Timer(1.5, lambda: postgres.sql("ALTER ROLE guarded PASSWORD 'right'"))
        changing.start()
        writer.write([PlanComplete()])
        assert writer.is_plan_complete() and writer.lost is None
        changing.join()


def test_commits_are_synchronous_whatever_the_role_says(
    postgres: Server, place: Place, runs: PostgresRuns, run: RunRef
) -> None:
    postgres.sql("CREATE ROLE hasty SUPERUSER LOGIN")
    postgres.sql("ALTER ROLE hasty SET synchronous_commit = off")
    hasty = replace(place, address=place.address.replace("postgres@", "hasty@"))
    with PostgresRuns(hasty).create(run, run_facts()) as writer:
        assert writer._session.rows("SHOW synchronous_commit") == [("on",)]


def test_a_missing_schema_and_one_of_another_version_are_refused_in_words(
    postgres: Server, place: Place, runs: PostgresRuns, run: RunRef
) -> None:
    with pytest.raises(JournalError, match="has no schema 'nowhere' with journals"):
        PostgresRuns(replace(place, schema="nowhere")).exists(run)
    assert not journals.make_schema(place).is_new
    postgres.sql(f"UPDATE {place.schema}.meta SET version = 99")
    with pytest.raises(JournalError, match="made by another version of bulk-sender"):
        runs.exists(run)


def test_the_account_of_a_sender_can_add_records_and_change_none(postgres: Server, place: Place, run: RunRef) -> None:
    made = journals.make_schema(place)
    for statement in made.grants:
        postgres.sql(statement.replace("bulk_sender_worker", f"worker_{place.schema}"))
    sender = replace(place, address=place.address.replace("postgres@", f"worker_{place.schema}@"))
    runs = PostgresRuns(sender)
    begun(runs, run)
    with runs.open_to_write(run) as writer:
        writer.begin_epoch("resume")
        Sending(writer).plan(50)
    for name in ("attempt", "outcome", "chunk", "batch", "fact", "decision", "ending"):
        for sql in (f"UPDATE {place.schema}.{name} SET run = run", f"DELETE FROM {place.schema}.{name}"):
            with psycopg.connect(sender.address) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql)
    with pytest.raises(JournalError, match="this role may not do that"):
        runs.remove(run)


def test_a_server_that_takes_no_more_connections_is_waited_for_and_then_refused_in_words(
    postgres: Server, place: Place, runs: PostgresRuns, run: RunRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(runs, run)
    monkeypatch.setattr(session, "_BRIEFLY_S", 0.5)
    taken = []
    with pytest.raises(psycopg.OperationalError, match="too many clients"):
        while True:
            taken.append(psycopg.connect(postgres.address))
    try:
        with pytest.raises(JournalError, match=r"cannot be reached: .*too many clients"):
            runs.open_to_read(run)
    finally:
        for connection in taken:
            connection.close()
    runs.open_to_write(run).close()


# --- another server ---------------------------------------------------------------------------------------------------


def test_a_promoted_standby_is_refused_until_somebody_says_that_it_has_everything(
    postgres: Server, place: Place, runs: PostgresRuns, run: RunRef
) -> None:
    begun(runs, run)
    standby = Server(postgres.programs)
    try:
        standby.program("pg_basebackup", "-D", standby.data, "-d", postgres.address, "-R", "-c", "fast")
        standby.start()
        there = PostgresRuns(replace(place, address=standby.address))
        with there.open_to_read(run) as reader:
            assert reader.counts().accepted == 50
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bulk_sender.journal.postgres.runs.PATIENCE_S", 0.5)
            with pytest.raises(JournalError, match="the server is a standby"):
                there.open_to_write(run)
        standby.sql("SELECT pg_promote(true)")
        with pytest.raises(JournalError, match="was promoted from a standby or restored") as refused:
            there.open_to_write(run)
        assert f"journal accept {run.name}" in refused.value.hint
        with there.open_to_read(run) as reader:
            assert reader.counts().accepted == 50
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(VARIABLE, standby.address)
            patch.setenv(SCHEMA_VARIABLE, place.schema)
            assert journals.accept_server(run)
            assert not journals.accept_server(run)
        there.open_to_write(run).close()
        runs.open_to_write(run).close()
    finally:
        standby.remove()


@pytest.mark.parametrize("into", ["another server", "the same database"])
def test_a_restored_dump_is_refused(
    postgres: Server, place: Place, runs: PostgresRuns, run: RunRef, tmp_path: Path, into: str
) -> None:
    begun(runs, run)
    dump = postgres.program("pg_dump", "-n", place.schema, "-d", postgres.address)
    (tmp_path / "dump.sql").write_text(dump)

    def restore(server: Server) -> None:
        command = [server.programs / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", server.address]
        subprocess.run([*command, "-f", tmp_path / "dump.sql"], check=True, timeout=60, stdout=subprocess.DEVNULL)

    if into == "the same database":
        postgres.sql(f"DROP SCHEMA {place.schema} CASCADE")
        restore(postgres)
        with pytest.raises(JournalError, match="restored from a dump"):
            runs.open_to_write(run)
        return
    with running() as other:
        restore(other)
        there = PostgresRuns(replace(place, address=other.address))
        with pytest.raises(JournalError, match="restored from a dump"):
            there.open_to_write(run)
        with there.open_to_read(run) as reader:
            assert reader.counts().accepted == 50


def test_a_run_in_progress_ends_when_its_database_is_replaced(tmp_path: Path) -> None:
    """A promotion behind the same address: the writer learns of it when it connects again."""
    with running() as server:
        place = server.place()
        run = RunRef.at(tmp_path / "winter")
        with PostgresRuns(place).create(run, run_facts()) as writer:
            writer.begin_epoch("send")
            server.end()
            (server.data / "standby.signal").touch()
            server.start()
            server.sql("SELECT pg_promote(true)")
            with pytest.raises(JournalError, match="was promoted"):
                Sending(writer).plan(50)
            assert writer.look() is not None


def test_the_restart_of_a_server_accuses_nobody(tmp_path: Path) -> None:
    with running() as server:
        runs, run = PostgresRuns(server.place()), RunRef.at(tmp_path / "winter")
        with runs.create(run, run_facts()) as writer:
            writer.begin_epoch("send")
            for how in (signal.SIGKILL, signal.SIGQUIT, signal.SIGINT):
                server.end(how)
                server.start()
                assert runs.holder(run) is not None
                Sending(writer).plan(50)
            assert writer.counts().rows == 150


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "environment", "mode"),
    [
        ("postgresql:", {}, None),
        ("postgresql://db.example.org/sends", {}, "verify-full"),
        ("postgresql:", {"PGHOST": "db.example.org"}, "verify-full"),
        ("postgresql:", {"PGHOST": "db.example.org", "PGSSLMODE": "disable"}, None),
        ("postgresql://db.example.org/sends?sslmode=require", {}, "refused"),
        ("postgresql://db.example.org/sends?sslmode=require", {"PGSSLMODE": "require"}, "require"),
        ("postgresql://db.example.org/sends?sslmode=verify-full", {}, "verify-full"),
        ("postgresql://localhost,db.example.org/sends?sslmode=disable", {}, "refused"),
        ("postgresql://127.0.0.1/sends?sslmode=disable", {}, "disable"),
        ("postgresql:///sends?host=/run/postgresql", {}, None),
    ],
)
def test_a_connection_to_another_host_proves_the_host_unless_the_environment_insists(
    monkeypatch: pytest.MonkeyPatch, address: str, environment: dict[str, str], mode: str | None
) -> None:
    for name in ("PGHOST", "PGSSLMODE", "PGSERVICE", "PGHOSTADDR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if mode == "refused":
        with pytest.raises(ConfigError, match="does not prove that the database is the one"):
            session._parameters(Place(address))
    else:
        assert session._parameters(Place(address)).get("sslmode") == mode


def test_a_password_is_refused_in_a_configuration_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for address in (f"postgresql://u:{SECRET}@h/db", f"postgresql://h/db?password={SECRET}"):
        with pytest.raises(CredentialError) as refused:
            Config.parse({"scale": {"journal": address}}, where="job.toml")
        assert SECRET not in f"{refused.value} {refused.value.hint}"
        place = Place(address)
        assert SECRET not in f"{place} {place!r} {place.pointer()}"
        assert str(place).startswith("postgresql://")
        monkeypatch.setenv(VARIABLE, address.replace("@h/", "@127.0.0.1:1/").replace("//h/", "//127.0.0.1:1/"))
        monkeypatch.setattr(session, "_BRIEFLY_S", 0.1)
        with pytest.raises(JournalError, match="cannot be reached") as trouble:
            journals.exists(RunRef.at(tmp_path / "runs" / "winter"))
        assert SECRET not in f"{trouble.value} {trouble.value.hint}"


@pytest.mark.parametrize("value", ["mysql://h/db", "host=h dbname=x", "/var/run"])
def test_an_address_of_something_else_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(ConfigError, match="is not a valid address"):
        journals.exists(RunRef.at(tmp_path / "winter"))
    with pytest.raises(ConfigError, match="is not the address of a PostgreSQL database"):
        Config.parse({"scale": {"journal": value}}, where="job.toml")


# --- one place for a folder -------------------------------------------------------------------------------------------


def test_a_folder_remembers_its_place_and_keeps_to_it(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    assert place_of(folder) is None
    keep_in(folder, place)
    assert place_of(folder) == place
    assert (folder / POINTER).stat().st_mode & 0o777 == 0o600
    keep_in(folder, replace(place, ttl_s=20.0))
    assert place_of(folder) == replace(place, ttl_s=20.0)
    with pytest.raises(ConfigError, match=r"the journals of the runs in .* are in "):
        keep_in(folder, replace(place, schema="other"))
    (folder / POINTER).write_text("journal = 1")
    with pytest.raises(ConfigError, match="cannot be read"):
        place_of(folder)


def test_the_environment_wins_over_the_folder(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_in(tmp_path, place)
    monkeypatch.setenv(VARIABLE, "postgresql://elsewhere/db")
    assert place_of(tmp_path) == replace(place, address="postgresql://elsewhere/db")
    monkeypatch.setenv(SCHEMA_VARIABLE, "other")
    assert place_of(tmp_path) == replace(place, address="postgresql://elsewhere/db", schema="other")


def test_journals_in_files_and_in_a_database_are_not_mixed_in_a_folder(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journals.index(tmp_path).close()
    with pytest.raises(ConfigError, match="have their journals in their folders"):
        keep_in(tmp_path, place)
    monkeypatch.setenv(VARIABLE, place.address)
    with pytest.raises(ConfigError, match="have their journals in their folders"):
        journals.exists(RunRef.at(tmp_path / "winter"))


def test_a_run_keeps_no_password_in_its_facts_or_files(
    postgres: Server, place: Place, run: RunRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server trusts everybody here, and takes any password."""
    monkeypatch.setenv(VARIABLE, postgres.address.replace("postgres@", f"postgres:{SECRET}@"))
    monkeypatch.setenv(SCHEMA_VARIABLE, place.schema)
    with journals.create(run, run_facts()) as writer:
        assert SECRET not in json.dumps(writer.facts().stored(), default=str)
    files = [path for path in run.folder.parent.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert not any(SECRET in path.read_text() for path in files)
