"""Planted faults between the service and its collector: each is found, named and cured by its own advice."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import grpc
import pytest

from tests.export.receivers import (
    BlackHole,
    GrpcReceiver,
    HttpReceiver,
    Scripted,
    partial_success,
    unreachable,
)

trustme = pytest.importorskip("trustme", reason="trustme is not here: pip install trustme")

ENDPOINT, PROTOCOL = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"
HTTP = {PROTOCOL: "http/protobuf"}
CERTIFICATE = "OTEL_EXPORTER_OTLP_CERTIFICATE"


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def only(report: dict, kind: str) -> dict:
    """The one finding, which has this id; every part of it says something."""
    assert report["ids"] == [kind], report["findings"]
    assert (report["ok"], report["code"]) == (False, 1)
    (finding,) = report["findings"]
    assert all(finding.values())
    return finding


def test_http_to_the_grpc_port(doctor, grpc_receiver):
    """OTLP over HTTP is sent to a gRPC server; the advice cures it."""
    environ = {ENDPOINT: f"http://{grpc_receiver.endpoint}"}
    finding = only(doctor(**environ, **HTTP), "http-to-grpc-port")
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in finding["cure"]
    assert doctor(**environ, **{PROTOCOL: "grpc"})["ok"]


def test_grpc_to_the_http_port(doctor, http_receiver):
    """OTLP over gRPC is sent to an HTTP server; the advice cures it."""
    environ = {ENDPOINT: f"http://127.0.0.1:{http_receiver.port}"}
    finding = only(doctor(**environ), "grpc-to-http-port")
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in finding["cure"]
    assert doctor(**environ, **HTTP)["ok"]


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_host_without_address(doctor, protocol):
    """The name of the host does not exist."""
    report = doctor(**{ENDPOINT: "http://collector.invalid:4317", PROTOCOL: protocol})
    assert (
        "collector.invalid"
        in next(each for each in report["findings"] if each["id"] == "host-not-found")["found"]
    )


def test_a_closed_port(doctor):
    """Nothing listens on the port."""
    port = closed_port()
    finding = only(doctor(**{ENDPOINT: f"http://127.0.0.1:{port}"}), "connection-refused")
    assert str(port) in finding["found"]


def test_an_address_that_does_not_answer(doctor, monkeypatch):
    """Packets to the address are dropped."""
    monkeypatch.setattr("eco2_tracing._doctor.endpoint._ADDRESS_S", 0.2)
    with unreachable() as port:
        only(doctor(**{ENDPOINT: f"http://127.0.0.1:{port}"}), "no-answer")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_server_that_does_not_answer(doctor, protocol, monkeypatch):
    """A server accepts the connection and says nothing."""
    monkeypatch.setattr("eco2_tracing._doctor.delivery._SEND_S", 0.3)
    with BlackHole() as hole:
        environ = {ENDPOINT: f"http://127.0.0.1:{hole.port}", PROTOCOL: protocol}
        only(doctor(**environ, OTEL_EXPORTER_OTLP_TIMEOUT=200), "no-answer")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_dead_proxy(doctor, protocol):
    """The environment names a proxy that is not there."""
    proxy = f"http://127.0.0.1:{closed_port()}"
    environ = {ENDPOINT: "http://collector.example:4999", PROTOCOL: protocol, "http_proxy": proxy}
    finding = only(doctor(**environ), "proxy-unreachable")
    assert "no_proxy" in finding["cure"]


def test_a_proxy_that_cannot_be_used(doctor):
    """The environment names a proxy of a kind that is not supported."""
    only(
        doctor(**{ENDPOINT: "http://collector.example:4999", "grpc_proxy": "socks5://127.0.0.1:1"}),
        "proxy-unreachable",
    )


def test_a_proxy_that_refuses(doctor):
    """The proxy answers, and does not open the tunnel."""

    def refuse(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")

    with Scripted(refuse) as proxy:
        environ = {ENDPOINT: "http://collector.example:4999", "grpc_proxy": f"http://127.0.0.1:{proxy.port}"}
        only(doctor(**environ), "proxy-unreachable")


@pytest.fixture(scope="module")
def authority():
    """A private CA."""
    return trustme.CA()


@pytest.fixture(scope="module")
def trusted(authority, tmp_path_factory) -> str:
    """Its certificate, as a file."""
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return str(file)


def server_context(certificate, *, client_ca: str | None = None) -> ssl.SSLContext:
    """The TLS of a server with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture(scope="module")
