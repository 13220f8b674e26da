"""Injection for internal and external hosts, with a local decision or a forwarded one."""

from __future__ import annotations

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanContext, TraceFlags, TraceState

from eco2_tracing.propagation import TRACE_HEADERS, Inbound, PropagatedTraceState, Propagation
from tests.support.hostile import Unreadable

from .test_vectors import raw
from .vectors import NO_SPAN, NO_TRACE, S1, S2, T1, T64, Headers, multi, single, w3c

HERE = "00000000000000ff"
B3_NAMES = {"x-b3-traceid", "x-b3-spanid", "x-b3-sampled"}


def local(trace_id: str = T1, flags: int = 1, state: TraceState | None = None) -> SpanContext:
    """A span of this process."""
    return SpanContext(int(trace_id, 16), int(HERE, 16), False, TraceFlags(flags), state)


def sent(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header pairs as text; each name once."""
    assert len({name for name, _ in pairs}) == len(pairs)
    return {name.decode(): value.decode() for name, value in pairs}


def forwarded(headers: Headers, *, names: tuple[str, ...] = ("b3", "tracecontext"), excluded: bool = False):
    """The headers that a process without tracing forwards."""
    propagation = Propagation(names)
    inbound = propagation.extract_headers(raw(headers)) or Inbound()
    passed = propagation.context(inbound, excluded=excluded)
    span_context = trace.get_current_span(passed).get_span_context()
    return sent(propagation.inject_headers(span_context, passed, internal=True))


def b3(trace_id: str = T1, span_id: str = S1, **rest: str) -> dict[str, str]:
    """The expected X-B3-* headers."""
    return {"x-b3-traceid": trace_id, "x-b3-spanid": span_id} | {f"x-b3-{key}": rest[key] for key in rest}


def parent(flags: str, trace_id: str = T1, span_id: str = S1) -> dict[str, str]:
    """The expected traceparent."""
    return {"traceparent": f"00-{trace_id}-{span_id}-{flags}"}


FORWARDED = [
    pytest.param(multi(sampled="1"), b3(sampled="1") | parent("01"), id="sampled"),
    pytest.param(multi(sampled="true"), b3(sampled="1") | parent("01"), id="words as digits"),
    pytest.param(multi(sampled="0"), b3(sampled="0") | parent("00"), id="unsampled"),
    pytest.param(multi(), b3() | parent("00"), id="deferred stays deferred"),
    pytest.param(single(f"{T1}-{S1}"), b3() | parent("00"), id="deferred, single"),
    pytest.param(multi(flags="1"), b3(flags="1") | parent("01"), id="debug stays debug"),
    pytest.param(single(f"{T1}-{S1}-d"), b3(flags="1") | parent("01"), id="debug, single"),
    pytest.param(single("0"), {"x-b3-sampled": "0"}, id="bare deny"),
    pytest.param(single("1"), {"x-b3-sampled": "1"}, id="bare accept"),
    pytest.param(single("d"), {"x-b3-flags": "1"}, id="bare debug"),
    pytest.param([], {}, id="nothing"),
    pytest.param([("x-request-id", "r")], {"x-request-id": "r"}, id="a request id alone"),
    pytest.param(multi(T1.upper(), S1.upper(), "1"), b3(sampled="1") | parent("01"), id="lower case"),
    pytest.param(
        multi(T64, S1, "1"),
        b3("0" * 16 + T64, sampled="1") | parent("01", "0" * 16 + T64),
        id="64 bit, padded",
    ),
    pytest.param(w3c(T1, S1, "03"), b3(sampled="1") | parent("03"), id="random flag"),
    pytest.param(
        w3c(T1, S1, "01", "foo@@bar=1,a=2"),
        b3(sampled="1") | parent("01") | {"tracestate": "foo@@bar=1,a=2"},
        id="tracestate",
    ),
    pytest.param(
        single("0") + w3c(T1, S1),
        b3(sampled="0") | parent("00"),
        id="bare deny of another form's ids",
    ),
]


@pytest.mark.parametrize(("headers", "expected"), FORWARDED)
def test_forwarded_as_it_came(headers: Headers, expected: dict[str, str]):
    """Without a local decision, the received context is forwarded."""
    assert forwarded(headers) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(multi(sampled="1"), b3(sampled="0") | parent("00"), id="sampled"),
        pytest.param(multi(), b3(sampled="0") | parent("00"), id="deferred"),
        pytest.param(multi(flags="1"), b3(sampled="0") | parent("00"), id="debug"),
        pytest.param([], {"x-b3-sampled": "0"}, id="nothing"),
    ],
)
def test_excluded_goes_on_unsampled(headers: Headers, expected: dict[str, str]):
    """An excluded request continues the caller's context, unsampled."""
    assert forwarded(headers, excluded=True) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("b3",), {*B3_NAMES, "x-request-id"}),
        (("b3multi",), {*B3_NAMES, "x-request-id"}),
        (("B3", "TraceContext"), {*B3_NAMES, "traceparent", "tracestate", "x-request-id"}),
        (("tracecontext", "baggage"), {"traceparent", "tracestate", "x-request-id", "baggage"}),
        (("baggage",), {"baggage", "x-request-id"}),
        (("none",), set()),
        ((), set()),
        (("nosuch",), set()),
    ],
)  # fmt: skip
def test_listed_names_are_written(names: tuple[str, ...], expected: set[str]):
    """The selected formats are injected; names in any case."""
    propagation = Propagation(names)
    passed = propagation.context(Inbound(request_id=b"r", baggage={"a": "1"}))
    pairs = propagation.inject_headers(local(state=PropagatedTraceState([("a", "1")])), passed, internal=True)
    assert set(sent(pairs)) == expected
    assert expected <= propagation.fields


