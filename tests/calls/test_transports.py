"""One span for each request at the transport: retries, caches, transports without a client, changed hosts."""

from __future__ import annotations

import asyncio
import functools
import threading

import pytest
from fastapi import FastAPI
from opentelemetry.trace import SpanKind, StatusCode

import eco2_tracing
from eco2_tracing.testing import SPAN_ID, TRACE_ID, b3_headers
from tests.calls.conftest import Caller, configure, inside
from tests.calls.transports import Making, retry

COMPANIONS = {"baggage": "tenant=acme", "x-request-id": "req-1", "tracestate": "vendor=1"}
ARRIVING = {**b3_headers(), "traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", **COMPANIONS}


def clients(captured):
    """The client spans, in the order of their ends."""
    return captured.find(kind=SpanKind.CLIENT)


@pytest.fixture
def making(caller):
    """Creates transports for the caller."""
    return Making(caller)


def failing_twice(callee):
    """Two failed requests, then a successful one."""

    class Answers(dict):
        def get(self, path, default=None):
            return (503 if len(callee.seen) < 3 else 200, {}, b"")

    callee.responses = Answers()


def check_attempts(captured, callee, statuses):
    """Each attempt has a sibling span, which is the parent in its headers."""
    spans = clients(captured)
    assert [span.attributes["http.response.status_code"] for span in spans] == statuses
    assert [span.status for span in spans] == [
        StatusCode.ERROR if status == 503 else StatusCode.UNSET for status in statuses
    ]
    assert [seen["x-b3-spanid"] for seen in callee.seen] == [span.span_id for span in spans]
    assert [seen["traceparent"].split("-")[2] for seen in callee.seen] == [span.span_id for span in spans]
    assert len({span.span_id for span in spans}) == len(statuses)
    (server,) = captured.find(kind=SpanKind.SERVER)
    assert {span.parent_span_id for span in spans} == {server.span_id}


@pytest.mark.parametrize("way", ["wrapping", "hiding"])
def test_each_attempt_of_a_retrying_transport_has_a_span(caller, making, callee, captured_spans, way):
    """Whether or not the inner transport is visible."""
    failing_twice(callee)
    transport = getattr(making, way)(retry, making.open())
    inside(lambda: caller.get(callee.url(), client=caller.client(transport=transport)), b3_headers())
    check_attempts(captured_spans, callee, [503, 503, 200])


def test_retrying_subclass(caller, making, callee, captured_spans):
    """Its base class sends every attempt."""
    kind = making.of(retry, making.http)
    name = "handle_async_request" if caller.is_async else "handle_request"
    kind.hand_on = getattr(making.http, name)
    failing_twice(callee)
    inside(lambda: caller.get(callee.url(), client=caller.client(transport=kind(verify=False))), b3_headers())
    check_attempts(captured_spans, callee, [503, 503, 200])
    inside(lambda: caller.get(callee.url(), client=caller.client(transport=kind(verify=False))))
    assert len(clients(captured_spans)) == 4


def test_retrying_transport_over_a_custom_one(caller, making, captured_spans):
    """No transport of httpx sends the request."""
    seen = []

    def answer(_self, request, _hand_on):
        yield from ()
        seen.append(request.headers["x-b3-spanid"])
        return caller.module.Response(503 if len(seen) < 3 else 200)

    transport = making.wrapping(retry, making.of(answer)())
    inside(lambda: caller.get("http://auth.svc/", client=caller.client(transport=transport)))
    spans = clients(captured_spans)
    assert [span.attributes["http.response.status_code"] for span in spans] == [503, 503, 200]
    assert seen == [span.span_id for span in spans]


def hold_function(inner, name):
    """Hold a function, as libraries for retries do."""

    def send(request):
        return getattr(inner, name)(request)

    def attempt(request):
        return send(request)

    return attempt


