"""How old the intent to send may be when its request leaves."""

from __future__ import annotations

STALE_S = 10.0
"""The longest time in seconds from the beginning of an intent's commit to the first byte of its request.

A process that was suspended meanwhile may have been given up, and somebody may have decided about its batch. Nothing
rests on this: it makes such requests rare.
"""
