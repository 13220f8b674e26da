"""Spans of libraries in a trace that is kept after all: what the SDK would have recorded is there."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, Status, StatusCode

import eco2_tracing
from eco2_tracing.testing import CapturedSpans, b3_headers
from tests.support.hostile import Unreadable, UnreadableList


def listen(captured):
    """Let a processor see what goes out from now on: spans that began before it came, too."""
    trace.get_tracer_provider().add_span_processor(captured)


def kept(work, **settings):
    """The span ``library`` of a failing request that was not sampled, which ``work`` has worked on."""
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    captured = CapturedSpans()
    made = eco2_tracing.TracingSettings(traces_exporter="none", **settings)
    eco2_tracing.configure_tracing(settings=made, span_processors=[])
    app = FastAPI()
    eco2_tracing.instrument_app(app)

    @app.get("/")
    def fail():
        work(trace.get_tracer("library"))
        listen(captured)
        raise ValueError

    with TestClient(app, raise_server_exceptions=False) as client:
        client.get("/", headers=b3_headers(sampled=False))
    return captured


def test_attributes_of_every_kind_arrive():
    """Given at the start or later, as the SDK keeps them."""

    def work(tracer):
        with tracer.start_as_current_span("library", attributes={"a": 1, "list": [1, 2]}) as span:
            values = ["x"]
            span.set_attribute("values", values)
            values.append("later")
            span.set_attributes({"b": True, "c": 0.5, "a": 2})
            span.set_attribute("hostile", Unreadable())

    (span,) = kept(work).find(name="library")
    expected = {"a": 2, "list": (1, 2), "values": ("x",), "b": True, "c": 0.5}
    assert {key: span.attributes[key] for key in expected} == expected


def test_attributes_that_fight_back_cost_themselves_alone():
    """Given at the start or hidden in a list: what can be read of the others is kept."""

    def work(tracer):
        with tracer.start_as_current_span(
            "library", attributes={"a": 1, "hostile": UnreadableList()}
        ) as span:
            span.set_attribute("hidden", [UnreadableList()])
            span.set_attribute("b", 2)

    (span,) = kept(work).find(name="library")
    mark = "<unreadable UnreadableList>"
    assert span.attributes == {"a": 1, "hostile": mark, "hidden": (mark,), "b": 2}


def test_a_span_without_a_name_has_an_empty_one():
    """A careless library names it ``None``."""

    def work(tracer):
        tracer.start_span(None).end()

    (child,) = [span for span in kept(work).spans if span.kind is SpanKind.INTERNAL]
    assert child.name == ""


def test_a_description_that_is_no_text_is_left_out():
    """The status stands without it."""
    captured = CapturedSpans()

    def work(tracer):
        with tracer.start_as_current_span("library") as span:
            span.set_status(StatusCode.ERROR, Unreadable())
            listen(captured)

    kept(work)
    (span,) = captured.find(name="library")
    assert span.status is StatusCode.ERROR


def test_live_spans_have_the_read_side_of_the_sdk():
    """A server span and a library span are `ReadableSpan`s that share the provider's resource."""
    found = []

    def work(tracer):
        found.extend((trace.get_current_span(), tracer.start_span("library")))

    kept(work)
    provider = trace.get_tracer_provider()
    for span in found:
        assert isinstance(span, ReadableSpan)
        assert span.resource is provider.resource
        assert span.context == span.get_span_context()


def test_it_is_a_child_with_times_and_links_of_its_own():
    """Kind, parent, explicit times and events are the SDK's."""

    def work(tracer):
        span = tracer.start_span("library", kind=SpanKind.PRODUCER, start_time=1)
        span.add_event("sent", {"n": 1})
        span.update_name("library")
        span.end(3)
        span.set_attribute("late", 1)

    captured = kept(work)
    (span,) = captured.find(name="library")
    server = captured.one(kind=SpanKind.SERVER)
    assert (span.kind, span.parent_span_id, span.start_ns, span.end_ns) == (
        SpanKind.PRODUCER,
        server.span_id,
        1,
        3,
    )
    assert [event.name for event in span.events] == ["sent"]
    assert "late" not in span.attributes


def test_limits_hold():
    """Attributes beyond the limit are counted as dropped."""

    def work(tracer):
        with tracer.start_as_current_span("library", attributes={str(n): "x" * 9 for n in range(5)}):
            pass

    limits = {"span_attribute_count_limit": 3, "span_attribute_value_length_limit": 4}
    (span,) = kept(work, **limits).find(name="library")
    assert set(span.attributes.values()) == {"xxxx"}
    assert (len(span.attributes), span.dropped_attributes) == (3, 2)


def test_secrets_are_masked():
    """By name and by what they look like."""

    def work(tracer):
        with tracer.start_as_current_span("library", attributes={"password": "planted", "db.n": 1}):
            pass

    (span,) = kept(work).find(name="library")
    assert span.attributes == {"password": "REDACTED", "db.n": 1}


@pytest.mark.parametrize("record", [True, False])
def test_exceptions_are_recorded_where_asked_for(record):
    """``record_exception`` and ``set_status_on_exception`` mean what they mean in the SDK."""
    captured = CapturedSpans()

    def work(tracer):
        options = {"record_exception": record, "set_status_on_exception": record}
        try:
            with tracer.start_as_current_span("library", **options):
                listen(captured)
                raise LookupError("lost")
        except LookupError:
            pass

    kept(work)
    (span,) = captured.find(name="library")
    assert (span.status is StatusCode.ERROR, bool(span.events)) == (record, record)


def test_a_4xx_answer_to_a_client_keeps_nothing():
    """The library marks it as an error, the caller may have expected it."""
    captured = CapturedSpans()
    settings = eco2_tracing.TracingSettings(traces_exporter="none", traces_sampler="parentbased_always_off")
    made = settings.model_copy(update={"error_sampling_rate_is_set": True})
    eco2_tracing.configure_tracing(settings=made)
    tracer = trace.get_tracer("library")
    with tracer.start_as_current_span("root"):
        attributes = {"http.response.status_code": 404}
        with tracer.start_as_current_span("call", kind=SpanKind.CLIENT, attributes=attributes) as span:
            span.set_status(Status(StatusCode.ERROR, object()))  # type: ignore[arg-type]  # a careless library
        listen(captured)
    assert captured.spans == ()
