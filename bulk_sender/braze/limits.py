"""Braze's documented limits on a request and its parts."""

from __future__ import annotations

BATCH_SIZE = 50
"""The most recipients in one request (Braze: post_send_triggered_campaigns)."""

MAX_CANVAS_PROPERTIES_BYTES = 50 * 1024
"""The most bytes of a Canvas' entry properties (``context``): Braze says 50 KB."""

MAX_EXTERNAL_USER_ID_BYTES = 987
"""The most bytes of an ``external_user_id``. Braze names no limit for the other identifiers."""
