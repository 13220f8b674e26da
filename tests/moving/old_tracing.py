"""A `tracing.py` as the source documents describe it: SDK and contrib by hand, with a bare ratio sampler."""

from __future__ import annotations

import os

from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

ENABLED = os.environ.get("OTEL_ENABLED", "true").lower() == "true"
RATE = float(os.environ.get("OTEL_SAMPLING_RATE", "1.0"))


def configure_tracing(service_name: str, service_version: str, environment: str = "dev") -> bool:
    """Install a provider that exports over gRPC."""
    if not ENABLED:
        return False
    about = {
        "service.name": service_name,
        "service.version": service_version,
        "deployment.environment": environment,
    }
    provider = TracerProvider(resource=Resource.create(about), sampler=TraceIdRatioBased(RATE))
    exporter = OTLPSpanExporter(os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"], insecure=True)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    trace.set_tracer_provider(provider)
    return True


def instrument_fastapi(app: FastAPI) -> None:
    """Create server spans."""
    if ENABLED:
        FastAPIInstrumentor.instrument_app(app, excluded_urls="health,ready,metrics")


def instrument_httpx() -> None:
    """Create client spans."""
    if ENABLED:
        HTTPXClientInstrumentor().instrument()


def shutdown_tracing() -> None:
    """Export the rest and stop."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()