def test_local_decision_is_sent():
    """A local decision is sent, also for a deferred one."""
    propagation = Propagation()
    inbound = propagation.extract_headers(raw(multi()))
    assert inbound is not None
    passed = propagation.context(inbound)
    for flags in (0, 1):
        expected = b3(span_id=HERE, sampled=str(flags)) | parent(f"0{flags}", span_id=HERE)
        assert sent(propagation.inject_headers(local(flags=flags), passed, internal=True)) == expected


def test_other_hosts_get_trace_context_alone():
    """External hosts get ids and the decision, and no baggage, tracestate or request id."""
    propagation = Propagation()
    headers = [*w3c(T1, S1, "01", "a=1"), ("baggage", "user=kim"), ("x-request-id", "r")]
    inbound = propagation.extract_headers(raw(headers))
    assert inbound is not None
    passed = propagation.context(inbound)
    span_context = local(state=inbound.trace_state)
    own = sent(propagation.inject_headers(span_context, passed, internal=True))
    other = sent(propagation.inject_headers(span_context, passed, internal=False))
    assert own == other | {"tracestate": "a=1", "baggage": "user=kim", "x-request-id": "r"}
    assert other == b3(span_id=HERE, sampled="1") | parent("01", span_id=HERE)


def test_other_hosts_get_nothing_where_switched_off():
    """Without external propagation not even a bare decision is sent."""
    propagation = Propagation(propagate_externally=False)
    denied = propagation.context(Inbound(sampled=False, denied=True))
    assert propagation.inject_headers(local(), Context(), internal=False) == []
    assert propagation.inject_headers(INVALID_SPAN_CONTEXT, denied, internal=False) == []
    assert propagation.inject_headers(INVALID_SPAN_CONTEXT, denied, internal=True) == [
        (b"x-b3-sampled", b"0")
    ]


def test_bare_decision_needs_b3():
    """W3C Trace Context has no bare deny."""
    assert forwarded(single("0"), names=("tracecontext",)) == {}
    assert forwarded([*single("0"), ("x-request-id", "r")], names=("tracecontext", "b3")) == {
        "x-b3-sampled": "0",
        "x-request-id": "r",
    }


def test_span_outside_any_request():
    """A span outside of requests is sent with its decision."""
    pairs = Propagation().inject_headers(local(flags=0), Context(), internal=True)
    assert sent(pairs) == b3(span_id=HERE, sampled="0") | parent("00", span_id=HERE)


