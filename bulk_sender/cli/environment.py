"""What the process was started with: its name, and the key, which is taken out of the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def take_environment() -> dict[str, str]:
    """The environment for the library, with the key in it; this process's own no longer has it.

    No process started later inherits the key, and the memory that holds it is not written to a core file.
    """
    environment = dict(os.environ)
    os.environ.pop("BRAZE_API_KEY", None)
    if environment.get("BRAZE_API_KEY") or environment.get("BRAZE_API_KEY_FILE"):
        import resource  # Windows lacks it, and --help has to work there

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return environment


def program() -> str:
    """How this program was called, for commands that people copy."""
    return "python -m bulk_sender" if Path(sys.argv[0]).name == "__main__.py" else "bulk-sender"
