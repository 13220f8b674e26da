"""Every vector, through `read` and `context`, and through the OpenTelemetry interface."""

from __future__ import annotations

import pytest
from opentelemetry import baggage
from opentelemetry.context import Context
from opentelemetry.trace import get_current_span

from eco2_tracing.propagation import Inbound, Propagation, inbound_of

from .vectors import FAMILIES, NO_TRACE, S1, T1, Headers, Result, Vector, multi, single, w3c

CASES = [
    pytest.param(vector, id=f"{family}: {vector.name}")
    for family, vectors in FAMILIES.items()
    for vector in vectors
]


def raw(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Headers in the form of ASGI."""
    return [(name.encode(), value.encode()) for name, value in headers]


def carrier(headers: Headers) -> dict[str, list[str]]:
    """Headers as a mapping, with names in any case."""
    lists: dict[str, list[str]] = {}
    for name, value in headers:
        lists.setdefault(name.title(), []).append(value)
    return lists


def extracted_fields(inbound: Inbound | None) -> Result | None:
    """An extracted context in the form of the table."""
    if inbound is None:
        return None
    return Result(
        f"{inbound.trace_id:032x}",
        f"{inbound.span_id:016x}",
        inbound.sampled,
        inbound.debug,
        inbound.denied,
        inbound.random == 2,
        "" if inbound.trace_state is None else inbound.trace_state.to_header(),
        tuple((inbound.baggage or {}).items()),
        None if inbound.request_id is None else inbound.request_id.decode(),
    )


@pytest.mark.parametrize("vector", CASES)
def test_vector(vector: Vector):
    """The extracted context is that of the table."""
    propagation = Propagation(vector.names, trust_inbound=vector.trust)
    assert extracted_fields(propagation.extract_headers(raw(vector.headers))) == vector.expected


@pytest.mark.parametrize("vector", CASES)
def test_vector_as_a_context(vector: Vector):
    """The OpenTelemetry interface returns the context of `read` and `context`."""
    propagation = Propagation(vector.names, trust_inbound=vector.trust)
    inbound = propagation.extract_headers(raw(vector.headers))
    expected = Context() if inbound is None else propagation.context(inbound)
    extracted = propagation.extract(carrier(vector.headers))
    assert extracted_fields(inbound_of(extracted)) == extracted_fields(inbound)
    assert get_current_span(extracted).get_span_context() == get_current_span(expected).get_span_context()
    assert baggage.get_all(extracted) == baggage.get_all(expected)
    if vector.expected is not None:
        span_context = get_current_span(expected).get_span_context()
        assert span_context.is_remote == (vector.expected.trace != NO_TRACE)
        assert f"{span_context.trace_id:032x}" == vector.expected.trace
        assert f"{span_context.span_id:016x}" == vector.expected.span
        assert (
            span_context.trace_flags
            == bool(vector.expected.sampled and span_context.is_valid) + 2 * vector.expected.random
        )
        assert span_context.trace_state.to_header() == vector.expected.state
        assert tuple(baggage.get_all(expected).items()) == vector.expected.baggage


@pytest.mark.parametrize(
    ("headers", "flags"),
    [(multi(sampled="1"), 1), (multi(), 0), (w3c(T1, S1, "03", "a=1"), 3), (single(f"{T1}-{S1}-d"), 1)],
)
def test_stranger_becomes_a_link(headers: Headers, flags: int):
    """The context of a caller that is not trusted is a link and no parent."""
    propagation = Propagation(trust_inbound=False)
    inbound = propagation.extract_headers(raw(headers))
    assert inbound is not None
    assert inbound.link is not None
    assert (f"{inbound.link.trace_id:032x}", f"{inbound.link.span_id:016x}") == (T1, S1)
    assert inbound.link.trace_flags == flags
    assert not inbound.link.trace_state
    assert not get_current_span(propagation.context(inbound)).get_span_context().is_valid


def test_context_builds_on_a_base():
    """The values of the base context are kept; the current span is the caller's."""
    propagation = Propagation()
    inbound = propagation.extract_headers(raw(multi(sampled="1")))
    assert inbound is not None
    context = propagation.context(inbound, Context({"mine": 1}))
    assert context["mine"] == 1
    assert get_current_span(context).get_span_context().is_valid
    assert propagation.extract({}, context) is context
    assert propagation.extract({"b3": "0"}, Context({"mine": 1}))["mine"] == 1


def test_deferred_is_told_from_nothing_said():
    """Only ids without a decision are deferred."""
    propagation = Propagation()
    for headers, deferred in ((multi(), True), (multi(sampled="0"), False), ([("x-request-id", "r")], False)):
        inbound = propagation.extract_headers(raw(headers))
        assert inbound is not None
        assert inbound.deferred is deferred


def test_representation_keeps_the_callers_data_out():
    """Baggage and request ids are not in the representation."""
    inbound = Propagation().extract_headers(
        raw([*multi(), ("baggage", "password=hunter2"), ("x-request-id", "rid")])
    )
    assert T1 in repr(inbound)
    assert "hunter2" not in repr(inbound)
    assert "rid" not in repr(inbound)
