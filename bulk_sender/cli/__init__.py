"""The command line. ``main`` is what the console script and ``python -m bulk_sender`` call."""

from __future__ import annotations

import gc
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    gc.disable()  # until it is imported: see cli.loading
    from bulk_sender.cli.app import run

    gc.enable()
    sys.exit(run(sys.argv[1:]))
