"""A browser without a screen: requests to the page's application, with or without a session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from bulk_sender.web.app import make_app
from bulk_sender.web.gate import Gate
from bulk_sender.web.session import Sessions
from bulk_sender.web.settings import allowed_hosts
from bulk_sender.web.site import Site
from bulk_sender.web.state import State

PORT = 8799
HOST = f"127.0.0.1:{PORT}"
URL = f"http://{HOST}"
OURS = {"Origin": URL, "Sec-Fetch-Site": "same-origin"}
"""What a browser sends with a form of the page."""


class Visitor:
    """One browser at one page. ``cookie`` is its session, or empty."""

    def __init__(self, state: Path, runs_dir: Path, *, read_only: bool = False, **more: Any) -> None:
        self.state = State(state)
        self.sessions = Sessions(self.state, PORT)
        self.site = Site(runs_dir, self.state, self.sessions, URL, read_only=read_only, **more)
        self.app: Gate = make_app(self.site, allowed_hosts(PORT))
        self.cookie = ""

    def signed_in(self) -> Visitor:
        answer = self.get(f"/login?token={self.state.new_token()}")
        assert answer.status_code == 200
        self.cookie = answer.headers["set-cookie"].split(";")[0]
        return self

    def end(self) -> None:
        """End the processes that this page began."""
        crew = self.site.crew
        for process in (*crew._started.values(), crew._spare):
            if process is not None:
                if process.stdin is not None:
                    process.stdin.close()
                if process.poll() is None:
                    process.kill()
                process.wait()

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> httpx.Response:
        own = {"Host": HOST} | ({"Cookie": self.cookie} if self.cookie else {})
        given = {name: value for name, value in (own | dict(headers or {})).items() if value}

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
                return await client.request(method, path, headers=given, content=body)

        return asyncio.run(asked())

    def get(self, path: str) -> httpx.Response:
        return self.ask("GET", path)

    def press(self, path: str, told: Mapping[str, object] | None = None, **fields: object) -> httpx.Response:
        """Send a form of the page."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, OURS | kind, urlencode(dict(told or {}) | fields).encode())

    def announce(self, name: str, size: int) -> httpx.Response:
        """Say that an upload comes."""
        return self.ask("POST", "/api/v1/uploads", OURS, json.dumps({"name": name, "size": size}).encode())

    def put(self, id: str, offset: int, data: bytes) -> httpx.Response:
        """Send a part of an upload."""
        return self.ask("PUT", f"/api/v1/uploads/{id}?offset={offset}", OURS, data)

    def uploaded(self, name: str, data: bytes) -> str:
        """Upload a file in one part, and return its id."""
        id: str = self.announce(name, len(data)).json()["id"]
        assert self.put(id, 0, data).json()["done"]
        return id