@pytest.mark.parametrize(
    "hold",
    [
        lambda inner, _: [inner],
        lambda inner, _: {"all": inner},
        getattr,
        lambda inner, name: functools.partial(getattr(inner, name)),
        hold_function,
    ],
    ids=["list", "dictionary", "bound method", "partial", "closure"],
)
def test_where_inner_transports_are_found(caller, making, captured_spans, hold):
    """In slots, collections, bound methods and closures."""

    def answer(_self, request, _hand_on):
        yield from ()
        return caller.module.Response(503)

    inner = making.of(answer)()
    name = "handle_async_request" if caller.is_async else "handle_request"
    kind = making.of(retry, making.base, __slots__=("others",))
    kind.hand_on = lambda self, request: getattr(inner, name)(request)
    transport = kind()
    transport.others = hold(inner, name)
    inside(lambda: caller.get("http://auth.svc/", client=caller.client(transport=transport)))
    assert len(clients(captured_spans)) == 3


def test_transport_that_uses_a_client(caller, making, callee, captured_spans):
    """The inner client's transport sends the request."""
    client = caller.client()
    kind = making.of(retry)
    kind.hand_on = lambda self, request: self.client.send(request)
    if caller.is_async:
        kind.aclose = lambda self: self.client.aclose()
    transport = kind()
    transport.client = client
    failing_twice(callee)
    inside(lambda: caller.get(callee.url(), client=caller.client(transport=transport)), b3_headers())
    check_attempts(captured_spans, callee, [503, 503, 200])


@pytest.mark.parametrize("sampled", [True, False])
def test_httpx_retries(callee, sampled):
    """A failed attempt keeps the trace, even if the last one succeeds."""
    retries = pytest.importorskip("httpx_retries")
    for is_async in (False, True):
        captured = configure(traces_sampler="parentbased_always_on")
        caller = Caller("httpx", is_async)
        callee.seen.clear()
        failing_twice(callee)
        transport = retries.RetryTransport(retry=retries.Retry(total=3, backoff_factor=0))
        inside(
            lambda: caller.get(callee.url(), client=caller.client(transport=transport)),  # noqa: B023 - called at once
            b3_headers(sampled=sampled),
        )
        check_attempts(captured, callee, [503, 503, 200])
        assert [seen["x-b3-sampled"] for seen in callee.seen] == [str(int(sampled)), "1", "1"]
        caller.close()
        eco2_tracing.shutdown_tracing(0)


def test_transport_without_a_client(caller, making, callee, captured_spans):
    """Within a request and in a script."""
    request = functools.partial(caller.module.Request, "GET", callee.url())
    inside(lambda: making.send(making.open(), request()), b3_headers())
    check_attempts(captured_spans, callee, [200])
    making.send(making.wrapping(retry, making.open()), request())
    span = clients(captured_spans)[-1]
    assert (span.parent_span_id, callee.last["x-b3-spanid"]) == (None, span.span_id)


def cached(self, request, hand_on):
    """Answer the second request from memory."""
    if self.stored is None:
        response = yield hand_on(request)
        self.stored = response.status_code
        return response
    return self.module.Response(self.stored)


@pytest.mark.parametrize("way", ["wrapping", "hiding", "derived"])
def test_cached_response_is_not_an_attempt(caller, making, callee, captured_spans, way):
    """Only requests that reach the inner transport have a span."""
    if way == "derived":
        name = "handle_async_request" if caller.is_async else "handle_request"
        kind = making.of(cached, making.http)
        kind.hand_on = getattr(making.http, name)
        transport = kind(verify=False)
    else:
        transport = getattr(making, way)(cached, making.open())
    type(transport).stored, type(transport).module = None, caller.module

    def work():
        if not caller.is_async:
            client = caller.client(transport=transport)
            return [client.get(callee.url()).status_code for _ in range(3)]

        async def call():
            async with caller.client(transport=transport) as client:
                return [(await client.get(callee.url())).status_code for _ in range(3)]

        return asyncio.run(call())

    inside(work)
    assert len(callee.seen) == len(clients(captured_spans)) == 1


