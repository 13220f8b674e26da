"""The receiver accepts the exports of real exporters, and injects faults on request."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import sys
import threading
import urllib.error
import urllib.request

import grpc
import pytest
import requests
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode

from eco2_tracing._errors import MissingExtraError
from eco2_tracing.testing import OtlpReceiver, TlsFiles


@pytest.fixture
def receiver():
    """A receiver that is listening."""
    with OtlpReceiver() as started:
        yield started


def exporters(receiver):
    """The official exporters, with each transport and compression."""
    http = f"{receiver.http_endpoint}/v1/traces"
    return {
        "grpc": GrpcExporter(receiver.grpc_endpoint, insecure=True, headers={"x-tenant": "eco2"}),
        "grpc+gzip": GrpcExporter(
            receiver.grpc_endpoint,
            insecure=True,
            headers={"x-tenant": "eco2"},
            compression=grpc.Compression.Gzip,
        ),
        "http": HttpExporter(http, headers={"x-tenant": "eco2"}),
        "http+gzip": HttpExporter(
            http,
            headers={"x-tenant": "eco2"},
            compression=Compression.Gzip,
        ),
    }


@pytest.mark.parametrize("which", ["grpc", "grpc+gzip", "http", "http+gzip"])
def test_every_field_is_received_over_every_transport(receiver, which):
    """Each field of a span has the value that was exported."""
    provider = TracerProvider(resource=Resource({"service.name": "auth-api"}))
    provider.add_span_processor(BatchSpanProcessor(exporters(receiver)[which]))
    other = SpanContext(0xA1, 0xB2, is_remote=True)
    tracer = provider.get_tracer("scope", "1.0")
    with tracer.start_as_current_span(
        "parent", kind=SpanKind.SERVER, attributes={"n": 1, "list": ["a", "b"], "f": 0.5, "b": True}
    ) as parent:
        parent.set_status(StatusCode.ERROR, "broken")
        parent.add_event("happened", {"k": "v"}, timestamp=5)
        with tracer.start_as_current_span("child", links=[Link(other, {"why": "test"})]):
            pass
    provider.shutdown()

    receiver.wait_for(2)
    span = receiver.one("parent", kind=SpanKind.SERVER, service="auth-api")
    child = receiver.one("child", trace_id=span.trace_id.upper())
    assert dict(span.attributes) == {"n": 1, "list": ("a", "b"), "f": 0.5, "b": True}
    assert (span.is_error, span.status_description) == (True, "broken")
    assert [(e.name, e.time_ns, dict(e.attributes)) for e in span.events] == [("happened", 5, {"k": "v"})]
    assert [(link.trace_id, link.span_id) for link in child.links] == [(f"{0xA1:032x}", f"{0xB2:016x}")]
    assert dict(child.links[0].attributes) == {"why": "test"}
    assert (span.scope, span.scope_version) == ("scope", "1.0")
    assert (span.parent_span_id, child.parent_span_id) == (None, span.span_id)
    assert span.end_ns >= child.end_ns
    assert span.duration_ms >= 0
    request = receiver.requests[-1]
    assert request.transport == which.partition("+")[0]
    assert (request.answer, request.spans) == ("ok", 2)
    assert request.compression == ("gzip" if which == "http+gzip" else "")
    assert receiver.last_headers["x-tenant"] == "eco2"


def post(receiver, body=b"", path="/v1/traces", **headers):
    """Send one HTTP request; return its status, headers and body."""
    request = urllib.request.Request(f"{receiver.http_endpoint}{path}", body, headers, method="POST")
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def some_spans(count=2):
    """An export request of so many spans, one with values of every type."""
    request = ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    for number in range(1, count + 1):
        scoped.spans.add(name=f"span {number}", trace_id=b"\1" * 16, span_id=bytes([number] * 8), kind=99)
    attributes = scoped.spans[0].attributes
    attributes.add(key="nothing")
    attributes.add(key="map").value.kvlist_value.values.add(key="k").value.int_value = 3
    attributes.add(key="bytes").value.bytes_value = b"raw"
    return request.SerializeToString()


def call(receiver, body):
    """Send one gRPC request; return the response or raise the error."""
    with grpc.insecure_channel(f"127.0.0.1:{receiver.grpc_port}") as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        return ExportTraceServiceResponse.FromString(export(body, timeout=10))


def test_values_of_every_type(receiver):
    """Empty, map and bytes values become plain Python values; unknown kinds are internal."""
    assert post(receiver, some_spans(1))[0] == 200
    span = receiver.one()
    assert dict(span.attributes) == {"nothing": None, "map": {"k": 3}, "bytes": b"raw"}
    assert (span.kind, span.status, span.service) == (SpanKind.INTERNAL, StatusCode.UNSET, "")


def test_malformed_body_is_rejected(receiver):
    """Broken gzip, protobuf and Zipkin are answered with 400."""
    assert post(receiver, b"not gzip", **{"Content-Encoding": "gzip"})[0] == 400
    assert post(receiver, b"\xff\xff\xff")[0] == 400
    assert post(receiver, b'{"an": "object"}', "/api/v2/spans")[0] == 400
    assert post(receiver, gzip.compress(b"[]"), "/api/v2/spans", **{"Content-Encoding": "gzip"})[0] == 200
    assert receiver.spans == ()


def test_unknown_path_is_not_found(receiver):
    """Only two paths are served."""
    assert post(receiver, b"", "/v1/metrics")[0] == 404
    assert receiver.requests == ()


def test_chunked_body(receiver):
    """As Envoy sends it, with extensions and trailers."""
    body = some_spans(1)
    with socket.create_connection(("127.0.0.1", receiver.http_port)) as connection:
        connection.sendall(
            b"POST /v1/traces HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
            + b"3;ext=1\r\n%b\r\n%x\r\n%b\r\n0\r\nk: v\r\n\r\n" % (body[:3], len(body) - 3, body[3:])
        )
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert receiver.one().name == "span 1"


def test_fail_with_a_number_of_requests(receiver):
    """Both transports fail with a retry delay, hold nothing, and then recover."""
    receiver.fail_with(
        grpc_code="RESOURCE_EXHAUSTED", http_status=429, times=2, retry_after_s=1.5, message="later"
    )
    status, headers, body = post(receiver, some_spans())
    assert (status, headers["retry-after"]) == (429, "1.5")
    assert Status.FromString(body).message == "later"
    with pytest.raises(grpc.RpcError) as raised:
        call(receiver, some_spans())
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailing = dict(raised.value.trailing_metadata())
    info = RetryInfo()
    Status.FromString(trailing["grpc-status-details-bin"]).details[0].Unpack(info)
    assert info.retry_delay.ToMilliseconds() == 1500
    assert receiver.spans == ()
    assert [one.answer for one in receiver.requests] == ["429", "RESOURCE_EXHAUSTED"]
    assert post(receiver, some_spans())[0] == 200
    assert len(receiver.spans) == 2


def test_fail_with_until_recover(receiver):
    """Without a number, requests fail until `recover`."""
    receiver.fail_with()
    assert [post(receiver, some_spans())[0] for _ in range(3)] == [503, 503, 503]
    assert "retry-after" not in post(receiver, some_spans())[1]
    receiver.recover()
    assert post(receiver, some_spans())[0] == 200


def test_partial_success_holds_the_first_spans(receiver):
    """Rejected spans are reported with the message and not held."""
    receiver.reject_partly(1, "too old", times=1)
    response = call(receiver, some_spans())
    assert response.partial_success.rejected_spans == 1
    assert response.partial_success.error_message == "too old"
    assert [span.name for span in receiver.spans] == ["span 1"]
    assert not call(receiver, some_spans()).HasField("partial_success")


def test_recover_ends_delays(receiver):
    """The spans of a delayed request are held at once."""
    receiver.answer_after(600)
    answers = []
    sender = threading.Thread(target=lambda: answers.append(post(receiver, some_spans())[0]))
    sender.start()
    receiver.wait_for(2)
    assert answers == []
    receiver.recover()
    sender.join(10)
    assert answers == [200]


def test_zipkin_spans(receiver):
    """They become received spans, with padded ids."""
    spans = [
        {
            "traceId": "A1",
            "id": "B2",
            "parentId": "C3",
            "name": "gateway",
            "kind": "SERVER",
            "timestamp": 1000,
            "duration": 500,
            "localEndpoint": {"serviceName": "envoy"},
            "tags": {"error": "503"},
            "annotations": [{"timestamp": 1, "value": "sent"}],
        },
        {"traceId": "A1", "id": "C3"},
    ]
    assert post(receiver, json.dumps(spans).encode(), "/api/v2/spans")[0] == 200
    gateway = receiver.one("gateway", kind=SpanKind.SERVER, service="envoy")
    assert gateway.trace_id == "a1".zfill(32)
    assert gateway.parent_span_id == "c3".zfill(16)
    assert (gateway.is_error, gateway.duration_ms) == (True, 0.5)
    assert [(event.name, event.time_ns) for event in gateway.events] == [("sent", 1000)]
    assert receiver.one("").parent_span_id is None
    assert receiver.requests[-1].transport == "zipkin"


def test_restart_on_the_same_ports(receiver):
    """A stopped receiver refuses connections and holds its spans."""
    post(receiver, some_spans(1))
    before = (receiver.grpc_endpoint, receiver.http_endpoint)
    receiver.stop()
    with pytest.raises(urllib.error.URLError):
        post(receiver, some_spans(1))
    receiver.start()
    assert (receiver.grpc_endpoint, receiver.http_endpoint) == before
    call(receiver, some_spans(1))
    assert len(receiver.spans) == 2
    with pytest.raises(RuntimeError, match="already"):
        receiver.start()


@pytest.mark.parametrize("package", ["grpc", "opentelemetry.proto", "google.rpc"])
def test_missing_package_names_its_extra(package, monkeypatch):
    """The error has the command to run."""
    absent = {"grpc": "grpc", "opentelemetry.proto": "opentelemetry.proto", "google.rpc": "google"}[package]
    monkeypatch.setitem(sys.modules, absent, None)
    monkeypatch.delitem(sys.modules, "google.rpc")
    with pytest.raises(MissingExtraError, match=rf"OtlpReceiver needs {package}.*eco2-tracing\[testing\]"):
        OtlpReceiver().start()


def test_stop_closes_keep_alive_connections(receiver):
    """A client notices that the receiver is stopped."""
    url, session = f"{receiver.http_endpoint}/v1/traces", requests.Session()
    http, impatient = (HttpExporter(url, timeout=seconds, session=session) for seconds in (20, 0.5))
    provider = TracerProvider()
    with provider.get_tracer("t").start_as_current_span("a") as span:
        pass
    assert http.export([span]).name == "SUCCESS"
    receiver.stop()
    assert impatient.export([span]).name == "FAILURE"
    http.shutdown()


def test_clear(receiver):
    """Nothing is held afterwards."""
    post(receiver, some_spans())
    receiver.clear()
    assert (receiver.spans, receiver.requests, dict(receiver.last_headers)) == ((), (), {})


def test_waiting_for_requests(receiver):
    """Failed requests count, and the wait has a limit."""
    receiver.fail_with()
    post(receiver, some_spans())
    assert len(receiver.wait_for_requests(1)) == 1
    with pytest.raises(TimeoutError, match="2 requests; 1 arrived"):
        receiver.wait_for_requests(2, timeout_s=0)


def send_over_tls(receiver, context, credentials):
    """Export one span to each port; the certificate is for localhost."""
    request = urllib.request.Request(
        f"https://localhost:{receiver.http_port}/v1/traces", some_spans(1), method="POST"
    )
    urllib.request.urlopen(request, context=context).close()
    with grpc.secure_channel(f"localhost:{receiver.grpc_port}", credentials) as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        export(some_spans(1), timeout=10)


def test_tls_on_both_ports(tls_files):
    """With a certificate and a key."""
    authority = tls_files.client_ca
    with OtlpReceiver(tls=TlsFiles(tls_files.certificate, tls_files.private_key)) as receiver:
        assert receiver.grpc_endpoint.startswith("https://")
        send_over_tls(
            receiver,
            ssl.create_default_context(cafile=authority),
            grpc.ssl_channel_credentials(authority.read_bytes()),
        )
        assert len(receiver.spans) == 2


def test_client_certificates_are_required(tls_files):
    """A client without one is rejected."""
    tls = tls_files
    anonymous = ssl.create_default_context(cafile=tls.client_ca)
    known = ssl.create_default_context(cafile=tls.client_ca)
    known.load_cert_chain(tls.certificate, tls.private_key)
    credentials = grpc.ssl_channel_credentials(
        tls.client_ca.read_bytes(), tls.private_key.read_bytes(), tls.certificate.read_bytes()
    )
    with OtlpReceiver(tls=tls) as receiver:
        with pytest.raises(OSError):
            send_over_tls(receiver, anonymous, credentials)
        assert receiver.requests == ()
        send_over_tls(receiver, known, credentials)
        assert len(receiver.spans) == 2
