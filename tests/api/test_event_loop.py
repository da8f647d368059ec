from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import bulk_sender as bs
from tests.kit.jobs import braze, options, recipients


def test_send_async_runs_inside_an_existing_loop_and_leaves_room_for_others(tmp_path: Path) -> None:
    async def together(url: str) -> tuple[bs.Summary, bs.Summary, int]:
        turns = 0

        async def other_work() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.01)

        other = asyncio.create_task(other_work())
        source = recipients(tmp_path)
        one, two = await asyncio.gather(
            bs.send_async(source, **options(tmp_path / "runs", url, concurrency=2), again=True),
            bs.send_async(source, **options(tmp_path / "runs", url, concurrency=2), again=True),
        )
        other.cancel()
        return one, two, turns

    with braze(latency_s=0.1) as running:
        one, two, turns = asyncio.run(together(running.url))
    assert one.accepted == two.accepted == 500
    assert one.run_id != two.run_id
    assert turns > 10


@pytest.mark.parametrize(
    ("function", "argument"),
    [(bs.send, "recipients.csv"), (bs.resume, "a"), (bs.retry, "a")],
    ids=["send", "resume", "retry"],
)
def test_a_blocking_function_in_a_running_loop_names_the_one_to_await(function: object, argument: str) -> None:
    async def wrong() -> None:
        function(argument)  # type: ignore[operator]

    name = function.__name__  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match=f"{name} cannot be called in a running event loop.*await {name}_async"):
        asyncio.run(wrong())


def test_expected_trouble_in_a_blocking_function_has_no_chain_of_other_errors() -> None:
    with pytest.raises(bs.CredentialError) as refused:
        bs.send("recipients.csv", campaign_id="a", endpoint="https://rest.example.com", environment={})
    assert refused.value.__context__ is None
