"""Response bodies: one that breaks off is an error of the call, one that the caller closes early is not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import socket
import threading
from functools import partial

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import eco2_tracing
from eco2_tracing.testing import b3_headers
from tests.calls.conftest import Caller, configure, inside
from tests.calls.transports import Making, retry

HEAD = b"HTTP/1.1 200 OK\r\n"
GARBAGE = b"content-encoding: gzip\r\ncontent-length: 12\r\n\r\nno gzip here"
ZIPPED = gzip.compress(bytes(range(256)) * 2000, mtime=0)
RAW = {
    "shorter than its length": b"content-length: 10\r\n\r\nabc",
    "chunk that breaks off": b"transfer-encoding: chunked\r\n\r\n5\r\nabc",
    "chunk that is none": b"transfer-encoding: chunked\r\n\r\nzz\r\n",
}


class Breaking:
    """A server that sends the same bytes to each client, then closes or waits until it is stopped."""

    def __init__(self, answer: bytes, waits: bool = False) -> None:
        self._answer = answer
        self._waits = waits
        self.stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/x"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(self._answer)
                if self._waits:
                    self.stopped.wait(10)

    def stop(self) -> None:
        """Stop listening."""
        self.stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def breaking():
    """Start servers that break off."""
    made = []

    def make(answer, waits=False):
        made.append(Breaking(HEAD + answer, waits))
        return made[-1].url

    yield make
    for server in made:
        server.stop()


def failed(captured):
    """The client span, which must be an error with a response status of 200."""
    (span,) = captured.find(kind=SpanKind.CLIENT)
    assert span.status is StatusCode.ERROR
    assert span.attributes["http.response.status_code"] == 200
    (event,) = span.events
    assert event.attributes["exception.type"].rpartition(".")[2] == span.attributes["error.type"]
    return span.attributes["error.type"]


def get(caller, url, **options):
    """Make a GET request; return the name of the exception."""
    try:
        caller.get(url, **options)
    except caller.module.HTTPError as exception:
        return type(exception).__name__
    return None


def read(caller, url, work, client=None):
    """Stream a response and process it; return the name of the exception."""

    async def stream():
        async with client or caller.client() as opened, opened.stream("GET", url) as response:
            await work(response)

    try:
        if caller.is_async:
            asyncio.run(stream())
        else:
            with caller.client() as opened, opened.stream("GET", url) as response:
                work(response)
    except (caller.module.HTTPError, LookupError) as exception:
        return type(exception).__name__
    return None


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("answer", RAW.values(), ids=RAW)
def test_broken_body_is_an_error(caller, captured_spans, breaking, answer, sampled):
    """`get` reads it: the trace is kept although the status was 200."""
    raised = []
    inside(lambda: raised.append(get(caller, breaking(answer))), b3_headers(sampled=sampled))
    assert raised == [failed(captured_spans)] == ["RemoteProtocolError"]
    assert captured_spans.one(kind=SpanKind.SERVER).status is StatusCode.UNSET


def test_body_timeout_is_an_error(caller, captured_spans, breaking):
    """The headers arrived in time."""
    url = breaking(b"content-length: 10\r\n\r\nabc", waits=True)
    raised = []
    inside(
        lambda: raised.append(get(caller, url, timeout=caller.module.Timeout(20, read=0.2))),
        b3_headers(sampled=False),
    )
    assert raised == [failed(captured_spans)] == ["ReadTimeout"]


def test_undecodable_body_is_an_error(caller, captured_spans, breaking):
    """The body is decoded above the transport."""
    raised = []
    inside(lambda: raised.append(get(caller, breaking(GARBAGE))), b3_headers(sampled=False))
    assert raised == [failed(captured_spans)] == ["DecodingError"]


@pytest.mark.parametrize("answer", [*RAW.values(), GARBAGE], ids=[*RAW, "garbage"])
def test_broken_stream_is_an_error(caller, captured_spans, breaking, answer):
    """The application reads it in chunks."""
    raised = []

    def parts(response):
        for _ in response.iter_bytes():
            pass

    async def parts_async(response):
        async for _ in response.aiter_bytes():
            pass

    work = parts_async if caller.is_async else parts
    inside(lambda: raised.append(read(caller, breaking(answer), work)), b3_headers(sampled=False))
    assert raised == [failed(captured_spans)]


@pytest.mark.parametrize("ending", ["closed early", "raised by the application", "not read"])
def test_stream_closed_early_is_no_error(caller, callee, captured_spans, ending):
    """An exception of the application between two chunks is not one either."""
    callee.answer("/parts", 200, b"x" * 300_000)

    def work(response):
        if ending == "not read":
            return
        for _ in response.iter_bytes(100):
            if ending == "closed early":
                return
            raise LookupError

    async def work_async(response):
        if ending == "not read":
            return
        async for _ in response.aiter_bytes(100):
            if ending == "closed early":
                return
            raise LookupError

    inside(lambda: read(caller, callee.url("/parts"), work_async if caller.is_async else work))
    (span,) = captured_spans.find(kind=SpanKind.CLIENT)
    assert (span.status, span.events) == (StatusCode.UNSET, ())
    assert span.attributes["http.response.status_code"] == 200


@pytest.mark.parametrize("ending", ["read", "closed early", "raw"])
def test_encoded_stream_is_no_error(caller, callee, captured_spans, ending):
    """It is decoded, closed early or read raw."""
    callee.answer("/zipped", 200, ZIPPED, content_encoding="gzip")

    def work(response):
        for _ in response.iter_raw() if ending == "raw" else response.iter_bytes(100):
            if ending == "closed early":
                return

    async def work_async(response):
        async for _ in response.aiter_raw() if ending == "raw" else response.aiter_bytes(100):
            if ending == "closed early":
                return

    inside(lambda: read(caller, callee.url("/zipped"), work_async if caller.is_async else work))
    (span,) = captured_spans.find(kind=SpanKind.CLIENT)
    assert (span.status, span.events) == (StatusCode.UNSET, ())
    if ending == "read":
        got = []
        inside(lambda: got.append(caller.get(callee.url("/zipped")).content))
        assert len(got[0]) == 512_000
        assert len(captured_spans.find(kind=SpanKind.CLIENT)) == 2


def test_truncated_encoded_body_is_an_error(one, captured_spans, monkeypatch):
    """Some decoders notice it only after the transport's stream was closed."""
    monkeypatch.setattr(one.module._decoders.GZipDecoder, "flush", lambda _: iter(broken()))

    def broken():
        raise one.module.DecodingError("incomplete")
        yield b""

    class Parts(one.module.SyncByteStream):
        def __iter__(self):
            yield ZIPPED

    def answer(_):
        return one.module.Response(200, headers={"content-encoding": "gzip"}, stream=Parts())

    client = one.client(transport=one.module.MockTransport(answer))
    inside(lambda: get(one, "http://auth.svc/", client=client))
    assert failed(captured_spans) == "DecodingError"


