"""The report for a person, healthy set-ups, versions of packages, memory, and Jaeger."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from eco2_tracing._cli import main
from eco2_tracing._doctor.finding import Facts
from eco2_tracing._doctor.runtime import check_memory
from eco2_tracing._settings import load_settings
from tests.export.receivers import GrpcReceiver, HttpReceiver, Scripted
from tests.support.programs import run

ROOT = Path(__file__).parents[2]


def test_a_healthy_report_fits_a_screen(doctor, collector, capsys):
    """When all is well, the report says what is in force, on one screen."""
    doctor(**collector, OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0.01")
    assert main(["doctor", "--envoy", "http://127.0.0.1:9"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    text = "\n".join(lines)
    assert "auth-api" in text
    wanted = "requests that arrive without a decision, about 10 are exported; of those that fail, 100%"
    assert f"of 1 000 {wanted}" in text
    assert "accepted in" in text
    assert _number_of_settings(text) == _number_of_settings((ROOT / "docs" / "doctor.md").read_text())
    assert lines[-1] == "No problem found."


def _number_of_settings(report: str) -> int:
    """Count the settings that a report lists, and those that it only counts."""
    (others,) = re.findall(r"^  (\d+) other settings", report, re.MULTILINE)
    return int(others) + len(re.findall(r"^  \w+=.*\)$", report, re.MULTILINE))


def test_findings_for_a_person(doctor, capsys):
    """Each finding is shown with its cure and its page; the gravest stands first."""
    doctor(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_BSP_SCHEDULE_DELAY="x", ENVIRONMENT="prod")
    assert main(["doctor", "--envoy", "http://127.0.0.1:9"]) == 1
    text = capsys.readouterr().out
    assert text.index("ERROR  connection-refused") < text.index("WARNING  unread-variable")
    assert all(f"  {label}" in text for label in ("found", "problem", "cure", "page"))
    assert text.endswith("2 errors, 1 warning\n")


@pytest.mark.parametrize(
    ("sampler", "words"),
    [
        ("always_on", "of 1 000 requests, all are exported"),
        ("parentbased_always_off", "none is exported; of those that fail, 100%"),
        ("rate_limiting", "those that rate_limiting chooses"),
    ],
)
def test_samplers_in_words(doctor, collector, capsys, sampler, words):
    """The report says what the sampler does."""
    collector |= {"OTEL_TRACES_EXPORTER": "waterfall", "ECO2_TRACING_ERROR_SAMPLING_RATE": "1"}
    doctor(**collector, OTEL_TRACES_SAMPLER=sampler)
    main(["doctor", "--envoy", "http://127.0.0.1:9"])
    assert words in capsys.readouterr().out


HEALTHY = [
    {},
    {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
    {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"},
    {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "K8S_POD_NAME": "auth-1", "K8S_NAMESPACE_NAME": "auth"},
    {"OTEL_PROPAGATORS": "tracecontext,b3,baggage"},
    {"OTEL_TRACES_EXPORTER": "console"},
    {"OTEL_TRACES_EXPORTER": "waterfall"},
    {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20abc"},
    {"ECO2_TRACING_EXCLUDED_PATHS": "health,/internal", "ECO2_TRACING_SLOW_THRESHOLD_MS": "500"},
    {"ECO2_TRACING_INSTRUMENTATION": "contrib", "OTEL_BSP_MAX_QUEUE_SIZE": "4096"},
    {"OTEL_RESOURCE_ATTRIBUTES": "service.version=1.2,deployment.environment.name=prod"},
]


@pytest.mark.parametrize("environ", HEALTHY, ids=str)
def test_healthy_set_ups(doctor, grpc_receiver, http_receiver, environ):
    """Nothing is found in a set-up that works."""
    http = environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "http/protobuf"
    endpoint = f"http://127.0.0.1:{(http_receiver if http else grpc_receiver).port}"
    report = doctor(OTEL_SERVICE_NAME="auth-api", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **environ)
    assert (report["ok"], report["findings"], report["code"]) == (True, [], 0)


def test_the_test_span(doctor):
    """A span of this service arrives; with --no-send an empty request does."""
    with GrpcReceiver() as receiver:
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{receiver.endpoint}",
            "OTEL_SERVICE_NAME": "auth-api",
        }
        assert doctor("--no-send", **environ)["ok"]
        assert (receiver.names, len(receiver.requests)) == ([], 1)
        assert doctor(**environ)["ok"]
        assert receiver.names == ["eco2-tracing doctor"]
        (service,) = [
            each.value.string_value
            for each in receiver.requests[-1].resource_spans[0].resource.attributes
            if each.key == "service.name"
        ]
        assert service == "auth-api"


@pytest.mark.parametrize(
    ("status", "body", "kinds"),
    [
        (200, {"result": {"resourceSpans": [{}]}}, []),
        (404, {"error": {}}, ["span-not-found"]),
        (200, [], ["span-not-found"]),
        (200, None, ["span-not-found"]),
    ],
)
def test_looking_in_jaeger(doctor, collector, monkeypatch, status, body, kinds):
    """The test span is looked for by Jaeger's API v3, for some seconds."""
    monkeypatch.setattr("eco2_tracing._doctor.delivery._FIND_S", 0.3)

    def answer(connection):
        request = connection.recv(1 << 16).decode()
        found = status if request.startswith("GET /api/v3/traces/") else 200
        text = "nothing" if body is None else json.dumps(body)
        connection.sendall(f"HTTP/1.1 {found} X\r\ncontent-length: {len(text)}\r\n\r\n{text}".encode())

    with Scripted(answer) as server:
        assert doctor("--jaeger", f"http://127.0.0.1:{server.port}/", **collector)["ids"] == kinds


