"""Traces of files: OTLP JSON, or the JSON of Jaeger's API."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from eco2_tracing._view.decode import document_of, message_of
from eco2_tracing._view.html_file import html_of
from eco2_tracing._view.jaeger_read import request_of_jaeger
from eco2_tracing._view.jaeger_write import jaeger_of
from eco2_tracing._view.markdown import markdown_of
from eco2_tracing._view.parts import Part, split_logs, split_traces
from eco2_tracing._view.trace import StoredTrace

FORMATS = ("otlp", "jaeger", "html", "md")
"""The formats of an exported trace."""

_NEITHER = "neither OTLP JSON nor Jaeger's JSON"


def traces_of(body: bytes) -> list[StoredTrace]:
    """Return the traces of a file, in its order.

    Args:
        body: Documents of OTLP JSON, one or one on each line, or one of Jaeger's JSON.

    Raises:
        ValueError: It is neither.
    """
    text = body.decode("utf-8", "replace").removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    found: dict[str, StoredTrace] = {}
    for document in _documents(text):
        for part in _parts(document):
            trace = found.get(part.trace_id)
            if trace is None:
                found[part.trace_id] = trace = StoredTrace.of_chunks(part.trace_id, ())
            (trace.logs if part.logs else trace.request).MergeFrom(part.message)
    return list(found.values())


def _documents(text: str) -> list[object]:
    try:
        return [orjson.loads(text)]
    except ValueError:
        pass
    try:
        return [orjson.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        raise ValueError(_NEITHER) from None


def _parts(document: object) -> Sequence[Part]:
    if not isinstance(document, dict) or not document.keys() & {"resourceSpans", "resourceLogs", "data"}:
        raise ValueError(_NEITHER)
    if "data" in document:
        return split_traces(request_of_jaeger(document))[0]
    logs = {"resourceLogs": document.pop("resourceLogs", [])}
    spans = split_traces(message_of(ExportTraceServiceRequest, document))[0]
    return [*spans, *split_logs(message_of(ExportLogsServiceRequest, logs))[0]]


def exported(trace: StoredTrace, form: str) -> bytes:
    """Return a trace in a format.

    Args:
        trace: The trace.
        form: One of `FORMATS`.
    """
    if form in ("html", "md"):
        text = html_of(trace) if form == "html" else markdown_of(trace)
        return text.encode("utf-8", "replace")
    document = jaeger_of(trace) if form == "jaeger" else document_of(trace.request)
    if form == "otlp" and trace.logs.resource_logs:
        document |= document_of(trace.logs)
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"
