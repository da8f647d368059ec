"""Import what a command needs, without searching it for garbage.

What modules make stays until the process ends. Python's collector would look at it several times while it is made, in
every full collection of a run, and at exit: a fifth of the CPU time of a small send.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from bulk_sender.garbage import keep_what_exists


@contextmanager
def loading() -> Iterator[None]:
    """Import without collecting garbage, and leave what is there afterwards out of all later collections.

    The second part happens once in a process: later it would keep the garbage of whatever ran before.
    """
    gc.disable()
    try:
        yield
    finally:
        keep_what_exists()
        gc.enable()
