"""Excluded paths: no span, but propagation and log ids."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from opentelemetry import propagate, trace

import eco2_tracing
from eco2_tracing.testing import SPAN_ID, TRACE_ID, CapturedSpans, b3_headers
from tests.requests.conftest import make_app


@pytest.mark.parametrize(
    ("path", "traced"),
    [
        ("/health", False),
        ("/health/db", False),
        ("/api/v1/ready", False),
        ("/health-records", True),
        ("/patients/1/health", True),
    ],
)
def test_paths_match_by_whole_segments(client, captured_spans, path, traced):
    """A word is that path and paths below, also after /api and a version."""
    client.get(path)
    assert bool(captured_spans.spans) is traced


@pytest.mark.parametrize(
    ("path", "traced"),
    [("/shop/health", False), ("/shop", True), ("/shopping/health", True), ("/shop/cart", True)],
)
def test_paths_below_a_root_path(captured_spans, path, traced):
    """A word also matches below the application's root path, whether or not the server strips it."""
    made = make_app()
    eco2_tracing.instrument_app(made)
    TestClient(made, root_path="/shop").get(path)
    assert bool(captured_spans.spans) is traced


def test_excluded_request_keeps_the_callers_ids(client, captured_spans):
    """Its log lines have the caller's trace id."""
    assert client.get("/health", headers=b3_headers()).json() == {"trace": TRACE_ID, "span": SPAN_ID}
    assert not captured_spans.spans


def test_children_of_an_excluded_request_are_not_recorded(captured_spans):
    """No span of a library becomes an orphan."""
    made = make_app()

    @made.get("/ready")
    async def ready():
        with eco2_tracing.span("SELECT 1"):
            return {}

    eco2_tracing.instrument_app(made)
    with TestClient(made) as client:
        client.get("/ready")
        client.get("/ready", headers=b3_headers())
    assert not captured_spans.spans


def test_calls_and_lines_of_an_excluded_request_have_the_callers_ids(captured_spans):
    """Also within spans of libraries, because no recorded span can be the parent."""
    made, seen = make_app(), []

    @made.get("/ready")
    async def ready():
        headers: dict[str, str] = {}
        with (
            trace.get_tracer("a library").start_as_current_span("GET"),
            trace.get_tracer("a driver").start_as_current_span("SELECT 1"),
        ):
            propagate.inject(headers)
            seen.append((eco2_tracing.current_trace_id(), eco2_tracing.current_span_id(), headers))

    eco2_tracing.instrument_app(made)
    with TestClient(made) as client:
        client.get("/ready", headers=b3_headers())
        client.get("/ready")
    (trace_id, span_id, headers), (_, _, alone) = seen
    assert (trace_id, span_id) == (TRACE_ID, SPAN_ID)
    assert (headers["x-b3-traceid"], headers["x-b3-spanid"], headers["x-b3-sampled"]) == (
        TRACE_ID,
        SPAN_ID,
        "0",
    )
    assert alone["x-b3-sampled"] == "0"
    assert not captured_spans.spans


def configured(paths=None, **settings):
    """An application under settings of its own."""
    made, captured = make_app(), CapturedSpans()
    eco2_tracing.configure_tracing(
        settings=eco2_tracing.TracingSettings(traces_exporter="none", **settings), span_processors=[captured]
    )
    eco2_tracing.instrument_app(made, excluded_paths=paths)
    return TestClient(made), captured


def test_the_argument_replaces_the_default():
    """`excluded_paths=` is the whole list."""
    client, captured = configured("items")
    with client:
        client.get("/items/7")
        client.get("/health")
    assert [span.name for span in captured.spans] == ["GET /health"]


def test_the_environment_replaces_the_argument():
    """Operators own the Deployment."""
    client, captured = configured(["items"], excluded_paths="/health/db,/sync")
    with client:
        for path in ("/items/7", "/health", "/health/db", "/sync/1"):
            client.get(path)
    assert [span.name for span in captured.spans] == ["GET /items/{item_id}", "GET /health"]


def test_contribs_list_is_added():
    """Its regular expressions are searched for; a bare word is a path."""
    client, captured = configured(excluded_urls="items/\\d,boom")
    with client:
        for path in ("/items/7", "/boom-box", "/health", "/status/200"):
            client.get(path)
    assert [span.name for span in captured.spans] == ["GET", "GET /status/{code}"]


@pytest.mark.parametrize("mode", ["lean", "contrib"])
def test_flags_apply_to_one_expression(mode):
    """Joined expressions keep their own flags; others stay case-sensitive."""
    client, captured = configured(excluded_urls="b.om,(?i)ITEMS/\\d,STATUS/\\d", instrumentation=mode)
    with client:
        for path in ("/items/7", "/status/200"):
            client.get(path)
    servers = [span.name for span in captured.spans if span.kind.name == "SERVER"]
    assert servers == ["GET /status/{code}"]


def test_suppressed_requests_are_not_traced(client, captured_spans):
    """`suppress_instrumentation` is respected."""
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    with suppress_instrumentation():
        assert client.get("/items/7").status_code == 200
