"""The receiver: every protocol on its port, and what it refuses."""

from __future__ import annotations

import gzip
import json
import socket
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from eco2_tracing._protobuf import block, varint
from eco2_tracing._view import receiver as receiver_module
from eco2_tracing._view.decode import document_of, message_of, parse
from eco2_tracing._view.receiver import PortError, Receiver
from eco2_tracing._view.search import Query
from eco2_tracing._view.store import Store
from eco2_tracing.testing import _servers
from tests.view.requests import OTHER, TRACE, logs, request, shop, span, wait_until

JSON = {"content-type": "application/json"}
PROTOBUF = {"content-type": "application/x-protobuf"}
ZIPKIN = [
    {
        "traceId": TRACE[16:], "id": "1", "name": "edge", "kind": "SERVER", "timestamp": 1_700_000_000_000_000,
        "duration": 5000, "localEndpoint": {"serviceName": "gateway"},
        "tags": {"http.status_code": "503", "error": "x"},
        "annotations": [{"timestamp": 1_700_000_000_000_100, "value": "retry"}],
        "remoteEndpoint": {"serviceName": "client", "ipv4": "10.0.0.7", "port": 99, "other": 1},
    },
    {"traceId": TRACE[16:], "id": "2", "parentId": "1", "localEndpoint": {"serviceName": "gateway"}},
]  # fmt: skip


@pytest.fixture(scope="module")
def receiver():
    """A receiver on free ports with a store of its own."""
    store = Store()
    with Receiver(store, 0, 0, 0) as made:
        made.store = store
        yield made
    store.close()


def post(port, path, body, headers):
    """Post a body; return the status, the type and the body of the response."""
    sent = Request(f"http://127.0.0.1:{port}{path}", body, headers, method="POST")
    try:
        with build_opener(ProxyHandler({})).open(sent, timeout=20) as response:
            return response.status, response.headers["content-type"], response.read()
    except HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], error.read()


def spans_of(receiver, trace=TRACE):
    """The names of the stored spans."""
    stored = receiver.store.get(trace)
    return [one.name for one in stored.spans] if stored else []


@pytest.mark.parametrize("headers", [PROTOBUF, JSON])
@pytest.mark.parametrize("compressed", [False, True])
def test_otlp_over_http(receiver, headers, compressed):
    """Protobuf and JSON, each plain and gzipped; the response has the encoding of the request."""
    trace = f"{len(headers['content-type'])}{int(compressed)}".rjust(32, "a")
    sent = shop(trace)
    body = json.dumps(document_of(sent)).encode() if headers is JSON else sent.SerializeToString()
    if compressed:
        body, headers = gzip.compress(body), {**headers, "content-encoding": "gzip"}
    status, kind, answer = post(receiver.http_port, "/v1/traces", body, headers)
    assert (status, kind) == (200, headers["content-type"])
    assert answer == (b"{}" if kind == JSON["content-type"] else b"")
    assert spans_of(receiver, trace) == ["GET /cart/{item}", "GET", "GET /stock"]


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_otlp_over_grpc(receiver, compression):
    """Spans and log records, plain and gzipped."""
    trace = f"b{compression.value}".rjust(32, "b")
    with grpc.insecure_channel(f"127.0.0.1:{receiver.grpc_port}") as channel:
        for service, sent in (("trace.v1.TraceService", shop(trace)), ("logs.v1.LogsService", logs(trace))):
            call = channel.unary_unary(f"/opentelemetry.proto.collector.{service}/Export")
            assert call(sent.SerializeToString(), compression=compression, timeout=20) == b""
    assert len(receiver.store.get(trace).spans) == 3
    assert len(receiver.store.get(trace).lines) == 1


def test_log_records_over_http(receiver):
    """At `/v1/logs`."""
    assert post(receiver.http_port, "/v1/logs", logs("c" * 32).SerializeToString(), PROTOBUF)[0] == 200
    assert len(receiver.store.get("c" * 32).lines) == 1


