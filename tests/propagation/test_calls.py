"""Calls of other libraries: their instrumentations inject without passing the host."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.propagators.textmap import Setter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from eco2_tracing.propagation import Propagation
from tests.support.hostile import Unreadable

from .test_vectors import raw
from .vectors import S1, T1, multi

INBOUND = [
    *multi(T1, S1, "1"),
    ("traceparent", f"00-{T1}-{S1}-01"),
    ("tracestate", "v=1"),
    ("baggage", "a=b"),
    ("x-request-id", "r"),
]
OURS = {"x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "traceparent"}
ALL = {*OURS, "tracestate", "baggage", "x-request-id"}
STALE = {"B3": "0", "Tracestate": "z=1", "traceparent": f"00-{'f' * 32}-{S1}-00", "Accept": "*/*"}


class Pairs(Setter[list]):
    """Appends to a list, the form of message headers."""

    def set(self, carrier, key, value):
        """Append one header."""
        carrier.append((key, value))


def call(carrier, attributes, *, propagation=None, kind=SpanKind.CLIENT, **kwargs):
    """Inject as an instrumentation does during a request; return the propagator."""
    propagation = propagation or Propagation()
    context = propagation.context(propagation.extract_headers(raw(INBOUND)))
    span = (
        TracerProvider(shutdown_on_exit=False)
        .get_tracer("t")
        .start_span("GET", context, kind=kind, attributes=attributes)
    )
    propagation.inject(carrier, trace.set_span_in_context(span, context), **kwargs)
    return propagation


@pytest.mark.parametrize(
    "attributes",
    [
        {"url.full": "https://api.example.com/v1?key=x"},
        {"http.url": "http://user:pw@api.example.com:8080/"},
        {"server.address": "api.example.com"},
        {"net.peer.name": "api.example.com", "url.full": "/relative"},
    ],
)
def test_strangers_get_trace_context_alone(attributes):
    """The host is that of the span; an external one gets no baggage, tracestate or request id."""
    headers: dict[str, str] = {}
    propagation = call(headers, attributes)
    assert headers.keys() == OURS
    assert list(propagation.external_hosts) == ["api.example.com"]


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://2a00::1:80/", "2a00::1"), ("http://[2a00::1]:80/", "2a00::1"), ("http://2a00::1/", "2a00::1")],
)
def test_addresses_in_urls_without_brackets(url, host):
    """Contrib's urllib3 writes no brackets; "2a00" would be an internal name."""
    headers: dict[str, str] = {}
    propagation = call(headers, {"url.full": url, "server.address": "2a00::1"})
    assert headers.keys() == OURS
    assert list(propagation.external_hosts) == [host]


def test_strangers_get_nothing_where_asked():
    """``ECO2_TRACING_PROPAGATE_EXTERNALLY=false`` applies to every library, and to copied headers."""
    headers = {**STALE, "baggage": "a=b", "x-request-id": "r"}
    propagation = Propagation(propagate_externally=False)
    call(headers, {"url.full": "https://api.example.com/"}, propagation=propagation)
    assert headers == {"Accept": "*/*"}
    assert not propagation.external_hosts


@pytest.mark.parametrize("mapping", [dict, httpx.Headers])
def test_own_hosts_get_everything_and_nothing_stale(mapping):
    """A call to an internal host loses the trace headers that it has, in any case, and gets ours."""
    headers = mapping(STALE)
    call(headers, {"url.full": "http://backend/"})
    assert {name.lower() for name in headers} == {*ALL, "accept"}
    assert headers["traceparent"].startswith(f"00-{T1}-")
    assert headers["tracestate"] == "v=1"


def test_names_may_be_bytes():
    """A mapping with names in another case, as some libraries have it."""
    headers = {b"B3": b"0", b"accept": b"*/*"}
    call(headers, {"url.full": "http://backend/"})
    assert headers.keys() == {*ALL, b"accept"}


def test_what_the_app_set_stays():
    """A request id and baggage that the application set are kept."""
    headers = {"x-request-id": "mine", "baggage": "own=1"}
    call(headers, {"url.full": "https://api.example.com/"})
    assert (headers["x-request-id"], headers["baggage"]) == ("mine", "own=1")


def test_a_second_attempt_is_written_anew():
    """The headers of the first attempt are removed at a redirect to an external host."""
    headers: dict[str, str] = {}
    propagation = call(headers, {"url.full": "http://backend/"})
    assert headers.keys() == ALL
    call(headers, {"url.full": "https://api.example.com/"}, propagation=propagation)
    assert headers.keys() == OURS


