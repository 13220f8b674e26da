"""Metadata of gRPC calls to internal and external hosts; contrib injects without knowing the channel's host."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation

import eco2_tracing
from eco2_tracing._instrumentation.instrument import instrument_libraries, uninstrument_libraries
from eco2_tracing.testing import SPAN_ID, TRACE_ID, b3_headers
from tests.calls.conftest import configure, inside

grpc = pytest.importorskip("grpc")
grpc_calls = pytest.importorskip("eco2_tracing._instrumentation.libraries.grpc_calls")

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
hosts_of = grpc_calls.hosts_of
COMPANIONS = {"baggage": "tenant=acme", "x-request-id": "req-1", "tracestate": "vendor=1"}
ARRIVING = {**b3_headers(), "traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", **COMPANIONS}
STALE = (("b3", "0"), ("grpc-trace-bin", b"\x00"), ("plain", "1"), ("other-bin", b"\xff"))


class Callee(grpc.GenericRpcHandler):
    """A server that records metadata, and a proxy through which every host name leads to it."""

    def __init__(self):
        self.seen = []
        self._pool = ThreadPoolExecutor(4)
        self._server = grpc.server(self._pool, handlers=(self,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self._proxy = socket.create_server(("127.0.0.1", 0))
        self.proxy_port = self._proxy.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def service(self, details):
        """Handle any method, by the last part of its name."""
        self.seen.append(dict(details.invocation_metadata))
        kind = details.method.rpartition("/")[2]
        many = kind.endswith("stream")
        answer = (lambda *_: iter([b"answer"])) if many else (lambda *_: b"answer")
        return getattr(grpc, f"{kind}_rpc_method_handler")(answer)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._proxy.accept()
                threading.Thread(target=self._tunnel, args=[client], daemon=True).start()

    def _tunnel(self, client):
        """Answer `CONNECT` (RFC 9110, section 9.3.6) and forward all data."""
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += client.recv(4096)
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=self._pass_on, args=[server, client], daemon=True)
            back.start()
            self._pass_on(client, server)
            back.join(5)

    def _pass_on(self, source, sink):
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                sink.sendall(part)
            sink.shutdown(socket.SHUT_WR)

    def channel(self, host):
        """The arguments of a channel to a host."""
        if host == "127.0.0.1":
            return {"target": f"127.0.0.1:{self.port}"}
        proxy = f"http://127.0.0.1:{self.proxy_port}"
        return {"target": f"dns:///{host}:443", "options": [("grpc.http_proxy", proxy)]}

    def stop(self):
        """Stop listening."""
        self._server.stop(None).wait(5)
        self._pool.shutdown()
        self._proxy.shutdown(socket.SHUT_RDWR)
        self._proxy.close()
        self._accepting.join(5)


@pytest.fixture
def callee():
    """A server that records metadata."""
    made = Callee()
    yield made
    made.stop()


def call(channel, kind, metadata):
    """Make one call and read its whole response."""
    method = getattr(channel, kind)(f"/test.Echo/{kind}")
    request = iter([b"hello"]) if kind.startswith("stream") else b"hello"
    answer = method(request, metadata=metadata, timeout=5)
    return list(answer) if kind.endswith("stream") else [answer]


async def call_async(channel, kind, metadata):
    """The same with ``grpc.aio``."""
    method = getattr(channel, kind)(f"/test.Echo/{kind}")
    request = iter([b"hello"]) if kind.startswith("stream") else b"hello"
    answer = method(request, metadata=metadata, timeout=5)
    return [part async for part in answer] if kind.endswith("stream") else [await answer]


@pytest.fixture
def ready():
    """Instrument new channels; skips without the instrumentation."""
    for name in ("grpc_client", "grpc_aio_client"):
        if name not in instrument_libraries([name]):
            pytest.skip("the instrumentation of gRPC is not installed")
    yield
    uninstrument_libraries()


def make(callee, host, kind, is_async, failures):
    """Give what makes one call inside of a request."""

    def work():
        try:
            assert _answers() == [b"answer"]
        except BaseException as failure:
            failures.append(failure)

    def _answers():
        if not is_async:
            with grpc.insecure_channel(**callee.channel(host)) as channel:
                return call(channel, kind, STALE)

        async def run():
            async with grpc.aio.insecure_channel(**callee.channel(host)) as channel:
                return await call_async(channel, kind, STALE)

        return asyncio.run(run())

    return work


def called(callee, host, kind, is_async, **settings):
    """Make one call inside of a request; give the metadata that arrived."""
    configure(disabled_instrumentations="*", **settings)
    failures = []
    inside(make(callee, host, kind, is_async, failures), ARRIVING)
    assert failures == []
    return callee.seen[-1]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("disabled", [False, True])
def test_a_stranger_gets_trace_context_alone(callee, ready, kind, is_async, disabled):
    """Every kind of call, recorded or not; binary metadata of the application's own stays."""
    seen = called(callee, "api.example.com", kind, is_async, sdk_disabled=disabled)
    assert seen["x-b3-traceid"] == TRACE_ID
    assert not {*COMPANIONS, "b3", "grpc-trace-bin"} & set(seen)
    assert (seen["plain"], seen["other-bin"]) == ("1", b"\xff")
    assert eco2_tracing.tracing_status().external_hosts == ("api.example.com",)


