"""The tables of a journal, read with its database alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from bulk_sender.journal.place import place_of
from bulk_sender.journal.sql.rows import TABLES
from bulk_sender.journal.sqlite.database import JOURNAL


def table(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of one table, seals included."""
    if (place := place_of(folder.parent)) is not None:
        mine = f"run = (SELECT id FROM {place.schema}.run WHERE name = %s)"
        with psycopg.connect(place.address, row_factory=dict_row) as database:
            return database.execute(f"SELECT * FROM {place.schema}.{name} WHERE {mine}", [folder.name]).fetchall()
    with closing(sqlite3.connect(f"file:{folder / JOURNAL}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]


def tables(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All of them."""
    return {name: table(folder, name) for name in TABLES}
