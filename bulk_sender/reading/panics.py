"""Hide Rust panic messages from stderr.

When polars panics on a damaged file, Rust writes a source location, and perhaps a stack trace, to file descriptor 2.
Python cannot prevent that, and the InputError that follows already explains the problem to the user.
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
_OF_PYTHON = re.compile(
    rb"^(--- PyO3 is resuming a panic|Python stack trace below|Traceback \(most|During handling of the above)"
)
"""What follows a panic inside a function of Python that polars has called."""
_one_at_a_time = threading.RLock()


@contextmanager
def panics_hidden() -> Iterator[None]:
    """Capture descriptor 2 within the block, then write what was captured, except panic messages.

    Keep the block short: output of other threads is delayed until its end, and lost if the process dies before.
    """
    with _one_at_a_time:
        try:
            captured, stderr = _capture_file(), os.dup(2)
            os.dup2(captured.fileno(), 2)
        except OSError:  # no standard error, or no space to capture it: panics stay visible
            yield
            return
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            with captured, suppress(OSError):  # the reader of stderr may be gone
                captured.seek(0)
                os.write(2, b"".join(other_than_panics(captured)))


def _capture_file() -> IO[bytes]:
    """Return a file in memory where the system supports it, so that a full disk does not matter."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("bulk-sender"), "w+b")
    return tempfile.TemporaryFile()


def other_than_panics(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines outside panic messages; a message runs from a known first line to an empty line."""
    in_panic = after_panic = False
    for line in lines:
        begins = _FIRST.match(line) or (after_panic and _OF_PYTHON.match(line))
        in_panic = bool(begins) or (in_panic and bool(line.strip()))
        after_panic |= in_panic
        if not in_panic and line.strip():
            yield line
