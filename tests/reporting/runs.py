"""Real runs to report on: rehearsed in the sandbox, or sent to a small server that says what it should not."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import bulk_sender as bs
from tests.kit.target import KEY

HOSTILE_COLUMN = """"><img src=x onerror=alert('column')>"""
HOSTILE_CAMPAIGN = """c'"><script>alert('campaign')</script>"""
HOSTILE_MESSAGE = """</code></main><script>alert("message")</script><style>*{display:none}</style>"""


@dataclass(frozen=True)
class Run:
    """A run that has ended: its folder, and its account."""

    folder: Path
    summary: bs.Summary

    @property
    def page(self) -> str:
        return (self.folder / "report.html").read_text(encoding="utf-8")

    @property
    def told(self) -> dict[str, object]:
        """What ``summary.json`` says."""
        found: dict[str, object] = json.loads((self.folder / "summary.json").read_text())
        return found


def customers(path: Path, rows: int) -> Path:
    """A file in which every 50th row is wrong and every 70th a duplicate."""
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["external_user_id", "trigger_properties.name", "attributes.age:integer"])
        for number in range(1, rows + 1):
            customer = 1 if number % 70 == 0 else number
            out.writerow([f"customer-{customer:06d}", f"Name {number}", "forty" if number % 50 == 0 else 40])
    return path


def rehearsed(folder: Path, rows: int, weather: str = "calm", rate: str = "1000/second") -> Run:
    """Sent to the built-in sandbox."""
    source = customers(folder / "customers.csv", rows)
    config = {"delivery": {"rate": rate, "timeout": 5}}
    summary = bs.send(source, config=config, run_id=weather, runs_dir=folder, sandbox=bs.Sandbox(weather=weather))
    return Run(folder / weather, summary)


def abused(folder: Path) -> Run:
    """Names, values, identifiers and answers that would like to be markup; a key that is quoted by the server.

    Of 200 rows, 100 and 200 are rejected, 30 is refused, the batch around 180 stays unknown.
    """
    source = folder / "hostile.csv"
    with source.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", HOSTILE_COLUMN])
        for number in range(1, 201):
            wish = {30: "refuse", 180: "lose"}.get(number, "take")
            out.writerow([f"<script>{wish}</script>-{number:04d}", f"<b>{number}</b>" if number % 100 == 0 else number])
    with _hostile_braze() as url:
        config = {
            "braze": {"endpoint": url, "campaign_id": HOSTILE_CAMPAIGN},
            "recipient": {
                "external_user_id": "id",
                "trigger_properties": {"age": {"column": HOSTILE_COLUMN, "type": "integer"}},
            },
            "message": {"trigger_properties": {"<i>season</i>": "<script>alert('setting')</script>"}},
            "delivery": {"rate": "1000/second"},
        }
        environment = {"BRAZE_API_KEY": KEY}
        summary = bs.send(source, config=config, run_id="abused", runs_dir=folder, environment=environment)
    return Run(folder / "abused", summary)


def shouted(folder: Path, campaign: str, control: bs.Control | None = None) -> Run:
    """A broadcast to the same server; ``campaign`` is its wish: refuse, lose or take."""
    with _hostile_braze() as url:
        summary = bs.broadcast(
            {"braze": {"endpoint": url, "campaign_id": campaign}, "delivery": {"attempts": 1}},
            confirm_campaign=campaign,
            run_id="shout",
            runs_dir=folder,
            environment={"BRAZE_API_KEY": KEY},
            watch=bs.Watch(control=control),
        )
    return Run(folder / "shout", summary)


@contextmanager
def _hostile_braze() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hostile)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Hostile(BaseHTTPRequestHandler):
    """Refuses, loses or takes a batch as its identifiers wish."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        people = [recipient["external_user_id"] for recipient in body.get("recipients", [])]
        wished = people or [body["campaign_id"]]
        key = self.headers["Authorization"]
        refused = next((person for person in wished if "refuse" in person), None)
        if refused is not None:
            self._answer(400, {"message": f"{HOSTILE_MESSAGE} {refused} named by someone@example.com with {key}"})
        elif any("lose" in person for person in wished):
            self._answer(504, {"message": HOSTILE_MESSAGE})
        else:
            self._answer(201, {"message": "success", "dispatch_id": f"<b>{wished[0]}</b>"})

    def _answer(self, status: int, told: dict[str, str]) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass
