"""The SQLite schema of the journal, and the seal over each record.

Each record carries a seal over all its values, because SQLite's own integrity check does not notice a flipped byte
inside a value.
"""

from __future__ import annotations

import hashlib

SCHEMA_VERSION = 2
"""What this release writes: the tables are those of 1, and the frames of chunks are smaller."""
READABLE = (1, SCHEMA_VERSION)


SCHEMA = """
CREATE TABLE run      (name TEXT PRIMARY KEY, value TEXT NOT NULL, seal BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE epoch    (id INTEGER PRIMARY KEY, command TEXT NOT NULL, at TEXT NOT NULL, pid INTEGER NOT NULL,
                       host TEXT NOT NULL, user TEXT NOT NULL, seal BLOB NOT NULL);
CREATE TABLE ending   (epoch INTEGER PRIMARY KEY REFERENCES epoch, at TEXT NOT NULL, state TEXT NOT NULL,
                       reason TEXT NOT NULL, elapsed_s REAL NOT NULL, seal BLOB NOT NULL);
CREATE TABLE chunk    (id INTEGER PRIMARY KEY, first_row INTEGER NOT NULL, last_row INTEGER NOT NULL,
                       rows INTEGER NOT NULL, valid INTEGER NOT NULL, rejected INTEGER NOT NULL,
                       duplicate INTEGER NOT NULL, resume TEXT NOT NULL, frame BLOB NOT NULL, rejects BLOB NOT NULL,
                       seal BLOB NOT NULL);
CREATE TABLE batch    (id INTEGER PRIMARY KEY, chunk INTEGER NOT NULL REFERENCES chunk, first INTEGER NOT NULL,
                       size INTEGER NOT NULL, parent INTEGER REFERENCES batch, prior INTEGER NOT NULL,
                       seal BLOB NOT NULL);
CREATE TABLE attempt  (id INTEGER PRIMARY KEY, batch INTEGER NOT NULL REFERENCES batch, epoch INTEGER NOT NULL,
                       body_sha256 BLOB NOT NULL, at TEXT NOT NULL, seal BLOB NOT NULL);
CREATE TABLE outcome  (attempt INTEGER PRIMARY KEY REFERENCES attempt, batch INTEGER NOT NULL, epoch INTEGER NOT NULL,
                       status TEXT NOT NULL, verdict TEXT NOT NULL, http_status INTEGER, dispatch_id TEXT NOT NULL,
                       code TEXT NOT NULL, message TEXT NOT NULL, reach INTEGER NOT NULL, likely TEXT NOT NULL,
                       elapsed_s REAL NOT NULL, at TEXT NOT NULL, seal BLOB NOT NULL);
CREATE TABLE decision (id INTEGER PRIMARY KEY, batch INTEGER NOT NULL REFERENCES batch, attempt INTEGER NOT NULL,
                       status TEXT NOT NULL, at TEXT NOT NULL, user TEXT NOT NULL, why TEXT NOT NULL,
                       seal BLOB NOT NULL);
CREATE INDEX batch_by_chunk ON batch (chunk);
CREATE INDEX batch_by_parent ON batch (parent) WHERE parent IS NOT NULL;
CREATE INDEX attempt_by_batch ON attempt (batch);
CREATE INDEX outcome_by_dispatch ON outcome (dispatch_id) WHERE dispatch_id <> '';
CREATE INDEX decision_by_attempt ON decision (attempt);
"""


TABLES = ("run", "epoch", "ending", "chunk", "batch", "attempt", "outcome", "decision")


STATE_VIEW = """
CREATE TEMP VIEW state AS
SELECT b.id AS batch, b.chunk, b.first, b.size, b.parent,
       b.prior + (SELECT count(*) FROM attempt
                  WHERE attempt.batch = b.id AND (b.parent IS NULL OR body_sha256 <> x'')) AS attempts,
       a.id AS attempt, a.at AS sent_at, a.epoch AS epoch, nullif(a.body_sha256, x'') AS body_sha256,
       o.verdict, o.http_status, o.dispatch_id, o.code, o.message, o.reach, o.likely, o.elapsed_s, o.at AS answered_at,
       d.status AS decided, d.at AS decided_at, d.user AS decided_by, d.why AS decided_why,
       CASE WHEN d.status = 'resend' THEN 'not_sent'
            WHEN d.status IS NOT NULL THEN d.status
            WHEN a.id IS NULL THEN 'not_sent'
            WHEN o.status = 'split' THEN 'not_sent'
            ELSE coalesce(o.status, 'unknown') END AS status
FROM batch b
LEFT JOIN attempt a ON a.id = (SELECT max(id) FROM attempt WHERE attempt.batch = b.id)
LEFT JOIN outcome o ON o.attempt = a.id
LEFT JOIN decision d ON d.id = (SELECT max(id) FROM decision WHERE decision.attempt = a.id)
WHERE NOT EXISTS (SELECT 1 FROM batch child WHERE child.parent = b.id)
"""
"""What holds for each batch that was not split; see ``BatchState``."""


INHERITED = "SELECT a.id FROM batch b JOIN attempt a ON a.batch = b.id WHERE b.parent IS NOT NULL AND body_sha256 = x''"
"""The inherited attempts, which are not requests. An index finds them among the few batches that have a parent."""


Value = str | int | float | bytes | None


SEAL_KEY = "seal_key"
"""The fact that holds a run's key. Each run has a random one, so a record of another run's journal never fits."""


def seal(table: str, values: tuple[Value, ...], key: bytes = b"") -> bytes:
    """Return eight bytes over a record's table and values. Blobs enter as their digests. ``key`` is not a secret."""
    if bytes not in map(type, values):
        # As ``_plain``, without a call for each value.
        plain = [str.__repr__(value) if isinstance(value, str) else repr(value) for value in values]
        text = table + "\x1f".join(plain) + "\x1f"
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest()
    parts = [
        b"b" + hashlib.sha256(value).digest()
        if isinstance(value, bytes)
        else _plain(value).encode("utf-8", "surrogatepass")
        for value in values
    ]
    sealed = table.encode() + b"\x1f".join(parts) + b"\x1f"
    return hashlib.blake2b(sealed, digest_size=8, key=key).digest()


def _plain(value: Value) -> str:
    # Without the first case an enum's member would be sealed as such, and read back as plain text.
    return str.__repr__(value) if isinstance(value, str) else repr(value)
