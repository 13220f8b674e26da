"""gRPC calls are what they are without tracing: cancellable, with all of their metadata, and ended by their errors."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import StatusCode
from tests.support.jaeger import wait_for

from eco2_tracing._instrumentation.libraries.grpc_calls import patch_calls

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
        """Answer when it is told to."""
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
    """It tells its code, and its end is the span's."""
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
        channel.unary_stream(COUNT)(b"", metadata=5)
    wait_for(lambda: spans.all)
    assert [found.status.status_code for found in spans.all] == [StatusCode.ERROR]


def test_what_is_no_call_passes(switch_on):
    """Answers that another interceptor gives, and streams of requests, go the service's way."""
    spans = switch_on("grpc_client")
    contrib = importlib.import_module("opentelemetry.instrumentation.grpc._client")
    interceptor = contrib.OpenTelemetryClientInterceptor(trace.get_tracer("grpc"))
    for streams in (True, False):
        about = SimpleNamespace(full_method=COUNT, is_server_stream=streams, timeout=None)
        answers = interceptor.intercept_stream(b"", None, about, lambda *arguments: [b"tea"])
        assert answers == [b"tea"]
    with pytest.raises(ZeroDivisionError):
        interceptor.intercept_stream(
            b"", None, SimpleNamespace(full_method=ECHO, is_server_stream=True), lambda *_: 1 / 0
        )
    assert spans.names == [COUNT, COUNT, ECHO]
    patch_calls("redis")
    patch_calls("grpc_client")
    patch_calls("grpc_aio_client")
    patch_calls("grpc_aio_client")


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
