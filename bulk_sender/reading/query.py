"""Queries as inputs: SQL text and the database that answers it.

The driver is chosen by the database's address. A result is read as Arrow, in batches, by drivers that are installed
only where they are needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from bulk_sender.errors import ConfigError, InputError

_QUERY = re.compile(
    r"^\s*(--[^\n]*\n\s*|/\*.*?\*/\s*)*(select|with|from|table|values|pivot|unpivot)\b\s*\S", re.I | re.S
)
_SCHEME = re.compile(r"^([a-z][a-z0-9+]+):", re.IGNORECASE)  # one letter is a drive of Windows
_DUCKDB_FILES = (".duckdb", ".ddb")
_ADBC = {
    "postgresql": "adbc_driver_postgresql",
    "postgres": "adbc_driver_postgresql",
    "snowflake": "adbc_driver_snowflake",
    "sqlite": "adbc_driver_sqlite",
}
"""Scheme of an address → module of its ADBC driver."""
_FORMS = "FILE.duckdb, duckdb:FILE, md:NAME, postgresql://…, snowflake://… or sqlite:FILE"


@dataclass(frozen=True, slots=True)
class Query:
    """A query that selects the recipients.

    ``sql`` is the text of one query. ``database``: a DuckDB file, or an address such as ``postgresql://host/name``; it
    may contain a password, so it appears in no message and no file. ``name`` stands for the query in messages.
    """

    sql: str
    database: str = field(repr=False)
    name: str = "the query"

    def __post_init__(self) -> None:
        if not isinstance(self.database, str | Path):
            raise ConfigError(
                "the database of a query is a path or an address",
                hint="to use a connection that is open, pass a cursor that has executed the query, or a relation",
            )
        object.__setattr__(self, "database", str(self.database))

    @classmethod
    def of(cls, text: str, database: str) -> Query:
        """Return the query in a file whose name ends in ``.sql``, or in the text itself. Raise InputError."""
        if not is_query_file(text):
            return cls(text, database)
        try:
            return cls(Path(text).read_text(encoding="utf-8-sig"), database, text)
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise InputError(f"{text} cannot be read: {why}") from None

    @contextmanager
    def result(self) -> Iterator[Any]:
        """Yield the result, which has Arrow's stream interface. Raise InputError, ConfigError.

        No error quotes the password of the address, also none that is raised while the result is read.
        """
        try:
            with self._result() as found:
                yield found
        except (InputError, ConfigError) as error:
            said, hint = (_without_password(text, self.database) for text in (str(error), error.hint))
            raise type(error)(said, hint=hint) from None

    @contextmanager
    def _result(self) -> Iterator[Any]:
        with closing(_connected(self.database)) as connection:
            with _failing(self.name):
                if hasattr(connection, "sql"):  # DuckDB
                    before = connection.extract_statements(self.sql)[:-1]  # such as SET or ATTACH
                    self._refuse_several(any(each.type.name == "SELECT" for each in before))
                    found = connection.sql(self.sql)
                    if found is None:
                        raise InputError(f"{self.name} returns no rows", hint="write one SELECT")
                    yield found
                    return
            self._refuse_several(_has_several_statements(self.sql))
            with closing(connection.cursor()) as cursor:
                with _failing(self.name):
                    cursor.execute(self.sql)
                yield cursor

    def _refuse_several(self, is_several: bool) -> None:
        """Raise InputError for several statements, because only one of their results would be read."""
        if is_several:
            raise InputError(f"{self.name} has several statements", hint="write one SELECT; UNION ALL joins results")


def _has_several_statements(sql: str) -> bool:
    from sqlglot import tokenize  # loaded late, because most runs have no query
    from sqlglot.errors import TokenError

    try:
        kinds = [token.token_type.name for token in tokenize(sql)]
    except TokenError:  # the database says what is wrong
        return False
    return any(one == "SEMICOLON" != other for one, other in pairwise(kinds))


def is_query_file(text: str) -> bool:
    """Whether an input is the name of a file with a query."""
    return text.lower().endswith(".sql") and "\n" not in text


def is_query(text: str) -> bool:
    """Whether an input of the command line is a query, or a file with one."""
    return is_query_file(text) or (_QUERY.match(text) is not None and not _is_path(text))


def _is_path(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long for a path
        return False


def _connected(database: str) -> Any:
    scheme = match[1].lower() if (match := _SCHEME.match(database)) else ""
    if scheme in ("duckdb", "md") or (not scheme and database.lower().endswith(_DUCKDB_FILES)):
        duckdb = _driver("duckdb", "duckdb")
        path = re.sub(r"^duckdb:(//)?", "", database, flags=re.IGNORECASE)
        is_file = path not in ("", ":memory:") and scheme != "md"
        if is_file and not Path(path).is_file():
            raise InputError(f"database file not found: {path}", hint="check the path")
        with _failing("the database"):
            return duckdb.connect(path or ":memory:", read_only=is_file)
    if scheme not in _ADBC:
        raise ConfigError("the database's address is of no known kind", hint=f"the kinds are {_FORMS}")
    driver = _driver(f"{_ADBC[scheme]}.dbapi", _ADBC[scheme].replace("_", "-"))
    address = database if scheme.startswith("postgres") else re.sub(r"^[a-z]+:(//)?", "", database, flags=re.I)
    if scheme == "sqlite" and not Path(address).is_file():
        raise InputError(f"database file not found: {address}", hint="check the path")
    with _failing("the database"):
        return driver.connect(address)


def _driver(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise InputError(
            f"{package} is not installed, and this database needs it", hint=f"pip install {package}"
        ) from None


@contextmanager
def _failing(name: str) -> Iterator[None]:
    """Raise InputError for an error of a driver, without the rest of its message, which may show the address."""
    try:
        yield
    except (InputError, ConfigError):
        raise
    except Exception as error:  # drivers have no common exception
        what = "cannot be opened" if name == "the database" else "fails"
        raise InputError(f"{name} {what}: {reason(error)}") from None


_ADDRESS = re.compile(r"[a-z0-9+]+://\S+|\b(password|pwd|token)=\S+|\S+:\S+@\S+", re.IGNORECASE)
_PASSWORD = re.compile(r"^[a-z0-9+]+:/*[^:/@]*:(.*)@", re.IGNORECASE | re.DOTALL)
_OPTION = re.compile(r"[?&][^=&]*(?:pass|pwd|token|secret|key|credential)[^=&]*=([^&]*)", re.IGNORECASE)
_SHORTEST = 3


def reason(error: BaseException) -> str:
    """Return the first line of a driver's error without addresses, which may have a password."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return _ADDRESS.sub("…", first)[:200]


def _without_password(text: str, database: str) -> str:
    """Return the text without the passwords of an address. A driver may quote a part of one that is not escaped."""
    secrets = [*_PASSWORD.findall(database), *_OPTION.findall(database)]
    pieces = {piece for secret in secrets for piece in (secret, unquote(secret), *re.split(r"[:/@?#&\s]", secret))}
    for piece in sorted(pieces, key=len, reverse=True):
        text = text.replace(piece, "…") if len(piece) >= _SHORTEST else text
    return text
