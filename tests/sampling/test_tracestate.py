"""What the collector reads from ``ot=th:…;rv:…`` is what was decided."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import TraceState

from eco2_tracing.sampling import (
    UNKNOWN,
    TraceIdRatio,
    ot_member,
    randomness_value,
    threshold,
    with_probability,
)


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        (1, "0"),
        (0.5, "8"),
        (0.25, "c"),
        (0.125, "e"),
        (0.1, "e666"),
        (0.0625, "f"),
        (0.01, "fd70a"),
        (2.0**-56, "ffffffffffffff"),
        (0.999_999_999, "0"),
        (0.0, None),
        (2.0**-58, None),
        (UNKNOWN, None),
    ],
)
def test_thresholds_of_the_specification(probability, expected):
    """The values are those of the specification's table, where that does not round up."""
    assert threshold(probability) == expected


@given(probability=st.floats(min_value=1e-9, max_value=1))
def test_a_threshold_tells_the_probability(probability):
    """Read back as the collector does, it is right within one in 4 000, and never too low."""
    told = 1 - int(threshold(probability).ljust(14, "0"), 16) / 2**56
    assert probability * (1 - 1e-6) <= told <= probability * (1 + 1 / 4000)


@given(trace_id=st.integers(1, (1 << 128) - 1), probability=st.floats(min_value=1e-6, max_value=1))
def test_a_chosen_trace_passes_its_own_threshold(trace_id, probability):
    """``rv >= th`` holds for every trace that the sampler chose: nothing looks inconsistent."""
    if TraceIdRatio(probability).decide(trace_id, "GET"):
        assert randomness_value(trace_id) >= threshold(probability).ljust(14, "0")


@given(probability=st.floats(min_value=1e-6, max_value=0.99))
def test_the_first_trace_not_chosen_is_at_the_threshold(probability):
    """``rv`` falls as the trace id rises: what is dropped lies at the threshold or below it."""
    dropped = TraceIdRatioBased.get_bound_for_rate(probability) + (1 << 8)
    exact = 2**56 - round(probability * 2**56)
    assert int(randomness_value(dropped), 16) <= exact
    assert len(randomness_value(dropped)) == 14


def test_members():
    """A known probability has a threshold, and the randomness unless everything is kept."""
    assert ot_member(1.0, 5) == "th:0"
    assert ot_member(0.5, 0) == "th:8;rv:ffffffffffffff"
    assert ot_member(UNKNOWN, 5) is None


@pytest.mark.parametrize(
    ("before", "probability", "after"),
    [
        ([], 1.0, "ot=th:0"),
        ([], UNKNOWN, ""),
        ([("a", "1")], UNKNOWN, "a=1"),
        ([("a", "1")], 1.0, "ot=th:0,a=1"),
        ([("ot", "th:8;x:1"), ("a", "1")], 1.0, "ot=th:0;x:1,a=1"),
        ([("ot", "th:8;rv:123"), ("a", "1")], UNKNOWN, "ot=rv:123,a=1"),
        ([("ot", "th:8"), ("a", "1")], UNKNOWN, "a=1"),
        ([("ot", "rv:123")], 1.0, "ot=th:0;rv:123"),
        ([("ot", "th:c;rv:123")], 0.5, "ot=th:8;rv:ffffffffffffff"),
        ([("ot", "x:" + "1" * 254)], 0.5, ""),
    ],
)
def test_merging_into_a_tracestate(before, probability, after):
    """Ours replaces an inherited probability; other members and sub-keys stay."""
    state = with_probability(TraceState(before), probability, 0)
    assert sorted((state or TraceState()).to_header().split(",")) == sorted(after.split(","))


def test_no_tracestate_stays_none_when_there_is_nothing_to_tell():
    """An unknown probability makes no tracestate."""
    assert with_probability(None, UNKNOWN, 1) is None
    assert with_probability(None, 1.0, 1).to_header() == "ot=th:0"
