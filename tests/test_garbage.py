"""Garbage collections that leave old objects out."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from bulk_sender import garbage
from bulk_sender.garbage import keep_what_exists, light_collections


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that ran in this process may have kept what it had loaded."""
    monkeypatch.setattr(garbage, "_is_kept", False)
    gc.unfreeze()
    yield
    gc.unfreeze()


class Knot:
    """An object that refers to itself, so that only a collection removes it."""

    def __init__(self) -> None:
        self.itself = self


def test_new_objects_are_collected_within_the_block_and_old_ones_after_it() -> None:
    old = weakref.ref(Knot())
    with light_collections():
        new = weakref.ref(Knot())
        gc.collect()
        assert new() is None
        assert old() is not None
    gc.collect()
    assert old() is None


def test_what_others_have_frozen_stays_frozen() -> None:
    gc.freeze()
    with light_collections():
        pass
    assert gc.get_freeze_count()


def test_what_is_kept_stays_kept_and_is_not_counted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    old = weakref.ref(Knot())
    keep_what_exists()
    monkeypatch.setattr(gc, "get_freeze_count", lambda: pytest.fail("visits each object that is kept"))
    with light_collections():
        pass
    gc.collect()
    assert old() is not None


def test_only_the_first_call_keeps_anything() -> None:
    keep_what_exists()
    new = weakref.ref(Knot())
    keep_what_exists()
    gc.collect()
    assert new() is None
