"""Propagators and sampling that do not fit what the mesh sends."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from eco2_tracing._cli import main
from tests.export.receivers import Scripted
from tests.support.proxies import PROVIDERS, Backend, Port, Proxy

TRACE_ID = "463ac35c9f6413ad48485a3953bb6124"
B3 = f"X-B3-TraceId: {TRACE_ID}\nX-B3-SpanId: a2fb4a1d1a96d312\nX-B3-Sampled: 0\n"
W3C = f"traceparent: 00-{TRACE_ID}-a2fb4a1d1a96d312-00\n"
OTHER = "traceparent: 00-00000000000000000000000000000001-a2fb4a1d1a96d312-01\n"
SINGLE = f"b3: {TRACE_ID}-a2fb4a1d1a96d312-1\n"
W3C_FIRST = "tracecontext,b3,baggage"


@pytest.mark.parametrize(
    ("headers", "propagators", "kinds"),
    [
        (B3, "", []),
        (B3, W3C_FIRST, ["w3c-first-behind-b3"]),
        (B3, "tracecontext,baggage", ["propagator-missing"]),
        (W3C, "", ["b3-first-behind-w3c"]),
        (W3C, W3C_FIRST, []),
        (W3C, "b3", ["propagator-missing"]),
        (B3 + W3C, "", []),
        (B3 + OTHER, "", ["contexts-differ"]),
        (SINGLE, "", ["b3-single-header"]),
        ("b3: 0\n", "", []),
        ("host: auth-api\n", W3C_FIRST, []),
    ],
)  # fmt: skip
def test_order(doctor, collector, tmp_path, headers, propagators, kinds):
    """A sample of headers shows whether the propagators are in the right order; the advice cures it."""
    sample = tmp_path / "headers.txt"
    sample.write_text(headers)
    report = doctor("--headers", str(sample), **collector, OTEL_PROPAGATORS=propagators)
    assert report["ids"] == kinds, report["findings"]
    if kinds and kinds[0] not in ("b3-single-header", "contexts-differ"):
        name, _, value = report["findings"][0]["cure"].removeprefix("Set ").partition(".")[0].partition("=")
        assert doctor("--headers", str(sample), **{name: value})["ok"]


def test_a_ratio_without_effect(doctor, collector, tmp_path):
    """The mesh decides about each request, so that the ratio of the service has no effect."""
    sample = tmp_path / "headers.json"
    sample.write_text(json.dumps(dict(line.split(": ") for line in B3.splitlines())))
    ratio = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
    report = doctor("--headers", str(sample), **collector, **ratio)
    assert report["ids"] == ["ratio-has-no-effect"]
    assert "gateway" in report["findings"][0]["cure"]
    undecided = "".join(line + "\n" for line in B3.splitlines()[:2])
    assert doctor("--headers", undecided)["ok"]


def test_headers_from_standard_input(doctor, collector, monkeypatch):
    """A sample may come from standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO(SINGLE))
    assert doctor("--headers", "-", **collector)["ids"] == ["b3-single-header"]


@pytest.mark.parametrize("given", ["/no/such/file", "a: b\nnothing", '{"a": 1'])
def test_headers_that_cannot_be_read(given, capsys):
    """A sample that cannot be read ends the command with 2."""
    assert main(["doctor", "--headers", given]) == 2
    assert "--headers" in capsys.readouterr().err


@contextmanager
def envoy(configuration: str) -> Iterator[str]:
    """An admin interface of Envoy that serves a configuration."""

    def answer(connection):
        connection.recv(1 << 16)
        length = len(configuration)
        connection.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{configuration}".encode())

    with Scripted(answer) as server:
        yield f"http://127.0.0.1:{server.port}"


RATIO = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}
ZIPKIN = '{"provider": {"name": "envoy.tracers.zipkin"}, "random_sampling": {"value": 1}}'
OTLP = '{"provider": {"name": "envoy.tracers.opentelemetry"}}'


@pytest.mark.parametrize(
    ("configuration", "environ", "kinds"),
    [
        (ZIPKIN, {}, []),
        (ZIPKIN, {"OTEL_PROPAGATORS": W3C_FIRST}, ["w3c-first-behind-b3"]),
        (ZIPKIN, RATIO | {"OTEL_TRACES_SAMPLER_ARG": "0.01"}, []),
        (ZIPKIN, RATIO | {"OTEL_TRACES_SAMPLER_ARG": "0.1"}, ["ratio-has-no-effect"]),
        (OTLP, {}, ["b3-first-behind-w3c"]),
        (OTLP, {"OTEL_PROPAGATORS": W3C_FIRST}, []),
        ("{}", {"OTEL_PROPAGATORS": W3C_FIRST}, []),
    ],
)  # fmt: skip
def test_the_configuration_of_envoy(doctor, collector, configuration, environ, kinds):
    """The sidecar's admin interface shows what the mesh sends."""
    with envoy(configuration) as url:
        assert doctor("--envoy", url, **collector, **environ)["ids"] == kinds


@pytest.mark.parametrize(
    ("provider", "environ", "kinds"),
    [
        ("Zipkin", {"OTEL_PROPAGATORS": W3C_FIRST}, ["w3c-first-behind-b3"]),
        ("Zipkin with W3C", {}, []),
        ("OpenTelemetry", {}, ["b3-first-behind-w3c"]),
        ("OpenTelemetry", RATIO | {"OTEL_TRACES_SAMPLER_ARG": "0.5", "OTEL_PROPAGATORS": W3C_FIRST},
         ["ratio-has-no-effect"]),
    ],
)  # fmt: skip
def test_a_real_envoy(doctor, collector, otlp_receiver, provider, environ, kinds):
    """The configuration dump of a real Envoy, as Istio configures it, is understood."""
    ports = {"inbound": Port("http://127.0.0.1:9", "auth-api.auth:80/*", "INBOUND")}
    with Proxy(
        "auth-api.auth", PROVIDERS[provider], Backend.of_receiver(otlp_receiver), ports, sampling=1.0
    ) as proxy:
        admin = proxy.wait_for_line(r"admin address: (\S+)").group(1)
        assert doctor("--envoy", f"http://{admin}", **collector, **environ)["ids"] == kinds


def test_something_else_at_the_port_of_envoy(doctor, collector):
    """What listens at the port of the admin interface may be no HTTP server."""

    def answer(connection):
        connection.recv(1 << 16)
        connection.sendall(b"220 smtp\r\n")

    with Scripted(answer) as server:
        assert doctor("--envoy", f"http://127.0.0.1:{server.port}", **collector)["ok"]
