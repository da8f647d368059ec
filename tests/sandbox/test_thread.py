from __future__ import annotations

import socket
import threading

import httpx
import pytest

from bulk_sender.sandbox import run_in_thread

from .samples import CAMPAIGN_PATH, HEADERS, campaign, users


def test_serves_synchronous_code() -> None:
    with run_in_thread(campaigns=["campaign-1"]) as sandbox:
        answer = httpx.post(sandbox.url + CAMPAIGN_PATH, headers=HEADERS, json=campaign(*users(2)))
        assert answer.status_code == 201
        assert sandbox.ledger.dispatches == {answer.json()["dispatch_id"]: 2}
    assert sandbox.ledger.recipients == {"external_user_id:u0": 1, "external_user_id:u1": 1}
    with pytest.raises(httpx.ConnectError):
        httpx.get(sandbox.url)
    assert not [thread for thread in threading.enumerate() if thread.name == "sandbox"]


def test_raises_the_error_that_prevented_its_start() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError), run_in_thread(port=taken.getsockname()[1]):
            pass
    with pytest.raises(ValueError, match="'fog' is not a valid weather"), run_in_thread(weather="fog"):
        pass


def test_stops_when_the_block_raises() -> None:
    with pytest.raises(ZeroDivisionError), run_in_thread() as sandbox:
        raise ZeroDivisionError
    with pytest.raises(httpx.ConnectError):
        httpx.get(sandbox.url)
