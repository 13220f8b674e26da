"""Server spans: one for each kind of request."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from opentelemetry.trace import SpanKind, StatusCode

import eco2_tracing
from eco2_tracing.testing import SPAN_ID, TRACE_ID, assert_continued, b3_headers
from tests.requests.conftest import make_app


def only(captured):
    """The only captured span."""
    assert len(captured.spans) == 1, [str(span) for span in captured.spans]
    return captured.spans[0]


def test_request_continues_the_callers_trace(client, captured_spans):
    """The server span is a child of the caller's and is current in the handler."""
    answer = client.get("/items/7", headers=b3_headers()).json()
    span = only(captured_spans)
    assert_continued(captured_spans)
    assert answer == {"trace": TRACE_ID, "span": span.span_id}
    assert (span.kind, span.parent_span_id, span.status) == (SpanKind.SERVER, SPAN_ID, StatusCode.UNSET)


def test_attributes_follow_the_stable_conventions(client, captured_spans):
    """They have the stable names."""
    client.get("/items/7?page=2", headers={"user-agent": "probe/1"})
    attributes = only(captured_spans).attributes
    assert attributes["http.request.method"] == "GET"
    assert attributes["http.route"] == "/items/{item_id}"
    assert attributes["http.response.status_code"] == 200
    assert attributes["url.path"] == "/items/7"
    assert attributes["url.query"] == "page=2"
    assert attributes["url.scheme"] == "http"
    assert attributes["user_agent.original"] == "probe/1"
    assert attributes["network.protocol.version"] == "1.1"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/items/7", "GET /items/{item_id}"),
        ("/sync/7", "GET /sync/{item_id}"),
        ("/api/v1/outer/me/inner/items/7", "GET /api/v1/outer/{owner}/inner/items/{item_id}"),
        ("/tenants/acme/items/7", "GET /tenants/{tenant}/items/{item_id}"),
        ("/sky/deep/stars/vega", "GET /sky/deep/stars/{star}"),
        ("/sky/deep/nothing", "GET /sky/deep"),
        ("/tenants/acme/nothing", "GET /tenants/{tenant}"),
        ("/nothing", "GET"),
        ("/items/seven", "GET /items/{item_id}"),
    ],
)
def test_route_is_the_full_template(client, captured_spans, path, name):
    """The span's name includes mounts and included routers."""
    client.get(path)
    assert only(captured_spans).name == name


def test_405_has_the_route_of_the_path(client, captured_spans):
    """The path matches, the method does not."""
    client.delete("/items/7")
    span = only(captured_spans)
    assert (span.name, span.attributes["http.response.status_code"]) == ("DELETE /items/{item_id}", 405)


@pytest.mark.parametrize(
    ("path", "status", "error_type"),
    [
        ("/status/404", StatusCode.UNSET, None),
        ("/raised/404", StatusCode.UNSET, None),
        ("/status/503", StatusCode.ERROR, "503"),
        ("/raised/500", StatusCode.ERROR, "500"),
        ("/boom", StatusCode.ERROR, "ValueError"),
        ("/dependency", StatusCode.ERROR, "LookupError"),
        ("/stream-boom", StatusCode.ERROR, "ValueError"),
    ],
)
def test_errors(client, captured_spans, path, status, error_type):
    """5xx and exceptions are errors of the server, 4xx are not."""
    try:
        client.get(path)
    except ValueError:
        assert path == "/stream-boom"
    span = only(captured_spans)
    assert (span.status, span.attributes.get("error.type")) == (status, error_type)


def test_exception_is_recorded_once(client, captured_spans):
    """With type, message and stack, which contains the handler's frame."""
    client.get("/boom")
    (event,) = only(captured_spans).events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "ValueError"
    assert event.attributes["exception.message"] == "no such luck"
    assert "in boom" in event.attributes["exception.stacktrace"]


