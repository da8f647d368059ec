"""The PostgreSQL schema of journals: the tables of all runs, and who may do what with them.

Records are only ever inserted. ``run``, ``epoch``, ``lease`` and ``rate`` are the only tables whose rows change while
runs send: none of them says what was sent. ``lease``, ``late`` and ``rate`` are for several processes of one run.
"""

from __future__ import annotations

VERSION = 1

TEXT, BYTES, ID, COUNT, REAL = "text", "bytea", "bigint", "integer", "double precision"

COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "run": (("name", TEXT), ("value", TEXT)),
    "epoch": (("id", ID), ("command", TEXT), ("at", TEXT), ("pid", ID), ("host", TEXT), ("user", TEXT)),
    "ending": (("epoch", ID), ("at", TEXT), ("state", TEXT), ("reason", TEXT), ("elapsed_s", REAL)),
    "chunk": (
        ("id", ID),
        ("first_row", ID),
        ("last_row", ID),
        ("rows", COUNT),
        ("valid", COUNT),
        ("rejected", COUNT),
        ("duplicate", COUNT),
        ("resume", TEXT),
        ("frame", BYTES),
        ("rejects", BYTES),
    ),
    "batch": (("id", ID), ("chunk", ID), ("first", COUNT), ("size", COUNT), ("parent", ID), ("prior", COUNT)),
    "attempt": (("id", ID), ("batch", ID), ("epoch", ID), ("body_sha256", BYTES), ("at", TEXT)),
    "outcome": (
        ("attempt", ID),
        ("batch", ID),
        ("epoch", ID),
        ("status", TEXT),
        ("verdict", TEXT),
        ("http_status", COUNT),
        ("dispatch_id", TEXT),
        ("code", TEXT),
        ("message", TEXT),
        ("reach", COUNT),
        ("likely", TEXT),
        ("elapsed_s", REAL),
        ("at", TEXT),
    ),
    "decision": (
        ("id", ID),
        ("batch", ID),
        ("attempt", ID),
        ("status", TEXT),
        ("at", TEXT),
        ("user", TEXT),
        ("why", TEXT),
    ),
}
"""The columns of each kind of record, in the order of its values."""

_MAY_BE_NULL = {("batch", "parent"), ("outcome", "http_status")}
_KEYS = {"run": "name", "ending": "epoch", "outcome": "attempt"}
_REFERENCES = {
    "ending": ("epoch", "epoch"),
    "batch": ("chunk", "chunk"),
    "attempt": ("batch", "batch"),
    "outcome": ("attempt", "attempt"),
    "decision": ("batch", "batch"),
}
"""Table → its column that refers to another table, and that table."""

WRITTEN_IN = frozenset({"run", "chunk", "batch", "decision"})
"""Tables whose records do not say themselves in which epoch they were written; a column beside the record does."""

UPDATED = ("run", "epoch", "lease", "rate", "listed")


def table(name: str) -> str:
    """Return the table of a kind of record. The facts of a run are ``fact``: ``run`` has one row for each run."""
    return "fact" if name == "run" else name


def quoted(column: str) -> str:
    """Return a column's name for SQL."""
    return f'"{column}"'


def _record_table(name: str) -> str:
    columns = [
        f"{quoted(column)} {kind}"
        + (' COLLATE "C"' if kind == TEXT else "")
        + ("" if (name, column) in _MAY_BE_NULL else " NOT NULL")
        for column, kind in COLUMNS[name]
    ]
    columns += ["seal bytea NOT NULL", *(["written_in bigint NOT NULL"] if name in WRITTEN_IN else [])]
    keys = [f"PRIMARY KEY (run, {quoted(_KEYS.get(name, 'id'))})"]
    if name in _REFERENCES:
        column, other = _REFERENCES[name]
        keys.append(f"FOREIGN KEY (run, {quoted(column)}) REFERENCES {other}")
    if name == "batch":
        keys.append("FOREIGN KEY (run, parent) REFERENCES batch")
    if name == "epoch":
        columns += [
            "node text NOT NULL",
            "claim text NOT NULL",
            "commit_no bigint NOT NULL DEFAULT 0",
            "records bigint NOT NULL DEFAULT 0",
            "beat_at timestamptz NOT NULL DEFAULT clock_timestamp()",
            "fenced_at timestamptz",
            "fenced_by bigint",
            "ended_at timestamptz",
        ]
    inside = ", ".join(["run bigint NOT NULL REFERENCES run", *columns, *keys])
    return f"CREATE TABLE {table(name)} ({inside})" + (" WITH (fillfactor = 50)" if name == "epoch" else "")


