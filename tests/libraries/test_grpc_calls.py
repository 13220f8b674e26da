"""gRPC calls work as without tracing: they can be cancelled, send all metadata and end with their errors."""

from __future__ import annotations

import asyncio
import importlib
import threading
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import StatusCode
from tests.support.jaeger import wait_for

grpc = pytest.importorskip("grpc")
pytest.importorskip("opentelemetry.instrumentation.grpc")

COUNT, ECHO, WAIT = "/shop.Shop/Count", "/shop.Shop/Echo", "/shop.Shop/Wait"
arrived, go = threading.Event(), threading.Event()


class Shop(grpc.GenericRpcHandler):
    """It counts, fails for ``fail``, and answers with the values that it was given for ``kind``."""

    def service(self, details):
        """Find the method."""
        if details.method == COUNT:
            return grpc.unary_stream_rpc_method_handler(self.count)
        return grpc.unary_unary_rpc_method_handler(self.wait if details.method == WAIT else self.echo)

    def count(self, request, context):
        """Answer three times, or fail after the first."""
        yield b"0"
        if request == b"fail":
            context.abort(grpc.StatusCode.INTERNAL, "sold out")
        yield from (b"1", b"2")

    def wait(self, request, context):
        """Answer after ``go``."""
        arrived.set()
        go.wait(30)
        return b""

    def echo(self, request, context):
        """Answer with metadata."""
        return ",".join(value for name, value in context.invocation_metadata() if name == "kind").encode()


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """The address of a running server."""
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Shop(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def channel(switch_on, target):
    """A traced channel, and its spans."""
    spans = switch_on("grpc_client")
    with grpc.insecure_channel(target) as channel:
        yield channel, spans


def test_a_stream_is_the_call_itself(channel):
    """It has its code, and its end is the span's."""
    channel, spans = channel
    call = channel.unary_stream(COUNT)(b"", metadata=[("kind", "tea")])
    assert list(call) == [b"0", b"1", b"2"]
    assert (call.code(), call.done()) == (grpc.StatusCode.OK, True)
    with suppress_instrumentation():
        assert len(list(channel.unary_stream(COUNT)(b""))) == 3
    wait_for(lambda: spans.all)
    (found,) = spans.all
    assert (found.name, found.attributes["rpc.grpc.status_code"]) == (COUNT, 0)


def test_a_stream_can_be_cancelled(channel):
    """Nothing has failed then."""
    channel, spans = channel
    call = channel.unary_stream(COUNT)(b"")
    assert next(call) == b"0"
    call.cancel()
    with pytest.raises(grpc.RpcError):
        list(call)
    wait_for(lambda: spans.all)
    assert [found.status.status_code for found in spans.all] == [StatusCode.UNSET]


def test_a_stream_that_fails(channel):
    """The span has the error; one that cannot be sent raises what it would."""
    channel, spans = channel
    call = channel.unary_stream(COUNT)(b"fail")
    with pytest.raises(grpc.RpcError) as caught:
        list(call)
    assert caught.value is call
    with pytest.raises(TypeError):
        list(channel.unary_stream(COUNT)(b"", metadata=5))
    wait_for(lambda: len(spans.all) == 2)
    assert [found.status.status_code for found in spans.all] == [StatusCode.ERROR] * 2


def test_results_of_other_interceptors(switch_on, target, monkeypatch):
    """A result without callbacks ends the span; excluded services and suppressed calls have none."""
    monkeypatch.setenv("OTEL_PYTHON_GRPC_EXCLUDED_SERVICES", "shop.Health, ")
    spans = switch_on("grpc_client")

    class Constant(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
        def intercept_unary_stream(self, continuation, details, request):
            return [b"tea"]

        def intercept_unary_unary(self, continuation, details, request):
            return SimpleNamespace(result=lambda: b"tea")

    original = grpc.intercept_channel
    monkeypatch.setattr(grpc, "intercept_channel", lambda channel, ours: original(channel, ours, Constant()))
    with grpc.insecure_channel(target) as channel:
        assert channel.unary_unary(ECHO)(b"") == b"tea"
        assert channel.unary_stream(COUNT)(b"") == [b"tea"]
        assert channel.unary_unary("/shop.Health/Check")(b"") == b"tea"
        with suppress_instrumentation():
            assert channel.unary_unary(ECHO)(b"") == b"tea"
    assert spans.names == [ECHO, COUNT]


def test_a_call_whose_status_cannot_be_read(switch_on, caplog):
    """Its span ends, and one line is logged."""
    spans = switch_on("grpc_client")
    grpc_calls = importlib.import_module("eco2_tracing._instrumentation.libraries.grpc_calls")

    @types.coroutine
    def waiting():
        yield

    for ended in (grpc_calls._ended, grpc_calls._ended_async):
        ended(trace.get_tracer("grpc").start_span("call"), SimpleNamespace(code=waiting))
    assert spans.names == ["call", "call"]
    assert "the end of a gRPC call" in caplog.text


def test_streams_of_grpc_aio(switch_on, target):
    """A stream is the call itself; its end, an error and a cancellation end the span."""
    spans = switch_on("grpc_aio_client")

    async def call():
        async with grpc.aio.insecure_channel(target) as channel, asyncio.timeout(30):
            stream = channel.unary_stream(COUNT)(b"", metadata=(("kind", "tea"),))
            assert [answer async for answer in stream] == [b"0", b"1", b"2"]
            assert await stream.code() is grpc.StatusCode.OK
            with pytest.raises(grpc.aio.AioRpcError):
                async for _ in channel.unary_stream(COUNT)(b"fail"):
                    pass
            cancelled = channel.unary_stream(COUNT)(b"")
            assert await cancelled.read() == b"0"
            cancelled.cancel()
            with suppress_instrumentation():
                assert len([answer async for answer in channel.unary_stream(COUNT)(b"")]) == 3
                assert await channel.unary_unary(ECHO)(b"") == b""
            await asyncio.to_thread(wait_for, lambda: len(spans.all) == 3)

    asyncio.run(call())
    assert sorted(found.attributes["rpc.grpc.status_code"] for found in spans.all) == [0, 1, 13]
    failed = [found for found in spans.all if found.status.status_code is StatusCode.ERROR]
    assert [found.attributes["rpc.grpc.status_code"] for found in failed] == [13]


def test_names_that_come_twice(channel):
    """Both values arrive, and ours once."""
    channel, _ = channel
    pairs = (("kind", "tea"), ("kind", "coffee"), ("traceparent", "old"))
    assert channel.unary_unary(ECHO)(b"", metadata=pairs) == b"tea,coffee"


def test_a_request_that_cannot_be_written(switch_on, target):
    """The call fails as it would, and does not wait for a code that never comes; others fail as they did."""
    spans = switch_on("grpc_aio_client")

    async def call():
        async with grpc.aio.insecure_channel(target) as channel, asyncio.timeout(30):
            with pytest.raises(TypeError):
                await channel.unary_unary(ECHO)(object())
            with pytest.raises(grpc.aio.AioRpcError):
                await channel.unary_unary(COUNT)(b"fail")
            cancelled = channel.unary_unary(WAIT)(b"")
            await asyncio.to_thread(arrived.wait, 30)
            cancelled.cancel()
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            return await channel.unary_unary(ECHO)(b"", metadata=(("kind", "tea"),))

    assert asyncio.run(call()) == b"tea"
    failed, refused, cancelled, answered = [found.status.status_code for found in spans.all]
    assert (failed, refused) == (StatusCode.ERROR, StatusCode.ERROR)
    assert (cancelled, answered) == (StatusCode.UNSET, StatusCode.UNSET)
