"""An upload to a real server that is killed in the middle of a part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.kit.command import Place, until

DATA = b"id;name\n" + b"1;Ann\n" * 500_000


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Place(tmp_path)


def test_it_continues_from_what_is_on_disk(place: Place, tmp_path: Path) -> None:
    port = "0"
    id, told = "", {}
    for is_killed in (True, False):
        page = place.start("web", "--port", port, "--no-browser")
        try:
            assert page.stdout is not None
            link = page.stdout.readline().strip()
            url = link.partition("/login")[0]
            port = url.rpartition(":")[2]
            with httpx.Client(base_url=url, trust_env=False, timeout=60, headers={"Origin": url}) as browser:
                browser.get(link)
                if is_killed:
                    begun = browser.post("/api/v1/uploads", json={"name": "a.csv", "size": len(DATA)})
                    id = begun.json()["id"]
                offset = browser.get(f"/api/v1/uploads/{id}").json()["offset"]
                assert is_killed == (offset == 0)
                assert offset < len(DATA)

                def part(is_cut: bool = is_killed, offset: int = offset, page: Any = page) -> Iterator[bytes]:
                    yield DATA[offset : offset + 2_000_000]
                    if is_cut:
                        until(lambda: any(path.stat().st_size for path in tmp_path.rglob(".part")))
                        page.kill()
                        page.wait()
                    yield DATA[offset + 2_000_000 :]

                headers = {"Content-Length": str(len(DATA) - offset)}
                try:
                    answer = browser.put(f"/api/v1/uploads/{id}?offset={offset}", content=part(), headers=headers)
                    told = answer.json()
                except httpx.TransportError:
                    assert is_killed
        finally:
            if page.poll() is None:
                page.kill()
            page.communicate()
    assert told["done"]
    assert told["sha256"] == hashlib.sha256(DATA).hexdigest()
