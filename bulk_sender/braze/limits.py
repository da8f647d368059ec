"""Braze's documented limits on a request and its parts."""

from __future__ import annotations

BATCH_SIZE = 50
"""The most recipients in one request (Braze: post_send_triggered_campaigns)."""

MAX_PROPERTIES_BYTES = 50_000
"""The most bytes of ``trigger_properties`` or a Canvas' ``context``, with the request's and the recipient's merged.

Braze says 50 KB, and not of what; this is the strictest reading.
"""

MAX_EXTERNAL_USER_ID_BYTES = 987
"""The most bytes of an ``external_user_id``. Braze names no limit for the other identifiers."""
