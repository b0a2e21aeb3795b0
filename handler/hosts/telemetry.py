"""Metrics and spans by OpenTelemetry's own protocol (OTLP over HTTP), of a server.

Where they go, how often and under which name the standard variables say, such as
`OTEL_EXPORTER_OTLP_ENDPOINT`. To be opened in the process that answers, after any fork: threads of
the library send what it gathers.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from handler.errors import SettingsError

if TYPE_CHECKING:
    from handler.inference.exchange import Exchange

SERVICE = "minnow"
NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
NONE = "none"  # what the standard variables call no exporter
# For what is left at the end. The library would wait a minute for a receiver that takes what comes
# and says nothing; a container that ends is killed after 10 s, of which requests may take 7.
CLOSE_S = 2.0


class Telemetry:
    """Sends what a server's process has answered and seen.

    Args:
        environment: The standard variables; OTEL_METRICS_EXPORTER and OTEL_TRACES_EXPORTER may be
            `none`. The library reads the others itself.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        named = {"service.instance.id": str(uuid.uuid4())}
        if not environment.get("OTEL_SERVICE_NAME"):
            named["service.name"] = SERVICE
        resource = Resource.create(named)
        readers, self._tracers = [], TracerProvider(resource=resource, shutdown_on_exit=False)
        if environment.get("OTEL_METRICS_EXPORTER") != NONE:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

            readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
        if environment.get("OTEL_TRACES_EXPORTER") != NONE:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace.export import BatchSpanProcessor

            self._tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._meters = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
        self._tracer = self._tracers.get_tracer(SERVICE)
        meter = self._meters.get_meter(SERVICE)
        self._duration = meter.create_histogram("http.server.request.duration", "s")
        self._texts = meter.create_counter("minnow.texts", "{text}")
        self._truncated = meter.create_counter("minnow.truncated_texts", "{text}")
        self._tokens = meter.create_counter("minnow.tokens", "{token}")
        self._unknown = meter.create_counter("minnow.unknown_tokens", "{token}")
        self._labels = meter.create_counter("minnow.predictions", "{text}")
        self._abstained = meter.create_counter("minnow.abstained_texts", "{text}")
        self._seen = meter.create_counter("minnow.profile.texts", "{text}")
        self._drift = meter.create_gauge("minnow.drift")
        self._psi = meter.create_gauge("minnow.drift.psi")

    def observe(self, exchange: Exchange) -> None:
        """Count one request, and end its span; the exchange gets the span's trace id."""
        model = {"minnow.model": exchange.model}
        told = {
            "http.request.method": exchange.method,
            "http.response.status_code": exchange.status,
            "minnow.operation": exchange.operation,
        }
        self._duration.record(exchange.latency_ms / 1000, told)
        if exchange.texts:
            self._texts.add(exchange.texts, model)
            self._truncated.add(exchange.truncated, model)
            self._tokens.add(exchange.tokens, model)
            self._unknown.add(exchange.unknown_tokens, model)
            self._abstained.add(exchange.abstained, model)
        for label, count in exchange.labels.items():
            self._labels.add(count, {**model, "minnow.label": label})
        exchange.trace_id = self._trace(exchange, {**told, **model, "minnow.texts": exchange.texts})

    def _trace(self, exchange: Exchange, attributes: Mapping[str, Any]) -> str:
        """Make the span of a request that has ended, and return its trace id."""
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        end_ns = time.time_ns()
        span = self._tracer.start_span(
            f"{exchange.method} {exchange.operation}",
            TraceContextTextMapPropagator().extract({"traceparent": exchange.traceparent}),
            SpanKind.SERVER,
            attributes,
            start_time=end_ns - int(exchange.latency_ms * 1e6),
        )
        if exchange.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_ns)
        return f"{span.get_span_context().trace_id:032x}"

    def expect(self, model: tuple[str, ...], counts: Mapping[tuple[str, ...], int]) -> None:
        """Pass over a profile: whoever reads the metrics has the bundle's."""

    def add_profile(self, model: tuple[str, ...], counts: Mapping[tuple[str, ...], int]) -> None:
        """Count texts and answers of a model as they are seen, by (feature, bin)."""
        name, version = model
        for (feature, bin_name), number in counts.items():
            told = {"minnow.model": name, "minnow.version": version}
            told |= {"minnow.feature": feature, "minnow.bin": bin_name}
            self._seen.add(number, told)

    def tell_drift(self, line: Mapping[str, Any]) -> None:
        """Tell whether the latest texts of a model have drifted, and how far; of few, nothing."""
        from handler.inference.drift import MIN_TEXTS

        if line["window"] < MIN_TEXTS:
            return
        told = {"minnow.model": line["model"], "minnow.version": line["version"]}
        self._drift.set(line["drift"], told)
        self._psi.set(line["drift_psi"], told)

    def close(self) -> None:
        """Send what is left; waits for it `CLOSE_S` at most."""
        until = time.monotonic() + CLOSE_S
        closing = [
            threading.Thread(target=one.shutdown, daemon=True)
            for one in (self._meters, self._tracers)
        ]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(max(0.0, until - time.monotonic()))


def check_telemetry(value: str) -> bool:
    """Return whether MINNOW_OTLP asks for it, and it is there.

    Raises:
        SettingsError: Another value, or the libraries are not installed.
    """
    if value not in ("", "on", "off"):
        raise SettingsError(f"MINNOW_OTLP is {value[:20]!r}, wanted on or off")
    if value != "on":
        return False
    try:
        is_there = all(find_spec(name) is not None for name in NEEDED)
    except ModuleNotFoundError:  # of what the last name stands in
        is_there = False
    if not is_there:
        raise SettingsError(
            "MINNOW_OTLP is on, and OpenTelemetry's SDK is not installed: "
            'pip install "minnow-maas[otlp]"'
        )
    return True
