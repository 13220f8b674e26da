"""`eco2-tracing run` with every server: one span a request, each line once, one start-up line a process."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lifecycle.servers import environment, serving

BIN = Path(sys.executable).parent
APP = "tests.run.plain:app"
BIND = "127.0.0.1:{port}"
SERVERS = {
    "uvicorn": ["uvicorn", APP, "--port", "{port}"],
    "uvicorn --factory": ["uvicorn", "--factory", "tests.run.plain:create_app", "--port", "{port}"],
    "uvicorn --workers": ["uvicorn", APP, "--port", "{port}", "--workers", "2"],
    "uvicorn --reload": ["uvicorn", APP, "--port", "{port}", "--reload", "--reload-dir", "tests/run"],
    "python -m uvicorn": ["python", "-m", "uvicorn", APP, "--port", "{port}"],
    "python script": ["python", "tests/run/shop.py", "{port}"],
    "gunicorn": ["gunicorn", APP, "-b", BIND, "-k", "uvicorn_worker.UvicornWorker"],
    "gunicorn --preload": [
        "gunicorn",
        APP,
        "-b",
        BIND,
        "--preload",
        "-w",
        "2",
        "-k",
        "uvicorn_worker.UvicornWorker",
    ],
    "gunicorn, its own worker": ["gunicorn", APP, "-b", BIND, "-k", "asgi"],
    "hypercorn": ["hypercorn", APP, "-b", BIND],
    "hypercorn --workers": ["hypercorn", APP, "-b", BIND, "--workers", "2"],
    "granian": ["granian", APP, "--port", "{port}", "--interface", "asgi"],
    "fastapi run": ["fastapi", "run", "tests/run/plain.py", "--port", "{port}"],
    "fastapi dev": ["fastapi", "dev", "tests/run/plain.py", "--port", "{port}"],
}
NEEDS = {"python": "uvicorn", "gunicorn": "uvicorn_worker", "fastapi": "fastapi_cli"}
SERVICES = {"python": {"tests", "shop"}, "fastapi": {"plain"}}
FAMILIES = ["uvicorn", "python", "gunicorn", "hypercorn", "granian", "fastapi"]


def lines(log: Path) -> list[dict[str, object]]:
    """The JSON lines of a log."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith('{"@timestamp"')]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_request_has_one_span(family, tmp_path, otlp_receiver):
    """Of the application and of a mounted one; the service has the name of its package, and log lines the trace id."""
    commands = {name: command for name, command in SERVERS.items() if command[0] == family}
    pytest.importorskip(NEEDS.get(family, family))
    environ = environment(otlp_receiver.grpc_endpoint)
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(
                serving([str(BIN / "eco2-tracing"), "run", *command], tmp_path / str(index), environ)
            )
            for index, (name, command) in enumerate(commands.items())
        }
        for served in running.values():
            served.wait_for(served.answers)
        for served in running.values():
            served.work(4)
            assert served.get("/admin/users/ada") == (200, b'"ada"')
        codes = {name: served.stop(signal.SIGINT)[0] for name, served in running.items()}
    text = "\n".join(served.log.read_text() for served in running.values())
    names = sorted(span.name for span in otlp_receiver.spans)
    assert names == sorted(
        ["GET /work/{item}"] * 4 * len(running) + ["GET /admin/users/{user}"] * len(running)
    ), text
    assert {span.service for span in otlp_receiver.spans} == SERVICES.get(family, {"tests"})
    traces = {span.trace_id for span in otlp_receiver.spans}
    for served in running.values():
        said = [line for line in lines(served.log) if line.get("log.logger") == "shop"]
        assert [line["message"] for line in said] == [f"working on {item}" for item in range(4)]
        assert {line["trace.id"] for line in said} <= traces
        assert served.log.read_text().count("Traceback") == 0, served.log.read_text()
    print(codes, text)