def test_response_of_a_failed_request_does_not_change(captured_spans):
    """The client receives the same as untraced."""
    traced, plain = make_app(), make_app()
    eco2_tracing.instrument_app(traced)
    bare, ours = (TestClient(made, raise_server_exceptions=False) for made in (plain, traced))
    with bare, ours:
        for path in ("/boom", "/status/503", "/nothing", "/stream"):
            expected, found = bare.get(path), ours.get(path)
            assert (expected.status_code, expected.content) == (found.status_code, found.content)


def test_stream_is_one_span(client, captured_spans):
    """The span ends with the last chunk."""
    assert client.get("/stream").text == "012"
    span = only(captured_spans)
    assert (span.name, span.attributes["http.response.status_code"]) == ("GET /stream", 200)


def test_background_tasks_have_their_own_spans(client, captured_spans):
    """The task's span is a child of the request's and ends after it."""
    client.get("/background")
    server = captured_spans.find(name="GET /background")[0]
    task = captured_spans.find(name="BackgroundTask len")[0]
    assert task.parent_span_id == server.span_id
    assert task.start_ns >= server.end_ns


def test_error_of_a_background_task(client, captured_spans):
    """The server span is no error."""
    client.get("/background-boom")
    server = captured_spans.find(name="GET /background-boom")[0]
    task = captured_spans.find(name="BackgroundTask fail_later")[0]
    assert (server.status, task.status) == (StatusCode.UNSET, StatusCode.ERROR)


def test_websocket_is_one_span(client, captured_spans):
    """From the handshake to the close."""
    with client.websocket_connect("/ws/lobby") as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "hello"
    span = only(captured_spans)
    assert (span.name, span.attributes["url.scheme"]) == ("HTTP /ws/{room}", "ws")


def test_failed_websocket_is_an_error(client, captured_spans):
    """The exception is recorded once."""
    with pytest.raises(ValueError, match="socket boom"), client.websocket_connect("/ws/lobby") as socket:
        socket.send_text("boom")
        socket.receive_text()
    span = only(captured_spans)
    assert span.status is StatusCode.ERROR
    assert len(span.events) == 1


def test_secrets_in_the_query_are_masked(client, captured_spans):
    """Tokens in URLs are not exported."""
    client.get("/items/7?token=s3cret&page=2")
    assert only(captured_spans).attributes["url.query"] == "token=REDACTED&page=2"


def test_all_middleware_is_inside_the_span(captured_spans):
    """Also middleware added after `instrument_app`."""
    made = make_app()
    eco2_tracing.instrument_app(made)
    seen = []

    @made.middleware("http")
    async def look(request, call_next):
        seen.append(eco2_tracing.current_trace_id())
        return await call_next(request)

    with TestClient(made) as client:
        client.get("/items/7", headers=b3_headers())
    assert seen == [TRACE_ID]
    assert len(captured_spans.spans) == 1


def test_application_that_already_serves(captured_spans):
    """An earlier request built its middleware stack."""
    made = make_app()
    with TestClient(made) as client:
        client.get("/items/7")
        captured_spans.clear()  # FastAPI's own, from before
        eco2_tracing.instrument_app(made)
        eco2_tracing.instrument_app(made)
        client.get("/items/8", headers=b3_headers())
    assert only(captured_spans).trace_id == TRACE_ID


def test_configuring_after_instrumenting_works():
    """The order of both calls does not matter."""
    from eco2_tracing.testing import CapturedSpans

    made, captured = make_app(), CapturedSpans()
    eco2_tracing.instrument_app(made)
    settings = eco2_tracing.TracingSettings(traces_exporter="none")
    assert eco2_tracing.configure_tracing("shop", settings=settings, span_processors=[captured])
    with TestClient(made) as client:
        client.get("/items/7")
    assert only(captured).service == "shop"


def test_two_applications_in_one_process(captured_spans):
    """Both are traced; a mounted instrumented one creates no second span."""
    outer, inner = make_app(), make_app()
    outer.mount("/inner", inner)
    eco2_tracing.instrument_app(outer)
    eco2_tracing.instrument_app(inner)
    with TestClient(outer) as client:
        client.get("/inner/items/7")
    assert only(captured_spans).name == "GET /inner/items/{item_id}"
