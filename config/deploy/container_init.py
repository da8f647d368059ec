"""First process of the container: it starts the page, starts it again when it ends, and stops all runs in order.

A container ends with its first process, and whatever still runs is killed then. So this one passes SIGTERM to all
others and waits for them: a run finishes its requests in flight, and can be resumed later.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

_AGAIN_S = 2.0


def main(command: list[str]) -> int:
    if os.getpid() != 1:  # else the signal below would reach processes of others
        sys.stderr.write("container_init.py is for a container, where it is process 1\n")
        return 2
    is_ending = False

    def end(number: int, frame: object) -> None:
        nonlocal is_ending
        is_ending = True
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    page = os.posix_spawnp(command[0], command, os.environ)
    while True:
        try:
            ended, _ = os.waitpid(-1, 0)
        except ChildProcessError:  # nothing is left
            return 0
        if ended == page and not is_ending:
            time.sleep(_AGAIN_S)
            if not is_ending:
                page = os.posix_spawnp(command[0], command, os.environ)
            if is_ending:  # it may have been started after the signal
                end(signal.SIGTERM, None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
