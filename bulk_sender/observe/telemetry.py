"""OpenTelemetry: one span per run, with events for failed requests, and metrics of every request.

Active when the calling program has loaded OpenTelemetry (then its providers are used), or when the environment
names a collector (``OTEL_EXPORTER_OTLP_ENDPOINT`` or one of its ``_TRACES_``/``_METRICS_`` forms; needs the extra
``otel``). ``OTEL_SDK_DISABLED=true`` and ``OTEL_TRACES_EXPORTER``/``OTEL_METRICS_EXPORTER=none`` are respected.
Otherwise it is not imported. The run's span is a child of the caller's span, or of ``TRACEPARENT`` in the
environment.

============================== ========= ======================================================================
name                           kind      attributes
============================== ========= ======================================================================
bulk_sender.run                span      run_id, command, kind, target; at the end state, exit_code, the six
                                         counts, requests. Error status when the run stopped early
bulk_sender.batch              event     of the span, for each request that was not accepted, the first 100:
                                         batch, recipients, verdict, status, code, http.response.status_code
bulk_sender.requests           counter   verdict, http.response.status_code, kind
bulk_sender.recipients         counter   status (accepted, failed, unknown), kind
bulk_sender.request.duration   histogram seconds; verdict, kind
============================== ========= ======================================================================

In the span all names begin with ``bulk_sender.``. No attribute holds a recipient's data or Braze's words.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bulk_sender._version import __version__
from bulk_sender.errors import ConfigError
from bulk_sender.journal.records import Status
from bulk_sender.observe.events import Attempt, Beginning, Observer

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from bulk_sender.reporting.summary import Summary

_MOST_EVENTS = 100
"""OpenTelemetry keeps 128 events per span; a run can have more requests than that."""
_FLUSH_MS = 5000
_SETTLED = ("accepted", "failed", "unknown")
_COUNTS = ("rows", *(status.value for status in Status), "requests")
_PREFIX = "OTEL_EXPORTER_OTLP"
_PACKAGES = "opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether the caller asked for it, by loading it or by naming a collector."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    named = (f"{_PREFIX}_ENDPOINT", f"{_PREFIX}_TRACES_ENDPOINT", f"{_PREFIX}_METRICS_ENDPOINT")
    return "opentelemetry.sdk" in sys.modules or any(environment.get(name) for name in named)


class Telemetry(Observer):
    """Spans and metrics of one run through the given providers. ``flush`` is called at its end."""

    def __init__(
        self,
        tracers: TracerProvider,
        meters: MeterProvider,
        *,
        environment: Mapping[str, str] | None = None,
        flush: Callable[[], None] = lambda: None,
    ) -> None:
        self._tracer = tracers.get_tracer("bulk_sender", __version__)
        meter = meters.get_meter("bulk_sender", __version__)
        self._requests = meter.create_counter("bulk_sender.requests", "{request}", "Requests made.")
        self._recipients = meter.create_counter("bulk_sender.recipients", "{recipient}", "Recipients settled.")
        self._duration = meter.create_histogram("bulk_sender.request.duration", "s", "From POST to its outcome.")
        self._environment = environment or {}
        self._flush = flush
        self._span: Span | None = None
        self._kind = ""
        self._events = 0

    @classmethod
    def start(cls, environment: Mapping[str, str]) -> Telemetry:
        """Use the providers of the calling program, else new ones. Raises ConfigError."""
        try:
            from opentelemetry import metrics, trace
        except ImportError:
            raise ConfigError(
                "the environment names an OpenTelemetry collector, but OpenTelemetry is not installed",
                hint=f"pip install {_PACKAGES}, or set OTEL_SDK_DISABLED=true",
            ) from None
        if "opentelemetry.sdk" in sys.modules and not _is_proxy(trace.get_tracer_provider()):
            return cls(trace.get_tracer_provider(), metrics.get_meter_provider(), environment=environment)
        if not is_wanted(environment) or not any(name.startswith(_PREFIX) for name in environment):
            return cls(trace.NoOpTracerProvider(), metrics.NoOpMeterProvider())
        return cls._with_new_providers(environment)

    @classmethod
    def _with_new_providers(cls, environment: Mapping[str, str]) -> Telemetry:
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise ConfigError(
                "the environment names an OpenTelemetry collector, but its exporter is not installed",
                hint=f"pip install {_PACKAGES}",
            ) from None
        # Do not print a traceback on the terminal when only the collector is down.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        named = {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": "bulk-sender"}
        resource = Resource.create(named)
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        if environment.get("OTEL_TRACES_EXPORTER") != "none":
            tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        readers = []
        if environment.get("OTEL_METRICS_EXPORTER") != "none":
            readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=15_000))
        meters = MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)

        def flush() -> None:
            tracers.force_flush(_FLUSH_MS)
            meters.shutdown(_FLUSH_MS)
            tracers.shutdown()

        return cls(tracers, meters, environment=environment, flush=flush)

    def began(self, beginning: Beginning) -> None:
        self._kind = beginning.kind
        attributes = {name: getattr(beginning, name) for name in ("run_id", "command", "kind", "target")}
        self._span = self._tracer.start_span(
            "bulk_sender.run", context=self._parent(), attributes=_prefixed(attributes)
        )

    def _parent(self) -> Any:
        """Return the parent: the caller's span (None, the current context), else what ``TRACEPARENT`` names."""
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {
            name: self._environment[name.upper()]
            for name in ("traceparent", "tracestate")
            if name.upper() in self._environment
        }
        if not carrier or trace.get_current_span().get_span_context().is_valid:
            return None
        return TraceContextTextMapPropagator().extract(carrier)

    def attempted(self, attempt: Attempt) -> None:
        answered: dict[str, str | int] = (
            {} if attempt.http_status is None else {"http.response.status_code": attempt.http_status}
        )
        about: dict[str, str | int] = {"verdict": attempt.verdict, "kind": self._kind}
        self._requests.add(1, {**about, **answered})
        self._duration.record(attempt.elapsed_s, about)
        if attempt.status in _SETTLED:
            self._recipients.add(attempt.recipients - attempt.named, {"status": attempt.status, "kind": self._kind})
        if attempt.named:
            self._recipients.add(attempt.named, {"status": "unknown", "kind": self._kind})
        if attempt.status != "accepted" and self._span is not None and self._events < _MOST_EVENTS:
            self._events += 1
            names = ("batch", "recipients", "verdict", "status", "code")
            self._span.add_event(
                "bulk_sender.batch", _prefixed({name: getattr(attempt, name) for name in names}) | answered
            )

    def ended(self, summary: Summary) -> None:
        from opentelemetry.trace import Status, StatusCode

        if self._span is not None:
            counts = {name: getattr(summary, name) for name in _COUNTS}
            self._span.set_attributes(_prefixed({"state": summary.state, "exit_code": summary.exit_code, **counts}))
            if summary.state != "finished":
                self._span.set_status(Status(StatusCode.ERROR, summary.state))
            self._span.end()
        self._flush()


def _prefixed(attributes: Mapping[str, str | int]) -> dict[str, str | int]:
    return {f"bulk_sender.{name}": value for name, value in attributes.items()}


def _is_proxy(provider: object) -> bool:
    """Whether no provider was set: the API then returns a placeholder."""
    return type(provider).__name__.startswith(("Proxy", "_Proxy", "NoOp"))
