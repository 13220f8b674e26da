"""Receivers with TLS: Jaeger's own and an Envoy's, with a private CA and client certificates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import trustme
from tests.support.jaeger import Holds, running_jaeger, wait_for, wait_for_trace
from tests.support.proxies import PROVIDERS, Backend, Port, Proxy

from eco2_tracing import (
    TracingSettings,
    configure_tracing,
    current_trace_id,
    flush_tracing,
    span,
    tracing_status,
)
from eco2_tracing.testing import OtlpReceiver, TlsFiles


@dataclass(frozen=True)
class Secured:
    """Receivers with TLS.

    Attributes:
        urls: By protocol.
        held: What has come through.
    """

    urls: dict[str, str]
    held: Holds


@contextmanager
def ended_by_envoy(tls: TlsFiles) -> Iterator[Secured]:
    """An Envoy that terminates TLS in front of a backend."""
    name = "jaeger-collector.observability"
    with OtlpReceiver() as receiver:
        ports = {
            "grpc": Port(receiver.grpc_endpoint, f"{name}:4317/*", "INBOUND", http2=True, tls=tls),
            "http/protobuf": Port(receiver.http_endpoint, f"{name}:4318/*", "INBOUND", tls=tls),
        }
        with Proxy(name, PROVIDERS["Zipkin"], Backend.of_receiver(receiver), ports) as proxy:
            yield Secured(proxy.urls, receiver)


@contextmanager
def of_jaeger(way: str, tls: TlsFiles) -> Iterator[Secured]:
    """Jaeger's own receivers."""
    with running_jaeger(way, tls) as jaeger:
        urls = {"grpc": jaeger.otlp_grpc, "http/protobuf": jaeger.otlp_http}
        yield Secured({name: url.replace("http://", "https://") for name, url in urls.items()}, jaeger)


@contextmanager
def securing(way: str, tls: TlsFiles) -> Iterator[Secured]:
    """Run one of both."""
    with ended_by_envoy(tls) if way == "envoy" else of_jaeger(way, tls) as running:
        yield running


WAYS = ["envoy", "docker", "command"]


@pytest.fixture(scope="module", params=WAYS)
def secured(request: pytest.FixtureRequest, certificates) -> Iterator[Secured]:
    """Receivers that require a client certificate of the private CA."""
    with securing(request.param, certificates.server) as running:
        yield running


@pytest.fixture(scope="module", params=WAYS)
def open_to_all(request: pytest.FixtureRequest, certificates) -> Iterator[Secured]:
    """Receivers with a certificate of the private CA that require none."""
    only_theirs = TlsFiles(certificates.server.certificate, certificates.server.private_key)
    with securing(request.param, only_theirs) as running:
        yield running


def configure(secured, protocol, **variables):
    """Export to the TLS port of a protocol."""
    given = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": secured.urls[protocol],
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        **{name: str(value) for name, value in variables.items()},
    }
    assert configure_tracing(service_name="secured", settings=TracingSettings(**given))
    with span("secret work"):
        return current_trace_id()


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_private_ca(open_to_all, certificates, protocol):
    """The CA's certificate is enough if no client certificate is required."""
    trace_id = configure(open_to_all, protocol, OTEL_EXPORTER_OTLP_CERTIFICATE=certificates.ca)
    assert flush_tracing()
    assert [one.name for one in wait_for_trace(open_to_all.held, trace_id, 1).spans] == ["secret work"]


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_client_certificate(secured, certificates, protocol, compression):
    """With the CA and a client certificate spans are accepted."""
    trace_id = configure(
        secured,
        protocol,
        OTEL_EXPORTER_OTLP_CERTIFICATE=certificates.ca,
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=certificates.client,
        OTEL_EXPORTER_OTLP_CLIENT_KEY=certificates.client,
        OTEL_EXPORTER_OTLP_COMPRESSION=compression,
    )
    assert flush_tracing()
    assert [one.name for one in wait_for_trace(secured.held, trace_id, 1).spans] == ["secret work"]


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("ours", [False, True], ids=["no certificate of ours", "a server of another CA"])
def test_unverified_peers_get_no_spans(secured, certificates, protocol, ours, tmp_path):
    """If one side cannot verify the other, no span is sent and the reason is logged."""
    variables = {"OTEL_EXPORTER_OTLP_CERTIFICATE": certificates.ca}
    if ours:
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(str(other))
        variables = {
            "OTEL_EXPORTER_OTLP_CERTIFICATE": other,
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": certificates.client,
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": certificates.client,
        }
    trace_id = configure(secured, protocol, **variables)
    assert not flush_tracing(1.0)
    status = tracing_status()
    assert status.spans_sent == 0
    assert status.last_export_error
    assert secured.held.trace(trace_id).spans == ()


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_renewed_certificate(secured, certificates, protocol, tmp_path):
    """Files are read for each connection: with the right one, waiting spans are exported."""
    ours = tmp_path / "client.pem"
    stranger = trustme.CA().issue_cert("auth-api.auth")
    stranger.private_key_and_cert_chain_pem.write_to_path(str(ours))
    trace_id = configure(
        secured,
        protocol,
        OTEL_EXPORTER_OTLP_CERTIFICATE=certificates.ca,
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=ours,
        OTEL_EXPORTER_OTLP_CLIENT_KEY=ours,
        OTEL_BSP_SCHEDULE_DELAY="20",
    )
    wait_for(lambda: tracing_status().last_export_error)
    renewed = tmp_path / "renewed.pem"
    renewed.write_bytes(certificates.client.read_bytes())
    renewed.replace(ours)
    assert flush_tracing(20)
    assert len(wait_for_trace(secured.held, trace_id, 1).spans) == 1
