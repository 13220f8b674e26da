"""Requests of OTLP for the tests of the viewer."""

from __future__ import annotations

import time

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER = "5bf92f3577b34da6a3ce929d0e0e4736"
BEGIN = 1_700_000_000_000_000_000
SERVER, CLIENT = 2, 3


def attributes(add, values) -> None:
    """Add attributes to a message."""
    for key, value in values.items():
        made = add(key=key).value
        if isinstance(value, bool):
            made.bool_value = value
        elif isinstance(value, int):
            made.int_value = value
        elif isinstance(value, float):
            made.double_value = value
        elif isinstance(value, bytes):
            made.bytes_value = value
        elif isinstance(value, list):
            for each in value:
                made.array_value.values.add().string_value = each
        elif isinstance(value, dict):
            made.kvlist_value.SetInParent()
            attributes(made.kvlist_value.values.add, value)
        elif value is not None:
            made.string_value = value


def span(span_id, parent="", name="", start=0, end=10, kind=1, error=False, trace=TRACE, **attrs):
    """The fields of a span; times are milliseconds."""
    return {
        "trace": trace,
        "id": span_id,
        "parent": parent,
        "name": name,
        "start": BEGIN + start * 1_000_000,
        "end": BEGIN + end * 1_000_000,
        "kind": kind,
        "error": error,
        "attributes": attrs,
    }


def request(*spans, service="shop", into=None, instance="", version=""):
    """A request with spans of one service; ids are given by a number."""
    made = ExportTraceServiceRequest() if into is None else into
    group = made.resource_spans.add()
    attributes(group.resource.attributes.add, {"service.name": service, "host.name": "box"})
    build = {"service.instance.id": instance, "service.version": version}
    attributes(group.resource.attributes.add, {key: value for key, value in build.items() if value})
    scope = group.scope_spans.add()
    scope.scope.name, scope.scope.version = "tests", "1"
    for one in spans:
        each = scope.spans.add()
        each.trace_id = bytes.fromhex(one["trace"])
        each.span_id = int(one["id"]).to_bytes(8, "big")
        each.parent_span_id = int(one["parent"]).to_bytes(8, "big") if one["parent"] else b""
        each.name, each.kind = one["name"], one["kind"]
        each.start_time_unix_nano, each.end_time_unix_nano = one["start"], one["end"]
        if one["error"]:
            each.status.code, each.status.message = 2, "it broke"
            event = each.events.add(name="exception", time_unix_nano=one["end"])
            attributes(
                event.attributes.add, {"exception.type": "ValueError", "exception.message": "no coupon"}
            )
        attributes(
            each.attributes.add, {key.replace("__", "."): value for key, value in one["attributes"].items()}
        )
    return made


def shop(trace=TRACE, status=200, start=0, error=False):
    """A request to a shop that calls its stock."""
    root = {"http__route": "/cart/{item}", "http__response__status_code": status, "url__path": "/cart/7"}
    made = request(
        span(1, name="GET /cart/{item}", kind=SERVER, start=start, end=start + 90, error=error, trace=trace,
             http__request__method="GET", server__address="shop.local", **root),
        span(2, 1, "GET", kind=CLIENT, start=start + 10, end=start + 60, trace=trace, url__full="http://stock/stock/7",
             http__request__method="GET"),
    )  # fmt: skip
    call = span(
        3, 2, "GET /stock", kind=SERVER, start=start + 12, end=start + 50, trace=trace, item="blue chair"
    )
    return request(call, service="stock", into=made)


def logs(trace=TRACE, text="the cart is empty", span_id=1, **fields):
    """A request with one log record."""
    made = ExportLogsServiceRequest()
    group = made.resource_logs.add()
    attributes(group.resource.attributes.add, {"service.name": "shop"})
    scope = group.scope_logs.add()
    scope.scope.name = "shop.cart"
    record = scope.log_records.add(
        trace_id=bytes.fromhex(trace), span_id=int(span_id).to_bytes(8, "big"), severity_number=13,
        time_unix_nano=BEGIN + 20_000_000,
    )  # fmt: skip
    record.body.string_value = text
    attributes(record.attributes.add, fields)
    return made


def wait_until(holds, timeout_s=20):
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
