"""Headers of other libraries' calls to internal and external hosts, recorded or not."""

from __future__ import annotations

import pytest

import eco2_tracing
from eco2_tracing.testing import SPAN_ID, TRACE_ID, b3_headers
from tests.calls.conftest import configure, inside
from tests.calls.external_hosts import library, names

__all__ = ["library", "names"]

pytestmark = pytest.mark.usefixtures("names")

COMPANIONS = {"baggage": "tenant=acme", "x-request-id": "req-1", "tracestate": "vendor=1"}
W3C = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
ARRIVING = {**b3_headers(), **W3C, **COMPANIONS}
DENIED = {"X-B3-Sampled": "0", "baggage": "tenant=acme", "x-request-id": "req-1"}
STALE = {
    "b3": f"{'a' * 32}-{'b' * 16}-1",
    "Traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    "Tracestate": "stale=1",
}
# settings, headers of the request, its path
SITUATIONS = {
    "recorded": ({}, ARRIVING, "/work"),
    "unsampled": ({"error_sampling_rate": 0.0}, {**ARRIVING, **b3_headers(sampled=False)}, "/work"),
    "kept for errors": ({}, {**ARRIVING, **b3_headers(sampled=False)}, "/work"),
    "denied": ({}, DENIED, "/work"),
    "excluded": ({}, ARRIVING, "/health"),
    "disabled": ({"sdk_disabled": True}, ARRIVING, "/work"),
}


@pytest.fixture(params=SITUATIONS)
def within(request, library):
    """Run calls within each kind of request; returns a function that does."""
    settings, headers, path = SITUATIONS[request.param]

    def make(work, **more):
        configure(**{**settings, **library.settings, **more})
        library.prepare()
        failures = []

        def guarded():
            try:
                work()
            except Exception as failure:
                failures.append(failure)

        assert inside(guarded, headers, path) == 200
        assert failures == []

    make.companions = {name: headers[name] for name in COMPANIONS if name in headers}
    return make


def companions(seen):
    """Baggage, request id and tracestate, as received."""
    return {name: seen[name] for name in COMPANIONS if seen[name]}


def is_clean(seen):
    """Whether an external host received trace context alone, once, and not that of the copied headers."""
    assert len({name for name, _ in seen.pairs}) == len(seen.pairs)
    assert not companions(seen)
    assert "a" * 32 not in str(seen.pairs)
    return True


def test_external_host_gets_trace_context_alone(within, library, callee):
    """Inherited headers and copied headers are removed."""
    within(lambda: library.get(callee.url(host="api.example.com"), {**COMPANIONS, **STALE}))
    assert is_clean(callee.last)
    assert callee.last.trace
    known = ("api.example.com",) if "traceparent" in callee.last.trace else ()
    assert eco2_tracing.tracing_status().external_hosts == known


def test_internal_host_gets_everything(within, library, callee):
    """Recorded or not, it receives the same headers."""
    within(lambda: library.get(callee.url(host="auth.svc"), STALE))
    assert callee.last.trace
    assert companions(callee.last) == within.companions
    assert "a" * 32 not in str(callee.last.pairs)


def test_redirect_to_an_external_host(within, library, callee):
    """The libraries copy every header, which must be removed."""
    callee.answer("/go", 302, location=callee.url("/there", host="api.example.com"))
    within(lambda: library.get(callee.url("/go", host="auth.svc"), STALE))
    first, second = callee.seen
    assert companions(first) == within.companions
    assert is_clean(second)
    assert second.trace


def test_redirect_to_an_internal_host(within, library, callee):
    """It receives the headers of a direct call."""
    callee.answer("/go", 302, location=callee.url("/there", host="auth.svc"))
    within(lambda: library.get(callee.url("/go", host="api.example.com")))
    first, second = callee.seen
    assert is_clean(first)
    assert companions(second) == within.companions


@pytest.mark.parametrize("host", ["auth.svc", "api.example.com"])
def test_external_hosts_get_nothing_if_disabled(within, library, callee, host):
    """`ECO2_TRACING_PROPAGATE_EXTERNALLY=false`, by call and by redirect."""
    callee.answer("/go", 302, location=callee.url("/there", host="api.example.com"))
    within(
        lambda: library.get(callee.url("/go", host=host), {**COMPANIONS, **STALE}), propagate_externally=False
    )
    assert (callee.last.trace, companions(callee.last)) == ({}, {})
    assert eco2_tracing.tracing_status().external_hosts == ()


def test_redirect_to_an_internal_host_if_disabled(library, callee):
    """Nothing was injected for the external host, which must not count as an untraced call."""
    if not library.real:
        pytest.skip("the replacement has no span and injects nothing")
    configure(**library.settings, propagate_externally=False)
    library.prepare()
    callee.answer("/go", 302, location=callee.url("/there", host="auth.svc"))
    assert inside(lambda: library.get(callee.url("/go", host="api.example.com"), STALE), ARRIVING) == 200
    first, second = callee.seen
    assert (first.trace, companions(first)) == ({}, {})
    assert second["x-b3-traceid"] == TRACE_ID
    assert companions(second) == COMPANIONS
    assert "a" * 32 not in str(second.pairs)


def test_headers_of_the_application_stay(within, library, callee):
    """Its request id and baggage are sent to any host; inherited baggage is merged for internal hosts."""
    own = {"baggage": "mine=1", "X-Request-Id": "mine"}
    callee.answer("/go", 302, location=callee.url("/there", host="api.example.com"))
    within(lambda: library.get(callee.url("/go", host="auth.svc"), own))
    assert [seen["baggage"] for seen in callee.seen] == ["mine=1,tenant=acme", "mine=1"]
    assert [seen["x-request-id"] for seen in callee.seen] == ["mine", "mine"]


def test_baggage_member_of_the_call_wins(within, library, callee):
    """It replaces the inherited member of its key; other inherited members are sent to internal hosts alone."""
    callee.answer("/go", 302, location=callee.url("/there", host="api.example.com"))
    own = {"Baggage": "tenant=other;p=1, mine=1"}
    within(lambda: library.get(callee.url("/go", host="auth.svc"), own))
    assert [seen["baggage"] for seen in callee.seen] == ["tenant=other;p=1, mine=1"] * 2
