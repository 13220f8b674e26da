"""A minimal install, without extras, traces requests and names missing extras.

Each test runs a program in which the optional packages cannot be imported. `nox -s minimal` runs
this file with the wheel alone, where they are absent indeed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MISSING = ("httpx", "httpx2", "mypy", "pytest", "requests", "rich", "structlog", "uvicorn")
# They would take most of the start-up time.
SLOW = (
    "google.protobuf",
    "grpc",
    "h2",
    "httpx",
    "httpx2",
    "opentelemetry.proto",
    "requests",
    "rich",
    "urllib3",
)

WITHOUT = f"import sys; sys.modules.update(dict.fromkeys({MISSING!r}))\n"

MODULES = """
import importlib, pkgutil, eco2_tracing
for module in pkgutil.walk_packages(eco2_tracing.__path__, "eco2_tracing."):
    if not module.name.startswith(("eco2_tracing._cli", "eco2_tracing.testing", "eco2_tracing.__main__")):
        importlib.import_module(module.name)
"""

REQUEST = """
import asyncio
from fastapi import FastAPI
from opentelemetry.sdk.trace import SpanProcessor
from eco2_tracing import configure_logging, configure_tracing, current_trace_id, instrument_app

class Names(SpanProcessor):
    def on_end(self, span):
        print("span", span.name)

configure_logging()
configure_tracing(service_name="minimal", span_processors=[Names()])
app = FastAPI()

@app.get("/items/{item}")
async def item(item: str):
    print("traced", current_trace_id() is not None)

async def receive():
    return {"type": "http.request"}

async def send(message):
    print("status", message.get("status"))

instrument_app(app)
scope = {"type": "http", "method": "GET", "path": "/items/1", "raw_path": b"/items/1", "query_string": b"",
         "headers": [], "scheme": "http", "server": ("testserver", 80), "client": ("test", 1), "http_version": "1.1"}
asyncio.run(app(scope, receive, send))
"""

START_UP = f"""
import sys, fastapi
before = set(sys.modules)
from eco2_tracing import configure_tracing
configure_tracing(service_name="minimal")
print(sorted((set(sys.modules) - before) & set({SLOW!r})))
"""


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a new interpreter with these variables."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_"))}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_module_is_importable():
    """No module needs an optional package at import, except the edges."""
    done = run(WITHOUT + MODULES)
    assert done.returncode == 0, done.stderr


def test_request_is_traced():
    """One span, a trace id in the handler, and no warning."""
    done = run(WITHOUT + REQUEST, OTEL_TRACES_EXPORTER="none")
    lines = [line for line in done.stdout.splitlines() if not line.startswith("{")]
    assert lines == ["traced True", "status 200", "status None", "span GET /items/{item}"], done.stderr
    assert "WARN" not in done.stdout + done.stderr


def test_missing_package_names_its_extra():
    """The demo prints the command to run, without a traceback."""
    program = "from eco2_tracing._cli import main; sys.argv = ['eco2-tracing', 'demo']; sys.exit(main())"
    done = run(WITHOUT + program)
    assert done.returncode != 0
    assert "pip install 'eco2-tracing[demo]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_slow_is_loaded_at_start_up():
    """The export thread imports what it needs later."""
    done = run(START_UP, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr + done.stdout


def test_type_marker_is_installed():
    """Type checkers read the annotations."""
    done = run("import eco2_tracing; print(eco2_tracing.__file__)")
    assert (Path(done.stdout.strip()).parent / "py.typed").is_file()