@pytest.mark.parametrize("base", ["http", "own"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_an_answer_from_a_full_cache_is_no_call(caller, making, callee, captured_spans, base, wrapped):
    """A class that derives from httpx's transport is known before its first miss, also inside a retrying one."""
    if caller.is_async:

        class Cached(making.http):
            async def handle_async_request(self, request):
                if request.url.path == "/stored":
                    return caller.module.Response(200)
                return await self._fetched(request)

            async def _fetched(self, request):
                return await super().handle_async_request(request)
    else:

        class Cached(making.http):
            def handle_request(self, request):
                if request.url.path == "/stored":
                    return caller.module.Response(200)
                return self._fetched(request)

            def _fetched(self, request):
                return super().handle_request(request)

    class Further(Cached):
        """Adds nothing."""

    transport = (Cached if base == "own" else Further)(verify=False)
    making._opened.append(transport)
    if wrapped:
        transport = making.wrapping(retry, transport)

    def work():
        if not caller.is_async:
            client = caller.client(transport=transport)
            return [client.get(callee.url(path)) for path in ("/stored", "/fetched", "/stored")]

        async def call():
            async with caller.client(transport=transport) as client:
                return [await client.get(callee.url(path)) for path in ("/stored", "/fetched", "/stored")]

        return asyncio.run(call())

    inside(work)
    (made,) = clients(captured_spans)
    assert (made.attributes["url.full"], callee.last["x-b3-spanid"]) == (callee.url("/fetched"), made.span_id)
    assert len(callee.seen) == 1


def decorated(function):
    """Decorate as those do that keep nothing of the function's own."""

    def call(*arguments):
        return function(*arguments)

    return call


def test_a_decorated_method_that_calls_its_base(one, callee, captured_spans):
    """It is found in the decorator's closure, and so is the function of the base itself."""
    original = one.module.HTTPTransport.handle_request

    class Decorated(one.module.HTTPTransport):
        @decorated
        def handle_request(self, request):
            return (
                one.module.Response(200) if request.url.path == "/stored" else super().handle_request(request)
            )

    class Holding(one.module.HTTPTransport):
        def handle_request(self, request):
            return one.module.Response(200) if request.url.path == "/stored" else original(self, request)

    for kind in (Decorated, Holding):
        client = one.client(transport=kind(verify=False))
        assert client.get(callee.url("/stored")).status_code == 200
        assert not clients(captured_spans)
        client.get(callee.url("/sent"))
        assert len(clients(captured_spans)) == 1
        captured_spans.clear()


def test_a_limit_below_the_client_is_no_call(caller, making, callee, captured_spans):
    """A class that refuses a request, as limiters and circuit breakers do, sends nothing."""

    def limited(self, request, hand_on):
        if request.url.path == "/refused":
            raise caller.module.ConnectError("too many requests")
        return (yield hand_on(request))

    kind = making.of(limited, making.http)
    kind.hand_on = getattr(making.http, "handle_async_request" if caller.is_async else "handle_request")
    with pytest.raises(caller.module.ConnectError):
        caller.get(callee.url("/refused"), client=caller.client(transport=kind(verify=False)))
    assert not clients(captured_spans)
    caller.get(callee.url("/sent"), client=caller.client(transport=kind(verify=False)))
    (made,) = clients(captured_spans)
    assert made.status is StatusCode.UNSET


def test_a_class_that_does_not_call_its_base_sends_by_itself(caller, making, captured_spans):
    """Such as a replacement for tests: its answers are calls, and its requests have our headers."""
    sent = []

    def answering(self, request, hand_on):
        sent.append(request.headers["x-b3-spanid"])
        return caller.module.Response(200)
        yield

    kind = making.of(answering, making.http)
    kind.hand_on = None
    caller.get("http://auth.svc/", client=caller.client(transport=kind(verify=False)))
    assert sent == [made.span_id for made in clients(captured_spans)]
    assert len(sent) == 1


def test_cached_responses_of_hishel(one, callee, captured_spans, tmp_path):
    """The same with the caching package for httpx."""
    hishel = pytest.importorskip("hishel")
    pytest.importorskip("hishel.httpx2")
    storage = hishel.SqliteStorage(database_path=str(tmp_path / "cache.db"))
    transport = hishel.httpx2.CacheTransport(one.module.HTTPTransport(verify=False), storage=storage)
    client = one.client(transport=transport)
    inside(lambda: [client.get(callee.url()) for _ in range(2)])
    assert len(callee.seen) == len(clients(captured_spans)) == 1


def test_custom_transport_is_traced(caller, making, captured_spans):
    """It neither wraps a transport nor derives from httpx's."""
    sent = []

    class Own:
        def _answer(self, request):
            sent.append(request.headers["x-b3-spanid"])
            if request.url.path == "/broken":
                raise caller.module.ConnectError("no")
            return caller.module.Response(404)

        async def handle_async_request(self, request):
            return self._answer(request)

        def handle_request(self, request):
            return self._answer(request)

        def close(self):
            """Do nothing."""

        async def aclose(self):
            """Do nothing."""

        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            """Do nothing."""

        __enter__ = close
        __exit__ = __aexit__

    def call(path):
        client = caller.client(transport=Own())
        caller._opened.remove(client)
        caller.get("http://auth.svc" + path, client=client)

    inside(lambda: call("/"))
    inside(lambda: call("/broken"))
    first, second = clients(captured_spans)
    assert sent == [first.span_id, second.span_id]
    assert (first.attributes["http.response.status_code"], first.status) == (404, StatusCode.ERROR)
    assert second.attributes["error.type"] == "ConnectError"


def test_replaced_transport_methods(one, callee, captured_spans, monkeypatch):
    """Mocking packages replace methods of httpx's transport, on the class or the object."""
    seen = []

    def answer(request):
        seen.append(request.headers["x-b3-spanid"])
        return one.module.Response(200)

    one_making = Making(one)
    transport = one.module.HTTPTransport(verify=False)
    transport.handle_request = answer
    inside(lambda: one.client(transport=transport).get(callee.url()))
    monkeypatch.setattr(one.module.HTTPTransport, "handle_request", lambda self, request: answer(request))
    inside(lambda: one.client().get(callee.url()))
    inside(lambda: one.client(transport=one_making.wrapping(retry, one_making.open())).get(callee.url()))
    assert seen == [span.span_id for span in clients(captured_spans)]
    assert len(seen) == 3


def test_class_that_cannot_be_patched(one, captured_spans, monkeypatch):
    """Such as one in C: its attempts are one call of the client."""

    class Fixed(type):
        def __setattr__(cls, name, value):
            if name == "handle_request":
                raise TypeError("cannot set it")

    class Leaf(one.module.BaseTransport, metaclass=Fixed):
        def handle_request(self, request):
            return one.module.Response(503)

    transport = Making(one).wrapping(retry, Leaf())
    inside(lambda: one.client(transport=transport).get("http://auth.svc/"))
    assert len(clients(captured_spans)) == 1


def test_concurrent_attempts(callee, captured_spans):
    """A transport that sends twice at once has two spans."""
    caller = Caller("httpx2", is_async=True)
    making = Making(caller)
    inner = making.open()

    class Hedging(making.of(retry)):
        async def handle_async_request(self, request):
            def ask():
                copy = caller.module.Request(request.method, request.url, headers=request.headers)
                return inner.handle_async_request(copy)

            first, second = await asyncio.gather(ask(), ask())
            await second.aclose()
            return first

    inside(lambda: caller.get(callee.url(), client=caller.client(transport=Hedging())), b3_headers())
    assert {span.span_id for span in clients(captured_spans)} == {seen["x-b3-spanid"] for seen in callee.seen}
    assert len(clients(captured_spans)) == len(callee.seen) == 2


def test_own_call_of_a_transport_has_a_span(one, callee, captured_spans):
    """Such as one for a token, sent by its own means before the request."""

    class Own(one.module.BaseTransport):
        def handle_request(self, request):
            one.get(callee.url("/token"))
            return one.module.Response(503)

    inside(lambda: one.client(transport=Own()).post("http://auth.svc/items"))
    token, own = sorted(clients(captured_spans), key=lambda span: span.name)
    assert token.attributes["url.full"] == callee.url("/token")
    assert (own.name, own.attributes["http.response.status_code"]) == ("POST", 503)


@pytest.mark.parametrize("way", ["wrapping", "hiding"])
@pytest.mark.parametrize("copies", [False, True])
def test_rules_follow_the_host_that_is_called(caller, making, callee, captured_spans, way, copies):
    """A transport resolves a service: external to internal, in the request or in a copy of it."""

    def find(_self, request, hand_on):
        url = request.url.copy_with(host="127.0.0.1", port=callee.port)
        if copies:
            request = caller.module.Request(request.method, url, headers=request.headers)
        else:
            request.url = url
        return (yield hand_on(request))

    transport = getattr(making, way)(find, making.open())
    client = caller.client(transport=transport)
    inside(lambda: caller.get("http://api.example.com/x", client=client), ARRIVING)
    assert {name: callee.last[name] for name in COMPANIONS} == COMPANIONS
    (span,) = clients(captured_spans)
    assert (span.attributes["server.address"], span.attributes["server.port"]) == ("127.0.0.1", callee.port)
    assert span.attributes["url.full"] == callee.url("/x")
    assert callee.last["x-b3-spanid"] == span.span_id


@pytest.mark.parametrize("way", ["wrapping", "hiding"])
def test_transport_that_changes_to_an_external_host(caller, making, callee, captured_spans, way):
    """Baggage and request id are removed."""

    def find(_self, request, hand_on):
        request.url = request.url.copy_with(host="api.example.com")
        return (yield hand_on(request))

    transport = getattr(making, way)(find, caller.names(callee.port))
    client = caller.client(transport=transport)
    inside(lambda: caller.get("http://auth.svc/x", client=client), ARRIVING)
    assert {name: callee.last[name] for name in COMPANIONS} == dict.fromkeys(COMPANIONS)
    (span,) = clients(captured_spans)
    assert span.attributes["server.address"] == "api.example.com"
    assert "server.port" not in span.attributes


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        ({"error_sampling_rate": 0.0}, b3_headers(sampled=False)),
        ({"sdk_disabled": True}, b3_headers()),
        ({}, {"x-b3-sampled": "0"}),
    ],
)
def test_unrecorded_attempts_have_headers(caller, making, callee, settings, headers):
    """Each of them once."""
    captured = configure(**settings)
    failing_twice(callee)
    transport = making.hiding(retry, making.open())
    inside(lambda: caller.get(callee.url(), client=caller.client(transport=transport)), headers)
    assert len(callee.seen) == 3
    for seen in callee.seen:
        assert len({name for name, _ in seen.pairs}) == len(seen.pairs)
        assert seen["x-b3-sampled"] == headers.get("X-B3-Sampled", headers.get("x-b3-sampled"))
    assert not clients(captured)


