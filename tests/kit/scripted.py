"""A real HTTP server on loopback that answers as a test says, for answers the sandbox never gives."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)


Script = Callable[[str, dict[str, Any]], Answer | None]
"""Path and parsed body of a request → its answer; None closes the connection without one."""


@dataclass
class Scripted:
    url: str
    requests: list[tuple[str, dict[str, Any]]]
    """The POSTs."""
    asked: list[str] = field(default_factory=list)
    """The paths of the GETs, with what they ask for."""

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [body for asked, body in self.requests if asked == path]


NO_DETAILS = Answer(404, {"message": "Not Found"})


@contextmanager
def scripted(script: Script, details: Callable[[str], Answer | None] = lambda _: NO_DETAILS) -> Iterator[Scripted]:
    """Serve until the block ends. ``details``: path and query of a GET → its answer, or None."""
    requests: list[tuple[str, dict[str, Any]]] = []
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append((self.path, body))
            self._give(script(self.path, body))

        def do_GET(self) -> None:
            asked.append(self.path)
            self._give(details(self.path))

        def _give(self, answer: Answer | None) -> None:
            if answer is None:
                self.close_connection = True
                return
            content = answer.content if isinstance(answer.content, bytes) else json.dumps(answer.content).encode()
            self.send_response_only(answer.status)
            for name, value in ({"Date": self.date_time_string()} | answer.headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Scripted(f"http://127.0.0.1:{server.server_port}", requests, asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
