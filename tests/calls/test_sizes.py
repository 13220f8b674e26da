"""Sizes of bodies on client spans: from `content-length`, otherwise counted as they pass."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from opentelemetry.trace import SpanKind

from tests.calls.conftest import configure, inside
from tests.calls.transports import Making, retry

REQUEST, RESPONSE = "http.request.body.size", "http.response.body.size"
PARTS = (b"abc", b"defgh")


def parts():
    yield from PARTS


async def async_parts():
    for part in PARTS:
        yield part


class Chunked:
    """A server that reads one chunked request and answers in chunks."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/x"
        self.received = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            while b"\r\n0\r\n\r\n" not in self.received:
                self.received += connection.recv(65536)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n there\r\n0\r\n\r\n"
            )

    def stop(self) -> None:
        """Stop listening."""
        self._thread.join(5)
        self._listener.close()


@pytest.fixture
def chunked():
    """A server of chunks."""
    made = Chunked()
    yield made
    made.stop()


def post(caller, url, content, *, reads=True, method="POST", **options):
    """Make one request with a body; give the response's body, if it is read."""
    if not caller.is_async:
        with caller.client(**options) as client, client.stream(method, url, content=content) as response:
            return response.read() if reads else None

    async def call():
        async with (
            caller.client(**options) as client,
            client.stream(method, url, content=content) as response,
        ):
            return await response.aread() if reads else None

    return asyncio.run(call())


def sizes(captured):
    """The sizes of each client span."""
    return [
        (found.attributes.get(REQUEST), found.attributes.get(RESPONSE))
        for found in captured.find(kind=SpanKind.CLIENT)
    ]


def test_declared_sizes(caller, callee):
    """Both are the `content-length` of the messages."""
    captured = configure(capture="sizes")
    callee.answer("/", body=b"hello")
    inside(lambda: post(caller, callee.url(), b"12345678"))
    assert sizes(captured) == [(8, 5)]


def test_counted_sizes(caller, chunked):
    """Bodies in chunks are counted, without changing them."""
    captured = configure(capture="sizes")
    answers = []
    content = async_parts() if caller.is_async else parts()
    inside(lambda: answers.append(post(caller, chunked.url, content)))
    assert answers == [b"hello there"]
    assert b"abc" in chunked.received
    assert b"defgh" in chunked.received
    assert sizes(captured) == [(8, 11)]


def test_a_body_that_is_not_read(caller, chunked):
    """There is no size of what was not received."""
    captured = configure(capture="sizes")
    content = async_parts() if caller.is_async else parts()
    inside(lambda: post(caller, chunked.url, content, reads=False))
    assert sizes(captured) == [(8, None)]


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
def test_responses_without_a_body(one, callee, method, status):
    """Their `content-length` is that of another response."""
    captured = configure(capture="sizes")
    client = one.client(
        transport=one.module.MockTransport(
            lambda request: one.module.Response(status, headers={"content-length": "7"})
        )
    )
    inside(lambda: client.request(method, callee.url()))
    assert sizes(captured) == [(None, None)]


def test_each_attempt_has_its_own_sizes(one, callee):
    """A retried request with a body that can be repeated is counted from the beginning."""
    captured = configure(capture="sizes")
    module = one.module

    class Repeated(module.SyncByteStream):
        parts = PARTS

        def __iter__(self):
            yield from PARTS

        def close(self):
            self.closed = True

    seen = []

    def respond(request):
        body = b"".join(request.stream)
        seen.append(body)
        return module.Response(503 if len(seen) == 1 else 200, content=b"ok")

    class Plain(module.BaseTransport):
        def handle_request(self, request):
            return respond(request)

    transport = Plain()
    client = one.client(transport=transport)
    stream = Repeated()

    def work():
        request = module.Request(
            "POST", callee.url(), headers={"transfer-encoding": "chunked"}, stream=stream
        )
        client.send(request)
        client.send(request)
        assert request.stream.parts == PARTS
        request.stream.close()

    inside(work)
    assert seen == [b"abcdefgh"] * 2
    assert sizes(captured) == [(8, 2), (8, 2)]
    assert stream.closed


def test_without_sizes(one, callee):
    """By default no span has a size, and streams are not replaced."""
    captured = configure()
    inside(lambda: post(one, callee.url(), b"12345678"))
    assert sizes(captured) == [(None, None)]


def test_a_hidden_transport(one, callee):
    """An outer transport that passes the request on restarts the measurement."""
    captured = configure(capture="sizes")
    callee.answer("/", body=b"hello")
    making = Making(one)
    client = one.client(transport=making.hiding(retry, making.open()))
    inside(lambda: client.post(callee.url(), content=b"123"))
    assert sizes(captured) == [(3, 5)]
