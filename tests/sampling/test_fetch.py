"""Requests for strategies, and the responses and failures of servers."""

from __future__ import annotations

import builtins
import json
import socket
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest

from eco2_tracing import _lazy_imports
from eco2_tracing.sampling._remote.fetch import MAX_ANSWER, Fetcher, parse_endpoint


@pytest.mark.parametrize(
    ("text", "url", "target", "secure"),
    [
        ("http://jaeger:5778", "http://jaeger:5778/sampling", "jaeger:5778/sampling", False),
        ("http://jaeger:5778/", "http://jaeger:5778/sampling", "jaeger:5778/sampling", False),
        ("jaeger:5778/sampling", "jaeger:5778/sampling", "jaeger:5778/sampling", False),
        ("http://jaeger:14250/api/sampling", "http://jaeger:14250/api/sampling", "jaeger:14250/api/sampling", False),
        ("https://jaeger/sampling?tenant=a", "https://jaeger/sampling?tenant=a", "jaeger:443/sampling?tenant=a", True),
        ("http://jaeger", "http://jaeger/sampling", "jaeger:80/sampling", False),
        ("http://localhost:14250", "http://localhost:14250", None, False),
        ("https://jaeger:5779", "https://jaeger:5779", None, True),
        ("grpc://jaeger", "grpc://jaeger", None, False),
        ("http://me:secret@jaeger:80/s", "http://jaeger:80/s", "jaeger:80/s", False),
        ("grpc://jaeger:80/", "grpc://jaeger:80/", None, False),
    ],
)  # fmt: skip
def test_endpoints(text, url, target, secure):
    """A path means HTTP; without one, Jaeger's gRPC ports mean gRPC, others HTTP at /sampling."""
    endpoint = parse_endpoint(text)
    assert endpoint.url == url
    assert endpoint.secure is secure
    if target is None:
        assert endpoint.target is None
    else:
        assert f"{endpoint.host}:{endpoint.port}{endpoint.target}" == target


@pytest.mark.parametrize("text", ["", "ftp://jaeger", "http://", "http://jaeger:port/sampling"])
def test_endpoints_that_are_none(text):
    """They are refused."""
    with pytest.raises(ValueError, match=r"."):
        parse_endpoint(text)


@pytest.fixture
def server():
    """An HTTP server that answers by ``server.answer`` and records the requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            self.server.decision = self.headers["x-b3-sampled"]
            status, body = self.server.answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            """Nothing to the console."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetcher(port, rest="/sampling", scheme="http"):
    return Fetcher(parse_endpoint(f"{scheme}://127.0.0.1:{port}{rest}"), "my shop")


@pytest.mark.parametrize(
    ("rest", "asked"),
    [("", "/sampling?service=my+shop"), ("/api/s?a=1", "/api/s?a=1&service=my+shop")],
)
def test_http(server, rest, asked):
    """The service is named in the query, and the answer is JSON."""
    server.answer = (200, b'{"a": 1}')
    assert fetcher(server.server_port, rest).fetch() == {"a": 1}
    assert server.asked == [asked]
    assert server.decision == "0"  # a sidecar would trace each question


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((503, b"{}"), "it answers 503"),
        ((302, b"{}"), "it answers 302"),
        ((200, b"<html>"), "Expecting value"),
        ((200, b"\xff"), "codec"),
        ((200, b" " * (MAX_ANSWER + 1)), "longer than"),
    ],
)
def test_http_answers_that_are_none(server, answer, reason):
    """Errors, redirects, other formats and endless answers are refused."""
    server.answer = answer
    with pytest.raises(ValueError, match=reason):
        fetcher(server.server_port).fetch()


def test_a_server_that_is_away():
    """The connection error is the caller's to handle."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            fetcher(closed.getsockname()[1]).fetch()


def test_https_is_spoken_where_asked_for(server):
    """A server without TLS does not understand it."""
    server.answer = (200, b"{}")
    with pytest.raises(OSError, match=r"SSL|reset"):
        fetcher(server.server_port, scheme="https").fetch()


def test_a_fetch_is_aborted_from_another_thread():
    """A server that never answers does not delay the end of the process."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asking = fetcher(silent.getsockname()[1])
        asking.abort()  # nothing is under way: nothing happens
        failed = []

        def fetch():
            try:
                asking.fetch()
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=fetch)
        thread.start()
        connection, _ = silent.accept()
        with connection:
            connection.recv(1)  # the question is there: the answer is being waited for
            asking.abort()
            thread.join(30)
        assert not thread.is_alive()
        assert len(failed) == 1


def test_an_abort_before_the_connection_and_after_its_end():
    """There may be no socket yet, or none any more."""
    from http.client import HTTPConnection

    from eco2_tracing.sampling._remote.fetch import _shut_down

    connection = HTTPConnection("127.0.0.1", 9)
    _shut_down(connection)
    connection.sock = socket.socket()
    _shut_down(connection)  # not connected: shutdown() fails, and nobody minds
    connection.close()


@pytest.fixture
def grpc_server():
    """A gRPC server with the method that Jaeger has, answering fixed bytes."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    asked = []

    def answer(request, context):
        asked.append(request)
        return b"\x12\x09\x09" + b"\x00" * 6 + b"\xd0\x3f"

    handler = grpc.method_handlers_generic_handler(
        "jaeger.api_v2.SamplingManager", {"GetSamplingStrategy": grpc.unary_unary_rpc_method_handler(answer)}
    )
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port, asked
    server.stop(None).wait()


def test_grpc(grpc_server):
    """Without a path on a gRPC port, Jaeger's method is called, and its answer looks like the HTTP one's."""
    port, asked = grpc_server
    answer = fetcher(port, "", "grpc").fetch()
    assert json.dumps(answer) == '{"probabilisticSampling": {"samplingRate": 0.25}}'
    assert asked == [b"\x0a\x07my shop"]


def test_grpc_over_tls_needs_a_server_with_tls(grpc_server):
    """``https`` without a path on a gRPC port is gRPC over TLS."""
    from dataclasses import replace

    port, _ = grpc_server
    endpoint = replace(parse_endpoint("https://127.0.0.1:5779"), port=port)
    with pytest.raises(grpc.RpcError):
        Fetcher(endpoint, "shop").fetch()


@pytest.mark.parametrize(("url", "module"), [("http://{}/s", "http.client"), ("grpc://{}", "grpc")])
def test_no_fork_cuts_through_an_import(url, module, monkeypatch):
    """What the sampler's thread imports, it imports while forks wait."""
    held = []
    original = builtins.__import__

    def watched(name, *arguments, **keywords):
        if name == module:
            held.append(_lazy_imports._gate.lock.locked())
        return original(name, *arguments, **keywords)

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and listens not
        fetcher = Fetcher(parse_endpoint(url.format(f"127.0.0.1:{nobody.getsockname()[1]}")), "shop")
        monkeypatch.setattr(builtins, "__import__", watched)
        with pytest.raises((OSError, grpc.RpcError)):
            fetcher.fetch()
    assert held[0]
