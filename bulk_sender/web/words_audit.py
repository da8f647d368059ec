"""The sentences about the audit log, for the page and the command line."""

from __future__ import annotations

from datetime import UTC, datetime

from bulk_sender.text.numbers import several
from bulk_sender.web.store import Entry

TITLE = "Who did what"
WHAT = "Who prepared, approved, sent, decided, or saw personal data."
OPEN = "Open the log"
LEAD = "The latest comes first. Entries are never changed or removed."
WHEN = "When"
WHO = "Who"
DID = "What"
ABOUT = "Send or run"
TOLD = "Details"
ADDRESS = "From"
NOBODY = "the page"
EARLIER = "Earlier entries"
LATER = "Later entries"
NOTHING = "Nothing was recorded yet."
BACK = "Back to the settings"
COMMAND_HINT = "To print the log, or to prove it, in a terminal:"
COMMAND = "bulk-sender web audit --verify"


def whole(count: int) -> str:
    return f"The log is whole: {several(count, 'entry', 'entries')}, each with the digest of the one before."


def last_digest(digest: str) -> str:
    return f"Last digest: {digest}. Keep it elsewhere: it shows later that no entry at the end was removed."


def line(entry: Entry) -> str:
    """Return an entry on one line, with the time in UTC."""
    at = f"{datetime.fromtimestamp(entry.at, UTC):%Y-%m-%dT%H:%M:%SZ}"
    told = [at, entry.who or NOBODY, entry.did, entry.object, entry.told, entry.digest[:12], entry.address]
    return " · ".join(filter(None, told))