def test_a_real_jaeger(doctor, jaeger):
    """A real Jaeger has the test span."""
    report = doctor("--jaeger", jaeger.query, OTEL_EXPORTER_OTLP_ENDPOINT=jaeger.otlp_grpc)
    assert report["ok"], report["findings"]


def test_a_jaeger_that_is_not_there(doctor, collector):
    """Jaeger's address does not answer."""
    assert doctor("--jaeger", "http://127.0.0.1:1", **collector)["ids"] == ["jaeger-unreachable"]


def test_versions_that_do_not_fit(doctor, collector, tmp_path, monkeypatch):
    """A package requires another release of OpenTelemetry than the installed one."""
    folder = tmp_path / "opentelemetry_planted-1.0.dist-info"
    folder.mkdir()
    requirements = (
        "opentelemetry-api==1.0.0", "opentelemetry-absent==1", "opentelemetry-sdk==1; extra == 'x'", "requests==0",
        "???",
    )  # fmt: skip
    lines = ["Metadata-Version: 2.1", "Name: opentelemetry-planted", "Version: 1.0"]
    lines += [f"Requires-Dist: {each}" for each in requirements]
    (folder / "METADATA").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(
        sys, "path", [str(tmp_path), *sys.path, str(tmp_path)]
    )  # the second one does not count
    report = doctor(**collector)
    assert report["ids"] == ["package-versions"], report["findings"]
    assert report["findings"][0]["subject"] == "opentelemetry-planted"


@pytest.mark.parametrize(
    ("text", "workers", "kinds"),
    [
        ("67108864", 1, ["memory-limit"]),
        ("max", 4, []),
        ("268435456", 2, []),
        ("268435456", 4, ["memory-limit"]),
    ],
)
def test_the_memory_of_the_container(tmp_path: Path, text, workers, kinds):
    """The container's limit is compared with what its processes take."""
    file = tmp_path / "memory.max"
    file.write_text(text)
    facts = Facts({}, load_settings(environ={"WEB_CONCURRENCY": str(workers)}))
    assert [each.id for each in check_memory(facts, (tmp_path / "absent", file))] == kinds


def test_as_a_process(http_receiver: HttpReceiver):
    """The command works as `python -m eco2_tracing doctor`, without any variable but the endpoint."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "ECO2_"))}
    environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{http_receiver.port}"}
    environ |= {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    command = [sys.executable, "-m", "eco2_tracing", "doctor", "--envoy", "http://127.0.0.1:9"]
    done = run(command, env=environ, new=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "No problem found." in done.stdout
