"""A small service for tests with real servers; as a program it starts a server."""

from __future__ import annotations

import logging
import os
import sys

import uvicorn
from fastapi import FastAPI
from opentelemetry import trace

from eco2_tracing import logs
from tests.logs.ids import SPAN_ID, TRACE_ID
from tests.support.requests import begin_request, end_request

if "ECS_BY_CONFIGURATION" not in os.environ:
    logs.configure_logging(service_name="served")

service = (
    FastAPI(telemetry={"tracing": False})
    if "telemetry" in FastAPI.__init__.__code__.co_varnames
    else FastAPI()
)


@service.get("/items/{item}")
def read_item(item: int) -> int:
    """Log from the thread pool."""
    logs.bind_log_fields(item=item)
    logging.getLogger("served").info("item %d read, token=%s", item, "planted-secret")
    return item


@service.get("/fail")
async def fail() -> None:
    """Raise an exception."""
    raise RuntimeError("password=planted-secret")


async def app(scope, receive, send) -> None:
    """A middleware that makes a span current for each request."""
    if scope["type"] != "http":
        await service(scope, receive, send)
        return
    token = begin_request(scope)
    try:
        span = trace.NonRecordingSpan(trace.SpanContext(TRACE_ID, SPAN_ID, is_remote=False))
        with trace.use_span(span):
            await service(scope, receive, send)
    except Exception as error:
        error.__eco2_trace_ids__ = (TRACE_ID, SPAN_ID)
        raise
    finally:
        end_request(token)


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]))
