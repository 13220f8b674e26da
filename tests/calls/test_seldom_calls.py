"""Rare httpx calls: invalid requests, callees that trace, nested transports."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.trace import SpanKind

from eco2_tracing.testing import SPAN_ID, TRACE_ID, b3_headers
from tests.calls.conftest import Caller, inside
from tests.calls.transports import Making, retry


def once(_self, request, hand_on):
    """Pass a request on."""
    response = yield hand_on(request)
    return response


def test_transport_that_passes_on_an_invalid_request(one, captured_spans, caplog):
    """The inner transport fails as untraced, and a failure of tracing is logged."""

    def replace(_self, _request, hand_on):
        response = yield hand_on(None)
        return response

    making, raised = Making(one), []

    def work():
        with pytest.raises(AttributeError) as caught:
            one.client(transport=making.hiding(replace, making.open())).get("http://auth.svc/")
        raised.append(caught.value)

    inside(work)
    assert len(raised) == 1
    assert [record for record in caplog.records if "an outgoing call" in record.message]


def test_response_that_names_a_trace_kept_already(caller, callee, captured_spans):
    """The header changes nothing if this local trace is sampled."""
    callee.answer("/", traceresponse=f"00-{TRACE_ID}-{SPAN_ID}-01", server_timing="db;dur=1")
    inside(lambda: caller.get(callee.url()), b3_headers())
    (span,) = captured_spans.find(kind=SpanKind.CLIENT)
    assert (span.trace_id, span.attributes["http.response.status_code"]) == (TRACE_ID, 200)


@pytest.mark.parametrize("layers", [2, 3])
def test_nested_transports(caller, callee, captured_spans, layers):
    """Only the innermost sends, so there is one span."""
    making = Making(caller)
    transport = making.open()
    for layer in range(layers):
        transport = making.wrapping(retry if layer else once, transport)
    inside(lambda: caller.get(callee.url(), client=caller.client(transport=transport)), b3_headers())
    (span,) = captured_spans.find(kind=SpanKind.CLIENT)
    assert callee.last["x-b3-spanid"] == span.span_id


def test_transport_around_the_test_clients(captured_spans):
    """A call of the tested application is not a call to another service."""
    app = FastAPI()
    app.get("/")(lambda: "x")
    client, got = TestClient(app), []
    base = next(kind for kind in type(client).__mro__ if kind.__name__ == "Client")
    one = Caller(base.__module__.partition(".")[0], is_async=False)
    with one.client(transport=Making(one).wrapping(once, client._transport)) as made:
        status = inside(lambda: got.append(made.get("http://testserver/").json()))
    assert (status, got) == (200, ["x"])
    assert not captured_spans.find(kind=SpanKind.CLIENT)
