"""OpenTelemetry's own packages: the SDK, the OTLP exporter and the FastAPI and httpx instrumentors.

https://opentelemetry-python-contrib.readthedocs.io/en/latest/instrumentation/fastapi/fastapi.html
https://opentelemetry.io/docs/languages/python/exporters/
"""

from __future__ import annotations

from benchmarks.peers import SERVICE, Sink, Tracing, Variant, query_span

PACKAGES = (
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-grpc",
    "opentelemetry-instrumentation-fastapi",
    "opentelemetry-instrumentation-httpx",
    "opentelemetry-propagator-b3",
)


def environment(variant: Variant, sink: Sink) -> dict[str, str]:
    return {
        "OTEL_SERVICE_NAME": SERVICE,
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.grpc_url,
        # What a service behind Envoy sets; the last propagator that finds a context wins.
        "OTEL_PROPAGATORS": "tracecontext,baggage,b3multi",
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
    }


def set_up(variant: Variant) -> Tracing:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if variant.option == "metrics":
        _export_metrics()
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    HTTPXClientInstrumentor().instrument()
    # "Exclude the send and receive spans": without them each request has one span instead of three or more.
    options = {"exclude_spans": ["receive", "send"]} if variant.option else {}
    return Tracing(
        instrument=lambda app: FastAPIInstrumentor.instrument_app(app, **options),
        flush=lambda: provider.force_flush(30_000),
        span=trace.get_tracer(__name__).start_as_current_span,
        database=query_span,
    )


def _export_metrics() -> None:
    from opentelemetry import metrics
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))
