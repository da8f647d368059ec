from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.kit.command import Place, end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_at_the_url_it_prints_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    place = Place(tmp_path)
    process = place.start("sandbox")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{url}/_sandbox/ledger", timeout=10) as answer:
        assert json.load(answer)["requests"] == 0
    if number is signal.SIGTERM:
        taken = place.run("sandbox", "--port", url.rpartition(":")[2])
        assert taken.code == 2
        assert "cannot start" in taken.err
    done = end(process, number)
    assert done.code == 0
    assert "0 requests" in done.err


def test_names_the_weathers_there_are(tmp_path: Path) -> None:
    done = Place(tmp_path).run("sandbox", "--weather", "frog")
    assert done.code == 2
    assert "calm, slow, throttled, lost-answers, outage or storm" in done.err
