"""Run each test on the event loop that its ``kind`` names."""

from __future__ import annotations

from tests.kit.loops import event_loop_of_kind

__all__ = ["event_loop_of_kind"]