def test_error_of_another_call_is_not_the_streams(one, callee, captured_spans):
    """The stream is closed while an exception of another call is handled."""
    callee.answer("/parts", 200, b"abc")

    def both(_response):
        one.get("http://127.0.0.1:1/")

    inside(lambda: read(one, callee.url("/parts"), both))
    spans = {span.attributes["url.full"]: span for span in captured_spans.find(kind=SpanKind.CLIENT)}
    assert spans[callee.url("/parts")].status is StatusCode.UNSET
    assert spans["http://127.0.0.1:1/"].attributes["error.type"] == "ConnectError"


def test_call_cancelled_while_its_body_is_read(captured_spans, breaking):
    """The span ends without an error, as before the response."""
    caller = Caller("httpx2", is_async=True)
    url = breaking(b"content-length: 10\r\n\r\nabc", waits=True)

    async def call():
        reading = asyncio.Event()

        async def read_on():
            async with caller.client() as client, client.stream("GET", url) as response:
                async for _ in response.aiter_raw():
                    reading.set()

        task = asyncio.create_task(read_on())
        await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    inside(lambda: asyncio.run(call()))
    (span,) = captured_spans.find(kind=SpanKind.CLIENT)
    assert (span.status, span.events) == (StatusCode.UNSET, ())


def test_span_of_an_unclosed_response_ends(one, callee, captured_spans):
    """It ends when the response is garbage-collected."""
    callee.answer("/parts", 200, b"abc")
    transport = one.module.HTTPTransport(verify=False)

    def forget():
        transport.handle_request(one.module.Request("GET", callee.url("/parts")))
        gc.collect()

    inside(forget)
    transport.close()
    (span,) = captured_spans.find(kind=SpanKind.CLIENT)
    assert span.attributes["http.response.status_code"] == 200