def tls_receiver(authority) -> Iterator[HttpReceiver]:
    """A receiver of OTLP over HTTP with TLS, for 127.0.0.1."""
    with HttpReceiver(context=server_context(authority.issue_cert("127.0.0.1"))) as receiver:
        yield receiver


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_tls_to_a_plaintext_port(doctor, protocol, grpc_receiver, http_receiver):
    """https:// is written before the address of a server without TLS; the advice cures it."""
    port = grpc_receiver.port if protocol == "grpc" else http_receiver.port
    finding = only(
        doctor(**{ENDPOINT: f"https://127.0.0.1:{port}", PROTOCOL: protocol}), "tls-to-plaintext-port"
    )
    assert "http://" in finding["cure"]
    assert doctor(**{ENDPOINT: f"http://127.0.0.1:{port}"})["ok"]


def test_plaintext_to_a_tls_port(doctor, tls_receiver, trusted):
    """http:// is written before the address of a server with TLS; the advice cures it."""
    finding = only(
        doctor(**{ENDPOINT: f"http://127.0.0.1:{tls_receiver.port}"}, **HTTP), "plaintext-to-tls-port"
    )
    assert "https://" in finding["cure"]
    assert doctor(**{ENDPOINT: f"https://127.0.0.1:{tls_receiver.port}", CERTIFICATE: trusted})["ok"]


def test_plaintext_to_grpc_with_tls(doctor, authority, trusted):
    """The same with gRPC."""
    certificate = authority.issue_cert("127.0.0.1")
    chain = b"".join(each.bytes() for each in certificate.cert_chain_pems)
    credentials = grpc.ssl_server_credentials([(certificate.private_key_pem.bytes(), chain)])
    with GrpcReceiver(credentials=credentials) as receiver:
        only(doctor(**{ENDPOINT: f"http://{receiver.endpoint}"}), "plaintext-to-tls-port")
        assert doctor(**{ENDPOINT: f"https://{receiver.endpoint}", CERTIFICATE: trusted})["ok"]


def test_an_unknown_authority(doctor, tls_receiver, trusted):
    """The certificate is signed by an authority that is not trusted; the advice cures it."""
    environ = {ENDPOINT: f"https://127.0.0.1:{tls_receiver.port}", **HTTP}
    finding = only(doctor(**environ), "unknown-ca")
    assert CERTIFICATE in finding["cure"]
    assert doctor(**environ, **{CERTIFICATE: trusted})["ok"]


def test_the_wrong_name(doctor, tls_receiver, trusted):
    """The certificate is for another name."""
    environ = {ENDPOINT: f"https://localhost:{tls_receiver.port}", CERTIFICATE: trusted}
    only(doctor(**environ, **HTTP), "certificate-name")


@pytest.mark.parametrize(("days", "kind"), [(-1, "certificate-expired"), (3, "certificate-expires-soon")])
def test_the_age_of_the_certificate(doctor, authority, trusted, days, kind):
    """The certificate has expired, or will soon."""
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    certificate = authority.issue_cert("127.0.0.1", not_after=until)
    with HttpReceiver(context=server_context(certificate)) as receiver:
        environ = {ENDPOINT: f"https://127.0.0.1:{receiver.port}", CERTIFICATE: trusted}
        only(doctor(**environ, **HTTP), kind)


def test_an_invalid_certificate(doctor, authority, trusted, monkeypatch):
    """A verification error of another kind is reported in the words of the TLS library."""
    monkeypatch.setattr("eco2_tracing._doctor.tls._EXPIRED", -1)
    until = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    with HttpReceiver(context=server_context(authority.issue_cert("127.0.0.1", not_after=until))) as receiver:
        environ = {ENDPOINT: f"https://127.0.0.1:{receiver.port}", CERTIFICATE: trusted}
        assert "expired" in only(doctor(**environ, **HTTP), "certificate-invalid")["found"]