def test_mounts_and_proxies(caller, making, callee, captured_spans):
    """The client selects one of several transports."""
    failing_twice(callee)
    mounts = {"http://127.0.0.1": making.wrapping(retry, making.open())}
    inside(lambda: caller.get(callee.url(), client=caller.client(mounts=mounts)), b3_headers())
    check_attempts(captured_spans, callee, [503, 503, 200])
    inside(lambda: caller.get("http://auth.svc/x", client=caller.client(proxy=callee.url())), ARRIVING)
    span = clients(captured_spans)[-1]
    assert (callee.last.path, callee.last["x-b3-spanid"]) == ("http://auth.svc/x", span.span_id)
    assert span.attributes["server.address"] == "auth.svc"
    assert callee.last["baggage"] == "tenant=acme"


def test_asgi_transport_behind_a_retrying_one(captured_spans):
    """Outside of a request it is a test's caller."""
    caller = Caller("httpx2", is_async=True)
    making = Making(caller)
    app = FastAPI()
    app.get("/")(eco2_tracing.current_trace_id)
    eco2_tracing.instrument_app(app)
    derived = type("Derived", (caller.module.ASGITransport,), {})

    def call(transport):
        return caller.get("http://app/", client=caller.client(transport=transport), headers=b3_headers())

    for transport in (caller.module.ASGITransport(app), derived(app)):
        assert call(making.wrapping(retry, transport)).json() == TRACE_ID
        assert call(transport).json() == TRACE_ID
    assert not clients(captured_spans)
    inside(lambda: call(making.wrapping(retry, caller.module.ASGITransport(app))))
    (span,) = clients(captured_spans)
    assert span.span_id in {one.parent_span_id for one in captured_spans.find(kind=SpanKind.SERVER)}