def test_call_details_of_another_class(callee, ready):
    """`grpc.aio` may receive details that are not of gRPC's class."""

    class Interceptor(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation, details, request):
            return await continuation(types.SimpleNamespace(**details._asdict()), request)

    async def run():
        options = callee.channel("api.example.com")
        async with grpc.aio.insecure_channel(**options, interceptors=[Interceptor()]) as channel:
            return await call_async(channel, "unary_unary", STALE)

    configure(disabled_instrumentations="*")
    answers = []
    inside(lambda: answers.append(asyncio.run(run())), ARRIVING)
    assert answers == [[b"answer"]]
    assert not {*COMPANIONS, "b3", "grpc-trace-bin"} & set(callee.seen[-1])


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("disabled", [False, True])
def test_our_own_get_everything(callee, ready, is_async, disabled):
    """And nothing stale."""
    seen = called(callee, "127.0.0.1", "unary_unary", is_async, sdk_disabled=disabled)
    assert {name: seen[name] for name in COMPANIONS} == COMPANIONS
    assert not {"b3", "grpc-trace-bin"} & set(seen)


@pytest.mark.parametrize("is_async", [False, True])
def test_external_hosts_get_nothing_if_disabled(callee, ready, is_async):
    """`ECO2_TRACING_PROPAGATE_EXTERNALLY=false`."""
    settings = {"propagate_externally": False}
    seen = called(callee, "api.example.com", "unary_unary", is_async, **settings)
    assert not {*COMPANIONS, "traceparent", "x-b3-traceid", "b3"} & set(seen)


def test_external_host_among_several_addresses(callee, ready):
    """GRPC may use any of them, so the rules of the external host apply."""
    configure(disabled_instrumentations="*")
    target = f"ipv4:127.0.0.1:{callee.port},198.51.100.1:443"

    def work():
        with grpc.insecure_channel(target) as channel:
            call(channel, "unary_unary", STALE)

    inside(work, ARRIVING)
    assert callee.seen[-1]["x-b3-traceid"] == TRACE_ID
    assert not {*COMPANIONS, "b3", "grpc-trace-bin"} & set(callee.seen[-1])
    assert eco2_tracing.tracing_status().external_hosts == ("198.51.100.1",)


@pytest.mark.parametrize("is_async", [False, True])
def test_untraced_metadata_is_not_changed(callee, ready, is_async):
    """If nothing was injected, the application's metadata stays."""
    configure(disabled_instrumentations="*")
    failures = []
    work = make(callee, "127.0.0.1", "unary_unary", is_async, failures)

    def suppressed():
        with suppress_instrumentation():
            work()

    inside(suppressed, ARRIVING)
    assert failures == []
    assert callee.seen[-1]["b3"] == "0"


@pytest.mark.parametrize("is_async", [False, True])
def test_metadata_does_not_change_after_a_shutdown(callee, ready, is_async):
    """Channels created before stay usable."""
    failures = []
    make(callee, "127.0.0.1", "unary_unary", is_async, failures)()
    assert failures == []
    assert callee.seen[-1]["b3"] == "0"


@pytest.mark.parametrize("is_async", [False, True])
def test_internal_failure_does_not_fail_the_call(callee, ready, is_async, monkeypatch, caplog):
    """The call is sent unchanged, and one line is logged."""
    configure(disabled_instrumentations="*")
    monkeypatch.setattr(grpc_calls, "outgoing", None)
    failures = []
    make(callee, "127.0.0.1", "unary_unary", is_async, failures)()
    assert failures == []
    assert "the metadata of an outgoing call" in caplog.text


def test_a_channel_that_cannot_be_intercepted(callee, ready, monkeypatch, caplog):
    """It works without tracing, and one line is logged."""
    monkeypatch.setattr(grpc_calls, "_interceptor", None)
    failures = []
    for is_async in (False, True):
        make(callee, "127.0.0.1", "unary_unary", is_async, failures)()
    assert failures == []
    assert "a channel of gRPC" in caplog.text


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("api.example.com:443", "api.example.com"),
        ("api.example.com", "api.example.com"),
        ("dns:api.example.com:443", "api.example.com"),
        ("dns:///api.example.com:443", "api.example.com"),
        ("dns://8.8.8.8/api.example.com:443", "api.example.com"),
        ("ipv4:10.0.0.1:443,198.51.100.1:443", "10.0.0.1 198.51.100.1"),
        ("ipv6:[::1]:443,[2001:db8::1]:443", "::1 2001:db8::1"),
        ("ipv6:[2001:db8::1]:443", "2001:db8::1"),
        ("[::1]:50051", "::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("unix:/run/service.sock", "localhost"),
        ("unix:///run/service.sock", "localhost"),
        ("unix-abstract:name", "localhost"),
        ("xds:///auth", "auth"),
        ("", ""),
    ],
)
def test_hosts_of_a_target(target, host):
    """Targets are parsed as gRPC parses them."""
    assert " ".join(hosts_of(target)) == host