def test_carriers_that_are_no_mapping():
    """The headers in a list of pairs depend on the host, too."""
    headers: list[tuple[str, str]] = []
    call(headers, {"server.address": "api.example.com"}, setter=Pairs())
    assert {name for name, _ in headers} == OURS


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [(SpanKind.PRODUCER, {"server.address": "broker.example.com"}), (SpanKind.CLIENT, {})],
)
def test_what_names_no_callee_is_our_own(kind, attributes):
    """Messages, and calls without a host, get all headers; nothing is removed."""
    headers = {"b3": "0"}
    call(headers, attributes, kind=kind)
    assert headers.keys() == {*ALL, "b3"}


def test_a_hostile_call_is_left_alone():
    """An invalid URL or unreadable headers raise nothing."""
    headers = {object(): "x"}
    call(headers, {"url.full": "http://[bad/"})
    call(headers, {"url.full": "https://api.example.com/"})
    assert len(headers) >= 1


def test_hosts_are_remembered_within_a_bound():
    """The number of recorded hosts is limited."""
    propagation = Propagation()
    for number in range(120):
        call({}, {"server.address": f"h{number}.example.com"}, propagation=propagation)
    assert len(propagation.external_hosts) == 100


NAMES = sorted(
    {*ALL, "b3", "B3", "Baggage", "X-Request-Id", "uber-trace-id", "uberctx-user", "accept", "\u00e4"}
)
VALUES = ["a=b", "r", "mine=1", "0", f"00-{T1}-{S1}-01", T1, S1, "", "\u00e4", b"a=b"]
HOSTS = ["backend", "api.example.com", "", "127.0.0.1", "\u00e4.example", "a" * 300]
METADATA = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=6)


def changed(headers, changes):
    """Headers after the changes, as text."""
    kept = [(n, v) for n, v in headers if n.lower().encode() not in changes.removed]
    return kept + [(n.decode(), v.decode("latin-1")) for n, v in changes.added]


def within(propagation, work):
    """Call a function during a request that has every header."""
    token = attach(propagation.context(propagation.extract_headers(raw(INBOUND))))
    try:
        return work()
    finally:
        detach(token)


@given(headers=METADATA, host=st.sampled_from(HOSTS), externally=st.booleans(), injected=st.booleans())
def test_an_attempt_tells_what_its_callee_may_know(headers, host, externally, injected):
    """For any headers: external hosts get nothing inherited, internal ones all of it; a second run changes nothing."""
    propagation = Propagation(propagate_externally=externally)

    def attempt():
        carrier = {}
        propagation.inject(carrier)
        given_headers = headers + (list(carrier.items()) if injected else [])
        first = changed(given_headers, propagation.calls.changes(given_headers, host))
        again = changed(first, propagation.calls.changes(first, host))
        return first, again

    first, again = within(propagation, attempt)
    assert again == first
    untouched = {"accept", "\u00e4", "uberctx-user"}
    assert [pair for pair in first if pair[0] in untouched] == [p for p in headers if p[0] in untouched]
    if not injected:
        return
    names = {name.lower() for name, _ in first}
    if propagation.is_internal_host(host):
        assert names >= ALL
    else:
        assert names & (OURS | {"b3", "uber-trace-id", "tracestate"}) == (OURS if externally else set())
        assert ("baggage", "a=b") not in first
        assert ("x-request-id", "r") not in first


def test_what_an_earlier_attempt_left_goes_first():
    """A request object is sent again during another inbound request."""
    propagation = Propagation()

    def send(headers, left_over):
        carrier = {}
        propagation.inject(carrier)
        sent = [*headers, *((n, v) for n, v in carrier.items() if n not in dict(headers))]
        changes = propagation.calls.changes(sent, "backend", left_over)
        return changed(sent, changes), changes.injected

    first, ours = within(propagation, lambda: send([("mine", "1")], None))
    assert (b"baggage", b"a=b") in ours
    token = attach(propagation.extract(dict(multi(T1, S1, "1"))))
    try:
        second, _ = send(first, ours)
    finally:
        detach(token)
    assert {name for name, _ in second} == {
        "mine",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-sampled",
        "traceparent",
    }


@pytest.mark.parametrize("headers", [{"X-Request-Id": "mine", "baggage": "own=1"}])
def test_messages_keep_what_the_app_set(headers):
    """Without a known host, a request id of the application is kept, and its baggage is merged."""
    carrier = dict(headers)
    call(carrier, {}, kind=SpanKind.PRODUCER)
    assert {name: carrier[name] for name in headers} == {**headers, "baggage": "own=1,a=b"}
    assert carrier.keys() == {*headers, *OURS, "tracestate"}


def test_messages_may_hold_anything():
    """Other headers of a message are neither read nor changed."""
    hostile = Unreadable()
    carrier = {"argsrepr": hostile, 7: hostile}
    call(carrier, {}, kind=SpanKind.PRODUCER)
    assert carrier.keys() == {"argsrepr", 7, *ALL}
    assert carrier["argsrepr"] is carrier[7] is hostile