def test_a_certificate_file_that_cannot_be_read(doctor, tls_receiver, tmp_path):
    """The file of the authorities is no PEM file."""
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    environ = {ENDPOINT: f"https://127.0.0.1:{tls_receiver.port}", CERTIFICATE: file}
    only(doctor(**environ, **HTTP), "certificate-file")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_is_missing(doctor, authority, trusted, version):
    """The server asks for a client certificate; with TLS 1.3 it says so after the handshake."""
    context = server_context(authority.issue_cert("127.0.0.1"), client_ca=trusted)
    context.maximum_version = version
    with HttpReceiver(context=context) as receiver:
        environ = {ENDPOINT: f"https://127.0.0.1:{receiver.port}", CERTIFICATE: trusted}
        finding = only(doctor(**environ, **HTTP), "client-certificate")
        assert "CLIENT_KEY" in finding["cure"]


def test_a_client_certificate(doctor, authority, trusted, tmp_path):
    """With a client certificate, such a server accepts the span."""
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    client = authority.issue_cert("auth-api.auth")
    client.cert_chain_pems[0].write_to_path(str(certificate))
    client.private_key_pem.write_to_path(str(key))
    with HttpReceiver(
        context=server_context(authority.issue_cert("127.0.0.1"), client_ca=trusted)
    ) as receiver:
        environ = {ENDPOINT: f"https://127.0.0.1:{receiver.port}", CERTIFICATE: trusted, **HTTP}
        environ |= {
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": certificate,
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": key,
        }
        assert doctor(**environ)["ok"]


def test_a_server_that_ends_the_handshake(doctor):
    """The server closes the connection instead of a handshake."""
    with Scripted(lambda connection: connection.recv(1)) as server:
        report = doctor(**{ENDPOINT: f"https://127.0.0.1:{server.port}"})
        assert report["ids"][0] in ("tls-failed", "tls-to-plaintext-port")


@pytest.mark.parametrize(
    ("headers", "kind"),
    [("", "missing-credentials"), ("authorization=Bearer%20planted", "wrong-credentials")],
)
def test_credentials(doctor, headers, kind):
    """The receiver asks for credentials, which are missing or wrong; they are not shown."""
    with HttpReceiver() as receiver:
        receiver.always = (401, {})
        environ = {ENDPOINT: f"http://127.0.0.1:{receiver.port}", **HTTP}
        report = doctor(**environ, OTEL_EXPORTER_OTLP_HEADERS=headers)
    only(report, kind)
    assert "planted" not in str(report)


def test_credentials_over_grpc(doctor):
    """The same with gRPC."""
    with GrpcReceiver() as receiver:
        receiver.always = (grpc.StatusCode.UNAUTHENTICATED, "who are you?", ())
        only(doctor(**{ENDPOINT: f"http://{receiver.endpoint}"}), "missing-credentials")


@pytest.mark.parametrize(
    ("answer", "kind", "severity"),
    [
        (partial_success(1, "no room"), "partial-success", "error"),
        (partial_success(0, "change the endpoint"), "collector-message", "warning"),
        ((404, {}), "not-otlp", "error"),
        ((500, {}), "not-accepted", "error"),
    ],
    ids=["rejected", "message", "404", "500"],
)
def test_answers(doctor, answer, kind, severity):
    """The collector accepts the request and drops the span, says something, or does not accept it."""
    with HttpReceiver() as receiver:
        receiver.always = answer
        report = doctor(**{ENDPOINT: f"http://127.0.0.1:{receiver.port}"}, **HTTP)
    assert only(report, kind)["severity"] == severity


@pytest.mark.parametrize("how", ["closes", "resets"])
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_server_that_closes(doctor, protocol, how):
    """A server closes each connection without an answer, in order or with a reset."""

    def close(connection):
        connection.recv(1)
        if how == "closes":  # what is not read makes it a reset
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass

    with Scripted(close) as server:
        report = doctor(**{ENDPOINT: f"http://127.0.0.1:{server.port}", PROTOCOL: protocol})
    only(report, "closed-without-answer")


