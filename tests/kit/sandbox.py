"""A sandbox for tests of the sender: at its end, everything it accepted must have had its full effect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bulk_sender.sandbox import Ledger, RunningSandbox
from bulk_sender.sandbox import run_in_thread as plain


@contextmanager
def run_in_thread(*, losing: bool = False, **options: Any) -> Iterator[RunningSandbox]:
    """The sandbox's function of this name. ``losing``: the test is about what Braze collapses, refuses or drops."""
    with plain(**options) as running:
        yield running
    if not losing:
        assert_nothing_lost(running.ledger)


def assert_nothing_lost(ledger: Ledger) -> None:
    """No recipient shared a request with the same person, and no identifier or attribute was too much for Braze."""
    assert (ledger.collapsed, ledger.refused, ledger.dropped) == (0, 0, {})
