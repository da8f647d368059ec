"""Limits that hold for every connection, whichever transport it uses."""

from __future__ import annotations

MAX_ANSWER_BYTES = 1 << 20
MAX_DETAILS_BYTES = 16 << 20
"""Of an answer that holds the messages of a campaign: each variation has a whole e-mail."""
CONNECT_TIMEOUT_S = 10.0
KEEPALIVE_S = 4.0
"""Below the five seconds after which common servers close an idle connection, so that reuse never races that."""
