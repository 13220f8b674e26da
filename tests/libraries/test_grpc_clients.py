"""gRPC clients, plain and of ``grpc.aio``, against a running server that records the metadata."""

from __future__ import annotations

import asyncio
import importlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from eco2_tracing import shutdown_tracing
from eco2_tracing.testing import TRACE_ID

grpc = pytest.importorskip("grpc")
pytest.importorskip("opentelemetry.instrumentation.grpc")
LIMIT_S = 30


class Server(grpc.GenericRpcHandler):
    """Answers with what it gets, or aborts; keeps the metadata of the last call."""

    def __init__(self):
        self.metadata = {}

    def service(self, details):
        self.metadata = dict(details.invocation_metadata)
        if details.method == "/test.Echo/Fail":
            return grpc.unary_unary_rpc_method_handler(self._fail)
        if details.method == "/test.Echo/Stream":
            return grpc.stream_stream_rpc_method_handler(lambda requests, context: requests)
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)

    @staticmethod
    def _fail(request, context):
        context.abort(grpc.StatusCode.UNAVAILABLE, "password=planted")


@pytest.fixture
def server():
    """A server without instrumentation."""
    server = Server()
    with ThreadPoolExecutor(1) as pool:
        running = grpc.server(pool, handlers=(server,))
        server.target = f"127.0.0.1:{running.add_insecure_port('127.0.0.1:0')}"
        running.start()
        yield server
        running.stop(None).wait(LIMIT_S)


def plain(target, method):
    """Call with a channel of ``grpc``."""
    with grpc.insecure_channel(target) as channel:
        if method == "Stream":
            answers = channel.stream_stream("/test.Echo/Stream")(iter([b"1", b"2"]), LIMIT_S)
            assert list(answers) == [b"1", b"2"]
        else:
            assert channel.unary_unary(f"/test.Echo/{method}")(b"hello", LIMIT_S) == b"hello"


def aio(target, method):
    """Call with a channel of ``grpc.aio``."""

    async def run():
        async with importlib.import_module("grpc.aio").insecure_channel(target) as channel:
            if method == "Stream":
                answers = channel.stream_stream("/test.Echo/Stream")(iter([b"1", b"2"]), timeout=LIMIT_S)
                assert [answer async for answer in answers] == [b"1", b"2"]
            else:
                answer = await channel.unary_unary(f"/test.Echo/{method}")(b"hello", timeout=LIMIT_S)
                assert answer == b"hello"

    asyncio.run(run())


@pytest.fixture(params=[plain, aio], ids=["grpc", "grpc.aio"])
def call(request):
    """Both kinds of clients."""
    return request.param


@pytest.mark.parametrize("method", ["Say", "Stream"])
def test_a_failing_request_keeps_its_calls(call, method, service, server):
    """At 1 % the one client span is below the server span, and the called service gets its context, unsampled."""
    kept = service.serve(lambda: call(server.target, method))
    (span,) = [found for found in kept if found.kind is SpanKind.CLIENT]
    (root,) = [found for found in kept if found.kind is SpanKind.SERVER]
    assert (span.name, span.parent_span_id) == (f"/test.Echo/{method}", root.span_id)
    assert span.attributes == {
        "rpc.system": "grpc",
        "rpc.service": "test.Echo",
        "rpc.method": method,
        "rpc.grpc.status_code": 0,
    }
    told = server.metadata
    assert (told["x-b3-traceid"], told["x-b3-spanid"], told["x-b3-sampled"]) == (TRACE_ID, span.span_id, "0")


def test_a_call_that_failed_and_was_handled(call, service, server):
    """Its error alone keeps the trace, without the secret in its details."""

    def work():
        with pytest.raises(grpc.RpcError):
            call(server.target, "Fail")

    kept = service.serve(work, fails=False)
    (span,) = [found for found in kept if found.kind is SpanKind.CLIENT]
    assert span.status is StatusCode.ERROR
    assert span.attributes["rpc.grpc.status_code"] == grpc.StatusCode.UNAVAILABLE.value[0]
    assert "planted" not in str(kept)


def test_untouched_afterwards(call, service, server):
    """A channel that is made when tracing has ended works, and carries nothing."""
    shutdown_tracing()
    call(server.target, "Say")
    assert not {"traceparent", "x-b3-traceid"} & server.metadata.keys()
    assert service.captured.spans == ()
