"""What Python's collector need not look through again.

Modules and what they make stay until the process ends. They are some hundred thousand objects, and every full
collection would visit each of them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_is_kept = False


def keep_what_exists() -> None:
    """Leave all objects that exist now out of all later collections. Only the first call in a process has an effect.

    A later one would keep the garbage of whatever ran before.
    """
    global _is_kept
    if not _is_kept and not gc.get_freeze_count():
        gc.freeze()
    _is_kept = True


@contextmanager
def light_collections() -> Iterator[None]:
    """Leave all objects that exist now out of garbage collections during the block.

    Looking through them again and again costs a sending loop a sixth of its time. Does nothing where the process has
    left out such objects already.
    """
    if _is_kept or gc.get_freeze_count():  # which visits each of them, if there are any
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
