"""`eco2-tracing view`, `show` and `export`."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import sys
import threading
import time
from urllib.request import ProxyHandler, build_opener

import pytest

from eco2_tracing import _cli
from eco2_tracing._cli import main, view
from eco2_tracing._cli.processes import Child
from eco2_tracing._view.files import exported
from eco2_tracing._view.store import Store
from tests.view.requests import OTHER, TRACE, request, shop, span, wait_until
from tests.view.test_trace import opened

RELOADS = 2
FREE = ["--grpc-port", "0", "--http-port", "0", "--zipkin-port", "0"]
APP = """
import logging
from fastapi import FastAPI

app = FastAPI()

@app.get("/items/{item}")
def read(item: str):
    logging.getLogger("shop").warning("looking for %s", item)
    return {"build": 1}
"""
JOB = """
import sys
from fastapi.testclient import TestClient
from shop import app

# The caller did not sample this one.
TestClient(app).get("/items/7", headers={"x-b3-traceid": "TRACE", "x-b3-spanid": "1".zfill(16), "x-b3-sampled": "0"})
sys.exit(3)
""".replace("TRACE", TRACE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a service and a job."""
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "job.py").write_text(JOB)
    monkeypatch.chdir(tmp_path)
    for name in [each for each in os.environ if each.startswith(("OTEL_", "ECO2_TRACING_"))]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def stored(tmp_path):
    """The file of a store with two traces."""
    path = str(tmp_path / "traces.db")
    store = Store(path)
    store.add_traces(shop())
    store.add_traces(shop("4b" + OTHER[2:]))
    store.close()
    return path


def test_view_in_the_terminal_with_a_command(folder, capfd):
    """Every trace is recorded and printed; the exit code is that of the command; the file is read by `show`."""
    assert main(["view", "--terminal", *FREE, "--store", "t.db", "--", sys.executable, "job.py"]) == 3
    printed = capfd.readouterr()
    assert "traces in this terminal; OTLP on 127.0.0.1:" in printed.err
    assert "GET /items/{item}" in printed.out
    assert main(["show", TRACE[:8], "--store", "t.db"]) == 0
    shown = capfd.readouterr().out
    assert "GET /items/{item}" in shown
    assert "looking for 7" in shown  # a log record over OTLP


def get(url):
    """The body of a response."""
    with build_opener(ProxyHandler({})).open(url, timeout=20) as response:
        return response.read()


def ask(service, sent):
    """Return the build that answers, and keep the id of the trace; 0 while none listens."""
    try:
        with build_opener(ProxyHandler({})).open(f"{service}/items/7", timeout=20) as response:
            build = json.load(response)["build"]
    except OSError:
        return 0
    sent.append(response.headers["x-trace"])
    return build


def test_view_outlives_reloads(folder, capsys):
    """The traces of each build are held, and `show` reads them from the running viewer."""
    command = [sys.executable, "-m", "eco2_tracing", "view", "--port", "0", *FREE, "--"]
    command += ["uvicorn", "shop:app", "--port", "0", "--reload"]
    with Child(
        "view", command, {**os.environ, "NO_PROXY": "127.0.0.1", "ECO2_TRACING_RESPONSE_HEADER": "x-trace"}
    ) as child:
        page = child.wait_for_line(r"traces at (http://127\.0\.0\.1:\d+); OTLP").group(1)
        service = child.wait_for_line(r"running on (http://127\.0\.0\.1:\d+)").group(1)
        sent = []
        for build in range(1, RELOADS + 2):
            wait_until(lambda: ask(service, sent) == build)  # noqa: B023 - called at once
            for _ in range(10):  # their spans are queued when the service reloads
                ask(service, sent)
            (folder / "shop.py").write_text(APP.replace('"build": 1', f'"build": {build + 1}'))
            os.utime(folder / "shop.py", (time.time() + build * 10,) * 2)

        def found():
            return json.loads(get(f"{page}/api/traces?text=looking&limit=1000"))["traces"]

        wait_until(lambda: set(sent) <= {one["trace_id"] for one in found()})
        assert len(sent) >= 11 * (RELOADS + 1)
        first = next(one for one in found() if one["trace_id"] == sent[0])
        assert (first["service"], first["route"], first["status"]) == ("shop", "GET /items/{item}", "200")
        port = page.rpartition(":")[2]
        assert main(["show", first["trace_id"], "--port", port]) == 0
        assert "looking for 7" in capsys.readouterr().out
        assert main(["show", "ffffffff", "--port", port]) == 2
        assert "has no trace, or several" in capsys.readouterr().err
        child._process.send_signal(signal.SIGTERM)
        child._process.wait(20)
    own = [line for line in child.lines if '"log.logger":"eco2_tracing"' in line]
    assert any("sampling: all (always_on)" in line for line in own)
    assert [line for line in own if '"log.level":"info"' not in line] == []


