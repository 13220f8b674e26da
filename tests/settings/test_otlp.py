"""The destination of spans: forms of endpoints, headers, certificates and likely mistakes."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

ENDPOINT, TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
HTTP = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}


@pytest.mark.parametrize(
    ("text", "address", "insecure"),
    [
        ("http://collector:4317", "collector:4317", True),
        ("http://collector:4317/", "collector:4317", True),
        ("https://api.example.com", "api.example.com:443", False),
        ("https://[2001:db8::1]:4317", "[2001:db8::1]:4317", False),
        ("collector:4317", "collector:4317", True),
        ("collector", "collector:4317", True),
        ("tempo.monitoring.svc.cluster.local:4317", "tempo.monitoring.svc.cluster.local:4317", True),
        ("10.0.0.1:4317", "10.0.0.1:4317", True),
        ("[::1]:4317", "[::1]:4317", True),
        ("8.8.8.8:4317", "8.8.8.8:4317", False),
        ("otlp.example.com", "otlp.example.com:443", False),
        ("unix:///run/otel.sock", "unix:///run/otel.sock", True),
        ("dns:///collector.observability.svc:4317", "dns:///collector.observability.svc:4317", True),
        ("dns:///otlp.example.com:4317", "dns:///otlp.example.com:4317", False),
        ("dns:4317", "dns:4317", True),
        ("ipv4:10.0.0.1:4317", "ipv4:10.0.0.1:4317", True),
        ("ipv4:10.0.0.1:4317,10.0.0.2:4317", "ipv4:10.0.0.1:4317,10.0.0.2:4317", True),
        ("ipv4:10.0.0.1:4317,8.8.8.8:4317", "ipv4:10.0.0.1:4317,8.8.8.8:4317", False),
        ("ipv6:[fd00::1]:4317", "ipv6:[fd00::1]:4317", True),
        ("ipv6:%5B::1%5D:4317", "ipv6:%5B::1%5D:4317", True),
        ("ipv6:[fe80::1%25eth0]:4317", "ipv6:[fe80::1%25eth0]:4317", True),
        ("ipv6:[2001:db8::1]:4317", "ipv6:[2001:db8::1]:4317", False),
        ("dns:collector", "dns:collector", True),
        ("http://[fe80::1%25eth0]:4317", "[fe80::1%eth0]:4317", True),
        ("xds:///collector", "xds:///collector", False),
    ],
)
def test_grpc_endpoints(read, text, address, insecure):
    """The scheme decides on TLS; without a scheme the host does."""
    settings = read(**{ENDPOINT: text})
    assert (settings.otlp.endpoint, settings.otlp.insecure) == (address, insecure)
    assert settings.problems == ()


@pytest.mark.parametrize(
    ("text", "address", "insecure"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces", True),
        ("http://collector:4318/", "http://collector:4318/v1/traces", True),
        ("https://example.com/otlp", "https://example.com/otlp/v1/traces", False),
        ("https://example.com/otlp/?a=b", "https://example.com/otlp/v1/traces?a=b", False),
        ("collector:4318", "http://collector:4318/v1/traces", True),
        ("collector", "http://collector:4318/v1/traces", True),
        ("otlp.example.com", "https://otlp.example.com:443/v1/traces", False),
    ],
)
def test_http_endpoints(read, text, address, insecure):
    """The path of the signal is appended to the general endpoint."""
    settings = read(**HTTP, **{ENDPOINT: text})
    assert (settings.otlp.endpoint, settings.otlp.insecure) == (address, insecure)
    assert settings.problems == ()


def test_http_traces_endpoint_is_used_as_it_is(read):
    """Nothing is appended to the _TRACES_ form."""
    settings = read(**HTTP, **{TRACES: "http://collector:4318/custom"})
    assert settings.otlp.endpoint == "http://collector:4318/custom"
    assert settings.problems == ()


def test_http_default(read):
    """Without an endpoint, HTTP uses port 4318 of this host."""
    assert read(**HTTP).otlp.endpoint == "http://localhost:4318/v1/traces"


@pytest.mark.parametrize(
    ("variables", "insecure"),
    [
        ({"OTEL_EXPORTER_OTLP_INSECURE": "false"}, False),
        ({"OTEL_EXPORTER_OTLP_INSECURE": "true", "OTEL_EXPORTER_OTLP_HEADERS": "a=b"}, True),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "api-key=secret"}, False),
        ({"OTEL_EXPORTER_OTLP_CERTIFICATE": __file__}, False),
        ({}, True),
    ],
)
def test_own_host_without_scheme(read, variables, insecure):
    """The variable decides; without it credentials are never sent in plaintext."""
    assert read(**{ENDPOINT: "collector:4317"}, **variables).otlp.insecure is insecure


def test_listed_host_without_scheme(read):
    """A host of ECO2_TRACING_PROPAGATION_TARGETS is internal."""
    targets = {"ECO2_TRACING_PROPAGATION_TARGETS": "*.example.com"}
    assert read(**{ENDPOINT: "otlp.example.com:4317"}, **targets).otlp.insecure


def test_scheme_beats_insecure(read):
    """OTEL_EXPORTER_OTLP_INSECURE is for endpoints without scheme."""
    settings = read(**{ENDPOINT: "https://collector:4317"}, OTEL_EXPORTER_OTLP_INSECURE="true")
    assert not settings.otlp.insecure


@pytest.mark.parametrize(
    "text",
    [
        "http://",
        "http://a:port",
        "http://a:0",
        "http://[::1",
        "ftp://a:4317",
        "http://a b",
        "http://h\u00e9:1",
        "$(COLLECTOR_HOST):4317",
        "http://${COLLECTOR}:4317",
        "http://a,http://b",
        "http://[::x]:4317",
        "http://a..b:4317",
        f"http://{'a' * 64}.svc:4317",
        ".".join(["abcd"] * 60),
        "-1",
        "ipv4:10.0.0.1:$(PORT)",
        "ipv4:collector:4317",
        "dns:a..b:4317",
        "4317",
        "http:/c:4317",
        "http//c:4317",
        "//c:4317",
        "DNS:///c:4317",
    ],
)
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_no_endpoint(only_problem, text, protocol):
    """A text that is not an endpoint is reported, and the default is used."""
    settings, problem = only_problem(**{ENDPOINT: text}, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    assert settings.otlp.endpoint == problem.used.strip("'")
    assert "localhost" in settings.otlp.endpoint


def test_a_grpc_target_is_no_url(only_problem):
    """The path of a socket is not read as a host and the path of a URL."""
    settings, _ = only_problem(**HTTP, **{ENDPOINT: "unix:/run/collector.sock"})
    assert "localhost" in settings.otlp.endpoint


@pytest.mark.parametrize(
    ("variables", "words", "endpoint"),
    [
        ({ENDPOINT: "http://c:4318"}, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "c:4318"),
        ({**HTTP, ENDPOINT: "http://c:4317"}, "use port 4318", "http://c:4317/v1/traces"),
        ({ENDPOINT: "http://c:4317/v1/traces"}, "no use for the path", "c:4317"),
        ({ENDPOINT: "http://c"}, "port 80", "c:80"),
        ({ENDPOINT: "dns://10.0.0.53/c:4317"}, "is not asked", "dns://10.0.0.53/c:4317"),
        (
            {**HTTP, ENDPOINT: "http://c:4318/v1/traces"},
            "leave the path out",
            "http://c:4318/v1/traces/v1/traces",
        ),
        ({**HTTP, TRACES: "http://c:4318"}, "without /v1/traces", "http://c:4318/"),
    ],
)
def test_likely_mistakes(only_problem, variables, words, endpoint):
    """A likely mistake is reported and used as it is."""
    settings, problem = only_problem(**variables)
    assert problem.advisory
    assert words in problem.message
    assert settings.otlp.endpoint == endpoint


@pytest.mark.parametrize("milliseconds", ["10", "99"])
def test_short_timeout_names_both_readings(only_problem, milliseconds):
    """A timeout is in milliseconds; one that was probably meant in seconds is reported."""
    settings, problem = only_problem(OTEL_EXPORTER_OTLP_TIMEOUT=milliseconds)
    assert settings.otlp.timeout_s == int(milliseconds) / 1000
    assert f"{milliseconds} milliseconds" in problem.message
    assert f"{milliseconds} seconds" in problem.message


def test_headers(read):
    """Names are lower-cased, values percent-decoded, empty pairs skipped."""
    settings = read(OTEL_EXPORTER_OTLP_HEADERS="Api-Key=a%20b%3D=c , ,x=1,")
    assert settings.otlp.headers == {"api-key": "a b==c", "x": "1"}
    assert settings.problems == ()


def test_bad_headers_are_told_without_their_values(only_problem):
    """Bad pairs are dropped and reported by their position."""
    settings, problem = only_problem(
        OTEL_EXPORTER_OTLP_HEADERS="good=geheim1,geheim2,x y=geheim3,nl=geheim4%0A"
    )
    assert settings.otlp.headers == {"good": "geheim1"}
    assert "pair 2 is not name=value" in problem.message
    assert "pair 4 (nl)" in problem.message
    assert "geheim" not in repr(problem)


def test_secrets_are_masked(read):
    """Neither repr, str, model_dump nor JSON shows a credential."""
    settings = read(
        **{ENDPOINT: "https://user:geheim1@example.com:4317"}, OTEL_EXPORTER_OTLP_HEADERS="api-key=geheim2"
    )
    shown = f"{settings!r} {settings} {settings.otlp!r} {settings.otlp.headers} {settings.model_dump()}"
    shown += settings.model_dump_json() + json.dumps(settings.model_dump(mode="json"))
    queried = read(**HTTP, **{ENDPOINT: "https://example.com/otlp?token=geheim3"})
    shown += f"{queried!r} {queried} {queried.model_dump_json()} {queried.otlp!r}"
    assert "geheim" not in shown
    assert queried.otlp.endpoint.endswith("geheim3")
    assert base64.b64encode(b"user:geheim1").decode() not in shown
    assert settings.otlp.headers["api-key"] == "geheim2"


def test_credentials_of_a_url_become_a_header(read):
    """Credentials of a URL become a header, as in other clients; the endpoint that is shown has none."""
    settings = read(**{ENDPOINT: "https://us%40er:p%C3%A4ss@example.com:4317"})
    assert settings.otlp.endpoint == "example.com:4317"
    assert settings.exporter_otlp_endpoint == "https://example.com:4317"
    assert (
        settings.otlp.headers["authorization"] == f"Basic {base64.b64encode('us@er:päss'.encode()).decode()}"
    )
    user = read(**{ENDPOINT: "https://user@example.com:4317"}, OTEL_EXPORTER_OTLP_HEADERS="authorization=own")
    assert user.otlp.headers["authorization"] == "own"


@pytest.mark.parametrize("endpoint", ["http://u:ge/heim@c:4317", "u:geheim@c:x", "ftp://u:geheim@c"])
def test_credentials_of_a_bad_url_are_masked(only_problem, endpoint):
    """A warning contains no password."""
    _, problem = only_problem(**{ENDPOINT: endpoint})
    assert "heim" not in problem.message


def test_client_certificate_without_key(only_problem):
    """One without the other is reported, and neither is used."""
    settings, problem = only_problem(OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=__file__)
    assert settings.otlp.client_certificate is None
    assert problem.variable == "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"


def test_client_certificate_with_key(read):
    """Both together are used."""
    settings = read(OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=__file__, OTEL_EXPORTER_OTLP_CLIENT_KEY=__file__)
    assert (settings.otlp.client_certificate, settings.otlp.client_key) == (__file__, __file__)
    assert settings.problems == ()


@pytest.mark.parametrize("path", ["/no/such/ca.pem", str(Path(__file__).parent), "x" * 5000, "a\0b"])
def test_missing_certificate_file(only_problem, path):
    """A file that cannot be read, or a directory, is reported and used: it may appear later."""
    settings, problem = only_problem(OTEL_EXPORTER_OTLP_CERTIFICATE=path)
    assert settings.otlp.certificate == path.replace("\0", "\ufffd")
    assert problem.advisory
