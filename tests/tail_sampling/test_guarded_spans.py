"""Spans that libraries and applications make with a tracer of the API, and values that fight back."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, StatusCode

import eco2_tracing
from eco2_tracing.testing import CapturedSpans, b3_headers
from tests.support.hostile import Unhashable, Unreadable, UnreadableError, UnreadableMapping, UnreadableText


@pytest.fixture(params=[True, False], ids=["sampled", "not sampled"])
def worked(request):
    """A function that does something in a request that fails, and gives the spans that were exported."""

    def in_request(work):
        from fastapi import FastAPI
        from fastapi.testclient import TestClient

        captured, heard = CapturedSpans(), []
        settings = eco2_tracing.TracingSettings(traces_exporter="none")
        eco2_tracing.configure_tracing(settings=settings, span_processors=[captured] if request.param else [])
        app = FastAPI()
        eco2_tracing.instrument_app(app)

        def listen():
            """Export from now on: a span that began before went the short way, which is the one that is tried."""
            if not request.param and captured not in heard:
                heard.append(captured)
                trace.get_tracer_provider().add_span_processor(captured)

        @app.get("/")
        def fail():
            work(trace.get_tracer("library"), listen)
            listen()
            raise LookupError

        with TestClient(app) as client, pytest.raises(LookupError):
            client.get("/", headers=b3_headers(sampled=request.param))
        return captured

    return in_request


HOSTILE = {"first": 1, "unreadable": Unreadable(), "member": [1, Unhashable()], "last": 2}


def test_attributes_that_a_span_begins_with(worked):
    """Those that can be had are there; the span's beginning raises nothing."""

    def work(tracer, listen):
        with tracer.start_as_current_span("library", attributes=HOSTILE):
            pass

    span = worked(work).one("library")
    assert (span.attributes["first"], span.attributes["last"]) == (1, 2)


def test_attributes_that_cannot_be_read(worked):
    """The span has none of them."""

    def work(tracer, listen):
        with tracer.start_as_current_span("library", attributes=UnreadableMapping()):
            pass

    assert worked(work).one("library")


def test_times_that_are_none(worked):
    """A span that is said to begin or end at no time is exported all the same, and lets its local trace end."""

    def work(tracer, listen):
        tracer.start_span("begun", start_time="now").end()
        tracer.start_span("ended").end("now")

    captured = worked(work)
    assert captured.one("begun")
    assert captured.one("ended")
    assert captured.one("GET /")


def test_what_is_set_on_a_span(worked):
    """Attributes, events, links and the status: what can be had of each."""

    def work(tracer, listen):
        with tracer.start_as_current_span("library") as span:
            listen()
            span.set_attribute("unreadable", Unreadable())
            span.set_attributes({"second": 1})
            span.set_attributes(HOSTILE)
            span.add_event("event", HOSTILE)
            span.add_link(SpanContext(1, 2, True), HOSTILE)
            span.add_link(Unreadable())
            span.record_exception(UnreadableError(), HOSTILE)
            span.set_status(StatusCode.ERROR, UnreadableText("described"))

    span = worked(work).one("library")
    assert (span.attributes["first"], span.attributes["second"], span.attributes["last"]) == (1, 1, 2)
    assert [(event.name, event.attributes["last"]) for event in span.events] == [
        ("event", 2),
        ("exception", 2),
    ]
    assert [link.attributes["last"] for link in span.links] == [2]
    assert (span.status, span.status_description) == (StatusCode.ERROR, "described")


def test_a_description_that_is_no_text(worked):
    """It is left out without any access."""

    def work(tracer, listen):
        with tracer.start_as_current_span("library") as span:
            listen()
            span.set_status(StatusCode.ERROR, Unreadable())

    span = worked(work).one("library")
    assert (span.status, span.status_description) == (StatusCode.ERROR, "")


@pytest.mark.parametrize("way", ["start_as_current_span", "start_span"])
def test_an_exception_that_cannot_be_printed_stays_itself(worked, way):
    """It leaves the span as it came, and the span says what it was."""

    def work(tracer, listen):
        with pytest.raises(UnreadableError), getattr(tracer, way)("library"):
            listen()
            raise UnreadableError

    span = worked(work).one("library")
    assert (span.status, span.status_description) == (
        StatusCode.ERROR,
        "UnreadableError: <exception str() failed>",
    )
    (event,) = span.events
    assert event.attributes["exception.type"].endswith("UnreadableError")


@pytest.mark.parametrize("way", ["start_as_current_span", "start_span"])
def test_what_an_exception_leaves_is_asked_for(worked, way):
    """``record_exception`` and ``set_status_on_exception`` mean what they mean in the SDK."""

    def work(tracer, listen):
        spans = [
            getattr(tracer, way)(name, record_exception=event, set_status_on_exception=status)
            for name, event, status in (("recorded", True, False), ("marked", False, True))
        ]
        for span in spans:
            with pytest.raises(ValueError), span:
                listen()
                raise ValueError("lost")

    captured = worked(work)
    recorded, marked = captured.one("recorded"), captured.one("marked")
    assert (len(recorded.events), recorded.status) == (1, StatusCode.UNSET)
    assert (len(marked.events), marked.status_description) == (0, "ValueError: lost")


def test_a_span_that_has_ended_before_its_block(worked):
    """The exception goes its way, and nothing is said twice."""

    def work(tracer, listen):
        with pytest.raises(ValueError), tracer.start_as_current_span("library", end_on_exit=False) as span:
            span.end()
            raise ValueError
        with pytest.raises(ValueError), tracer.start_span("second") as span:
            span.end()
            raise ValueError

    captured = worked(work)
    assert captured.one("library").events == captured.one("second").events == ()


def test_a_block_that_ends_well_is_no_error(worked):
    """And a link given at the start is kept."""

    def work(tracer, listen):
        with tracer.start_span("library", links=[Link(SpanContext(1, 2, True))]):
            pass

    span = worked(work).one("library")
    assert (span.status, len(span.links)) == (StatusCode.UNSET, 1)


def test_coroutine_functions_are_decorated_as_by_the_sdk(worked):
    """The span lasts as long as the coroutine."""
    names = []

    def work(tracer, listen):
        @tracer.start_as_current_span("library")
        async def function():
            await asyncio.sleep(0)
            names.append(trace.get_current_span().name)

        asyncio.run(function())

    assert worked(work).one("library")
    assert names == ["library"]