def test_zipkin(receiver):
    """Kinds, tags, annotations, endpoints and short trace ids."""
    assert post(receiver.zipkin_port, "/api/v2/spans", json.dumps(ZIPKIN).encode(), JSON)[0] == 200
    first, second = sorted(receiver.store.get(TRACE[16:].rjust(32, "0")).spans, key=lambda one: one.span_id)
    assert (first.name, first.kind.name, first.service, first.is_error) == ("edge", "SERVER", "gateway", True)
    assert first.attributes["peer.service"] == "client"
    assert (first.attributes["network.peer.address"], first.attributes["network.peer.port"]) == (
        "10.0.0.7",
        99,
    )
    assert (first.duration_ms, first.events[0].name) == (5.0, "retry")
    assert second.parent_span_id == first.span_id


def test_invalid_ids_are_a_partial_success(receiver):
    """The exporter learns how many spans were refused."""
    sent = request(span(0), span(1, trace="d" * 32)).SerializeToString()
    answer = ExportTraceServiceResponse.FromString(post(receiver.http_port, "/v1/traces", sent, PROTOBUF)[2])
    assert answer.partial_success.rejected_spans == 1


def refused(receiver, port, path, body, headers, reason):
    """Post what must be refused; return the status, and how many more are counted for a reason."""
    before = receiver.store.counts()["refused"].get(reason, 0)
    status, _, answer = post(port, path, body, headers)
    return status, receiver.store.counts()["refused"].get(reason, 0) - before, answer


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/v1/traces", b"\x0a\xff", PROTOBUF),
        ("/v1/traces", b"\x0a\xff\xff", PROTOBUF),
        ("/v1/traces", b"\x0b", PROTOBUF),
        ("/v1/traces", b"not JSON", JSON),
        ("/v1/traces", b"[1]", JSON),
        ("/v1/traces", b'{"resourceSpans": 7}', JSON),
        ("/v1/traces", b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}', JSON),
        ("/v1/traces", b'{"a":' * 2000 + b"1" + b"}" * 2000, JSON),
        ("/v1/traces", b"no gzip", {**PROTOBUF, "content-encoding": "gzip"}),
        ("/v1/traces", gzip.compress(b"x" * 1000, mtime=0)[:20], {**PROTOBUF, "content-encoding": "gzip"}),
        ("/api/v2/spans", b"7", JSON),
        ("/api/v2/spans", b'[{"id": "1"}]', JSON),
        ("/api/v2/spans", b'[{"traceId": "1", "id": "1", "timestamp": -5}]', JSON),
    ],
)  # fmt: skip
def test_what_cannot_be_decoded_is_refused_and_counted(receiver, path, body, headers):
    """With 400, so that no exporter sends it again."""
    found = refused(receiver, receiver.http_port, path, body, headers, "requests that could not be decoded")
    assert found[:2] == (400, 1)


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_large_messages_over_grpc_are_refused_and_counted(monkeypatch, compression):
    """With the status of grpcio; a call without a message is refused too."""
    monkeypatch.setattr(receiver_module, "MOST_BYTES", 1000)
    store = Store()
    with Receiver(store, 0, 0, 0) as own, grpc.insecure_channel(f"127.0.0.1:{own.grpc_port}") as channel:
        path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
            channel.unary_unary(path)(bytes(2000), compression=compression, timeout=20)
        with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT"):
            channel.stream_unary(path)(iter(()), timeout=20)
        wait_until(lambda: sum(store.counts()["refused"].values()) == 2)
    assert store.counts()["refused"] == {"messages over gRPC that are too large or incomplete": 2}


def test_large_bodies_are_refused_and_counted(receiver, monkeypatch):
    """By their length, by their chunks, and by what gzip makes of them."""
    monkeypatch.setattr(_servers, "MOST_BYTES", 1000)
    reason = "requests that could not be decoded"
    bomb = gzip.compress(b"\0" * 1_000_000)
    zipped = {**PROTOBUF, "content-encoding": "gzip"}
    assert refused(receiver, receiver.http_port, "/v1/traces", bomb[:999], zipped, reason)[:2] == (400, 1)
    before = receiver.store.counts()["refused"][reason]
    for head in (b"Content-Length: 1001\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n"):
        with socket.create_connection(("127.0.0.1", receiver.http_port), 20) as connection:
            connection.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\n" + head)
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert receiver.store.counts()["refused"][reason] == before + 2


