"""The program's name, and the environment with the key, which this process removes from its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def take_environment() -> dict[str, str]:
    """Return the environment for the library, with the key, and remove the key from that of this process.

    No child process inherits the key, and no core file is written of the memory that holds it.
    """
    environment = dict(os.environ)
    for name in ("BRAZE_API_KEY", "BULK_SENDER_PROXY"):
        os.environ.pop(name, None)
    if environment.get("BRAZE_API_KEY") or environment.get("BRAZE_API_KEY_FILE"):
        import resource  # Windows lacks it, and --help has to work there

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return environment


def program() -> str:
    """Return how this program was called, for commands that people copy."""
    return "python -m bulk_sender" if Path(sys.argv[0]).name == "__main__.py" else "bulk-sender"
