"""Tools outside Python that some tests use: strace, Chromium and Node.js."""

from __future__ import annotations

import os
import shutil

CHROMIUM_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


def required() -> bool:
    """Whether tests must fail rather than skip without their tools. ``.ci/run`` sets this; developers need not."""
    return os.environ.get("BULK_SENDER_REQUIRE_TOOLS") == "1"


def find_chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
