"""Pydantic Logfire.

https://logfire.pydantic.dev/docs/integrations/web-frameworks/fastapi/
https://logfire.pydantic.dev/docs/how-to-guides/alternative-backends: the OTLP endpoint of one's own.
https://logfire.pydantic.dev/docs/how-to-guides/distributed-tracing: inbound context is trusted.
"""

from __future__ import annotations

from benchmarks.peers import SERVICE, Sink, Tracing, Variant, query_span

PACKAGES = (
    "logfire",
    "opentelemetry-instrumentation-fastapi",
    "opentelemetry-instrumentation-httpx",
)


def environment(variant: Variant, sink: Sink) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{sink.http_url}/v1/traces",
    }


def set_up(variant: Variant) -> Tracing:
    import logfire

    logfire.configure(
        service_name=SERVICE, send_to_logfire=False, console=False, metrics=False, distributed_tracing=True
    )
    logfire.instrument_httpx()
    return Tracing(
        instrument=logfire.instrument_fastapi,
        flush=logfire.force_flush,
        span=logfire.span,
        database=query_span,
    )
