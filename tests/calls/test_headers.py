"""Headers of outgoing httpx calls: the injected ones, and which inbound headers are propagated."""

from __future__ import annotations

import threading

import pytest
from opentelemetry import baggage, propagate
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import SpanKind

import eco2_tracing
from eco2_tracing._instrumentation.common.attempts import patch_attempts
from eco2_tracing.testing import SPAN_ID, TRACE_ID, assert_sent_on, b3_headers
from tests.calls.conftest import Caller, configure, inside

COPIED = {
    "b3": f"{'a' * 32}-{'b' * 16}-1",
    "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    "tracestate": "stranger=1",
    "uber-trace-id": "a:b:0:1",
    "X-B3-Flags": "1",
    "X-B3-ParentSpanId": "c" * 16,
    "X-B3-Sampled": "1",
    "X-B3-SpanId": "b" * 16,
    "X-B3-TraceId": "a" * 32,
}
COMPANIONS = {"baggage": "tenant=acme", "x-request-id": "req-1", "tracestate": "vendor=1"}


def arriving(**more):
    """Headers of a request with every trace header."""
    w3c = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
    return {**b3_headers(), **w3c, **COMPANIONS, **more}


def test_all_formats_are_injected_and_agree(caller, callee, captured_spans):
    """B3 for the mesh, traceparent for others."""
    inside(lambda: caller.get(callee.url()), b3_headers())
    sent = callee.last
    span = captured_spans.one(kind=SpanKind.CLIENT)
    assert sent.trace == {
        "x-b3-traceid": TRACE_ID,
        "x-b3-spanid": span.span_id,
        "x-b3-sampled": "1",
        "traceparent": f"00-{TRACE_ID}-{span.span_id}-01",
    }


