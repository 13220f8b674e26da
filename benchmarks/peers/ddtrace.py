"""Datadog's tracer.

https://docs.datadoghq.com/tracing/trace_collection/library_config/python/: unified service tags, and
``ddtrace-run``; ``import ddtrace.auto`` first does the same in the process.
"""

from __future__ import annotations

from benchmarks.peers import SERVICE, Sink, Tracing, Variant

PACKAGES = ("ddtrace",)


def environment(variant: Variant, sink: Sink) -> dict[str, str]:
    return {
        "DD_SERVICE": SERVICE,
        "DD_ENV": "production",
        "DD_VERSION": "1",
        "DD_TRACE_AGENT_URL": sink.http_url,
        # The mesh's headers, so that the caller decides.
        "DD_TRACE_PROPAGATION_STYLE": "b3multi,tracecontext,baggage",
    }


def set_up(variant: Variant) -> Tracing:
    import ddtrace.auto  # noqa: F401 - it patches FastAPI and httpx
    from ddtrace.trace import tracer

    return Tracing(flush=tracer.flush, span=tracer.trace, database=tracer.trace)
