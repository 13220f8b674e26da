"""For plain input, the stock propagators extract and inject the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from eco2_tracing.propagation import Propagation

TRACE_IDS = st.integers(1, 2**128 - 1) | st.integers(1, 2**64 - 1)
SPAN_IDS = st.integers(1, 2**64 - 1)
STATES = st.lists(
    st.tuples(
        st.from_regex(r"[a-z][a-z0-9_\-*/]{0,20}", fullmatch=True),
        st.from_regex(r"[ -+\--<>-~]{0,10}[!-+\--<>-~]", fullmatch=True),
    ),
    max_size=6,
    unique_by=lambda member: member[0],
)
STOCK = {"b3": (B3MultiFormat(), B3SingleFormat()), "tracecontext": (TraceContextTextMapPropagator(),)}


def holding(span_context: SpanContext) -> Context:
    """A context with this span."""
    return trace.set_span_in_context(NonRecordingSpan(span_context), Context())


def ids(span_context: SpanContext) -> tuple[object, ...]:
    """The values to compare; a tracestate by its header."""
    return (*span_context[:4], span_context.trace_state.to_header(), span_context.is_valid)


@given(TRACE_IDS, SPAN_IDS, st.integers(0, 1), STATES)
def test_both_ways(trace_id: int, span_id: int, flags: int, members: list[tuple[str, str]]):
    """Headers of a stock propagator are extracted alike by both, and the other way round."""
    for name, stocks in STOCK.items():
        state = TraceState(members if name == "tracecontext" else None)
        context = holding(SpanContext(trace_id, span_id, False, TraceFlags(flags), state))
        ours = Propagation((name,))
        for stock in stocks:
            carrier: dict[str, str] = {}
            stock.inject(carrier, context)
            mine = get_current_span(ours.extract(carrier)).get_span_context()
            assert ids(mine) == ids(get_current_span(stock.extract(carrier)).get_span_context())
        written: dict[str, str] = {}
        ours.inject(written, context)
        reference: dict[str, str] = {}
        stocks[0].inject(reference, context)
        assert written == reference
        back = get_current_span(stocks[0].extract(written)).get_span_context()
        assert ids(back) == (trace_id, span_id, True, flags, state.to_header(), True)


# Stock Python reads "+" as a space, against W3C Baggage: the input has none.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters=" ;"), min_size=1, max_size=12).filter(
    lambda text: text == text.strip()
)


@given(st.dictionaries(TEXT, TEXT, min_size=1, max_size=5))
def test_baggage_both_ways(members: dict[str, str]):
    """Names and values of any script are the same after both directions."""
    stock, ours = W3CBaggagePropagator(), Propagation(("baggage",))
    context = Context()
    for key, value in members.items():
        context = baggage.set_baggage(key, value, context)
    carrier: dict[str, str] = {}
    stock.inject(carrier, context)
    assert dict(baggage.get_all(ours.extract(carrier))) == members
    written: dict[str, str] = {}
    ours.inject(written, context)
    assert dict(baggage.get_all(stock.extract(written))) == members
