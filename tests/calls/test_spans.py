"""Client spans: one for each attempt, with every kind of client."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import types

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation
from opentelemetry.trace import SpanKind, StatusCode

import eco2_tracing
from eco2_tracing.testing import TRACE_ID, b3_headers
from tests.calls.conftest import Caller, configure, inside


def clients(captured):
    """The client spans, in the order of their ends."""
    return captured.find(kind=SpanKind.CLIENT)


def test_call_is_a_child_of_the_request(caller, callee, captured_spans):
    """It has the method's name and stable attributes, and is the parent of the callee's span."""
    inside(lambda: caller.get(callee.url("/items/7?page=2")), b3_headers())
    server = captured_spans.one(kind=SpanKind.SERVER)
    span = captured_spans.one("GET", kind=SpanKind.CLIENT)
    assert (span.trace_id, span.parent_span_id, span.status) == (TRACE_ID, server.span_id, StatusCode.UNSET)
    assert span.attributes == {
        "http.request.method": "GET",
        "url.full": callee.url("/items/7?page=2"),
        "server.address": "127.0.0.1",
        "server.port": callee.port,
        "network.peer.address": "127.0.0.1",
        "network.peer.port": callee.port,
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
    }
    assert callee.last["x-b3-spanid"] == span.span_id
    assert server.start_ns <= span.start_ns <= span.end_ns <= server.end_ns


def test_clients_created_before_configure_tracing_are_traced(caller, callee):
    """Clients at module level are created at import."""
    client = caller.client()
    captured = configure()
    inside(lambda: caller.get(callee.url(), client=client))
    assert len(clients(captured)) == 1


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, StatusCode.UNSET), (302, StatusCode.UNSET), (404, StatusCode.ERROR), (503, StatusCode.ERROR)],
)
def test_error_response_is_an_error_of_the_call(caller, callee, captured_spans, status, outcome):
    """4xx and 5xx, as the conventions say for clients; nothing is raised or recorded."""
    callee.answer("/x", status)
    inside(lambda: caller.get(callee.url("/x")))
    (span,) = clients(captured_spans)
    assert span.status is outcome
    assert span.attributes["http.response.status_code"] == status
    assert span.attributes.get("error.type") == (str(status) if outcome is StatusCode.ERROR else None)
    assert not span.events


def test_refused_connection_is_an_error(caller, captured_spans):
    """The exception is on the span once and reaches the application unchanged."""
    raised = []

    def work():
        try:
            caller.get("http://127.0.0.1:1/")
        except caller.module.ConnectError as exception:
            raised.append(exception)

    assert inside(work) == 200
    (span,) = clients(captured_spans)
    assert (span.status, span.attributes["error.type"]) == (StatusCode.ERROR, "ConnectError")
    assert [event.name for event in span.events] == ["exception"]
    assert span.events[0].attributes["exception.message"] == str(raised[0])
    assert span.status_description == f"ConnectError: {raised[0]}"


def test_timeout_is_an_error(caller, callee, captured_spans):
    """`error.type` is httpx's class."""

    def work():
        with pytest.raises(caller.module.ReadTimeout):
            caller.get(callee.url("/silent"), timeout=caller.module.Timeout(20, read=0.05))

    inside(work)
    (span,) = clients(captured_spans)
    assert span.attributes["error.type"] == "ReadTimeout"


def test_exception_that_leaves_the_handler_is_recorded_once_a_span(caller, captured_spans):
    """On the failed call and on the failed request."""
    assert inside(lambda: caller.get("http://127.0.0.1:1/")) == 500
    spans = captured_spans.spans
    assert sorted(span.kind.name for span in spans) == ["CLIENT", "SERVER"]
    for span in spans:
        assert [event.attributes["exception.type"].rpartition(".")[2] for event in span.events] == [
            "ConnectError"
        ]


def test_each_redirect_has_a_span(caller, callee, captured_spans):
    """The spans are siblings, and each is the parent in its request's headers."""
    callee.answer("/old", 302, location="/new")
    inside(lambda: caller.get(callee.url("/old"), follow_redirects=True))
    first, second = clients(captured_spans)
    assert [span.attributes["http.response.status_code"] for span in (first, second)] == [302, 200]
    assert first.parent_span_id == second.parent_span_id
    assert [seen["x-b3-spanid"] for seen in callee.seen] == [first.span_id, second.span_id]


def test_each_attempt_of_an_auth_flow_has_a_span(caller, callee, captured_spans):
    """The same request object is sent twice, with the headers of each attempt."""

    class Retry(caller.module.Auth):
        def auth_flow(self, request):
            response = yield request
            assert response.status_code == 401
            request.headers["authorization"] = "Bearer x"
            yield request

    callee.answer("/private", 401)
    inside(lambda: caller.get(callee.url("/private"), auth=Retry()))
    first, second = clients(captured_spans)
    assert [seen["x-b3-spanid"] for seen in callee.seen] == [first.span_id, second.span_id]
    assert [span.attributes["http.response.status_code"] for span in (first, second)] == [401, 200]


def test_streaming_call_ends_when_the_response_begins(callee, captured_spans):
    """The application's time between chunks is not counted."""
    callee.answer("/parts", 200, b"abc")
    caller = Caller("httpx2", is_async=False)
    seen = []

    def work():
        with caller.client() as client, client.stream("GET", callee.url("/parts")) as response:
            seen.append(len(clients(captured_spans)))
            seen.append(b"".join(response.iter_bytes()))

    inside(work, b3_headers())
    assert seen[1] == b"abc"
    assert len(clients(captured_spans)) == 1


