"""Keep the notes of polars' engine away from people.

When the engine, which is written in Rust, gives up on a damaged file, it writes where in its own source that was, and
perhaps a stack, to descriptor 2: no Python code can stop it. The error that follows says it in words for people.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

_FIRST = re.compile(rb"^(thread '.*' .*panicked at |stack backtrace:|note: .*RUST_BACKTRACE)")


@contextmanager
def panics_unheard() -> Iterator[None]:
    """Within, Python's own standard error goes where it went; what others wrote follows at the end, less panics."""
    python = sys.__stderr__
    if python is None or sys.stderr is not python or python.fileno() != 2:
        yield  # somebody has taken standard error over already, a test for instance
        return
    with tempfile.TemporaryFile() as heard, os.fdopen(os.dup(2), "w", 1, python.encoding, python.errors) as own:
        os.dup2(heard.fileno(), 2)
        sys.stderr = own
        try:
            yield
        finally:
            own.flush()
            os.dup2(own.fileno(), 2)
            sys.stderr = python
            heard.seek(0)
            with suppress(OSError):  # nobody reads any more
                os.write(2, b"".join(_other_than_panics(heard)))


def _other_than_panics(lines: Iterable[bytes]) -> Iterator[bytes]:
    """A panic's note runs from its first line to an empty one; every paragraph of it begins in its own way."""
    in_note = False
    for line in lines:
        in_note = bool(_FIRST.match(line)) or (in_note and bool(line.strip()))
        if not in_note and line.strip():
            yield line