def test_pages_of_other_hosts_are_refused(receiver):
    """A browser sends the origin of the page; those of this machine may send spans."""
    sent = request(span(1, trace="e" * 32)).SerializeToString()
    for origin, expected in (
        ("https://evil.example", 403),
        ("http://[", 403),
        ("null", 403),
        ("http://localhost:3000", 200),
    ):
        headers = {**PROTOBUF, "origin": origin}
        assert post(receiver.http_port, "/v1/traces", sent, headers)[0] == expected
    assert receiver.store.counts()["refused"]["requests of pages on other hosts"] == 3


def test_other_paths_are_not_found(receiver):
    """The error is in the encoding of the request."""
    status, kind, answer = post(receiver.http_port, "/v1/metrics", b"{}", JSON)
    assert (status, kind, json.loads(answer)) == (
        404,
        "application/json",
        {"message": "nothing is at /v1/metrics"},
    )


def test_a_port_in_use_is_named(receiver):
    """With what to do, and the ports that were opened before are closed again."""
    store = Store()
    for ports, option in (
        ((0, receiver.http_port, 0), "--http-port"),
        ((0, 0, receiver.zipkin_port), "--zipkin-port"),
        ((receiver.grpc_port, 0, 0), "--grpc-port"),
    ):
        with (
            pytest.raises(PortError, match=f"port {max(ports)} is in use.*{option} 0"),
            Receiver(store, *ports),
        ):
            pass
    store.close()


def test_invalid_utf8_is_replaced(receiver):
    """The rest of the request is kept as it is."""
    sent = shop(OTHER)
    attribute = sent.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="word")
    attribute.value.string_value = "abcd"
    first = sent.resource_spans[0].scope_spans[0].spans[0]
    first.attributes.add(key="number").value.double_value = 1.5
    first.flags = 257  # fixed32
    first.attributes.add(key="raw").value.bytes_value = b"\xff\xfe"
    encoded = sent.SerializeToString()
    broken = encoded.replace(b"abcd", b"a\xff\xfed")
    assert parse(type(sent), broken + b"\xf8\x07\x05", is_json=False)  # and a field that nobody knows
    assert post(receiver.http_port, "/v1/traces", broken, PROTOBUF)[0] == 200
    stored = receiver.store.search(Query(text="a\ufffd\ufffdd"))
    assert [one.trace_id for one in stored] == [OTHER]
    kept = receiver.store.get(OTHER).spans[0]
    assert (kept.attributes["number"], kept.attributes["raw"], kept.flags) == (1.5, b"\xff\xfe", 257)


def test_values_that_are_too_deep_are_refused():
    """With invalid UTF-8 too."""
    value = b"\x0a\x01\xff"
    for _ in range(200):
        value = b"\x2a" + varint(len(block(b"\x0a", value))) + block(b"\x0a", value)
    resource = block(b"\x0a", b"\x0a\x01a" + block(b"\x12", value))
    with pytest.raises(ValueError, match="not an OTLP message"):
        parse(type(shop()), block(b"\x0a", block(b"\x0a", resource)), is_json=False)


def test_a_truncated_message_with_invalid_utf8_is_refused():
    """Its length must be right before a text is replaced."""
    with pytest.raises(ValueError, match="truncated"):
        parse(type(shop()), b"\x0a\x7f\x0a\x01\xff", is_json=False)
    with pytest.raises(ValueError, match="wire type"):
        parse(type(shop()), b"\x0a\x03\x0b\x01\xff", is_json=False)


def test_json_and_protobuf_are_the_same():
    """OTLP JSON has ids in hex."""
    document = document_of(shop())
    assert document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"] == TRACE
    assert message_of(type(shop()), document) == shop()
