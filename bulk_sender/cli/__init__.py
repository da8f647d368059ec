"""The command line. ``main`` is what the console script and ``python -m bulk_sender`` call."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

_ONE_ARENA = "narenas:1"
"""polars' allocator keeps freed memory for half a second, in four arenas for each core: with one it is used again."""


def main() -> NoReturn:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    os.environ.setdefault("_RJEM_MALLOC_CONF", _ONE_ARENA)  # read when polars is loaded
    gc.disable()  # until it is imported: see cli.loading
    from bulk_sender.cli.app import run

    gc.enable()
    sys.exit(run(sys.argv[1:]))