STATEMENTS = (
    "CREATE TABLE meta (version integer NOT NULL)",
    f"INSERT INTO meta VALUES ({VERSION})",
    """CREATE TABLE run (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE,
        seal_key bytea NOT NULL, system_identifier bigint NOT NULL, timeline bigint NOT NULL,
        origin bigint NOT NULL, ttl_s double precision NOT NULL,
        next_epoch bigint NOT NULL DEFAULT 1, next_batch bigint NOT NULL DEFAULT 1,
        next_attempt bigint NOT NULL DEFAULT 1, next_decision bigint NOT NULL DEFAULT 1,
        plan_state text NOT NULL DEFAULT 'open', stop text NOT NULL DEFAULT '') WITH (fillfactor = 50)""",
    *map(_record_table, COLUMNS),
    # They are compressed already: trying again costs more than all records of the requests.
    "ALTER TABLE chunk ALTER COLUMN frame SET STORAGE EXTERNAL, ALTER COLUMN rejects SET STORAGE EXTERNAL",
    "CREATE INDEX batch_by_chunk ON batch (run, chunk)",
    "CREATE INDEX batch_by_parent ON batch (run, parent) WHERE parent IS NOT NULL",
    "CREATE INDEX attempt_by_batch ON attempt (run, batch, id)",
    "CREATE INDEX outcome_by_dispatch ON outcome (run, dispatch_id) WHERE dispatch_id <> ''",
    "CREATE INDEX outcome_in_trouble ON outcome (run, batch) WHERE status IN ('failed', 'unknown')",
    "CREATE INDEX decision_by_attempt ON decision (run, attempt, id)",
    "CREATE INDEX decision_by_batch ON decision (run, batch)",
    """CREATE TABLE lease (run bigint NOT NULL, chunk bigint NOT NULL, holder bigint,
        done boolean NOT NULL DEFAULT false, PRIMARY KEY (run, chunk),
        FOREIGN KEY (run, chunk) REFERENCES chunk) WITH (fillfactor = 50)""",
    "CREATE INDEX lease_open ON lease (run, chunk) WHERE holder IS NULL AND NOT done",
    """CREATE TABLE late (run bigint NOT NULL, attempt bigint NOT NULL, epoch bigint NOT NULL, status text NOT NULL,
        dispatch_id text NOT NULL, at text NOT NULL, seal bytea NOT NULL, PRIMARY KEY (run, attempt),
        FOREIGN KEY (run, attempt) REFERENCES attempt)""",
    """CREATE TABLE rate (workspace text PRIMARY KEY, tat double precision NOT NULL,
        paused_until double precision NOT NULL, allowed double precision, told_at double precision)
        WITH (fillfactor = 50)""",
    """CREATE TABLE listed (name text COLLATE "C" PRIMARY KEY, kind text NOT NULL, target text NOT NULL,
        endpoint text NOT NULL, sandbox text NOT NULL, broadcast boolean NOT NULL, input_sha256 text NOT NULL,
        inputs text NOT NULL, parents text NOT NULL, created_at text COLLATE "C" NOT NULL, state text NOT NULL,
        summary text NOT NULL, decisions text NOT NULL, pruned_at text NOT NULL)""",
    "CREATE INDEX listed_by_input ON listed (input_sha256)",
    """CREATE TABLE sent_again (parent text COLLATE "C" NOT NULL, line bigint NOT NULL, child text COLLATE "C" NOT NULL,
        row bigint NOT NULL, PRIMARY KEY (parent, line, child, row))""",
)
"""What makes the schema, run in it in this order."""

RECORDS_OF_A_RUN = ("late", "lease", "decision", "outcome", "attempt", "batch", "chunk", "ending", "epoch", "fact")
"""The tables with rows of a run, each before those that it refers to; ``run`` itself comes last."""


def grants(schema: str, role: str = "bulk_sender_worker") -> list[str]:
    """Return the statements that give a role what sending needs: it can add records, and never alter or remove one."""
    every = f"ALL TABLES IN SCHEMA {schema}"
    updated = ", ".join(f"{schema}.{name}" for name in UPDATED)
    return [
        f"CREATE ROLE {role} LOGIN;",
        f"GRANT USAGE ON SCHEMA {schema} TO {role};",
        f"GRANT SELECT, INSERT ON {every} TO {role};",
        f"GRANT UPDATE ON {updated} TO {role};",
        f"GRANT DELETE ON {schema}.sent_again TO {role};",
    ]
