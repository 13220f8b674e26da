"""Calls of httpx as they are seldom made: odd requests, answers of callees that trace, transports in transports."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.trace import SpanKind

from eco2_tracing.testing import SPAN_ID, TRACE_ID, b3_headers
from tests.calls.conftest import Caller, inside
from tests.calls.transports import Making, retry


def once(_self, request, hand_on):
    """Hand a request on."""
    response = yield hand_on(request)
    return response


def test_a_transport_that_hands_on_what_is_no_request(one, captured_spans, caplog):
    """The transport below fails as it does untraced, and ours says that it could not trace the call."""

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


def test_an_answer_that_names_a_trace_kept_already(caller, callee, captured_spans):
    """What a callee says of its part changes nothing where ours is sampled."""
    callee.answer("/", traceresponse=f"00-{TRACE_ID}-{SPAN_ID}-01", server_timing="db;dur=1")
    inside(lambda: caller.get(callee.url()), b3_headers())
    (span,) = captured_spans.find(kind=SpanKind.CLIENT)
    assert (span.trace_id, span.attributes["http.response.status_code"]) == (TRACE_ID, 200)


@pytest.mark.parametrize("layers", [2, 3])
def test_transports_in_transports(caller, callee, captured_spans, layers):
    """Only the innermost sends: one span, however many stand around it."""
    making = Making(caller)
    transport = making.open()
    for layer in range(layers):
        transport = making.wrapping(retry if layer else once, transport)
    inside(lambda: caller.get(callee.url(), client=caller.client(transport=transport)), b3_headers())
    (span,) = captured_spans.find(kind=SpanKind.CLIENT)
    assert callee.last["x-b3-spanid"] == span.span_id


def test_a_transport_around_that_of_the_test_client(captured_spans):
    """A call of a test's own application is no call to another service."""
    app = FastAPI()
    app.get("/")(lambda: "x")
    client, got = TestClient(app), []
    base = next(kind for kind in type(client).__mro__ if kind.__name__ == "Client")
    one = Caller(base.__module__.partition(".")[0], is_async=False)
    with one.client(transport=Making(one).wrapping(once, client._transport)) as made:
        status = inside(lambda: got.append(made.get("http://testserver/").json()))
    assert (status, got) == (200, ["x"])
    assert not captured_spans.find(kind=SpanKind.CLIENT)
