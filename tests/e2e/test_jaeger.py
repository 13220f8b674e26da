"""A real Jaeger: every field of a span, and a login through a mesh."""

from __future__ import annotations

import pytest
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags, get_tracer
from tests.support.jaeger import wait_for_trace
from tests.support.mesh import AUTH, AUTH_PROXY, CHARACTER, CHARACTER_PROXY, running_mesh
from tests.support.proxies import GATEWAY, PROVIDERS, Backend

from eco2_tracing import (
    TracingSettings,
    configure_tracing,
    current_trace_id,
    flush_tracing,
    span,
    traced,
)

ATTRIBUTES = {"text": "홍길동", "number": 3, "ratio": 0.5, "yes": True, "several": ("a", "b")}


@pytest.fixture(params=["grpc", "http/protobuf"])
def traced_to(request, each_jaeger):
    """A Jaeger to which this process exports, over each protocol."""
    grpc = request.param == "grpc"
    settings = TracingSettings(
        OTEL_EXPORTER_OTLP_ENDPOINT=each_jaeger.otlp_grpc if grpc else each_jaeger.otlp_http,
        OTEL_EXPORTER_OTLP_PROTOCOL=request.param,
    )
    name = f"fields-{request.param[:4]}"
    assert configure_tracing(name, "1.2.0", "staging", settings=settings)
    return each_jaeger, name


def test_every_field_arrives(traced_to):
    """Ids, kinds, values of every type, events, links, statuses, resource and scope."""
    jaeger, name = traced_to
    other = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(1))
    with span("outer", attributes=ATTRIBUTES, kind=SpanKind.CONSUMER):
        trace_id = current_trace_id()
        with (
            pytest.raises(LookupError),
            get_tracer("app", "3").start_as_current_span("inner", links=[Link(other, {"why": "batch"})]),
        ):
            raise LookupError("nobody")
    assert flush_tracing()
    trace = wait_for_trace(jaeger, trace_id, 2)
    (outer,) = trace.roots
    (inner,) = trace.children(outer)
    assert (outer.name, outer.kind) == ("outer", SpanKind.CONSUMER)
    assert {key: outer.attributes.get(key) for key in ATTRIBUTES} == ATTRIBUTES
    assert outer.start_ns <= inner.start_ns <= inner.end_ns <= outer.end_ns
    assert (inner.status, inner.status_description) == (StatusCode.ERROR, "LookupError: nobody")
    assert (inner.scope, inner.scope_version) == ("app", "3")
    (event,) = inner.events
    assert event.name == "exception"
    assert event.attributes["exception.message"] == "nobody"
    (link,) = inner.links
    assert (int(link.trace_id, 16), int(link.span_id, 16), link.attributes) == (
        0xABC,
        0xDEF,
        {"why": "batch"},
    )
    told = {key: outer.resource[key] for key in ("service.version", "deployment.environment.name")}
    assert told == {"service.version": "1.2.0", "deployment.environment.name": "staging"}
    assert outer.service == name


def test_service_and_operations_are_found(traced_to):
    """Jaeger's query API lists them."""
    jaeger, name = traced_to

    @traced("sought")
    def sought():
        return current_trace_id()

    trace_id = sought()
    assert flush_tracing()
    wait_for_trace(jaeger, trace_id, 1)
    assert name in jaeger.get(f"{jaeger.query}/api/v3/services")["services"]
    operations = jaeger.get(f"{jaeger.query}/api/v3/operations?service={name}")["operations"]
    assert {"name": "sought", "spanKind": "internal"} in operations


LOGIN = [
    (0, GATEWAY, "auth-api.auth.svc.cluster.local:80/*"),
    (1, GATEWAY, "router outbound|80||auth-api.auth.svc.cluster.local egress"),
    (2, AUTH_PROXY, "auth-api.auth.svc.cluster.local:80/*"),
    (3, AUTH, "POST /api/v1/auth/login"),
    (4, AUTH, "GET"),
    (5, AUTH_PROXY, "character-api.character.svc.cluster.local:80/*"),
    (6, CHARACTER_PROXY, "character-api.character.svc.cluster.local:80/*"),
    (7, CHARACTER, "GET /api/v1/characters/{user_id}"),
    (4, AUTH, "INSERT"),
    (4, AUTH, "SET"),
]


@pytest.mark.parametrize("provider", ["Zipkin", "OpenTelemetry"])
def test_login_through_a_mesh(each_jaeger, stores, provider):
    """Gateway, sidecar, service, call, database and cache are one trace with one root."""
    with running_mesh(PROVIDERS[provider], Backend.of_jaeger(each_jaeger), **stores) as mesh:
        trace_id = mesh.log_in()
        trace = wait_for_trace(each_jaeger, trace_id, len(LOGIN))
    print(trace)
    assert [(depth, one.service, one.name) for depth, one in trace.walk()] == LOGIN, str(trace)
    assert len(trace.roots) == 1
    assert trace.orphans == ()
    for parent in trace.spans:
        for child in trace.children(parent):
            assert parent.start_ns <= child.start_ns, f"{child} began before {parent}"
