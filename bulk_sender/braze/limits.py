"""Braze's documented limits on a request and its parts."""

from __future__ import annotations

BATCH_SIZE = 50
"""Most recipients of one request (Braze: post_send_triggered_campaigns)."""


MAX_CANVAS_PROPERTIES_BYTES = 50 * 1024
"""Braze: a Canvas' entry properties (context) are at most 50 KB."""


MAX_IDENTIFIER_BYTES = 997
"""Longest identifier sent. Braze's pages name no single limit; this is the longest of those its SDKs state."""
