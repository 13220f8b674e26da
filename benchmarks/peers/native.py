"""FastAPI's own telemetry, from 0.142 on, with its automatic OTLP exporter.

https://fastapi.tiangolo.com/advanced/opentelemetry/: ``FASTAPI_OTEL_AUTO_CONFIGURE`` and the usual
variables. Traces alone, as for the others: metrics and logs are not exported.
"""

from __future__ import annotations

from benchmarks.peers import SERVICE, Sink, Tracing, Variant, query_span

PACKAGES = ("fastapi", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")


def environment(variant: Variant, sink: Sink) -> dict[str, str]:
    return {
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_SERVICE_NAME": SERVICE,
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.http_url,
        "OTEL_PROPAGATORS": "tracecontext,baggage,b3multi",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }


def set_up(variant: Variant) -> Tracing:
    from opentelemetry import trace
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    # FastAPI traces no calls; OpenTelemetry's instrumentor makes it comparable.
    HTTPXClientInstrumentor().instrument()

    def flush() -> object:
        # The provider is made when the application starts.
        return trace.get_tracer_provider().force_flush(30_000)  # type: ignore[attr-defined] - the SDK's

    return Tracing(
        # Metrics would be recorded for nobody; the tracing options are the default.
        app_options={"telemetry": {"metrics": False, "logs": False}},
        flush=flush,
        span=lambda name: trace.get_tracer(__name__).start_as_current_span(name),
        database=query_span,
    )
