from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from bulk_sender.observe import telemetry
from bulk_sender.observe.events import Attempt
from bulk_sender.observe.observers import Observers
from tests.kit.jobs import braze, options, recipients
from tests.observe.moments import beginning, ending

pytest.importorskip("opentelemetry.sdk")
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Collector:
    """Telemetry into memory."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self.spans, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        meters = MeterProvider(metric_readers=[self.reader])
        self.telemetry = telemetry.Telemetry(tracers, meters, environment=environment)

    def metrics(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        found = data.resource_metrics[0].scope_metrics[0].metrics
        return {metric.name: list(metric.data.data_points) for metric in found}


def attempt(**facts: Any) -> Attempt:
    usual = {"batch": 1, "recipients": 50, "verdict": "unknown", "status": "unknown", "code": "no_answer"}
    return Attempt(**{**usual, "http_status": None, "elapsed_s": 0.5, **facts})


def test_a_run_is_one_span_with_an_event_for_each_request_that_was_not_accepted() -> None:
    collector = Collector()
    told = collector.telemetry
    told.began(beginning())
    told.attempted(attempt(verdict="accepted", status="accepted", code="", http_status=201))
    told.attempted(attempt(batch=2, recipients=7))
    told.ended(ending(accepted=50, unknown=7))
    [span] = collector.spans.get_finished_spans()
    assert (span.name, span.attributes["bulk_sender.run_id"], span.attributes["bulk_sender.unknown"]) == (
        "bulk_sender.run",
        "a",
        7,
    )
    assert span.status.is_unset
    [event] = span.events
    assert (event.name, event.attributes["bulk_sender.batch"], event.attributes["bulk_sender.code"]) == (
        "bulk_sender.batch",
        2,
        "no_answer",
    )
    metrics = collector.metrics()
    assert {point.attributes["status"]: point.value for point in metrics["bulk_sender.recipients"]} == {
        "accepted": 50,
        "unknown": 7,
    }
    assert sum(point.value for point in metrics["bulk_sender.requests"]) == 2
    assert sum(point.count for point in metrics["bulk_sender.request.duration"]) == 2


def test_a_run_that_stopped_is_an_error_and_its_events_are_bounded() -> None:
    collector = Collector()
    collector.telemetry.began(beginning())
    for batch in range(500):
        collector.telemetry.attempted(attempt(batch=batch))
    collector.telemetry.ended(ending(unknown=1, state="stopped"))
    [span] = collector.spans.get_finished_spans()
    assert not span.status.is_ok
    assert [event.attributes["bulk_sender.batch"] for event in span.events] == list(range(100))


def test_the_span_is_a_child_of_what_the_environment_names() -> None:
    collector = Collector({"TRACEPARENT": f"00-{'1' * 32}-{'2' * 16}-01"})
    collector.telemetry.began(beginning())
    collector.telemetry.ended(ending(accepted=1))
    [span] = collector.spans.get_finished_spans()
    assert f"{span.context.trace_id:x}" == "1" * 32
    assert f"{span.parent.span_id:x}" == "2" * 16


def test_a_real_run_reports_every_request_and_no_personal_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = Collector()
    monkeypatch.setattr("bulk_sender.run.caller.observers_for", lambda *_, **__: Observers([collector.telemetry]))
    with braze(weather="lost-answers", seed=3) as running:
        given = options(tmp_path / "runs", running.url)
        given["overrides"] |= {"delivery.timeout": 2, "delivery.breaker": 1000}
        summary = bs.send(recipients(tmp_path, 5000), **given)
    metrics = collector.metrics()
    by_status = {point.attributes["status"]: point.value for point in metrics["bulk_sender.recipients"]}
    assert by_status.get("accepted", 0) == summary.accepted
    assert by_status.get("unknown", 0) == summary.unknown > 0
    assert sum(point.value for point in metrics["bulk_sender.requests"]) == summary.requests
    [span] = collector.spans.get_finished_spans()
    assert "sample-" not in span.to_json()


@contextmanager
def otlp() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A collector on loopback: what was posted, by path."""
    taken: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken[self.path] = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", taken
    finally:
        server.shutdown()
        server.server_close()


def send_command(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bulk_sender", "send", str(recipients(tmp_path)), "--sandbox", "--yes", "--json"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        command, cwd=tmp_path, env=clean | environment, capture_output=True, text=True, timeout=500, check=False
    )


def test_the_command_sends_to_the_collector_that_the_environment_names(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    with otlp() as (url, taken):
        done = send_command(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accepted"] == 500
    assert b"bulk_sender.run" in taken["/v1/traces"]
    assert b"bulk_sender.request.duration" in taken["/v1/metrics"]
    assert b"sample-" not in b"".join(taken.values())


def test_a_collector_that_is_down_changes_nothing_of_the_run(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    # The exporter tries again for so many seconds, ten unless it is told.
    done = send_command(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TIMEOUT="1")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["accepted"] == 500


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_it_is_wanted_when_a_collector_is_named(
    environment: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name == "opentelemetry.sdk"]:
        monkeypatch.delitem(sys.modules, name)
    assert telemetry.is_wanted(environment) == wanted


def test_without_the_extra_a_named_collector_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(bs.ConfigError, match="not installed") as refused:
        telemetry.Telemetry.start({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1"})
    assert "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http" in refused.value.hint