def test_a_proxy_that_closes(doctor):
    """It resets the connection in place of a tunnel: the finding is the proxy's, not the collector's."""
    with Scripted(lambda connection: connection.recv(1)) as proxy:
        environ = {
            ENDPOINT: "https://collector.example:4318",
            "https_proxy": f"http://127.0.0.1:{proxy.port}",
        }
        only(doctor(**environ, **HTTP), "proxy-unreachable")


def test_a_clock_an_hour_off(doctor, monkeypatch):
    """The collector's Date is an hour ahead or behind."""

    def answer(date):
        def script(connection):
            connection.recv(1 << 16)
            connection.sendall(
                f"HTTP/1.1 200 OK\r\nDate: {date}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
            )

        return script

    for shift, word in ((3600, "behind"), (-3600, "ahead of")):
        with Scripted(answer(formatdate(time.time() + shift, usegmt=True))) as server:
            report = doctor(**{ENDPOINT: f"http://127.0.0.1:{server.port}"}, **HTTP)
        assert word in only(report, "clock-skew")["found"]
    for date in ("yesterday", formatdate(usegmt=True)):
        with Scripted(answer(date)) as server:
            assert doctor(**{ENDPOINT: f"http://127.0.0.1:{server.port}"}, **HTTP)["ok"]


def test_one_of_two_addresses(doctor, monkeypatch, grpc_receiver):
    """A host has an address that does not answer beside one that does."""
    monkeypatch.setattr("eco2_tracing._doctor.endpoint._ADDRESS_S", 0.2)
    with unreachable() as port:
        known = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", grpc_receiver.port)),
        ]
        monkeypatch.setattr("socket.getaddrinfo", lambda *_args, **_kwargs: known)
        report = doctor(**{ENDPOINT: f"http://127.0.0.1:{grpc_receiver.port}"})
        assert "address-unreachable" in report["ids"]
        assert not report["ok"]


def test_an_address_of_another_kind(doctor, monkeypatch):
    """The system has no way to the address."""
    known = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("255.255.255.255", 4317))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_args, **_kwargs: known)
    only(doctor(**{ENDPOINT: "http://collector.example:4317"}, OTEL_SERVICE_NAME="a"), "unreachable")


def test_dns_that_does_not_answer(doctor, monkeypatch):
    """The resolver blocks: the check goes on after some seconds."""
    gate = threading.Event()
    monkeypatch.setattr("eco2_tracing._doctor.endpoint._NAME_S", 0.1)
    look_up = socket.getaddrinfo

    def blocking(host, *rest, **options):
        if host == "collector.example":
            gate.wait(5)
        return look_up("127.0.0.1", *rest, **options)

    monkeypatch.setattr("socket.getaddrinfo", blocking)
    only(doctor(**{ENDPOINT: "http://collector.example:4317"}), "host-not-found")
    gate.set()


@pytest.mark.parametrize("signal", ["METRICS", "LOGS"])
def test_the_endpoint_of_another_signal(doctor, collector, signal):
    """Metrics and log records may go to an address of their own, which is checked too."""
    environ = {
        f"OTEL_{signal}_EXPORTER": "otlp",
        f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT": f"http://127.0.0.1:{closed_port()}",
    }
    only(doctor(**collector, **environ), "connection-refused")
    assert doctor(**{f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT": ""})["ok"]


def test_a_unix_socket(doctor, tmp_path: Path):
    """A Unix socket has no port that could be checked: the test span shows whether it works."""
    with GrpcReceiver(address=f"unix:{tmp_path}/otlp.sock"):
        assert doctor(**{ENDPOINT: f"unix:{tmp_path}/otlp.sock"})["ok"]


def test_several_addresses(doctor, grpc_receiver):
    """One address of a gRPC target that works is enough."""
    target = f"ipv4:127.0.0.1:{closed_port()},127.0.0.1:{grpc_receiver.port}"
    report = doctor(**{ENDPOINT: target})
    assert report["ok"], report["ids"]
    assert "connection-refused" not in report["ids"]
    closed = f"ipv4:127.0.0.1:{closed_port()},127.0.0.1:{closed_port()}"
    assert "connection-refused" in doctor(**{ENDPOINT: closed})["ids"]
