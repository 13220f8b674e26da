"""eco2-tracing, as its README shows it: https://github.com/eco2-team/eco2-tracing."""

from __future__ import annotations

from benchmarks.peers import SERVICE, Sink, Tracing, Variant, query_span

PACKAGES = ("eco2-tracing",)
OPTIONS = {
    "": {},
    "errors not kept": {"ECO2_TRACING_ERROR_SAMPLING_RATE": "0"},
    "contrib": {"ECO2_TRACING_INSTRUMENTATION": "contrib"},
    # To see what exporting costs: everything up to the exporter runs.
    "no exporter": {"OTEL_TRACES_EXPORTER": "none"},
    "sizes and rows": {"ECO2_TRACING_CAPTURE": "sizes,rows"},
    "metrics": {"OTEL_METRICS_EXPORTER": "otlp"},
}


def environment(variant: Variant, sink: Sink) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.grpc_url, **OPTIONS[variant.option]}


def set_up(variant: Variant) -> Tracing:
    import eco2_tracing

    eco2_tracing.configure_tracing(SERVICE)
    return Tracing(
        instrument=eco2_tracing.instrument_app,
        flush=lambda: eco2_tracing.flush_tracing(30),
        span=eco2_tracing.span,
        database=query_span,
    )