def test_client_traced_by_contrib_has_one_span(callee, captured_spans):
    """`instrument_client` was called before `configure_tracing`."""
    contrib = pytest.importorskip("opentelemetry.instrumentation.httpx")
    for is_async in (False, True):
        caller = Caller("httpx", is_async)
        client = caller.client()
        client._is_instrumented_by_opentelemetry = True
        assert contrib
        inside(lambda: caller.get(callee.url(), client=client, headers={"traceparent": "theirs"}))  # noqa: B023 - called at once
        assert callee.last.trace == {"traceparent": "theirs"}
        caller.close()
    assert not clients(captured_spans)


def test_pool_shared_by_threads(one, callee, captured_spans):
    """Each thread's call is in its own trace."""
    making = Making(one)
    client = one.client(transport=making.hiding(retry, making.open()))

    def call():
        with eco2_tracing.span("work") as span:
            client.get(callee.url(f"/{span.get_span_context().span_id:016x}"))

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans = {span.span_id: span for span in clients(captured_spans)}
    assert len(spans) == 16
    for seen in callee.seen:
        assert spans[seen["x-b3-spanid"]].parent_span_id == seen.path[1:]


def test_every_attempt_without_a_response_is_an_error(caller, making, captured_spans):
    """The last attempt fails as well."""

    class Failing(making.base):
        def handle_request(self, request):
            raise caller.module.ConnectError("no")

        async def handle_async_request(self, request):
            raise caller.module.ConnectError("no")

    def call():
        with pytest.raises(caller.module.ConnectError):
            caller.get("http://auth.svc/", client=caller.client(transport=transport))

    name = "handle_async_request" if caller.is_async else "handle_request"
    inner = Failing()

    def steps(_self, request, _hand_on):
        for _ in range(2):
            response = yield getattr(inner, name)(request)
        return response

    transport = making.wrapping(steps, inner)
    inside(call)
    transport = making.hiding(retry, making.open())

    def refused():
        with pytest.raises(caller.module.ConnectError):
            caller.get("http://127.0.0.1:1/", client=caller.client(transport=transport))

    inside(refused)
    assert [span.attributes["error.type"] for span in clients(captured_spans)] == ["ConnectError"] * 2


