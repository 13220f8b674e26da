"""Held spans can be found, waited for and grouped into trees."""

from __future__ import annotations

import threading

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.propagation import set_span_in_context

from eco2_tracing.testing import CapturedSpans, ReceivedSpan, ReceivedTrace, SpanStore


def span(name, span_id, parent=None, *, trace="1", service="a", start=0, kind=SpanKind.INTERNAL):
    """A span with short ids."""
    return ReceivedSpan(
        name=name,
        kind=kind,
        trace_id=trace.zfill(32),
        span_id=span_id,
        parent_span_id=parent,
        resource={"service.name": service},
        start_ns=start,
    )


def store(*spans):
    """A store that holds these spans."""
    held = SpanStore()
    held._add(spans)
    return held


def test_find_combines_arguments():
    """Without arguments it returns all."""
    held = store(
        span("a", "1"),
        span("a", "2", kind=SpanKind.SERVER),
        span("a", "3", trace="F", service="b"),
        span("b", "4"),
    )
    assert len(held.find()) == 4
    assert [one.span_id for one in held.find("a")] == ["1", "2", "3"]
    assert held.one("a", kind=SpanKind.SERVER).span_id == "2"
    assert held.one(service="b").span_id == "3"
    assert held.find("a", trace_id="1".zfill(32), service="b") == ()


def test_one_lists_the_held_spans():
    """No match, or several, is an AssertionError."""
    with pytest.raises(AssertionError, match="found 0; no spans are held"):
        store().one("a")
    with pytest.raises(AssertionError, match=r"(?s)found 2; 2 spans are held:.*INTERNAL 'a'"):
        store(span("a", "1"), span("a", "2")).one("a")


def test_relations_of_a_trace():
    """Roots, orphans, parents and children, ordered by start."""
    held = store(
        span("late child", "3", "1", start=3),
        span("root", "1", start=1),
        span("child", "2", "1", start=2, service="b"),
        span("grandchild", "4", "2", start=4),
        span("orphan", "5", "gone", start=5),
        span("stranger", "6", trace="2", start=6),
    )
    first, second = held.traces()
    assert [(depth, one.name) for depth, one in first.walk()] == [
        (0, "root"),
        (1, "child"),
        (2, "grandchild"),
        (1, "late child"),
        (0, "orphan"),
    ]
    assert [one.name for one in first.roots] == ["root"]
    assert [one.name for one in first.orphans] == ["orphan"]
    assert [one.name for one in first.tops] == ["root", "orphan"]
    assert first.services == ("a", "b")
    assert first.parent(held.one("grandchild")) == held.one("child")
    assert first.parent(held.one("orphan")) is None
    assert (first.is_one_tree, second.is_one_tree) == (False, True)
    assert held.trace("2".zfill(32)) == second
    assert str(first).splitlines()[2].startswith("  b: INTERNAL 'child'")


def test_trace_without_spans():
    """An unknown trace id has no tree."""
    empty = store().trace("AB")
    assert empty == ReceivedTrace("ab", ())
    assert not empty.is_one_tree


@pytest.mark.parametrize(
    "spans",
    [
        [span("a", "1", "2"), span("b", "2", "1")],
        [span("a", "1"), span("b", "1", "1")],
    ],
    ids=["circle", "repeated id"],
)
def test_cyclic_ids_are_not_a_tree(spans):
    """The walk ends."""
    trace = ReceivedTrace("1", tuple(spans))
    assert len(list(trace.walk())) <= len(spans)


def test_wait_for_ends_when_spans_arrive():
    """By number or by predicate."""
    held = store(span("a", "1"))
    later = threading.Thread(target=lambda: held._add((span("b", "2"),)))
    later.start()
    assert len(held.wait_for(2)) == 2
    assert held.wait_for(lambda spans: any(one.name == "b" for one in spans))
    later.join()


def test_wait_for_times_out():
    """The error lists the held spans."""
    held = store(span("a", "1"))
    with pytest.raises(TimeoutError, match=r"(?s)waited 0 s for 2 spans; 1 spans are held.*'a'"):
        held.wait_for(2, timeout_s=0)
    with pytest.raises(TimeoutError, match="the condition"):
        held.wait_for(lambda spans: False, timeout_s=0)
    held.clear()
    assert held.spans == ()


def test_captured_spans_have_every_field():
    """As a received span has."""
    captured = CapturedSpans()
    provider = TracerProvider()
    provider.add_span_processor(captured)
    tracer = provider.get_tracer("scope", "1.0")
    remote = SpanContext(0xA1, 0xB2, True, TraceFlags(1), TraceState([("k", "v")]))
    caller = set_span_in_context(NonRecordingSpan(remote))
    with tracer.start_as_current_span(
        "a", caller, SpanKind.SERVER, {"n": 1}, [Link(remote, {"l": 1})]
    ) as live:
        live.add_event("e", {"x": True}, timestamp=7)
    held = captured.one("a", kind=SpanKind.SERVER)
    assert (held.trace_id, held.parent_span_id) == ("a1".zfill(32), "b2".zfill(16))
    assert (dict(held.attributes), held.trace_state, held.flags) == ({"n": 1}, "k=v", 1)
    assert [(e.name, e.time_ns, dict(e.attributes)) for e in held.events] == [("e", 7, {"x": True})]
    assert [(one.trace_id, one.trace_state) for one in held.links] == [("a1".zfill(32), "k=v")]
    assert (held.scope, held.scope_version) == ("scope", "1.0")
    assert held.resource["telemetry.sdk.language"] == "python"
    assert held.end_ns >= held.start_ns > 0