def test_view_stops_at_a_signal(folder, capfd):
    """Without a command the exit code is 0."""

    def stop():
        wait_until(lambda: "traces at" in capfd.readouterr().err)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=stop)
    thread.start()
    assert main(["view", "--port", "0", *FREE]) == 0
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_command_that_does_not_stop_is_killed(folder, monkeypatch):
    """After the grace period; 128 and the number of the signal is the exit code."""
    monkeypatch.setattr(view, "_GRACE_S", 0.1)
    (folder / "deaf.py").write_text(
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.kill(os.getppid(), signal.SIGTERM)\nwhile True:\n    time.sleep(1)\n"
    )
    assert main(["view", "--terminal", *FREE, "--", sys.executable, "deaf.py"]) == 137


def test_view_says_what_it_needs(folder, monkeypatch, capsys):
    """A package, a free port, and a file that is a store."""
    found = importlib.util.find_spec
    with monkeypatch.context() as patched:
        patched.setattr(view, "find_spec", lambda name: None if name == "uvicorn" else found(name))
        assert main(["view"]) == 2
    assert (
        "needs uvicorn, which is not installed: pip install 'eco2-tracing[demo]'" in capsys.readouterr().err
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["view", *FREE, "--port", port]) == 2
        assert f"port {port} is in use" in capsys.readouterr().err
        assert main(["view", "--grpc-port", "0", "--zipkin-port", "0", "--http-port", port]) == 2
        assert "let --http-port 0 choose one" in capsys.readouterr().err
    assert main(["view", *FREE, "--store", "shop.py"]) == 2
    assert "shop.py cannot be used as a store" in capsys.readouterr().err


def test_the_environment_of_a_command():
    """What would send elsewhere or drop traces is left out; the address of a trace is that of the page."""
    given = {
        "PATH": "x", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://elsewhere", "OTEL_SDK_DISABLED": "true",
        "OTEL_TRACES_SAMPLER_ARG": "0", "OTEL_SERVICE_NAME": "shop",
    }  # fmt: skip
    made = view.viewed_environ(given, 99, "http://127.0.0.1:1/trace/{trace_id}")
    assert made["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:99"
    assert made["ECO2_TRACING_TRACE_URL"] == "http://127.0.0.1:1/trace/{trace_id}"
    assert made["OTEL_TRACES_SAMPLER"] == "always_on"
    assert made.keys() & given.keys() == {"PATH", "OTEL_SERVICE_NAME"}


def test_show_a_file(tmp_path, capsys):
    """OTLP JSON and Jaeger's JSON, with each of their traces."""
    for form in ("otlp", "jaeger"):
        path = tmp_path / form
        path.write_bytes(exported(opened(shop()), form))
        assert main(["show", str(path)]) == 0
        assert "stock GET /stock" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["otlp", "jaeger", "html", "md"])
def test_export(stored, capfdbinary, form):
    """The bytes of each format."""
    assert main(["export", TRACE, "--format", form, "--store", stored]) == 0
    assert capfdbinary.readouterr().out == exported(opened(shop()), form)


def test_what_is_not_found(stored, tmp_path, capsys):
    """Where it was looked for, with exit code 2."""
    empty = tmp_path / "empty.json"
    empty.write_text('{"data": []}')
    two = tmp_path / "two.json"
    line = exported(opened(request(span(1))), "otlp").replace(b"\n", b"")
    two.write_bytes(line + b"\n" + line.replace(TRACE.encode(), OTHER.encode()))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    for arguments, message in (
        (["export", str(two)], "has 2 traces"),
        (["export", "nothing.json"], "neither a file nor a trace id"),
        (["show", str(empty)], "has no trace"),
        (["show", TRACE, "--store", "none.db"], "file not found: none.db"),
        (["show", "4b", "--store", stored], "neither a file nor a trace id"),
        (["show", "4bf9", "--store", stored], ""),
        (["show", "ffff", "--store", stored], "no traces in"),
        (["show", TRACE, "--port", port], "no viewer answers"),
    ):
        assert main(arguments) == (2 if message else 0)
        assert message in capsys.readouterr().err
    assert _cli.main(["show", str(two)]) == 0


def test_an_ambiguous_id_lists_what_it_may_be(stored, capsys):
    """The first digits must be those of one trace."""
    store = Store(stored)
    store.add_traces(shop("4bf9" + OTHER[4:-1] + "0"))
    store.close()
    assert main(["show", "4bf9", "--store", stored]) == 2
    assert f"2 traces in {stored} begin with 4bf9: " in capsys.readouterr().err