def test_call_in_a_thread_begins_a_trace(caller, callee, captured_spans):
    """A plain thread has no parent span."""

    def work():
        thread = threading.Thread(target=caller.get, args=[callee.url()])
        thread.start()
        thread.join()

    inside(work, b3_headers())
    (span,) = clients(captured_spans)
    assert span.trace_id != TRACE_ID
    assert span.parent_span_id is None
    assert callee.last["x-b3-traceid"] == span.trace_id


def test_cancelled_call_ends_without_an_error(callee, captured_spans):
    """Nothing failed."""
    caller = Caller("httpx2", is_async=True)

    async def call():
        async with caller.client() as client:
            task = asyncio.create_task(client.get(callee.url("/silent")))
            while not callee.seen:
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    inside(lambda: asyncio.run(call()))
    (span,) = clients(captured_spans)
    assert (span.status, span.events) == (StatusCode.UNSET, ())
    assert "http.response.status_code" not in span.attributes


def test_abandoned_call_is_not_logged(callee, captured_spans, caplog):
    """A coroutine is closed in another context, like a stream whose reader is gone."""
    caller = Caller("httpx2", is_async=True)

    @types.coroutine
    def forever():
        yield

    class Waiting(caller.module.AsyncBaseTransport):
        async def handle_async_request(self, request):
            await forever()

    def call():
        coroutine = caller.client(transport=Waiting()).get(callee.url())
        contextvars.copy_context().run(coroutine.send, None)
        coroutine.close()

    inside(call)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(clients(captured_spans)) == 1


@pytest.mark.parametrize("suppress", [suppress_instrumentation, suppress_http_instrumentation])
def test_suppressed_calls_do_not_change(caller, callee, captured_spans, suppress):
    """No span, and the application's headers."""

    def work():
        with suppress():
            caller.get(callee.url(), headers={"traceparent": "mine"})

    inside(work, b3_headers())
    assert not clients(captured_spans)
    assert callee.last.trace == {"traceparent": "mine"}


def test_excluded_urls_have_headers_and_no_span(caller, callee):
    """`OTEL_PYTHON_HTTPX_EXCLUDED_URLS`: the callee's span is a child of the request's."""
    captured = configure(httpx_excluded_urls="quiet,other")
    inside(lambda: caller.get(callee.url("/quiet")), b3_headers())
    assert not clients(captured)
    assert callee.last["x-b3-spanid"] == captured.one(kind=SpanKind.SERVER).span_id


def test_mocked_transports_are_traced(caller, captured_spans):
    """Tests of services see the headers that a callee receives."""
    sent = []

    def answer(request):
        sent.append(request.headers["x-b3-traceid"])
        return caller.module.Response(200)

    inside(
        lambda: caller.get(
            "http://other/", client=caller.client(transport=caller.module.MockTransport(answer))
        )
    )
    assert sent == [span.trace_id for span in clients(captured_spans)]


def test_test_client_is_not_traced(captured_spans):
    """Not even within a span: its headers are those of an external caller."""
    app = FastAPI()
    app.get("/")(lambda: None)
    eco2_tracing.instrument_app(app)
    with eco2_tracing.span("test"), TestClient(app) as client:
        sent = client.get("/").request.headers
    assert "x-b3-traceid" not in sent
    assert not clients(captured_spans)


@pytest.mark.parametrize("mounted", [False, True])
@pytest.mark.parametrize("name", ["httpx", "httpx2"])
def test_asgi_transport_is_traced_only_within_a_request(captured_spans, name, mounted):
    """Outside of a request it is a test's caller, within one a gateway in the same process."""
    caller = Caller(name, is_async=True)
    app = FastAPI()
    app.get("/")(eco2_tracing.current_trace_id)
    eco2_tracing.instrument_app(app)

    def transport():
        made = caller.module.ASGITransport(app)
        return {"mounts": {"all://": made}} if mounted else {"transport": made}

    answer = caller.get("http://app/", client=caller.client(**transport()), headers=b3_headers())
    assert answer.json() == TRACE_ID
    assert not clients(captured_spans)
    inside(lambda: caller.get("http://app/", client=caller.client(**transport())))
    (span,) = clients(captured_spans)
    assert span.span_id in {one.parent_span_id for one in captured_spans.find(kind=SpanKind.SERVER)}


def test_captured_headers_are_attributes(caller, callee):
    """Contrib's variables apply; credentials are masked."""
    captured = configure(
        http_capture_headers_client_request="x-tenant,authorization",
        http_capture_headers_client_response="x-region",
    )
    callee.answer("/x", 200, x_region="eu")
    inside(
        lambda: caller.get(callee.url("/x"), headers={"x-tenant": "acme", "authorization": "Bearer s3cret"})
    )
    attributes = clients(captured)[0].attributes
    assert list(attributes["http.request.header.x-tenant"]) == ["acme"]
    assert list(attributes["http.request.header.authorization"]) == ["[REDACTED]"]
    assert list(attributes["http.response.header.x-region"]) == ["eu"]


def test_secrets_in_the_url_are_masked(caller, callee, captured_spans):
    """Passwords and tokens are not on the span."""
    inside(lambda: caller.get(f"http://me:s3cret@127.0.0.1:{callee.port}/?token=s3cret&page=2"))
    url = clients(captured_spans)[0].attributes["url.full"]
    assert "s3cret" not in url
    assert "page=2" in url


def test_unknown_method_is_named_http(one, callee, captured_spans):
    """As in the conventions, with the original method as an attribute."""
    client = one.client(transport=one.module.MockTransport(lambda _: one.module.Response(200)))
    inside(lambda: client.request("BREW", callee.url()))
    (span,) = clients(captured_spans)
    assert (span.name, span.attributes["http.request.method_original"]) == ("HTTP", "BREW")
