"""The command line. ``main`` is what the console script and ``python -m bulk_sender`` call."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    from bulk_sender.cli.app import run

    sys.exit(run(sys.argv[1:]))
