"""A real Chromium without a window, spoken to over its DevTools pipe: what a page logs, fetches and looks like.

No driver and no port: Chromium reads commands from descriptor 3 and writes answers and events to descriptor 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kit.tools import find_chromium

CHROMIUM = find_chromium()
_TIMEOUT_S = 60.0
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run --hide-scrollbars"
    " --disable-background-networking --disable-component-update --disable-sync --remote-debugging-pipe"
)


class Page:
    """One tab. ``logged`` and ``requested`` gather what it said and fetched since it was opened."""

    def __init__(self, send: Any, events: list[dict[str, Any]]) -> None:
        self._send = send
        self._events = events

    @property
    def logged(self) -> list[str]:
        """Console messages, uncaught exceptions, and the browser's own complaints (the page's policy among them)."""
        found = []
        for event in self._events:
            told = event["params"]
            if event["method"] == "Log.entryAdded":
                found.append(told["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled":
                found.append(json.dumps(told["args"]))
            elif event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(told["exceptionDetails"]))
            elif event["method"] == "Page.javascriptDialogOpening":
                found.append(f"dialog: {told['message']}")
        return found

    @property
    def requested(self) -> list[str]:
        """Addresses that were fetched; neither ``data:`` ones nor those that the page's policy forbade."""
        asked = {told["requestId"]: told["request"]["url"] for told in self._told("Network.requestWillBeSent")}
        for told in self._told("Network.loadingFailed"):
            if told.get("blockedReason") == "csp":
                del asked[told["requestId"]]
        return [url for url in asked.values() if not url.startswith("data:")]

    def _told(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self._events if event["method"] == method]

    def open(
        self, at: Path | str, *, width: int = 1200, height: int = 900, scheme: str = "light", media: str = ""
    ) -> None:
        """Load a file or URL and wait for it. ``scheme``: light or dark; ``media``: ``print`` to see it on paper."""
        self._events.clear()
        self._send(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._send("Emulation.setEmulatedMedia", {"media": media, "features": features})
        self._send("Page.navigate", {"url": at if isinstance(at, str) else at.as_uri()})
        self.wait()

    def wait(self) -> None:
        """Wait until a page is loaded, also one that was reached from this one."""
        deadline = time.monotonic() + _TIMEOUT_S
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            assert time.monotonic() < deadline, "the page was not loaded in time"
            self.evaluate("1")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression or of its promise, run by the browser beside the page's policy."""
        wanted = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self._send("Runtime.evaluate", wanted)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def arrive(self, path: str) -> None:
        """Wait until the page with this path is loaded, when the page before leads there by itself."""
        deadline = time.monotonic() + _TIMEOUT_S
        while not self.evaluate(f"location.pathname === {json.dumps(path)} && document.readyState === 'complete'"):
            assert time.monotonic() < deadline, f"{path} was not loaded in time"
            time.sleep(0.02)

    def follow(self, act: str) -> None:
        """Do what leads to another page, such as a click, and wait for that page."""
        self._events.clear()
        self.evaluate(act)
        self.wait()

    def press(self, key: str, code: int = 0) -> None:
        """Press a key of the keyboard, such as Tab."""
        for kind in ("rawKeyDown", "keyUp"):
            self._send("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code})

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        shot = self._send("Page.captureScreenshot", {"captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self, path: Path) -> None:
        """The page as it would be printed on A4."""
        sheet = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True, "printBackground": False}
        path.write_bytes(base64.b64decode(self._send("Page.printToPDF", sheet)["data"]))


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A browser with an empty ``profile`` folder, and its one tab; ended, by its id, when the block ends."""
    assert CHROMIUM is not None, "Chromium is not installed"
    commands_in, commands = os.pipe()
    answers, answers_out = os.pipe()

    def as_chromium_wants_them() -> None:
        spare_in, spare_out = os.dup(commands_in), os.dup(answers_out)
        os.dup2(spare_in, 3)
        os.dup2(spare_out, 4)

    process = subprocess.Popen(
        [CHROMIUM, *_FLAGS.split(), f"--user-data-dir={profile}", "about:blank"],
        preexec_fn=as_chromium_wants_them,
        close_fds=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands_in)
    os.close(answers_out)
    try:
        yield _tab(_Pipe(commands, answers))
    finally:
        os.close(commands)
        os.close(answers)
        process.terminate()
        try:
            process.wait(50)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class _Pipe:
    """JSON messages, each ended by a zero byte."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._buffer = b""
        self._last = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, params: dict[str, Any] | None = None, session: str = "") -> dict[str, Any]:
        """Send a command and wait for its answer; events that come meanwhile are kept."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params or {}}
        os.write(self._commands, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            told = self._read(deadline)
            if told.get("id") == self._last:
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result
            if "method" in told:
                self.events.append(told)

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "Chromium did not answer in time"
            piece = os.read(self._answers, 1 << 16)
            assert piece, "Chromium ended"
            self._buffer += piece
        message, self._buffer = self._buffer.split(b"\0", 1)
        told: dict[str, Any] = json.loads(message)
        return told


def _tab(pipe: _Pipe) -> Page:
    target = pipe.call("Target.createTarget", {"url": "about:blank"})["targetId"]
    session = pipe.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]

    def send(method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        return pipe.call(method, params, session)

    for domain in ("Page", "Runtime", "Log", "Network"):
        send(f"{domain}.enable")
    return Page(send, pipe.events)
