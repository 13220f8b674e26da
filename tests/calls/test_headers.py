"""What goes out with a call: ours, and of what came in only what may go on."""

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
    """Headers of a request that brings everything along."""
    w3c = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
    return {**b3_headers(), **w3c, **COMPANIONS, **more}


def test_all_formats_go_out_and_agree(caller, callee, captured_spans):
    """B3 for the mesh, traceparent for everybody else."""
    inside(lambda: caller.get(callee.url()), b3_headers())
    sent = callee.last
    span = captured_spans.one(kind=SpanKind.CLIENT)
    assert sent.trace == {
        "x-b3-traceid": TRACE_ID,
        "x-b3-spanid": span.span_id,
        "x-b3-sampled": "1",
        "traceparent": f"00-{TRACE_ID}-{span.span_id}-01",
    }


def test_what_was_copied_by_hand_goes_first(caller, callee, captured_spans):
    """An application that copies the caller's headers would send its callee to the wrong parent."""
    inside(lambda: caller.get(callee.url(), headers=COPIED), b3_headers())
    assert assert_sent_on(callee.last.trace) == captured_spans.one(kind=SpanKind.CLIENT).span_id
    assert set(callee.last.trace) == {"x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "traceparent"}


def test_own_hosts_get_what_came_in_beside_the_ids(caller, callee, captured_spans):
    """Baggage, tracestate and the mesh's request id travel on."""
    inside(lambda: caller.get(callee.url()), arriving())
    assert {name: callee.last[name] for name in COMPANIONS} == COMPANIONS
    assert captured_spans.spans


def test_what_the_application_sets_itself_stays(caller, callee, captured_spans):
    """Once, and whoever the callee is; baggage joins the inherited one where the callee may have that."""
    own = {"baggage": "mine=1", "x-request-id": "mine"}
    inside(lambda: caller.get(callee.url(), headers=own), arriving())
    assert {name: callee.last[name] for name in own} == {**own, "baggage": "mine=1,tenant=acme"}
    client = caller.client(transport=caller.names(callee.port))
    inside(lambda: caller.get("http://api.example.com/", client=client, headers=own), arriving())
    assert {name: callee.last[name] for name in own} == own
    assert callee.last["tracestate"] is None


def test_strangers_get_trace_context_alone(caller, callee, captured_spans):
    """Also where the application copied the caller's headers; and operators can see who they are."""
    client = caller.client(transport=caller.names(callee.port))
    inside(lambda: caller.get("http://api.example.com/", client=client, headers=COMPANIONS), arriving())
    assert assert_sent_on(callee.last.trace)
    assert {name: callee.last[name] for name in COMPANIONS} == dict.fromkeys(COMPANIONS)
    assert eco2_tracing.tracing_status().external_hosts == ("api.example.com",)


def test_our_own_hook_has_decided(caller, callee, captured_spans):
    """What stands around httpcore's for contrib's sake asks nobody again: not by the address that a transport found."""
    patch_attempts(caller.name)
    client = caller.client(transport=caller.names(callee.port))
    inside(lambda: caller.get("http://api.example.com/", client=client), arriving())
    assert {name: callee.last[name] for name in COMPANIONS} == dict.fromkeys(COMPANIONS)


def test_a_redirect_to_a_stranger_takes_nothing_along(caller, callee, captured_spans):
    """Httpx copies every header but Authorization to another origin."""
    callee.answer("/go", 302, location="http://api.example.com/there")
    client = caller.client(transport=caller.names(callee.port), follow_redirects=True)
    inside(lambda: caller.get("http://auth.svc/go", client=client), arriving())
    first, second = callee.seen
    assert {name: first[name] for name in COMPANIONS} == COMPANIONS
    assert {name: second[name] for name in COMPANIONS} == dict.fromkeys(COMPANIONS)
    spans = captured_spans.find(kind=SpanKind.CLIENT)
    assert [seen["x-b3-spanid"] for seen in callee.seen] == [span.span_id for span in spans]


def test_baggage_of_the_handlers_own_does_not_go_along_either(caller, callee, captured_spans):
    """What was put into the context inside the request is inherited just the same."""
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


def test_nothing_at_all_goes_to_strangers_when_switched_off(caller, callee):
    """``ECO2_TRACING_PROPAGATE_EXTERNALLY=false``: not even what was copied by hand."""
    configure(propagate_externally=False)
    client = caller.client(transport=caller.names(callee.port))
    inside(lambda: caller.get("http://api.example.com/", client=client, headers=COPIED), arriving())
    assert callee.last.trace == {}
    assert {name: callee.last[name] for name in COMPANIONS} == dict.fromkeys(COMPANIONS)
    assert eco2_tracing.tracing_status().external_hosts == ()


@pytest.mark.parametrize("sampled", [True, False])
def test_unsound_request_ids_and_parts_of_baggage_go_nowhere_when_copied(caller, callee, sampled):
    """They are the caller's all the same: an id that is not sent on, and baggage without its properties."""
    configure()
    came_in = {**b3_headers(sampled=sampled), "x-request-id": "a b", "baggage": "tenant=acme;p=1, user=kim"}
    client = caller.client(transport=caller.names(callee.port))
    copied = {"x-request-id": "a b", "baggage": "tenant=acme"}
    inside(lambda: caller.get("http://api.example.com/", client=client, headers=copied), came_in)
    assert (callee.last["x-request-id"], callee.last["baggage"]) == (None, None)


def test_targets_are_own_hosts(caller, callee):
    """``ECO2_TRACING_PROPAGATION_TARGETS`` names those that no rule can tell."""
    configure(propagation_targets="*.example.com")
    client = caller.client(transport=caller.names(callee.port))
    inside(lambda: caller.get("http://api.example.com/", client=client), arriving())
    assert {name: callee.last[name] for name in COMPANIONS} == COMPANIONS


def test_only_so_many_external_hosts_are_remembered(one, callee, captured_spans):
    """A crawler must not fill the memory of its process."""
    client = one.client(transport=one.module.MockTransport(lambda _: one.module.Response(200)))
    client.get(f"http://{'a.' * 128}example.com/")  # longer than any name can be
    for number in range(150):
        client.get(f"http://{number}.example.com/")
    assert len(eco2_tracing.tracing_status().external_hosts) == 100
    assert eco2_tracing.tracing_status().external_hosts[0] == "0.example.com"


def test_a_request_object_used_again_takes_nothing_along(one, callee, captured_spans):
    """What it was given inside of one request is another caller's inside of the next."""
    client = one.client()
    request = client.build_request("GET", callee.url())
    inside(lambda: client.send(request), arriving())
    inside(lambda: client.send(request), arriving(**{"baggage": "tenant=other", "x-request-id": "req-2"}))
    inside(lambda: client.send(request), b3_headers())
    assert [seen["baggage"] for seen in callee.seen] == ["tenant=acme", "tenant=other", None]
    assert [seen["x-request-id"] for seen in callee.seen] == ["req-1", "req-2", None]


# Decisions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_an_unsampled_request_sends_ids_of_its_own(caller, callee, rate):
    """Whether or not its errors could be kept: the caller's span id would flatten the tree."""
    captured = configure(error_sampling_rate=rate)
    inside(lambda: caller.get(callee.url()), b3_headers(sampled=False))
    sent = callee.last
    assert (sent["x-b3-traceid"], sent["x-b3-sampled"]) == (TRACE_ID, "0")
    assert sent["x-b3-spanid"] != SPAN_ID
    assert sent["traceparent"] == f"00-{TRACE_ID}-{sent['x-b3-spanid']}-00"
    assert not captured.spans


def test_calls_of_one_unsampled_request_have_a_common_parent(one, callee):
    """Where nothing can be kept they are all told the request's own id."""
    configure(error_sampling_rate=0)
    inside(lambda: (one.get(callee.url()), one.get(callee.url())), b3_headers(sampled=False))
    assert len({seen["x-b3-spanid"] for seen in callee.seen}) == 1


@pytest.mark.parametrize(
    ("sampler", "flag"), [("parentbased_always_on", "1"), ("parentbased_always_off", "0")]
)
def test_a_deferred_decision_is_taken_here_and_sent_on(caller, callee, sampler, flag):
    """The callee is not asked again."""
    configure(traces_sampler=sampler)
    inside(lambda: caller.get(callee.url()), b3_headers(sampled=None))
    assert (callee.last["x-b3-traceid"], callee.last["x-b3-sampled"]) == (TRACE_ID, flag)


def test_debug_stays_debug_on_every_hop(caller, callee, captured_spans):
    """Redirects included; the sampled flag is not sent beside it."""
    callee.answer("/go", 302, location="/there")
    inside(lambda: caller.get(callee.url("/go"), follow_redirects=True), b3_headers(debug=True))
    assert [(seen["x-b3-flags"], seen["x-b3-sampled"]) for seen in callee.seen] == [("1", None)] * 2
    assert len(captured_spans.find(kind=SpanKind.CLIENT)) == 2


@pytest.mark.parametrize("headers", [{"b3": "0"}, {"X-B3-Sampled": "0"}])
def test_a_bare_deny_goes_out_denied(caller, callee, captured_spans, headers):
    """And nothing is kept, not even of a failing request."""
    assert inside(lambda: caller.get(callee.url()), headers, "/error/work".removeprefix("/error")) == 200
    assert callee.last["x-b3-sampled"] == "0"
    assert not captured_spans.spans


@pytest.mark.parametrize("headers", [{"b3": "1"}, {"X-B3-Sampled": "1"}, {"X-B3-Flags": "1"}])
def test_a_bare_accept_goes_out_sampled(caller, callee, headers):
    """The trace is ours, and sampled whatever our sampler would say."""
    captured = configure(traces_sampler="parentbased_always_off")
    inside(lambda: caller.get(callee.url()), headers)
    assert callee.last["x-b3-traceid"] == captured.one(kind=SpanKind.CLIENT).trace_id
    assert (callee.last["x-b3-sampled"] or callee.last["x-b3-flags"]) == "1"


def test_an_excluded_request_sends_the_callers_context_on(caller, callee, captured_spans):
    """Unsampled, so that what it calls makes no orphans."""
    inside(lambda: caller.get(callee.url()), arriving(), "/health")
    sent = callee.last
    assert (sent["x-b3-traceid"], sent["x-b3-spanid"], sent["x-b3-sampled"]) == (TRACE_ID, SPAN_ID, "0")
    assert sent["x-request-id"] == "req-1"
    assert not captured_spans.spans


@pytest.mark.parametrize(
    "headers", [b3_headers(), b3_headers(sampled=False), b3_headers(sampled=None), b3_headers(debug=True)]
)
def test_disabled_tracing_sends_the_callers_context_on(caller, callee, headers):
    """As it came: the mesh's trace does not break at this hop."""
    assert not configure(sdk_disabled=True).spans
    inside(lambda: caller.get(callee.url()), headers)
    sent = {name: value for name, value in callee.last.trace.items() if name.startswith("x-b3")}
    assert sent == {name.lower(): value for name, value in headers.items()}


def test_disabled_tracing_sends_nothing_of_its_own(caller, callee):
    """No trace is begun where no spans are made."""
    configure(sdk_disabled=True)
    inside(lambda: caller.get(callee.url()))
    assert callee.last.trace == {}


# Without any span above --------------------------------------------------------------------------


def test_a_script_begins_a_trace_with_each_call(caller, callee, captured_spans):
    """The head sampler decides about it, and the callee continues it."""
    caller.get(callee.url())
    span = captured_spans.one(kind=SpanKind.CLIENT)
    assert span.parent_span_id is None
    assert assert_sent_on(callee.last.trace, trace_id=span.trace_id) == span.span_id


def test_a_script_that_is_not_sampled_tells_so(caller, callee):
    """Ids of its own and an explicit no, with or without errors kept."""
    for rate in (None, 1.0):
        with_errors = {} if rate is None else {"error_sampling_rate": rate}
        captured = configure(traces_sampler="always_off", **with_errors)
        caller.get(callee.url())
        assert callee.last["x-b3-sampled"] == "0"
        assert callee.last["x-b3-traceid"]
        assert not captured.spans
        eco2_tracing.shutdown_tracing(0)


@pytest.mark.parametrize("status", [500, None])
def test_a_scripts_failing_call_is_kept(caller, callee, status):
    """An answer with 5xx, or none at all, whatever the head sampler said."""
    captured = configure(traces_sampler="always_off", error_sampling_rate=1.0)
    if status is None:
        with pytest.raises(caller.module.ConnectError):
            caller.get("http://127.0.0.1:1/")
    else:
        callee.answer("/x", status)
        caller.get(callee.url("/x"))
    assert captured.one().attributes["eco2.sampling.reason"] == "error"


def test_a_scripts_call_with_4xx_is_not_kept(caller, callee):
    """The caller may well have expected it."""
    captured = configure(traces_sampler="always_off", error_sampling_rate=1.0)
    callee.answer("/x", 404)
    caller.get(callee.url("/x"))
    assert not captured.spans


@pytest.mark.parametrize(
    ("headers", "expected"), [({"x-b3-sampled": "1"}, "1"), ({"b3": "0"}, "0"), ({}, "1")]
)
def test_a_worker_follows_what_its_message_says(one, callee, headers, expected):
    """A context that a consumer extracted, with a decision and no ids."""
    configure(traces_sampler="parentbased_always_off" if expected == "1" and headers else "always_on")
    token = attach(propagate.extract(headers, Context()))
    try:
        one.get(callee.url())
    finally:
        detach(token)
    assert callee.last["x-b3-sampled"] == expected


@pytest.mark.parametrize("sampled", [True, False, None])
def test_a_worker_continues_the_trace_of_its_message(one, callee, captured_spans, sampled):
    """The call is the local root."""
    token = attach(propagate.extract(b3_headers(sampled=sampled), Context()))
    try:
        one.get(callee.url())
    finally:
        detach(token)
    assert callee.last["x-b3-traceid"] == TRACE_ID
    assert callee.last["x-b3-sampled"] == ("0" if sampled is False else "1")
    assert len(captured_spans.spans) == (0 if sampled is False else 1)


def test_an_upstream_that_kept_its_part_is_heard(caller, callee, captured_spans):
    """A callee of our own tells in its answer; our part is kept as well."""
    said = f"trace;desc=00-{TRACE_ID}-{'c' * 16}-01"
    callee.answer("/x", 200, server_timing=f"db;dur=1, {said}")
    inside(lambda: caller.get(callee.url("/x")), b3_headers(sampled=False))
    assert {span.kind for span in captured_spans.spans} == {SpanKind.SERVER, SpanKind.CLIENT}


@pytest.mark.parametrize("name", ["server-timing", "traceresponse"])
def test_a_stranger_is_not_heard(caller, callee, captured_spans, name):
    """Nor is one that speaks of another trace."""
    said = f"00-{TRACE_ID}-{'c' * 16}-01"
    callee.answer("/x", 200, **{name: f"trace;desc={said}" if name == "server-timing" else said})
    client = caller.client(transport=caller.names(callee.port))
    inside(lambda: caller.get("http://api.example.com/x", client=client), b3_headers(sampled=False))
    inside(lambda: caller.get(callee.url("/x")), b3_headers("a" * 32, sampled=False))
    assert not captured_spans.spans
    inside(lambda: caller.get(callee.url("/x")), b3_headers(sampled=False))
    assert captured_spans.spans


def test_a_late_call_is_part_of_its_request(one, callee):
    """It fails when the response is long sent: the whole local trace is still kept."""
    captured = configure(traces_sampler="parentbased_always_off", error_sampling_rate=1.0)
    begun, threads = threading.Event(), []

    def work():
        context = get_current()

        def late():
            token = attach(context)
            with pytest.raises(one.module.ReadTimeout):
                one.get(callee.url("/silent"), timeout=0.3)
            detach(token)

        threads.append(threading.Thread(target=late))
        threads[0].start()
        while not callee.seen:
            begun.wait(0.001)

    inside(work, b3_headers(sampled=False))
    threads[0].join()
    assert {span.kind for span in captured.spans} == {SpanKind.SERVER, SpanKind.CLIENT}


# A httpx of another build ------------------------------------------------------------------------


def test_headers_without_a_raw_list_are_written_all_the_same(one, callee, monkeypatch):
    """Through the public interface, which is slower."""
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
    """Whether our own code is looking, rather than httpx."""
    import sys

    return sys._getframe(2).f_globals["__name__"].startswith("eco2_tracing")


def test_an_answer_without_a_raw_list_is_heard(one, captured_spans):
    """The same for the other direction."""

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


def test_headers_that_cannot_be_written_do_not_break_the_call(one, callee, captured_spans, caplog):
    """It goes out as the application made it, and its span tells of it."""
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


def test_a_httpx_without_the_method_is_told_of_once(one, caplog):
    """Its own transports are traced all the same."""
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


def test_a_httpx_that_looks_otherwise_is_left_alone(caplog):
    """One line, and the service goes on."""
    import types

    from eco2_tracing._instrumentation.client.httpx import _patch

    _patch(types.ModuleType("httpx9"))
    (line,) = caplog.records
    assert line.getMessage().startswith("eco2-tracing failed at instrumenting httpx9")


def test_calls_pass_untouched_when_tracing_is_shut_down(caller, callee, captured_spans):
    """The patch stays, and does nothing."""
    eco2_tracing.shutdown_tracing(0)
    caller.get(callee.url(), headers={"traceparent": "mine"})
    assert callee.last.trace == {"traceparent": "mine"}
    assert not captured_spans.spans


def test_calls_can_be_traced_by_hand(callee):
    """``instrument_httpx`` is safe to call twice, and does nothing before ``configure_tracing``."""
    eco2_tracing.instrument_httpx()
    eco2_tracing.instrument_httpx()
    Caller("httpx", is_async=False).get(callee.url())
    assert callee.last.trace == {}
