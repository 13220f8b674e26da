"""Rare uses of spans, of their provider and of its sampler."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Link, SpanKind, StatusCode
from tests.calls.conftest import configure

from eco2_tracing._spans.peer import Peer, is_peer_error
from eco2_tracing.testing import CapturedSpans


class DecodeError(ValueError):
    """An exception of a decoder, such as msgspec's, without the message that could not be decoded."""


def tracer() -> trace.Tracer:
    """A tracer of the application."""
    return trace.get_tracer("shop")


def unsampled() -> CapturedSpans:
    """Configure tracing so that only failed traces are kept."""
    return configure(traces_sampler="parentbased_traceidratio", traces_sampler_arg=0.0)


def test_texts_in_dictionaries_are_truncated():
    """The length limit applies to each text, at every depth; numbers stay."""
    if "order" not in BoundedAttributes(None, {"order": {"count": 1}}):
        pytest.skip("attributes of this OpenTelemetry API take no dictionaries")
    captured = configure(span_attribute_value_length_limit=3)
    with tracer().start_as_current_span("work") as span:
        span.set_attribute("order", {"name": "abcdef", "count": 12345, "inner": {"tags": ["abcdef"]}})
    (ended,) = captured.spans
    assert ended.attributes["order"] == {"name": "abc", "count": 12345, "inner": {"tags": ("abc",)}}


def test_deprecated_name_of_the_scope(captured_spans):
    """Old exporters read `instrumentation_info`."""
    with tracer().start_as_current_span("work") as span:
        assert span.instrumentation_info is span.instrumentation_scope
        assert span.instrumentation_info.name == "shop"


def test_repr_of_a_span(captured_spans):
    """It has the name and the ids."""
    with tracer().start_as_current_span("work") as span:
        assert repr(span) == f"Span(name='work', context={span.get_span_context()!r})"


def test_links_without_ids(captured_spans):
    """They are dropped unless they have attributes."""
    with tracer().start_as_current_span("work") as span:
        span.add_link(INVALID_SPAN_CONTEXT)
        span.add_link(INVALID_SPAN_CONTEXT, {"why": "lost"})
        assert [dict(link.attributes) for link in span.links] == [{"why": "lost"}]
    with tracer().start_as_current_span("other", links=[Link(INVALID_SPAN_CONTEXT)]) as span:
        assert span.links == ()


def test_ended_span_does_not_change(captured_spans):
    """Name, status and events stay."""
    span = tracer().start_span("work")
    span.end()
    span.update_name("late")
    span.set_status(StatusCode.ERROR)
    span.record_exception(ValueError("late"))
    span.add_link(INVALID_SPAN_CONTEXT, {"why": "late"})
    assert (span.name, span.status.status_code) == ("work", StatusCode.UNSET)
    assert (span.events, span.links) == ((), ())


def test_only_an_error_status_keeps_a_trace():
    """OK does not."""
    captured = unsampled()
    with tracer().start_as_current_span("fine") as span:
        span.set_status(StatusCode.OK)
    with tracer().start_as_current_span("failed") as span:
        span.set_status(StatusCode.ERROR)
    assert [ended.name for ended in captured.spans] == ["failed"]


def test_provider_shut_down_by_the_application(captured_spans):
    """Its processors are shut down, and later calls raise nothing."""
    stopped = []

    class Own(SpanProcessor):
        def shutdown(self):
            stopped.append(self)

    provider = trace.get_tracer_provider()
    provider.add_span_processor(Own())
    with tracer().start_as_current_span("before"):
        pass
    provider.shutdown()
    assert len(stopped) == 1
    assert "before" in [ended.name for ended in captured_spans.spans]
    with tracer().start_as_current_span("after"):
        pass


@pytest.mark.parametrize(
    ("ratio", "decision"), [(1.0, Decision.RECORD_AND_SAMPLE), (0.0, Decision.RECORD_ONLY)]
)
def test_public_sampler_of_the_provider(ratio, decision):
    """It answers like one of the SDK's; traces that may be kept are recorded."""
    configure(traces_sampler="parentbased_traceidratio", traces_sampler_arg=ratio)
    sampler = trace.get_tracer_provider().sampler
    answer = sampler.should_sample(None, 1 << 100, "work", SpanKind.CLIENT, {"shop.item": 7})
    assert (answer.decision, dict(answer.attributes)) == (decision, {"shop.item": 7})
    assert sampler.should_sample(None, 1 << 100, "work").decision is decision


def test_public_sampler_drops_what_cannot_be_kept(captured_spans):
    """The parent is an unsampled span without a local trace."""
    unkept = trace.NonRecordingSpan(trace.SpanContext(1 << 100, 1, is_remote=False))
    sampler = trace.get_tracer_provider().sampler
    answer = sampler.should_sample(trace.set_span_in_context(unkept), 1 << 100, "work")
    assert answer.decision is Decision.DROP


def test_child_of_a_dropped_span_in_a_kept_trace():
    """It is sampled, although its parent's context is not."""
    captured = unsampled()
    with tracer().start_as_current_span("root"):
        early = tracer().start_span("early")
        early.end()
        for _ in range(600):
            tracer().start_span("step").end()
        failing = tracer().start_span("failing")
        failing.set_status(StatusCode.ERROR)
        failing.end()
        assert not early.get_span_context().trace_flags.sampled
        late = tracer().start_span("late", trace.set_span_in_context(early))
        assert late.get_span_context().trace_flags.sampled
        assert late.get_span_context().trace_state.get("ot") == "th:0"
        late.end()
    assert {ended.name for ended in captured.spans} == {"root", "step", "failing", "late"}


def test_oserror_of_the_servers_send():
    """It means a disconnect; one from elsewhere does not."""

    def send(_message):
        raise OSError("connection lost")

    def elsewhere():
        raise OSError("disk full")

    with pytest.raises(OSError) as lost:
        send({})
    with pytest.raises(OSError) as full:
        elsewhere()
    assert is_peer_error(lost.value, send)
    assert not is_peer_error(full.value, send)


@pytest.mark.parametrize(
    ("text", "is_end"), [("1" * 10, False), ("[" * 10, True), ("1" * ((1 << 20) + 1), True)]
)
def test_decoder_errors_without_a_message(text, is_end):
    """The last message is decoded again to check; very long ones count as undecodable."""
    peer = Peer(None)
    peer.message = {"type": "websocket.receive", "text": text}
    assert is_peer_error(DecodeError("malformed"), None, peer) is is_end
