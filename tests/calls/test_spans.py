"""One client span an attempt, by whatever client it is made."""

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
    """The client spans, as they ended."""
    return captured.find(kind=SpanKind.CLIENT)


def test_a_call_is_a_span_below_the_request(caller, callee, captured_spans):
    """Named by its method, with the stable attributes, and the parent of what the callee does."""
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


def test_clients_made_before_configure_tracing_are_traced(caller, callee):
    """A client at module level is made while modules are imported."""
    client = caller.client()
    captured = configure()
    inside(lambda: caller.get(callee.url(), client=client))
    assert len(clients(captured)) == 1


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, StatusCode.UNSET), (302, StatusCode.UNSET), (404, StatusCode.ERROR), (503, StatusCode.ERROR)],
)
def test_a_failing_answer_is_an_error_of_the_call(caller, callee, captured_spans, status, outcome):
    """4xx and 5xx, as the conventions have it for clients; nothing is raised, nothing recorded."""
    callee.answer("/x", status)
    inside(lambda: caller.get(callee.url("/x")))
    (span,) = clients(captured_spans)
    assert span.status is outcome
    assert span.attributes["http.response.status_code"] == status
    assert span.attributes.get("error.type") == (str(status) if outcome is StatusCode.ERROR else None)
    assert not span.events


def test_a_refused_connection_is_an_error(caller, captured_spans):
    """The exception is on the span once, and reaches the application as it is."""
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


def test_a_timeout_is_an_error(caller, callee, captured_spans):
    """Of the library's own class, by which operators search."""

    def work():
        with pytest.raises(caller.module.ReadTimeout):
            caller.get(callee.url("/silent"), timeout=0.05)

    inside(work)
    (span,) = clients(captured_spans)
    assert span.attributes["error.type"] == "ReadTimeout"


def test_an_exception_that_goes_through_is_recorded_once_a_span(caller, captured_spans):
    """On the call that failed and on the request that failed of it."""
    assert inside(lambda: caller.get("http://127.0.0.1:1/")) == 500
    spans = captured_spans.spans
    assert sorted(span.kind.name for span in spans) == ["CLIENT", "SERVER"]
    for span in spans:
        assert [event.attributes["exception.type"].rpartition(".")[2] for event in span.events] == [
            "ConnectError"
        ]


def test_each_redirect_is_a_span(caller, callee, captured_spans):
    """Side by side, and each told to the one that it went to."""
    callee.answer("/old", 302, location="/new")
    inside(lambda: caller.get(callee.url("/old"), follow_redirects=True))
    first, second = clients(captured_spans)
    assert [span.attributes["http.response.status_code"] for span in (first, second)] == [302, 200]
    assert first.parent_span_id == second.parent_span_id
    assert [seen["x-b3-spanid"] for seen in callee.seen] == [first.span_id, second.span_id]


def test_each_attempt_of_an_auth_flow_is_a_span(caller, callee, captured_spans):
    """The same request object is sent twice: it is told of once each time."""

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


def test_a_streaming_call_ends_with_the_answers_beginning(callee, captured_spans):
    """What the application does between the parts is not the callee's time."""
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


def test_a_call_in_a_thread_begins_a_trace(caller, callee, captured_spans):
    """A thread of the application's own has no request above it."""

    def work():
        thread = threading.Thread(target=caller.get, args=[callee.url()])
        thread.start()
        thread.join()

    inside(work, b3_headers())
    (span,) = clients(captured_spans)
    assert span.trace_id != TRACE_ID
    assert span.parent_span_id is None
    assert callee.last["x-b3-traceid"] == span.trace_id


def test_a_cancelled_call_ends_without_an_error(callee, captured_spans):
    """Whoever cancels does not wait for the answer any more: nothing failed."""
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


def test_a_call_that_is_abandoned_is_not_reported(callee, captured_spans, caplog):
    """A coroutine that is closed elsewhere, as a stream's body is when its reader has gone."""
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
def test_suppressed_calls_pass_untouched(caller, callee, captured_spans, suppress):
    """No span, and the headers that they came with."""

    def work():
        with suppress():
            caller.get(callee.url(), headers={"traceparent": "mine"})

    inside(work, b3_headers())
    assert not clients(captured_spans)
    assert callee.last.trace == {"traceparent": "mine"}


def test_excluded_urls_get_no_span_and_all_headers(caller, callee):
    """``OTEL_PYTHON_HTTPX_EXCLUDED_URLS``: the callee hangs below the request."""
    captured = configure(httpx_excluded_urls="quiet,other")
    inside(lambda: caller.get(callee.url("/quiet")), b3_headers())
    assert not clients(captured)
    assert callee.last["x-b3-spanid"] == captured.one(kind=SpanKind.SERVER).span_id


def test_mocked_transports_are_traced(caller, captured_spans):
    """Tests of services see the same headers as the callee will."""
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


def test_the_test_client_is_never_touched(captured_spans):
    """Not even inside of a span: its headers are those of the caller that it stands for."""
    app = FastAPI()
    app.get("/")(lambda: None)
    eco2_tracing.instrument_app(app)
    with eco2_tracing.span("test"), TestClient(app) as client:
        sent = client.get("/").request.headers
    assert "x-b3-traceid" not in sent
    assert not clients(captured_spans)


@pytest.mark.parametrize("mounted", [False, True])
@pytest.mark.parametrize("name", ["httpx", "httpx2"])
def test_a_transport_into_an_app_is_a_call_only_inside_of_a_request(captured_spans, name, mounted):
    """Outside of one it is a test's caller; inside of one it is a gateway in the same process."""
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
    """Contrib's variables; credentials stay out."""
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
    """Passwords and tokens stay out of the span."""
    inside(lambda: caller.get(f"http://me:s3cret@127.0.0.1:{callee.port}/?token=s3cret&page=2"))
    url = clients(captured_spans)[0].attributes["url.full"]
    assert "s3cret" not in url
    assert "page=2" in url


def test_a_method_nobody_knows_is_named_http(one, callee, captured_spans):
    """As the conventions have it, with what it really was beside."""
    client = one.client(transport=one.module.MockTransport(lambda _: one.module.Response(200)))
    inside(lambda: client.request("BREW", callee.url()))
    (span,) = clients(captured_spans)
    assert (span.name, span.attributes["http.request.method_original"]) == ("HTTP", "BREW")
