"""The application of the service: it answers with the context that it continued."""

from __future__ import annotations

from eco2_tracing import instrument_app  # isort: split

from fastapi import FastAPI, Request
from opentelemetry import trace

from eco2_tracing.propagation import TRACE_HEADERS

app = FastAPI()
instrument_app(app)


@app.get("/items/{item}")
def read_item(item: int, request: Request) -> dict[str, object]:
    """The ids and the decision of this request's span."""
    span = trace.get_current_span()
    context, parent = span.get_span_context(), getattr(span, "parent", None)
    return {
        "trace": f"{context.trace_id:032x}",
        "span": f"{context.span_id:016x}",
        "parent": None if parent is None else f"{parent.span_id:016x}",
        "sampled": context.trace_flags.sampled,
        "request_id": request.headers.get("x-request-id"),
        "received": sorted(name for name in request.headers if name.encode() in TRACE_HEADERS),
    }
