"""Ids and the local trace of an unsampled request are made when something first asks for them."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN

from eco2_tracing import TracingSettings, configure_tracing
from eco2_tracing._instrumentation.server.begin import UnrecordedSpan
from eco2_tracing._spans.read_side import creation
from eco2_tracing._spans.span import Span
from eco2_tracing.propagation._inbound import Inbound


class Racing:
    """A lock that is taken when another thread has just done the work that it guards.

    Args:
        work: What the other thread did.
    """

    def __init__(self, work) -> None:
        self._work = work

    def __enter__(self) -> None:
        self._work()

    def __exit__(self, *_: object) -> None: ...


class Maker:
    """Makes what must not be made twice."""

    def make_context(self):
        """Fail."""
        raise AssertionError("made twice")

    begin_local_trace = make_context

    def make_parent(self):
        """There is no caller."""
        return


@pytest.mark.parametrize(("slot", "read"), [("_own_context", "_context"), ("_local", "local_trace")])
def test_all_threads_get_the_same_object(monkeypatch, slot, read):
    """The second thread that waits for the lock finds what the first one made."""
    span, made = Span(None, None, None, 0, _maker=Maker()), object()
    monkeypatch.setattr(creation, "lock", Racing(lambda: setattr(span, slot, made)))
    assert getattr(span, read) is made


def test_ids_of_an_unrecorded_request_are_made_once(monkeypatch):
    """The same for a request of which nothing is recorded."""
    span = UnrecordedSpan(None, Inbound(1, 2))
    context = INVALID_SPAN.get_span_context()
    monkeypatch.setattr(creation, "lock", Racing(lambda: setattr(span, "_span_context", context)))
    assert span.get_span_context() is context
    assert repr(span) == f"UnrecordedSpan({context!r})"


def test_a_span_without_a_name():
    """An empty name stays empty."""
    configure_tracing("shop", settings=TracingSettings(traces_exporter="none"))
    with trace.get_tracer("library").start_as_current_span("") as span:
        assert span.name == ""


def test_more_events_than_the_limit():
    """The oldest are dropped and counted."""
    configure_tracing("shop", settings=TracingSettings(traces_exporter="none", span_event_count_limit=2))
    with trace.get_tracer("library").start_as_current_span("work") as span:
        for number in range(5):
            span.add_event(f"event {number}")
        assert [event.name for event in span.events] == ["event 3", "event 4"]
        assert (span.dropped_events, span.dropped_links) == (3, 0)
