"""`eco2-tracing run` on a terminal: one start-up line, text, waterfalls, and Ctrl-C."""

from __future__ import annotations

import http.client
import os
import re
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.support.servers import free_port
from tests.support.terminal import LIMIT_S, on_terminal

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
COMMAND = [str(BIN / "eco2-tracing"), "run"]
WORK = "/work"
PATHS = ["/admin/users/ada", f"{WORK}/1"]
# The port of the default endpoint cannot be bound by a test: another program may listen there.
NO_COLLECTOR = {"OTEL_TRACES_EXPORTER": "waterfall"}


def environment(**more: str) -> dict[str, str]:
    """The environment of a person, without variables of tracing."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OTEL_", "ECO2_")) and key not in {"NO_COLOR", "FORCE_COLOR", "CI"}
    }
    return inherited | {"TERM": "xterm-256color"} | more


def get(port: int, path: str) -> int:
    """Send a request, once the server listens; return the status."""
    end = time.monotonic() + LIMIT_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.02)
        finally:
            connection.close()


def started_by_us(screen: str) -> list[str]:
    """The start-up lines."""
    return [line for line in screen.splitlines() if re.search(r"\btracing \w+ (?:here|to|with)", line)]


@pytest.mark.parametrize(
    ("command", "workers"),
    [
        (["uvicorn", "tests.run.plain:app", "--port", "{port}"], 1),
        (["uvicorn", "tests.run.plain:app", "--port", "{port}", "--workers", "2"], 2),
        (["gunicorn", "tests.run.plain:app", "-b127.0.0.1:{port}", "-w2", "-kuvicorn_worker.UvicornWorker"], 2),
    ],
    ids=["uvicorn", "uvicorn --workers", "gunicorn"],
)  # fmt: skip
def test_what_a_person_sees(command, workers):
    """One line of the command, lines of the server as text, a waterfall for each request; Ctrl-C ends all of it."""
    pytest.importorskip("uvicorn_worker")
    port = free_port()
    command = [*COMMAND, *(each.format(port=port) for each in command)]
    with on_terminal(command, environment(**NO_COLLECTOR), ROOT) as terminal:
        terminal.wait_for("Application startup complete", workers)
        assert [get(port, path) for path in PATHS] == [200, 200]
        terminal.wait_for(r"GET /work/\{item\} .*200")
        terminal.wait_for(r"GET /admin/users/\{user\} .*200")
        terminal.wait_for("working on 1")
        begun = time.monotonic()
        terminal.press("\x03")
        assert terminal.wait() == 0, terminal.screen
        print(f"{command[2]}: {time.monotonic() - begun:.2f} s from Ctrl-C to the end")
    screen = terminal.screen
    assert started_by_us(screen) == ["eco2-tracing: tracing tests with OTEL_TRACES_EXPORTER=waterfall"]
    assert screen.splitlines()[0] == started_by_us(screen)[0]
    assert '{"@timestamp"' not in screen
    assert not re.search("WARNING *eco2_tracing", screen)
    assert "\x1b[" in terminal.raw
    print(screen)


def test_without_a_collector(tmp_path):
    """Where nobody chose an exporter the waterfall is chosen, and the one line says why."""
    (tmp_path / "program.py").write_text("import os; print(os.environ.get('OTEL_TRACES_EXPORTER'))")
    with on_terminal([*COMMAND, "python", "program.py"], environment(), tmp_path) as terminal:
        assert terminal.wait() == 0
    first, second = terminal.screen.splitlines()
    if second == "None":
        pytest.skip("a collector listens on this machine")
    assert second == "waterfall"
    assert first == (
        "eco2-tracing: tracing program here, because no collector answers at localhost:4317 "
        "(OTEL_TRACES_EXPORTER=waterfall)"
    )


def test_a_reload_with_no_collector(tmp_path):
    """The application is replaced, and its spans that nobody takes do not hold it up; Ctrl-C ends both processes."""
    pytest.importorskip("uvicorn")
    app = tmp_path / "shop.py"
    text = "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/version')\ndef version(): return {}\n"
    app.write_text(text.format(1))
    port = free_port()
    environ = environment(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}", OTEL_BSP_SCHEDULE_DELAY="60000"
    )
    command = [*COMMAND, "uvicorn", "shop:app", "--port", str(port), "--reload"]
    with on_terminal(command, environ, tmp_path) as terminal:
        terminal.wait_for("Application startup complete")
        assert get(port, "/version") == 200
        begun = time.monotonic()
        app.write_text(text.format(2))
        terminal.wait_for("Finished server process")
        print(f"reload: {time.monotonic() - begun:.2f} s to the end of the former process")
        terminal.wait_for("Application startup complete", 2)
        assert get(port, "/version") == 200
        begun = time.monotonic()
        terminal.press("\x03")
        terminal.wait()
        print(f"reload: {time.monotonic() - begun:.2f} s from Ctrl-C to the end")
    assert len(started_by_us(terminal.screen)) == 1
    for line in ("Will watch for changes", "Started reloader process"):
        assert re.search(rf"^[\d:.]+ INFO +uvicorn.error  {line}", terminal.screen, re.MULTILINE)
    assert "OTEL_TRACES_EXPORTER to waterfall" in terminal.screen
    assert "Traceback" not in terminal.screen


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_collector_that_never_answers(protocol):
    """Ctrl-C ends the processes, and the spans are given up."""
    pytest.importorskip("uvicorn")
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environ = environment(
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{listener.getsockname()[1]}",
            OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
            OTEL_BSP_SCHEDULE_DELAY="60000",
        )
        command = [*COMMAND, "uvicorn", "tests.run.plain:app", "--port", str(port)]
        with on_terminal(command, environ, ROOT) as terminal:
            terminal.wait_for("Application startup complete")
            assert get(port, "/admin/users/ada") == 200
            begun = time.monotonic()
            terminal.press("\x03")
            assert terminal.wait() == 0
            print(f"{protocol}: {time.monotonic() - begun:.2f} s from Ctrl-C to the end")
    assert "Traceback" not in terminal.screen


def test_a_collector_that_answers_gets_everything(otlp_receiver):
    """At Ctrl-C, however slowly it answers."""
    pytest.importorskip("uvicorn")
    port = free_port()
    environ = environment(
        OTEL_EXPORTER_OTLP_ENDPOINT=otlp_receiver.grpc_endpoint, OTEL_BSP_SCHEDULE_DELAY="60000"
    )
    with on_terminal(
        [*COMMAND, "uvicorn", "tests.run.plain:app", "--port", str(port)], environ, ROOT
    ) as terminal:
        terminal.wait_for("Application startup complete")
        for item in range(20):
            assert get(port, f"/admin/users/{item}") == 200
        otlp_receiver.answer_after(0.5)
        terminal.press("\x03")
        assert terminal.wait() == 0
    assert len(otlp_receiver.find("GET /admin/users/{user}")) == 20
    assert "do not reach" not in terminal.screen
