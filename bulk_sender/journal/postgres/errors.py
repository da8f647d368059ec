"""What PostgreSQL's errors mean, in plain English."""

from __future__ import annotations

import re

import psycopg

from bulk_sender.errors import JournalError
from bulk_sender.journal.place import Place

_MAY_PASS = ("08", "53", "57P", "58", "40001", "40P01", "25006", "25P03")
"""SQLSTATEs of trouble that may pass: a lost connection, a full disk, too many connections, a shutdown, an I/O error,
a deadlock, a server that cannot be written to at the moment, a transaction in which this process was held up."""


_REFUSED = re.compile(
    r"(?:FATAL: +|fe_sendauth: )(.*(?:authentication failed|no password supplied|pg_hba\.conf|not permitted to log in"
    r"|(?:role|database) \".*\" does not exist|permission denied for database).*)"
)
"""What a server says that does not admit an account: such an error has no SQLSTATE."""


class NotYetError(psycopg.OperationalError):
    """The server cannot be used at the moment, such as one that still recovers."""


def may_pass(error: psycopg.Error) -> bool:
    """Whether the same statement may succeed later, perhaps over another connection."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(_MAY_PASS)


def refusal(error: psycopg.Error) -> str:
    """Return why the server does not admit this account; empty for another error, or in another language."""
    found = _REFUSED.search(str(error)) if error.sqlstate is None else None
    return found[1] if found is not None else ""


def plainly(error: psycopg.Error) -> str:
    """Return why a statement failed, in one line."""
    if isinstance(error, psycopg.errors.DiskFull):
        return "the database's disk is full"
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return f"this role may not do that ({error.diag.message_primary})"
    if isinstance(error, psycopg.errors.UniqueViolation):
        return "a record of that number is there already"
    if isinstance(error, psycopg.errors.ForeignKeyViolation):
        return "a record refers to one that is not there"
    text = error.diag.message_primary or str(error)
    return text.strip().partition("\n")[0] or type(error).__name__


def _unreachable(place: Place, error: psycopg.Error) -> JournalError:
    """Return the error of a database that cannot be reached, or cannot be used as it is."""
    return JournalError(
        f"the journal in PostgreSQL ({place}) cannot be reached: {plainly(error)}",
        hint="check the address, the network and the account (PGHOST, PGUSER, PGPASSWORD, PGPASSFILE), then try again",
    )


def unreadable(place: Place, error: psycopg.Error) -> JournalError:
    """Return the error of a statement that failed."""
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName):
        return no_schema(place)
    if why := refusal(error):
        return JournalError(
            f"the database {place} does not admit this account: {why}",
            hint="check PGUSER, PGPASSWORD or PGPASSFILE, and PGDATABASE, then try again",
        )
    if may_pass(error):
        return _unreachable(place, error)
    return JournalError(
        f"the journal in PostgreSQL ({place}) cannot be used: {plainly(error)}",
        hint="bulk-sender journal init shows the schema that it needs, and the grants",
    )


def no_schema(place: Place) -> JournalError:
    return JournalError(
        f"the database {place} has no schema {place.schema!r} with journals",
        hint="make it once with an account that may create schemas: bulk-sender journal init",
    )