def test_baggage_is_encoded():
    """Names and values of the application become valid members; properties are sent on."""
    propagation = Propagation(("baggage",))
    inbound = propagation.extract_headers([(b"baggage", b"a=1;p;q=%20")])
    assert inbound is not None
    passed = baggage.set_baggage("이 름", "a b,c;d+e%", propagation.context(inbound))
    assert sent(propagation.inject_headers(local(), passed, internal=True)) == {
        "baggage": "a=1;p;q=%20,%EC%9D%B4%20%EB%A6%84=a%20b%2Cc%3Bd%2Be%25"
    }


@pytest.mark.parametrize(
    "value", [Unreadable(), "x" * 5000, "\u4e00" * 2000, b"\xff" * 5000], ids=lambda v: type(v).__name__
)
def test_baggage_that_cannot_be_sent(value: object):
    """A value that cannot be sent is left out; the others are sent."""
    passed = baggage.set_baggage("good", "1", baggage.set_baggage("bad", value, Context()))
    assert sent(Propagation(("baggage",)).inject_headers(local(), passed, internal=True)) == {
        "baggage": "good=1"
    }


def test_baggage_limits():
    """180 members and 8192 bytes are sent; a later member that fits is sent, too."""
    passed = Context()
    for index in range(200):
        passed = baggage.set_baggage(f"k{index}", "1", passed)
    value = sent(Propagation(("baggage",)).inject_headers(local(), passed, internal=True))["baggage"]
    assert len(value.split(",")) == 180
    for index in range(3):
        passed = baggage.set_baggage(f"l{index}", "x" * 4000, Context() if index == 0 else passed)
    passed = baggage.set_baggage("last", "1", passed)
    value = sent(Propagation(("baggage",)).inject_headers(local(), passed, internal=True))["baggage"]
    assert len(value) <= 8192
    assert value.endswith(",last=1")


def test_baggage_odd():
    """A lone surrogate, an empty name and a number do not fail a call."""
    passed = baggage.set_baggage(
        "", "x", baggage.set_baggage("s", "\ud800", baggage.set_baggage("n", 1, Context()))
    )
    assert sent(Propagation(("baggage",)).inject_headers(local(), passed, internal=True)) == {
        "baggage": "n=1,s=?"
    }
    emptied = baggage.clear(passed)
    assert Propagation(("baggage",)).inject_headers(local(), emptied, internal=True) == []
    unsendable = baggage.set_baggage("", "x", Context())
    assert Propagation(("baggage",)).inject_headers(local(), unsendable, internal=True) == []


def test_tracestate_of_the_application_is_cut():
    """A tracestate of the API's class is truncated to 512 characters; text beyond ASCII is not sent."""
    long = TraceState([(f"k{index}", "v" * 97) for index in range(6)])
    pairs = sent(Propagation(("tracecontext",)).inject_headers(local(state=long), Context(), internal=True))
    assert len(pairs["tracestate"]) <= 512
    assert pairs["tracestate"].startswith("k0=")
    odd = PropagatedTraceState([("k", "é")])
    assert "tracestate" not in sent(
        Propagation(("tracecontext",)).inject_headers(local(state=odd), Context(), internal=True)
    )


def test_tracestate_edits():
    """Changes keep level-2 keys, move the member to the front and drop the 33rd."""
    state = PropagatedTraceState([("foo@@bar", "1"), ("a", "2")])
    assert state.update("a", "3").to_header() == "a=3,foo@@bar=1"
    assert state.add("b@@c", "4").to_header() == "b@@c=4,foo@@bar=1,a=2"
    assert state.add("a", "4") is state
    assert state.update("A", "4") is state
    assert state.update("k", "") is state
    assert state.delete("foo@@bar").to_header() == "a=2"
    assert state.delete("z") is state
    full = PropagatedTraceState([(f"k{index}", "1") for index in range(32)]).update("ot", "th:8")
    assert len(full) == 32
    assert full.to_header().startswith("ot=th:8,k0=1")
    assert "k31" not in full


