"""Unexpected exceptions anywhere in a delivery: the run ends with correct results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from bulk_sender.delivery import planned
from bulk_sender.http.client import Client
from bulk_sender.http.evidence import Evidence
from bulk_sender.reporting.summary import Summary
from bulk_sender.run import execution as delivery
from bulk_sender.run.control import Control
from tests.faults import FaultServer
from tests.kit.scene import Scene
from tests.kit.target import KEY


class Own(BaseException):
    """A BaseException that asyncio does not handle specially."""


class BuggyClient:
    """The real client, except that its ``nth`` POST raises after its request was answered."""

    count = 0

    def __init__(self, inner: Client, error: BaseException, nth: int) -> None:
        self._inner, self._error, self._nth = inner, error, nth

    async def post(self, body: bytes) -> Evidence:
        evidence = await self._inner.post(body)
        BuggyClient.count += 1
        if BuggyClient.count == self._nth:
            raise self._error
        return evidence

    async def unasked(self, wait_s: float = 0.0) -> bool:
        return await self._inner.unasked(wait_s)

    async def renew(self) -> None:
        await self._inner.renew()

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    BuggyClient.count = 0
    return Scene(tmp_path / "scene", None, "", {"concurrency": 3}).with_rows(1000)  # type: ignore[arg-type]


def breaking(monkeypatch: pytest.MonkeyPatch, error: BaseException, nth: int = 4) -> None:
    make = delivery.client_factory

    def buggy(*arguments: Any) -> Callable[[], Client]:
        inner = make(*arguments)
        return lambda: BuggyClient(inner(), error, nth)

    monkeypatch.setattr(delivery, "client_factory", buggy)


def send(scene: Scene, url: str) -> Summary:
    environment = {"BRAZE_API_KEY": KEY, "BRAZE_ENDPOINT": url}
    return bs.send(scene.inputs, config=scene.config, run_id="run", runs_dir=scene.runs_dir, environment=environment)


def the_account_is_true(scene: Scene, server: FaultServer) -> Summary:
    """Assert that accepted rows are accepted or unknown, and that only rows in flight are unknown."""
    summary = bs.status("run", runs_dir=scene.runs_dir)
    assert 900 < summary.rows <= 1000, "the plan may have ended with the bug"
    assert 50 <= summary.unknown <= 150
    taken = sum(server.ledger.accepted_ids().values())
    assert summary.accepted <= taken <= summary.accepted + summary.unknown
    return summary


def resumes(scene: Scene, server: FaultServer) -> None:
    """Assert that the run resumes without the bug and finishes, and sends nothing twice."""
    summary = send(scene, server.url)
    assert (summary.state, summary.rows) == ("finished", 1000)
    assert server.ledger.accepted_ids().most_common(1)[0][1] == 1


@pytest.mark.parametrize("error", [RuntimeError("a bug"), MemoryError(), RecursionError(), UnicodeError(f"x {KEY}")])
def test_an_exception_in_a_worker_stops_the_run(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with FaultServer() as server:
        with monkeypatch.context() as patch:
            breaking(patch, error)
            summary = send(scene, server.url)
        assert (summary.state, summary.exit_code) == ("stopped", 3)
        expected = "not enough memory" if isinstance(error, MemoryError) else f"internal error: {type(error).__name__}"
        assert expected in (summary.reason or "")
        assert KEY not in (summary.reason or "")
        assert the_account_is_true(scene, server).not_sent > 0
        assert (scene.folder / "results.csv").exists()
        resumes(scene, server)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(5), Own(), asyncio.CancelledError()])
def test_an_exception_that_ends_the_event_loop_ends_the_run_with_results(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    with FaultServer() as server:
        with monkeypatch.context() as patch:
            breaking(patch, error)
            try:
                summary = send(scene, server.url)
                assert summary.state in ("stopped", "finished")
            except BaseException as raised:
                assert type(raised) is type(error) or isinstance(raised, BaseExceptionGroup), raised
        the_account_is_true(scene, server)
        assert (scene.folder / "summary.json").exists()
        resumes(scene, server)


def test_an_exception_in_the_plan_stops_the_run(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    with FaultServer() as server:
        with monkeypatch.context() as patch:
            patch.setattr(planned, "chunk_record", broken)
            summary = send(scene, server.url)
        assert (summary.state, summary.rows) == ("stopped", 0)
        assert "ZeroDivisionError" in (summary.reason or "")
        assert not server.ledger.requests
        assert send(scene, server.url).rows == 1000


def test_an_exception_in_a_progress_callback_does_not_affect_the_run(scene: Scene) -> None:
    def broken(_: Any) -> None:
        raise ZeroDivisionError

    with FaultServer() as server:
        environment = {"BRAZE_API_KEY": KEY, "BRAZE_ENDPOINT": server.url}
        summary = bs.send(
            scene.inputs,
            config=scene.config,
            run_id="run",
            runs_dir=scene.runs_dir,
            environment=environment,
            on_progress=broken,
        )
        assert (summary.state, summary.rows, summary.unknown) == ("finished", 1000, 0)
        assert summary.accepted == sum(server.ledger.accepted_ids().values())


def test_a_run_that_is_aborted_before_it_begins_sends_nothing(scene: Scene) -> None:
    control = Control()
    control.stop("SIGINT", 2)
    control.abort()
    with FaultServer() as server:
        environment = {"BRAZE_API_KEY": KEY, "BRAZE_ENDPOINT": server.url}
        summary = bs.send(
            scene.inputs,
            config=scene.config,
            run_id="run",
            runs_dir=scene.runs_dir,
            environment=environment,
            watch=bs.Watch(control=control),
        )
        assert (summary.state, summary.exit_code) == ("interrupted", 130)
        assert not server.ledger.requests
