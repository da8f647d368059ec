"""The key and the campaign of every test that sends."""

from __future__ import annotations

KEY = "0123abcd-4567-89ef-0123-456789abcdef"
CAMPAIGN = "campaign-1"
ENVIRONMENT = {"BRAZE_API_KEY": KEY}