def test_tracestate_is_a_mapping():
    """It is read like the API's class, in the order of the header."""
    members = {"foo@@bar": "1", "a": "2"}
    state = PropagatedTraceState(members.items())
    assert isinstance(state, TraceState)
    assert state == members
    assert (list(state), list(state.keys()), list(state.values())) == ([*members], [*members], ["1", "2"])
    assert (state["a"], len(state), bool(PropagatedTraceState())) == ("2", 2, False)
    assert repr(state) == "PropagatedTraceState([('foo@@bar', '1'), ('a', '2')])"


def test_inject_is_write_for_an_own_host():
    """The OpenTelemetry interface injects the same headers."""
    propagation = Propagation()
    inbound = propagation.extract_headers(
        raw([*multi(sampled="1"), ("baggage", "a=1"), ("x-request-id", "r")])
    )
    assert inbound is not None
    passed = trace.set_span_in_context(NonRecordingSpan(local()), propagation.context(inbound))
    expected = sent(propagation.inject_headers(local(), passed, internal=True))
    carrier: dict[str, str] = {}
    propagation.inject(carrier, passed)
    assert carrier == expected
    token = context.attach(passed)
    try:
        current: dict[str, str] = {}
        propagation.inject(current)
    finally:
        context.detach(token)
    assert current == expected
    assert set(current) <= propagation.fields


STALE = [(name.decode().title(), "stale") for name in sorted(TRACE_HEADERS)]
MINE = [("Host", "auth-api"), ("X-Tenant", "a")]


def rewritten(headers: Headers, passed: Context, *, internal: bool = True) -> list[tuple[str, str]]:
    """The headers of an attempt; those of the application keep their order."""
    pairs = Propagation().reinject_headers(raw(headers), local(), passed, internal=internal)
    return [(name.decode(), value.decode()) for name, value in pairs]


OURS = list((b3(span_id=HERE, sampled="1") | parent("01", span_id=HERE)).items())


def test_stale_trace_headers_go():
    """Every trace header is removed, in any case, whether the application or a redirect copied it."""
    assert rewritten([*STALE, *MINE], Context()) == [*MINE, *OURS]


def inherited() -> Context:
    """The context of a request with baggage and a request id."""
    propagation = Propagation()
    inbound = propagation.extract_headers(
        raw([("baggage", "a=1;p"), ("baggage", "b=2"), ("x-request-id", "r")])
    )
    assert inbound is not None
    return propagation.context(inbound)


COMPANIONS = [("baggage", "a=1;p,b=2"), ("x-request-id", "r")]


@pytest.mark.parametrize(
    "copied",
    [
        pytest.param([("Baggage", "a=1;p,b=2"), ("X-Request-ID", "r")], id="joined"),
        pytest.param([("Baggage", "a=1;p"), ("Baggage", " b=2"), ("X-Request-ID", "r")], id="as they came"),
        pytest.param([*OURS, *COMPANIONS], id="an earlier attempt's"),
    ],
)
def test_inherited_companions_stay_inside(copied: Headers):
    """A redirect to an external host loses the inherited baggage and request id; an internal host gets them once."""
    assert rewritten([*MINE, *copied], inherited(), internal=True) == [*MINE, *OURS, *COMPANIONS]
    assert rewritten([*MINE, *copied], inherited(), internal=False) == [*MINE, *OURS]


def test_changed_baggage_of_an_earlier_attempt():
    """Baggage that the application set through the API is recognized, too."""
    passed = baggage.set_baggage("c", "3", inherited())
    first = rewritten(MINE, passed)
    assert ("baggage", "a=1;p,b=2,c=3") in first
    assert rewritten(first, passed, internal=False) == [*MINE, *OURS]
    outside = baggage.set_baggage("c", "3", Context())
    assert rewritten(rewritten(MINE, outside), outside, internal=False) == [*MINE, *OURS]


def test_companions_of_the_application_stay():
    """A request id of the application replaces ours; its baggage is merged with the inherited one."""
    mine = [*MINE, ("baggage", "mine=1"), ("x-request-id", "mine")]
    merged = [*MINE, ("baggage", "mine=1,a=1;p,b=2"), ("x-request-id", "mine")]
    assert rewritten(mine, inherited()) == [*merged, *OURS]
    assert rewritten(mine, inherited(), internal=False) == [*mine, *OURS]
    assert rewritten(mine, Context()) == [*mine, *OURS]