def test_captured_headers_of_a_wrapping_transport(one, callee):
    """They are those that the inner transport sends."""

    def sign(_self, request, hand_on):
        copy = one.module.Request(request.method, request.url, headers={"x-tenant": "acme"})
        return (yield hand_on(copy))

    captured = configure(http_capture_headers_client_request="x-tenant")
    making = Making(one)
    inside(lambda: one.client(transport=making.hiding(sign, making.open())).get(callee.url()))
    assert list(clients(captured)[0].attributes["http.request.header.x-tenant"]) == ["acme"]


def test_later_attempts_of_a_trace_beyond_the_cap(one, callee):
    """They are not recorded, and carry trace headers."""
    captured = configure(
        traces_sampler="parentbased_always_off", error_sampling_rate=1.0, max_kept_traces_per_second=1
    )
    callee.answer("/x", 503)
    making = Making(one)
    for _ in range(3):
        transport = making.hiding(retry, making.open())
        inside(lambda: one.client(transport=transport).get(callee.url("/x")), b3_headers(sampled=False))  # noqa: B023 - called at once
    assert len(callee.seen) == 9
    assert all(seen["x-b3-traceid"] == TRACE_ID for seen in callee.seen)
    assert len(clients(captured)) < 9


def test_request_of_a_wrong_type(captured_spans, one, caplog):
    """The transport fails as untraced."""
    with one.module.HTTPTransport(verify=False) as transport, pytest.raises(AttributeError):
        transport.handle_request(None)
    assert [record for record in caplog.records if "an outgoing call" in record.message]


def test_incomplete_closure(one, captured_spans):
    """The transport's function refers to a name without a value."""

    class Own(one.module.BaseTransport):
        def __init__(self):
            def later():
                return missing

            self.later = later
            if False:
                missing = None

        def handle_request(self, request):
            return one.module.Response(200)

    inside(lambda: one.client(transport=Own()).get("http://auth.svc/"))
    assert len(clients(captured_spans)) == 1
