"""Prepare a database for journals, and look whether it can keep what it promises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple

import psycopg

from bulk_sender.errors import RunNotFoundError
from bulk_sender.journal.place import Place
from bulk_sender.journal.postgres.errors import unreadable
from bulk_sender.journal.postgres.schema import STATEMENTS, grants
from bulk_sender.journal.postgres.session import Connection, check_schema, connect, server_of
from bulk_sender.journal.store import Made, RunRef


def make_schema(place: Place) -> Made:
    """Make the schema with its tables, in one transaction, unless it is there. Raises JournalError, ConfigError."""
    with _connected(place) as connection:
        server_of(connection, place)
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [place.schema])
            is_new = not _has_tables(connection, place)
            if is_new:
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {place.schema}")
                for statement in STATEMENTS:
                    connection.execute(statement)
        check_schema(connection, place)
        return Made(place.schema, is_new, tuple(grants(place.schema)), tuple(_warnings(connection)))


@contextmanager
def _connected(place: Place) -> Iterator[Connection]:
    """Connect once, for the block. What goes wrong in it is said in plain words."""
    try:
        with connect(place) as connection:
            yield connection
    except psycopg.Error as error:
        raise unreadable(place, error) from None


def _has_tables(connection: Connection, place: Place) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{place.schema}.meta"]).fetchone()
    return row is not None and bool(row[0])


def _warnings(connection: Connection) -> list[str]:
    row = connection.execute(
        "SELECT current_setting('data_checksums'), current_setting('synchronous_standby_names'),"
        " (SELECT count(*) FROM pg_stat_replication)"
    ).fetchone()
    assert row is not None
    checksums, synchronous, standbys = row
    found = []
    if checksums != "on":
        found.append("data checksums are off: damage on the disk is found only where a record's own checksum fails")
    if standbys and not synchronous:
        found.append(
            "there are standbys, and none is synchronous: after a failover the database may have forgotten what it "
            "had confirmed, and its runs are refused. Set synchronous_standby_names (Patroni: synchronous_mode: true)"
        )
    return found


def accept_server(place: Place, run: RunRef) -> bool:
    """Note that this server has everything that the run recorded. Returns False when it is the same server already."""
    with _connected(place) as connection:
        check_schema(connection, place)
        server = server_of(connection, place)
        row = connection.execute(
            "SELECT system_identifier, timeline, origin FROM run WHERE name = %s", [run.name]
        ).fetchone()
        if row is None:
            raise RunNotFoundError(f"there is no run {run.name!r} in {place}", hint="bulk-sender runs lists the runs")
        if row == astuple(server):
            return False
        connection.execute(
            "UPDATE run SET system_identifier = %s, timeline = %s, origin = %s WHERE name = %s",
            [*astuple(server), run.name],
        )
        return True