@pytest.mark.parametrize(
    ("values", "internal", "external"),
    [
        pytest.param(["a=9"], "a=9,b=2", "a=9", id="the call's value wins"),
        pytest.param(["a=1;q=2"], "a=1;q=2,b=2", "a=1;q=2", id="with other properties"),
        pytest.param(["a=1, mine=3"], "mine=3,a=1;p,b=2", "mine=3", id="a copy beside it"),
        pytest.param(["mine=3", "a=9"], "mine=3,a=9,b=2", "mine=3,a=9", id="two lines"),
        pytest.param(["%61=9"], "%61=9,b=2", "%61=9", id="an escaped key"),
        pytest.param(["no member", "x=1"], "x=1,a=1;p,b=2", "no member,x=1", id="malformed"),
        pytest.param(["no member"], "a=1;p,b=2", "no member", id="malformed alone"),
        pytest.param(["a=9 , b=8;p"], "a=9 , b=8;p", "a=9 , b=8;p", id="nothing to add"),
        pytest.param(["b=2"], "a=1;p,b=2", None, id="a copy alone"),
        pytest.param([""], "a=1;p,b=2", None, id="empty"),
    ],
)
def test_baggage_of_a_call_is_merged(values: list[str], internal: str, external: str | None):
    """One header: the call's members; for internal hosts also the inherited ones of other keys."""
    given = [*MINE, *(("Baggage", value) for value in values)]
    for is_internal, expected in ((True, internal), (False, external)):
        pairs = rewritten(given, inherited(), internal=is_internal)
        assert [value for name, value in pairs if name.lower() == "baggage"] == (
            [expected] if expected else []
        )


def test_merged_baggage_keeps_to_the_limits():
    """The call's members come first; inherited ones are sent if they fit."""
    passed = Context()
    for number in range(200):
        passed = baggage.set_baggage(f"k{number}", "v", passed)
    pairs = rewritten([*MINE, ("baggage", ",".join(f"mine{number}=1" for number in range(60)))], passed)
    members = dict(pairs)["baggage"].split(",")
    assert len(members) == 180
    assert members[:61] == [*(f"mine{number}=1" for number in range(60)), "k0=v"]
    long = "mine=" + "x" * 4000 + ",more=" + "y" * 4050
    (merged,) = [value for name, value in rewritten([("baggage", long)], passed) if name == "baggage"]
    assert merged.startswith(long + ",k0=v,k1=v")
    assert len(merged) <= 8192


def test_known_trace_headers():
    """The set has lower-case names, and neither baggage nor the request id."""
    assert {b"b3", b"x-b3-parentspanid", b"traceparent", b"tracestate", b"uber-trace-id"} <= TRACE_HEADERS
    assert {b"x-amzn-trace-id", b"x-cloud-trace-context", b"x-datadog-trace-id", b"sw8"} <= TRACE_HEADERS
    assert not TRACE_HEADERS & {b"baggage", b"x-request-id"}
    assert all(name == name.lower() for name in TRACE_HEADERS)
    assert Propagation().trace_headers == TRACE_HEADERS


def test_invalid_ids_are_not_sent():
    """A span context without ids sends no headers."""
    nowhere = SpanContext(int(NO_TRACE, 16), int(NO_SPAN, 16), False)
    assert Propagation().inject_headers(nowhere, Context(), internal=True) == []
    assert Propagation().inject_headers(SpanContext(int(T1, 16), 0, True), Context(), internal=True) == []
    assert int(S2, 16) != 0


def test_former_names():
    """``read``, ``write`` and ``rewrite`` with ``own`` still work."""
    propagation = Propagation()
    headers = raw([*multi(sampled="1"), ("baggage", "a=1")])
    inbound = propagation.read(headers)
    assert inbound is not None
    passed = propagation.context(inbound)
    for internal in (True, False):
        injected = propagation.inject_headers(local(), passed, internal=internal)
        assert propagation.write(local(), passed, own=internal) == injected
        replaced = propagation.reinject_headers(headers, local(), passed, internal=internal)
        assert propagation.rewrite(headers, local(), passed, own=internal) == replaced
