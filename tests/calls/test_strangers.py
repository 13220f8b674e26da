"""What calls of other libraries tell strangers, whether or not anything is recorded of them."""

from __future__ import annotations

import pytest

import eco2_tracing
from eco2_tracing.testing import SPAN_ID, TRACE_ID, b3_headers
from tests.calls.conftest import configure, inside
from tests.calls.strangers import library, names

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
    """Make calls inside of each kind of request; gives a function that does."""
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
    """Baggage and the like, as they came."""
    return {name: seen[name] for name in COMPANIONS if seen[name]}


def is_clean(seen):
    """Whether a stranger saw trace context alone, once and not somebody else's."""
    assert len({name for name, _ in seen.pairs}) == len(seen.pairs)
    assert not companions(seen)
    assert "a" * 32 not in str(seen.pairs)
    return True


def test_a_stranger_gets_trace_context_alone(within, library, callee):
    """Nothing that the request brought along, and no header that was copied by hand."""
    within(lambda: library.get(callee.url(host="api.example.com"), {**COMPANIONS, **STALE}))
    assert is_clean(callee.last)
    assert callee.last.trace
    known = ("api.example.com",) if "traceparent" in callee.last.trace else ()
    assert eco2_tracing.tracing_status().external_hosts == known


def test_our_own_get_everything(within, library, callee):
    """A service inside is told the same, whatever is recorded."""
    within(lambda: library.get(callee.url(host="auth.svc"), STALE))
    assert callee.last.trace
    assert companions(callee.last) == within.companions
    assert "a" * 32 not in str(callee.last.pairs)


def test_a_redirect_to_a_stranger_takes_nothing_along(within, library, callee):
    """The libraries copy every header to it."""
    callee.answer("/go", 302, location=callee.url("/there", host="api.example.com"))
    within(lambda: library.get(callee.url("/go", host="auth.svc"), STALE))
    first, second = callee.seen
    assert companions(first) == within.companions
    assert is_clean(second)
    assert second.trace


def test_a_redirect_from_a_stranger_comes_home(within, library, callee):
    """A service inside gets what it would have got at once."""
    callee.answer("/go", 302, location=callee.url("/there", host="auth.svc"))
    within(lambda: library.get(callee.url("/go", host="api.example.com")))
    first, second = callee.seen
    assert is_clean(first)
    assert companions(second) == within.companions


@pytest.mark.parametrize("host", ["auth.svc", "api.example.com"])
def test_strangers_get_nothing_where_asked(within, library, callee, host):
    """``ECO2_TRACING_PROPAGATE_EXTERNALLY=false``, by call and by redirect."""
    callee.answer("/go", 302, location=callee.url("/there", host="api.example.com"))
    within(
        lambda: library.get(callee.url("/go", host=host), {**COMPANIONS, **STALE}), propagate_externally=False
    )
    assert (callee.last.trace, companions(callee.last)) == ({}, {})
    assert eco2_tracing.tracing_status().external_hosts == ()


def test_a_redirect_comes_home_from_a_stranger_who_gets_nothing(library, callee):
    """Nothing was injected then, which is no sign that nobody traces the call."""
    if not library.real:
        pytest.skip("a stand-in has no span of its own, and says nothing either")
    configure(**library.settings, propagate_externally=False)
    library.prepare()
    callee.answer("/go", 302, location=callee.url("/there", host="auth.svc"))
    assert inside(lambda: library.get(callee.url("/go", host="api.example.com"), STALE), ARRIVING) == 200
    first, second = callee.seen
    assert (first.trace, companions(first)) == ({}, {})
    assert second["x-b3-traceid"] == TRACE_ID
    assert companions(second) == COMPANIONS
    assert "a" * 32 not in str(second.pairs)


def test_what_the_application_sets_itself_stays(within, library, callee):
    """A request id and baggage of its own, for any host and across redirects; inherited baggage joins it inside."""
    own = {"baggage": "mine=1", "X-Request-Id": "mine"}
    callee.answer("/go", 302, location=callee.url("/there", host="api.example.com"))
    within(lambda: library.get(callee.url("/go", host="auth.svc"), own))
    assert [seen["baggage"] for seen in callee.seen] == ["mine=1,tenant=acme", "mine=1"]
    assert [seen["x-request-id"] for seen in callee.seen] == ["mine", "mine"]


def test_a_members_value_on_the_call_wins(within, library, callee):
    """Over the inherited one of the same key; the others and their properties travel on, inside alone."""
    callee.answer("/go", 302, location=callee.url("/there", host="api.example.com"))
    own = {"Baggage": "tenant=other;p=1, mine=1"}
    within(lambda: library.get(callee.url("/go", host="auth.svc"), own))
    assert [seen["baggage"] for seen in callee.seen] == ["tenant=other;p=1, mine=1"] * 2
