"""The built-in samplers agree with the SDK's, and fit where the SDK expects a sampler."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import sampling as sdk

from eco2_tracing.sampling import AlwaysOff, AlwaysOn, TraceIdRatio

TRACE_IDS = st.integers(min_value=1, max_value=(1 << 128) - 1)
RATIOS = st.floats(min_value=0, max_value=1)


@given(trace_id=TRACE_IDS, ratio=RATIOS)
def test_a_ratio_decides_as_the_sdk_does(trace_id, ratio):
    """The same ratio keeps the same traces here and in any service on the stock SDK."""
    theirs = sdk.TraceIdRatioBased(ratio).should_sample(None, trace_id, "GET").decision
    assert TraceIdRatio(ratio).decide(trace_id, "GET") is theirs.is_sampled()


@given(ratio=RATIOS)
def test_a_ratio_decides_as_the_sdk_does_at_its_edge(ratio):
    """The last id that is kept and the first that is not are the SDK's."""
    edge = sdk.TraceIdRatioBased.get_bound_for_rate(ratio)
    for low in {max(edge - 1, 0), min(edge, (1 << 64) - 1)}:
        theirs = sdk.TraceIdRatioBased(ratio).should_sample(None, low, "GET").decision
        assert TraceIdRatio(ratio).decide(low, "GET") is theirs.is_sampled()


@given(trace_id=TRACE_IDS, ratios=st.tuples(RATIOS, RATIOS))
def test_a_lower_ratio_keeps_a_part_of_what_a_higher_one_keeps(trace_id, ratios):
    """Services with different ratios leave no trace in pieces that the lower one would have whole."""
    low, high = sorted(ratios)
    assert TraceIdRatio(high).decide(trace_id, "") or not TraceIdRatio(low).decide(trace_id, "")


def test_a_ratio_keeps_its_share(ids):
    """Of 20 000 traces one in ten is kept, within 4.5 standard deviations."""
    kept = sum(TraceIdRatio(0.1).decide(ids(), "GET") for _ in range(20_000))
    assert abs(kept - 2_000) < 4.5 * math.sqrt(20_000 * 0.1 * 0.9)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_ratio_outside_its_range_is_refused(ratio):
    """A ratio is a number from 0 to 1."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        TraceIdRatio(ratio)


@pytest.mark.parametrize(
    ("sampler", "probability", "tags", "description"),
    [
        (AlwaysOn(), 1.0, ("const", True), "AlwaysOnSampler"),
        (AlwaysOff(), 0.0, ("const", False), "AlwaysOffSampler"),
        (TraceIdRatio(0.25), 0.25, ("probabilistic", 0.25), "TraceIdRatioBased{0.25}"),
    ],
)
def test_what_a_sampler_says_of_itself(sampler, probability, tags, description):
    """The probability, Jaeger's words and the SDK's name are those of the sampler."""
    assert sampler.probability("GET") == probability
    assert sampler.sample(1, "GET") == probability
    assert sampler.jaeger_tags() == tags
    assert sampler.get_description() == description
    assert not sampler.needs_attributes
    sampler.close()


@pytest.mark.parametrize(("sampler", "decision"), [(AlwaysOn(), True), (AlwaysOff(), False)])
def test_the_sdk_gets_its_answer_with_the_parents_tracestate(sampler, decision):
    """``should_sample`` keeps the attributes of a chosen span, and the tracestate in both cases."""
    state = trace.TraceState([("vendor", "1")])
    parent = trace.SpanContext(1, 2, is_remote=True, trace_state=state)
    context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
    result = sampler.should_sample(context, 1, "GET", attributes={"a": 1})
    assert result.decision.is_sampled() is decision
    assert dict(result.attributes) == ({"a": 1} if decision else {})
    assert result.trace_state == state


def test_without_a_parent_there_is_no_tracestate():
    """A root has none to preserve."""
    assert AlwaysOn().should_sample(None, 1, "GET").trace_state is None
