"""The tables of a journal in SQLite, read with SQLite alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from bulk_sender.journal.rows import TABLES
from bulk_sender.journal.sqlite.database import JOURNAL


def table(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of one table, seals included."""
    with closing(sqlite3.connect(f"file:{folder / JOURNAL}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]


def tables(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All of them."""
    return {name: table(folder, name) for name in TABLES}