def test_the_span_ends_when_the_response_begins(one, captured_spans):
    """Unless the body fails: the time of a slow reader is not counted."""
    times = []

    class Parts(one.module.SyncByteStream):
        def __iter__(self):
            yield b"a"
            with eco2_tracing.span("between"):
                pass

    transport = one.module.MockTransport(lambda _: one.module.Response(200, stream=Parts()))
    inside(lambda: times.append(one.client(transport=transport).get("http://auth.svc/").text))
    span, between = captured_spans.one(kind=SpanKind.CLIENT), captured_spans.one("between")
    assert times == ["a"]
    assert span.end_ns <= between.start_ns
    assert between.parent_span_id == captured_spans.one(kind=SpanKind.SERVER).span_id


def test_retries_after_broken_bodies(one, captured_spans, breaking):
    """The transport reads the body itself."""

    def reading(_self, request, hand_on):
        for _ in range(2):
            response = yield hand_on(request)
            try:
                response.read()
            except one.module.RemoteProtocolError:
                continue
        return one.module.Response(502)

    making = Making(one)
    client = one.client(transport=making.wrapping(reading, making.open()))
    inside(lambda: client.get(breaking(RAW["shorter than its length"])))
    assert [span.attributes["error.type"] for span in captured_spans.find(kind=SpanKind.CLIENT)] == [
        "RemoteProtocolError"
    ] * 2


def test_call_of_a_script_with_a_broken_body_is_kept(caller, breaking):
    """The client span is the local root."""
    captured = configure(traces_sampler="always_off", error_sampling_rate=1.0)
    assert get(caller, breaking(RAW["shorter than its length"])) == failed(captured)
    assert captured.one().attributes["eco2.sampling.reason"] == "error"


def test_attributes_of_a_custom_stream(one, captured_spans):
    """Code that expects its own stream finds its attributes."""

    class Parts(one.module.SyncByteStream):
        length = 3

        def __iter__(self):
            yield b"abc"

    transport = one.module.MockTransport(lambda _: one.module.Response(200, stream=Parts()))

    def work():
        response = transport.handle_request(one.module.Request("GET", "http://auth.svc/"))
        assert (response.stream.length, b"".join(response.stream)) == (3, b"abc")
        with pytest.raises(AttributeError):
            _ = response.stream.width
        response.close()

    assert inside(work) == 200
    assert len(captured_spans.find(kind=SpanKind.CLIENT)) == 1


@pytest.mark.parametrize("status", [101, 200])
def test_upgraded_connection(one, captured_spans, status):
    """The span of a WebSocket handshake does not wait for the end of the connection."""
    ended = []

    class Open(one.module.SyncByteStream):
        def __iter__(self):
            yield b""

    transport = one.module.MockTransport(lambda _: one.module.Response(status, stream=Open()))

    def work():
        with one.client(transport=transport).stream("GET", "http://auth.svc/"):
            ended.append(not trace.get_current_span().local_trace.open)

    inside(work)
    assert len(captured_spans.find(kind=SpanKind.CLIENT)) == 1
    assert ended == [status == 101]


def test_http2_reset_within_the_body(captured_spans):
    """An HTTP/2 stream reset is an error too."""
    h2 = pytest.importorskip("h2")
    assert h2
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import RequestReceived

    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listener.accept()
        with connection:
            protocol = H2Connection(H2Configuration(client_side=False))
            protocol.initiate_connection()
            connection.sendall(protocol.data_to_send())
            while data := connection.recv(65536):
                for event in protocol.receive_data(data):
                    if isinstance(event, RequestReceived):
                        protocol.send_headers(event.stream_id, [(":status", "200")])
                        protocol.send_data(event.stream_id, b"abc")
                        protocol.reset_stream(event.stream_id, 2)
                connection.sendall(protocol.data_to_send())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    caller = Caller("httpx2", is_async=False)
    client = caller.client(http1=False, http2=True)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    inside(lambda: get(caller, url, client=client), b3_headers())
    client.close()
    listener.close()
    thread.join(5)
    assert failed(captured_spans) == "RemoteProtocolError"
    (span,) = captured_spans.find(kind=SpanKind.CLIENT)
    assert span.attributes["network.protocol.version"] == "2"