def test_copied_headers_are_replaced(caller, callee, captured_spans):
    """Copied headers of the caller would be a wrong parent."""
    inside(lambda: caller.get(callee.url(), headers=COPIED), b3_headers())
    assert assert_sent_on(callee.last.trace) == captured_spans.one(kind=SpanKind.CLIENT).span_id
    assert set(callee.last.trace) == {"x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "traceparent"}


def test_internal_hosts_get_inherited_headers(caller, callee, captured_spans):
    """Baggage, tracestate and the mesh's request id."""
    inside(lambda: caller.get(callee.url()), arriving())
    assert {name: callee.last[name] for name in COMPANIONS} == COMPANIONS
    assert captured_spans.spans


def test_headers_of_the_application_stay(caller, callee, captured_spans):
    """They are sent once, to any host; its baggage is merged with the inherited one for internal hosts."""
    own = {"baggage": "mine=1", "x-request-id": "mine"}
    inside(lambda: caller.get(callee.url(), headers=own), arriving())
    assert {name: callee.last[name] for name in own} == {**own, "baggage": "mine=1,tenant=acme"}
    client = caller.client(transport=caller.names(callee.port))
    inside(lambda: caller.get("http://api.example.com/", client=client, headers=own), arriving())
    assert {name: callee.last[name] for name in own} == own
    assert callee.last["tracestate"] is None


def test_external_hosts_get_trace_context_alone(caller, callee, captured_spans):
    """Also if the application copied the caller's headers; `external_hosts` lists them."""
    client = caller.client(transport=caller.names(callee.port))
    inside(lambda: caller.get("http://api.example.com/", client=client, headers=COMPANIONS), arriving())
    assert assert_sent_on(callee.last.trace)
    assert {name: callee.last[name] for name in COMPANIONS} == dict.fromkeys(COMPANIONS)
    assert eco2_tracing.tracing_status().external_hosts == ("api.example.com",)


def test_hook_of_httpcore_does_not_decide_again(caller, callee, captured_spans):
    """The outer hook decided by the host of the URL, not by the address that a transport found."""
    patch_attempts(caller.name)
    client = caller.client(transport=caller.names(callee.port))
    inside(lambda: caller.get("http://api.example.com/", client=client), arriving())
    assert {name: callee.last[name] for name in COMPANIONS} == dict.fromkeys(COMPANIONS)


def test_redirect_to_an_external_host(caller, callee, captured_spans):
    """Httpx copies every header but Authorization to another origin."""
    callee.answer("/go", 302, location="http://api.example.com/there")
    client = caller.client(transport=caller.names(callee.port), follow_redirects=True)
    inside(lambda: caller.get("http://auth.svc/go", client=client), arriving())
    first, second = callee.seen
    assert {name: first[name] for name in COMPANIONS} == COMPANIONS
    assert {name: second[name] for name in COMPANIONS} == dict.fromkeys(COMPANIONS)
    spans = captured_spans.find(kind=SpanKind.CLIENT)
    assert [seen["x-b3-spanid"] for seen in callee.seen] == [span.span_id for span in spans]


def test_baggage_attached_in_the_handler_is_not_sent_externally(caller, callee, captured_spans):
    """Baggage in the context counts as inherited."""
    callee.answer("/go", 302, location="http://api.example.com/there")
    client = caller.client(transport=caller.names(callee.port), follow_redirects=True)

    def work():
        token = attach(baggage.set_baggage("user", "kim"))
        try:
            caller.get("http://auth.svc/go", client=client)
        finally:
            detach(token)

    inside(work, b3_headers())
    assert [seen["baggage"] for seen in callee.seen] == ["user=kim", None]


def test_external_hosts_get_nothing_if_disabled(caller, callee):
    """`ECO2_TRACING_PROPAGATE_EXTERNALLY=false`: copied headers are removed too."""
    configure(propagate_externally=False)
    client = caller.client(transport=caller.names(callee.port))
    inside(lambda: caller.get("http://api.example.com/", client=client, headers=COPIED), arriving())
    assert callee.last.trace == {}
    assert {name: callee.last[name] for name in COMPANIONS} == dict.fromkeys(COMPANIONS)
    assert eco2_tracing.tracing_status().external_hosts == ()


@pytest.mark.parametrize("sampled", [True, False])
def test_copied_invalid_request_ids_and_baggage_are_removed(caller, callee, sampled):
    """A request id that is not propagated, and baggage without its properties, are still the caller's."""
    configure()
    came_in = {**b3_headers(sampled=sampled), "x-request-id": "a b", "baggage": "tenant=acme;p=1, user=kim"}
    client = caller.client(transport=caller.names(callee.port))
    copied = {"x-request-id": "a b", "baggage": "tenant=acme"}
    inside(lambda: caller.get("http://api.example.com/", client=client, headers=copied), came_in)
    assert (callee.last["x-request-id"], callee.last["baggage"]) == (None, None)


def test_targets_are_internal_hosts(caller, callee):
    """`ECO2_TRACING_PROPAGATION_TARGETS` lists hosts that no rule recognizes."""
    configure(propagation_targets="*.example.com")
    client = caller.client(transport=caller.names(callee.port))
    inside(lambda: caller.get("http://api.example.com/", client=client), arriving())
    assert {name: callee.last[name] for name in COMPANIONS} == COMPANIONS


def test_number_of_external_hosts_is_limited(one, callee, captured_spans):
    """A crawler must not fill the memory of its process."""
    client = one.client(transport=one.module.MockTransport(lambda _: one.module.Response(200)))
    client.get(f"http://{'a.' * 128}example.com/")  # longer than any name can be
    for number in range(150):
        client.get(f"http://{number}.example.com/")
    assert len(eco2_tracing.tracing_status().external_hosts) == 100
    assert eco2_tracing.tracing_status().external_hosts[0] == "0.example.com"


def test_reused_request_carries_nothing_of_the_first_caller(one, callee, captured_spans):
    """Headers injected within one request are removed within the next."""
    client = one.client()
    request = client.build_request("GET", callee.url())
    inside(lambda: client.send(request), arriving())
    inside(lambda: client.send(request), arriving(**{"baggage": "tenant=other", "x-request-id": "req-2"}))
    inside(lambda: client.send(request), b3_headers())
    assert [seen["baggage"] for seen in callee.seen] == ["tenant=acme", "tenant=other", None]
    assert [seen["x-request-id"] for seen in callee.seen] == ["req-1", "req-2", None]


# Decisions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_unsampled_request_injects_its_own_ids(caller, callee, rate):
    """With and without kept errors; the caller's span id would be the wrong parent."""
    captured = configure(error_sampling_rate=rate)
    inside(lambda: caller.get(callee.url()), b3_headers(sampled=False))
    sent = callee.last
    assert (sent["x-b3-traceid"], sent["x-b3-sampled"]) == (TRACE_ID, "0")
    assert sent["x-b3-spanid"] != SPAN_ID
    assert sent["traceparent"] == f"00-{TRACE_ID}-{sent['x-b3-spanid']}-00"
    assert not captured.spans


def test_calls_of_one_unsampled_request_have_a_common_parent(one, callee):
    """If nothing can be kept, all of them carry the request's span id."""
    configure(error_sampling_rate=0)
    inside(lambda: (one.get(callee.url()), one.get(callee.url())), b3_headers(sampled=False))
    assert len({seen["x-b3-spanid"] for seen in callee.seen}) == 1


@pytest.mark.parametrize(
    ("sampler", "flag"), [("parentbased_always_on", "1"), ("parentbased_always_off", "0")]
)
def test_deferred_decision_is_taken_and_injected(caller, callee, sampler, flag):
    """The callee does not decide again."""
    configure(traces_sampler=sampler)
    inside(lambda: caller.get(callee.url()), b3_headers(sampled=None))
    assert (callee.last["x-b3-traceid"], callee.last["x-b3-sampled"]) == (TRACE_ID, flag)


def test_debug_stays_debug_on_every_hop(caller, callee, captured_spans):
    """Also after redirects, and without the sampled flag."""
    callee.answer("/go", 302, location="/there")
    inside(lambda: caller.get(callee.url("/go"), follow_redirects=True), b3_headers(debug=True))
    assert [(seen["x-b3-flags"], seen["x-b3-sampled"]) for seen in callee.seen] == [("1", None)] * 2
    assert len(captured_spans.find(kind=SpanKind.CLIENT)) == 2


@pytest.mark.parametrize("headers", [{"b3": "0"}, {"X-B3-Sampled": "0"}])
def test_bare_deny_is_injected(caller, callee, captured_spans, headers):
    """Nothing is kept, even if the request fails."""
    assert inside(lambda: caller.get(callee.url()), headers, "/error/work".removeprefix("/error")) == 200
    assert callee.last["x-b3-sampled"] == "0"
    assert not captured_spans.spans


@pytest.mark.parametrize("headers", [{"b3": "1"}, {"X-B3-Sampled": "1"}, {"X-B3-Flags": "1"}])
def test_bare_accept_is_injected_as_sampled(caller, callee, headers):
    """The trace is new, and sampled whatever the sampler decides."""
    captured = configure(traces_sampler="parentbased_always_off")
    inside(lambda: caller.get(callee.url()), headers)
    assert callee.last["x-b3-traceid"] == captured.one(kind=SpanKind.CLIENT).trace_id
    assert (callee.last["x-b3-sampled"] or callee.last["x-b3-flags"]) == "1"


def test_excluded_request_propagates_the_callers_context(caller, callee, captured_spans):
    """As unsampled, so that its callees create no orphans."""
    inside(lambda: caller.get(callee.url()), arriving(), "/health")
    sent = callee.last
    assert (sent["x-b3-traceid"], sent["x-b3-spanid"], sent["x-b3-sampled"]) == (TRACE_ID, SPAN_ID, "0")
    assert sent["x-request-id"] == "req-1"
    assert not captured_spans.spans


@pytest.mark.parametrize(
    "headers", [b3_headers(), b3_headers(sampled=False), b3_headers(sampled=None), b3_headers(debug=True)]
)
def test_disabled_tracing_propagates_the_callers_context(caller, callee, headers):
    """Unchanged, so the mesh's trace does not break at this hop."""
    assert not configure(sdk_disabled=True).spans
    inside(lambda: caller.get(callee.url()), headers)
    sent = {name: value for name, value in callee.last.trace.items() if name.startswith("x-b3")}
    assert sent == {name.lower(): value for name, value in headers.items()}


def test_disabled_tracing_begins_no_trace(caller, callee):
    """Without an inbound context nothing is injected."""
    configure(sdk_disabled=True)
    inside(lambda: caller.get(callee.url()))
    assert callee.last.trace == {}


# Without any span above --------------------------------------------------------------------------


def test_each_call_of_a_script_begins_a_trace(caller, callee, captured_spans):
    """The head sampler decides about it, and the callee continues it."""
    caller.get(callee.url())
    span = captured_spans.one(kind=SpanKind.CLIENT)
    assert span.parent_span_id is None
    assert assert_sent_on(callee.last.trace, trace_id=span.trace_id) == span.span_id


def test_unsampled_call_of_a_script(caller, callee):
    """It carries its own ids as not sampled, with and without kept errors."""
    for rate in (None, 1.0):
        with_errors = {} if rate is None else {"error_sampling_rate": rate}
        captured = configure(traces_sampler="always_off", **with_errors)
        caller.get(callee.url())
        assert callee.last["x-b3-sampled"] == "0"
        assert callee.last["x-b3-traceid"]
        assert not captured.spans
        eco2_tracing.shutdown_tracing(0)


@pytest.mark.parametrize("status", [500, None])
def test_failed_call_of_a_script_is_kept(caller, callee, status):
    """For a 5xx response or none, whatever the head sampler decided."""
    captured = configure(traces_sampler="always_off", error_sampling_rate=1.0)
    if status is None:
        with pytest.raises(caller.module.ConnectError):
            caller.get("http://127.0.0.1:1/")
    else:
        callee.answer("/x", status)
        caller.get(callee.url("/x"))
    assert captured.one().attributes["eco2.sampling.reason"] == "error"


def test_call_of_a_script_with_4xx_is_not_kept(caller, callee):
    """The caller may expect that status."""
    captured = configure(traces_sampler="always_off", error_sampling_rate=1.0)
    callee.answer("/x", 404)
    caller.get(callee.url("/x"))
    assert not captured.spans


@pytest.mark.parametrize(
    ("headers", "expected"), [({"x-b3-sampled": "1"}, "1"), ({"b3": "0"}, "0"), ({}, "1")]
)
def test_worker_follows_the_decision_of_its_message(one, callee, headers, expected):
    """A consumer extracted a context with a decision and without ids."""
    configure(traces_sampler="parentbased_always_off" if expected == "1" and headers else "always_on")
    token = attach(propagate.extract(headers, Context()))
    try:
        one.get(callee.url())
    finally:
        detach(token)
    assert callee.last["x-b3-sampled"] == expected


@pytest.mark.parametrize("sampled", [True, False, None])
def test_worker_continues_the_trace_of_its_message(one, callee, captured_spans, sampled):
    """The client span is the local root."""
    token = attach(propagate.extract(b3_headers(sampled=sampled), Context()))
    try:
        one.get(callee.url())
    finally:
        detach(token)
    assert callee.last["x-b3-traceid"] == TRACE_ID
    assert callee.last["x-b3-sampled"] == ("0" if sampled is False else "1")
    assert len(captured_spans.spans) == (0 if sampled is False else 1)


def test_kept_trace_of_an_internal_callee_is_kept(caller, callee, captured_spans):
    """The callee's response header says so; this local trace is kept too."""
    said = f"trace;desc=00-{TRACE_ID}-{'c' * 16}-01"
    callee.answer("/x", 200, server_timing=f"db;dur=1, {said}")
    inside(lambda: caller.get(callee.url("/x")), b3_headers(sampled=False))
    assert {span.kind for span in captured_spans.spans} == {SpanKind.SERVER, SpanKind.CLIENT}


@pytest.mark.parametrize("name", ["server-timing", "traceresponse"])
def test_kept_trace_header_of_an_external_host_is_ignored(caller, callee, captured_spans, name):
    """A header with another trace id is ignored too."""
    said = f"00-{TRACE_ID}-{'c' * 16}-01"
    callee.answer("/x", 200, **{name: f"trace;desc={said}" if name == "server-timing" else said})
    client = caller.client(transport=caller.names(callee.port))
    inside(lambda: caller.get("http://api.example.com/x", client=client), b3_headers(sampled=False))
    inside(lambda: caller.get(callee.url("/x")), b3_headers("a" * 32, sampled=False))
    assert not captured_spans.spans
    inside(lambda: caller.get(callee.url("/x")), b3_headers(sampled=False))
    assert captured_spans.spans


def test_late_call_belongs_to_its_request(one, callee):
    """It fails after the response was sent; the whole local trace is kept."""
    captured = configure(traces_sampler="parentbased_always_off", error_sampling_rate=1.0)
    begun, threads = threading.Event(), []

    def work():
        context = get_current()

        def late():
            token = attach(context)
            with pytest.raises(one.module.ReadTimeout):
                one.get(callee.url("/silent"), timeout=one.module.Timeout(20, read=0.3))
            detach(token)

        threads.append(threading.Thread(target=late))
        threads[0].start()
        while not callee.seen:
            begun.wait(0.001)

    inside(work, b3_headers(sampled=False))
    threads[0].join()
    assert {span.kind for span in captured.spans} == {SpanKind.SERVER, SpanKind.CLIENT}


# Another build of httpx ------------------------------------------------------------------------


def test_headers_without_a_raw_list_are_injected(one, callee, monkeypatch):
    """By the public interface, which is slower."""
    module, captured = one.module, configure()

    class Plain(module.Headers):
        def __getattribute__(self, name):
            if name == "_list" and inspecting():
                raise AttributeError(name)
            return super().__getattribute__(name)

    client = one.client()
    request = client.build_request("GET", callee.url(), headers={**COPIED, "x-mine": "1"})
    request.headers = Plain(request.headers)
    inside(lambda: client.send(request), arriving())
    assert callee.last["x-mine"] == "1"
    assert assert_sent_on(callee.last.trace) == captured.one(kind=SpanKind.CLIENT).span_id


def inspecting():
    """Whether the caller is this library, not httpx."""
    import sys

    return sys._getframe(2).f_globals["__name__"].startswith("eco2_tracing")


def test_response_headers_without_a_raw_list_are_read(one, captured_spans):
    """By the public interface too."""

    class Plain(one.module.Headers):
        def __getattribute__(self, name):
            if name == "_list" and inspecting():
                raise AttributeError(name)
            return super().__getattribute__(name)

    def answer(request):
        response = one.module.Response(200)
        response.headers = Plain({"traceresponse": f"00-{TRACE_ID}-{'c' * 16}-01"})
        return response

    client = one.client(transport=one.module.MockTransport(answer))
    inside(lambda: client.get("http://auth.svc/"), b3_headers(sampled=False))
    assert captured_spans.spans


def test_unwritable_headers_do_not_fail_the_call(one, callee, captured_spans, caplog):
    """The request is sent unchanged, and its span is recorded."""
    client = one.client()
    request = client.build_request("GET", callee.url())

    class Broken:
        def __getattr__(self, name):
            if inspecting():
                raise RuntimeError("no such thing")
            return getattr(plain, name)

        def __contains__(self, name):
            return name in plain

        def __getitem__(self, name):
            return plain[name]

    plain, request.headers = request.headers, Broken()
    inside(lambda: client.send(request), b3_headers())
    assert callee.last.trace == {}
    assert captured_spans.one(kind=SpanKind.CLIENT).attributes["http.response.status_code"] == 200
    assert [record.message for record in caplog.records if "an outgoing call" in record.message]


def test_httpx_without_the_patched_method_is_one_warning(one, caplog):
    """Its own transports are still traced."""
    import types

    from eco2_tracing._instrumentation.client.httpx import _patch

    module = types.ModuleType("httpx8")
    for name in ("DecodingError", "SyncByteStream", "AsyncByteStream"):
        setattr(module, name, getattr(one.module, name))
    module.Response = type("Response", (), {"iter_bytes": str, "aiter_bytes": str})
    _patch(module)
    _patch(module)
    assert [record.getMessage() for record in caplog.records] == [
        f"this version of httpx8 has no {name}._send_single_request: calls by transports of other packages are not"
        " traced"
        for name in ("Client", "AsyncClient")
    ]


def test_unknown_httpx_is_not_patched(caplog):
    """One line is logged, and the service keeps running."""
    import types

    from eco2_tracing._instrumentation.client.httpx import _patch

    _patch(types.ModuleType("httpx9"))
    (line,) = caplog.records
    assert line.getMessage().startswith("eco2-tracing failed at instrumenting httpx9")


def test_calls_do_not_change_after_a_shutdown(caller, callee, captured_spans):
    """The patch stays and has no effect."""
    eco2_tracing.shutdown_tracing(0)
    caller.get(callee.url(), headers={"traceparent": "mine"})
    assert callee.last.trace == {"traceparent": "mine"}
    assert not captured_spans.spans


def test_calls_can_be_traced_by_hand(callee):
    """`instrument_httpx` may be called twice, and has no effect before `configure_tracing`."""
    eco2_tracing.instrument_httpx()
    eco2_tracing.instrument_httpx()
    Caller("httpx", is_async=False).get(callee.url())
    assert callee.last.trace == {}
