"""The SQLite schema of the journal."""

from __future__ import annotations

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