@pytest.fixture
def other_provider(monkeypatch):
    """A tracer provider of other code."""
    from eco2_tracing._instrumentation.common.state import current
    from eco2_tracing._instrumentation.external.provider import call_external

    configure()
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(current.state, "instrumenter", None)
    monkeypatch.setattr(current.state, "call_external", partial(call_external, provider.get_tracer("other")))
    yield exporter
    provider.shutdown()


def test_attempts_and_bodies_with_another_provider(caller, callee, other_provider, breaking):
    """The same rules hold with spans of the API."""
    making = Making(caller)
    transport = making.hiding(retry, making.open())
    callee.answer("/x", 503)
    caller.get(callee.url("/x"), client=caller.client(transport=transport))
    assert len(callee.seen) == 3
    spans = other_provider.get_finished_spans()
    assert [f"{span.context.span_id:016x}" for span in spans] == [seen["x-b3-spanid"] for seen in callee.seen]
    assert {span.attributes["http.response.status_code"] for span in spans} == {503}
    other_provider.clear()
    raised = get(caller, breaking(RAW["chunk that breaks off"]))
    (span,) = other_provider.get_finished_spans()
    assert (span.attributes["error.type"], span.status.status_code) == (raised, StatusCode.ERROR)


def test_span_ended_by_the_application(one, captured_spans):
    """It is not ended again."""

    def answer(_):
        trace.get_current_span().end()
        return one.module.Response(200)

    inside(lambda: one.client(transport=one.module.MockTransport(answer)).get("http://auth.svc/"))
    assert len(captured_spans.find(kind=SpanKind.CLIENT)) == 1


def test_internal_failure_at_the_end_of_a_body(one, callee, captured_spans, monkeypatch, caplog):
    """The application receives its response."""
    from eco2_tracing._instrumentation.client.call import ClientCall

    monkeypatch.setattr(ClientCall, "finished", None)
    assert one.get(callee.url()).status_code == 200
    assert [record for record in caplog.records if "reading a response" in record.message]


def test_stream_that_is_not_a_generator(captured_spans):
    """It is closed early, and read after its end."""
    caller = Caller("httpx2", is_async=True)

    class Parts(caller.module.AsyncByteStream):
        def __init__(self):
            self.count = 0

        def __aiter__(self):
            return self

        async def __anext__(self):
            self.count += 1
            if self.count > 2:
                raise StopAsyncIteration
            return b"x"

    transport = caller.module.MockTransport(lambda _: caller.module.Response(200, stream=Parts()))

    async def call():
        async with (
            caller.client(transport=transport) as client,
            client.stream("GET", "http://auth.svc/") as response,
        ):
            parts = response.stream.__aiter__()
            assert await parts.__anext__() == b"x"
            await parts.aclose()

    inside(lambda: asyncio.run(call()))
    (span,) = captured_spans.find(kind=SpanKind.CLIENT)
    assert span.status is StatusCode.UNSET


def test_stream_that_fails_after_its_close(one, captured_spans):
    """The span has ended without an error."""

    class Parts(one.module.SyncByteStream):
        def __iter__(self):
            yield b"a"
            raise LookupError

    transport = one.module.MockTransport(lambda _: one.module.Response(200, stream=Parts()))

    def work():
        stream = transport.handle_request(one.module.Request("GET", "http://auth.svc/")).stream
        parts = iter(stream)
        next(parts)
        stream.close()
        with pytest.raises(LookupError):
            next(parts)

    assert inside(work) == 200
    assert captured_spans.one(kind=SpanKind.CLIENT).status is StatusCode.UNSET


def test_generator_of_chunks_can_be_closed(captured_spans):
    """A transport's generator stays a generator for code that closes it."""
    caller = Caller("httpx", is_async=True)
    closed = []

    class Parts(caller.module.AsyncByteStream):
        async def __aiter__(self):
            try:
                yield b"a"
                yield b"b"
            finally:
                closed.append(True)

    transport = caller.module.MockTransport(lambda _: caller.module.Response(200, stream=Parts()))

    async def call():
        response = await transport.handle_async_request(caller.module.Request("GET", "http://auth.svc/"))
        async with contextlib.aclosing(response.stream.__aiter__()) as parts:
            assert await parts.__anext__() == b"a"
        assert closed == [True]
        await response.aclose()

    inside(lambda: asyncio.run(call()))
    (span,) = captured_spans.find(kind=SpanKind.CLIENT)
    assert span.status is StatusCode.UNSET
