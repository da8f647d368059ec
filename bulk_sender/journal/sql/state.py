"""What holds for each batch, derived from the records in SQL that every store understands."""

from __future__ import annotations

STATE = """
SELECT b.id AS batch, b.chunk, b.first, b.size, b.parent,
       b.prior + (SELECT count(*) FROM attempt
                  WHERE attempt.batch = b.id AND (b.parent IS NULL OR length(body_sha256) > 0)) AS attempts,
       a.id AS attempt, a.at AS sent_at, a.epoch AS epoch,
       CASE WHEN length(a.body_sha256) > 0 THEN a.body_sha256 END AS body_sha256,
       o.verdict, o.http_status, o.dispatch_id, o.code, o.message, o.reach, o.likely, o.elapsed_s, o.at AS answered_at,
       d.status AS decided, d.at AS decided_at, d."user" AS decided_by, d.why AS decided_why,
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


INHERITED = (
    "SELECT a.id FROM batch b JOIN attempt a ON a.batch = b.id WHERE b.parent IS NOT NULL AND length(body_sha256) = 0"
)
"""The inherited attempts, which are not requests. An index finds them among the few batches that have a parent."""
