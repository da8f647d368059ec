"""Tools outside Python that some tests use: strace, Chromium, Node.js and nginx."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

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


def find_nginx() -> str | None:
    """Return the path of an installed nginx. A user's PATH may lack the folder that it is in."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


NODE_FOLDER = Path(os.environ.get("BULK_SENDER_NODE_CLIENT", Path(__file__).parents[1] / "sandbox" / "clients"))
"""Where packages of npm are installed, as ``package.json`` there names them."""


def find_axe() -> Path | None:
    """Return the path of axe-core, which looks for barriers in a page."""
    path = NODE_FOLDER / "node_modules" / "axe-core" / "axe.min.js"
    return path if path.is_file() else None
