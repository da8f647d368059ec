"""Keep the notes of polars' engine away from people.

When the engine, which is written in Rust, gives up on a damaged file, it writes where in its own source that was, and
perhaps a stack, to descriptor 2: no Python code can stop it. The error that follows says it in words for people.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO

_FIRST = re.compile(rb"^(thread '.*' .*panicked at |stack backtrace:|note: .*RUST_BACKTRACE)")
_one_at_a_time = threading.Lock()


@contextmanager
def panics_unheard() -> Iterator[None]:
    """Within, descriptor 2 is held back; what was written there follows at the end, less panics.

    For the moment of one call: whatever another thread has to say waits as long, and if the process dies meanwhile,
    its last words are lost.
    """
    with _one_at_a_time:
        try:
            heard, own = _hearing(), os.dup(2)
            os.dup2(heard.fileno(), 2)
        except OSError:  # no standard error, or no room to listen: then a note is heard
            yield
            return
        try:
            yield
        finally:
            os.dup2(own, 2)
            os.close(own)
            with heard, suppress(OSError):  # nobody reads any more
                heard.seek(0)
                os.write(2, b"".join(other_than_panics(heard)))


def _hearing() -> IO[bytes]:
    """A file in memory where the system has them, which needs no room on a disk."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("bulk-sender"), "w+b")
    return tempfile.TemporaryFile()


def other_than_panics(lines: Iterable[bytes]) -> Iterator[bytes]:
    """A panic's note runs from its first line to an empty one; every paragraph of it begins in its own way."""
    in_note = False
    for line in lines:
        in_note = bool(_FIRST.match(line)) or (in_note and bool(line.strip()))
        if not in_note and line.strip():
            yield line
