"""The same application under four tracers, on a terminal, without a collector or account.

Run it as ``python -m benchmarks.first_trace PYTHON [RUNS] [--show]``, in a virtual environment without other packages:

    pip install '.[sqlalchemy]' fastapi uvicorn[standard] httpx "sqlalchemy<2.1"

PYTHON is the interpreter of a virtual environment with the other tracers:

    pip install logfire ddtrace opentelemetry-distro opentelemetry-instrumentation-{fastapi,httpx,sqlalchemy}
    pip install fastapi uvicorn[standard] httpx "sqlalchemy<2.1"

It prints lines of code, lines of output of a good and of a failed request, and the time from the command to the first
trace on the screen. The request is sent as soon as the server listens.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from subprocess import check_output
from typing import NamedTuple

from tests.support.terminal import Terminal, on_terminal

APP = """\
import os

import httpx
from fastapi import FastAPI
from sqlalchemy import create_engine, text

app = FastAPI()
engine = create_engine("sqlite:///shop.db")


def stock(item: int) -> dict[str, int]:
    in_stock = httpx.get(os.environ["STOCK_URL"]).json()
    with engine.connect() as connection:
        return {"price": connection.scalar(text("SELECT 3 * :item"), {"item": item}), "stock": in_stock}


@app.get("/items/{item}")
def read_item(item: int) -> dict[str, int]:
    return stock(item)


@app.get("/orders/{item}")
def order(item: int) -> dict[str, int]:
    return {"days": stock(item)["price"] // 0}
"""
LOGFIRE = """\
import logfire
logfire.configure(send_to_logfire=False)
logfire.instrument_fastapi(app)
logfire.instrument_httpx()
logfire.instrument_sqlalchemy(engine)
"""
CONSOLE = "--traces_exporter console --metrics_exporter none --logs_exporter none"
COLUMNS = 120
QUIET_S, LIMIT_S = 1.5, 20.0


class Tracer(NamedTuple):
    """One way to trace the application.

    Attributes:
        command: What stands before ``uvicorn``.
        code: Lines added to the application.
        first: What the screen shows once the trace of the good request is readable; the failed one has ``orders``.
            Empty if there is no trace without more programs.
        package: Its version is printed.
        is_ours: It is in this interpreter's environment.
    """

    command: tuple[str, ...]
    code: str
    first: str
    package: str
    is_ours: bool = False


TRACERS = {
    "no tracing": Tracer((), "", "", "uvicorn"),
    "eco2-tracing run": Tracer(
        ("eco2-tracing", "run", "--exporter", "waterfall"), "", r"GET /items/\{item\} ", "eco2-tracing", is_ours=True
    ),
    "logfire, console": Tracer((), LOGFIRE, r"\.\d+ GET /items/7", "logfire"),
    "opentelemetry-instrument": Tracer(
        ("opentelemetry-instrument", *CONSOLE.split()),
        "", r'"name": "GET /items/\{item\}"', "opentelemetry-distro",
    ),
    "ddtrace-run": Tracer(("ddtrace-run",), "", "", "ddtrace"),  # it needs Datadog's agent
}  # fmt: skip


class Stock(BaseHTTPRequestHandler):
    """The service that the application calls."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "1")
        self.end_headers()
        self.wfile.write(b"7")

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def stock_service():
    """Serve; give the URL."""
    server = HTTPServer(("127.0.0.1", 0), Stock)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/stock"
    server.shutdown()
    server.server_close()


def free_port() -> int:
    """Give a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def get(port: int, path: str) -> None:
    """Send a request once the server listens."""
    end = time.monotonic() + LIMIT_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        try:
            connection.request("GET", path)
            connection.getresponse().read()
            return
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        finally:
            connection.close()


def shown(terminal: Terminal, pattern: str, begun: float) -> float | None:
    """Wait until a pattern is on the screen; give the seconds since the start, or None if it never comes."""
    end = time.monotonic() + LIMIT_S / 2
    while pattern and time.monotonic() < end:
        if re.search(pattern, terminal.screen):
            return time.monotonic() - begun
        time.sleep(0.005)
    return None


def settled(terminal: Terminal, former: str) -> list[str]:
    """Wait until nothing more is written; give the lines that were added."""
    while True:
        before = terminal.screen
        time.sleep(QUIET_S)
        if terminal.screen == before:
            added = before[len(former) :]
            return [line for line in added.splitlines() if line.strip()]


def run(
    tracer: Tracer, folder: Path, python: Path, stock_url: str, lines: bool
) -> tuple[float | None, list[list[str]]]:
    """Start the server once; give the seconds to the first trace, and the lines of both requests if wanted."""
    python = Path(sys.executable) if tracer.is_ours else python
    (folder / "shop.py").write_text(APP + tracer.code)
    environ = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_", "DD_"))
    }
    environ |= {"PATH": f"{python.parent}{os.pathsep}{environ['PATH']}", "STOCK_URL": stock_url}
    environ |= {"TERM": "xterm-256color", "NO_PROXY": "127.0.0.1"}
    port = free_port()
    command = [*tracer.command, "uvicorn", "shop:app", "--port", str(port)]
    command[0] = str(python.parent / command[0])
    begun = time.monotonic()
    with on_terminal(command, environ, folder, COLUMNS) as terminal:
        former = ""
        if lines:
            terminal.wait_for("startup complete")
            settled(terminal, "")
            former = terminal.screen
        get(port, "/items/7")
        seconds = shown(terminal, tracer.first, begun)
        added = []
        if lines:
            added.append(settled(terminal, former))
            former = terminal.screen
            with suppress(http.client.RemoteDisconnected):
                get(port, "/orders/7")
            shown(terminal, tracer.first.replace("items", "orders"), begun)
            added.append(settled(terminal, former))
        terminal.press("\x03")
        terminal.wait()
    return seconds, added


def version_of(tracer: Tracer, python: Path) -> str:
    """Give the version of a package in its environment."""
    if tracer.is_ours:
        return version(tracer.package)
    code = f"from importlib.metadata import version; print(version({tracer.package!r}))"
    return check_output([python, "-c", code], text=True).strip()


def main(python: Path, runs: int, show: bool) -> None:
    """Print the table. The tracers take turns, so that a busy machine slows them all alike."""
    with stock_service() as url, tempfile.TemporaryDirectory() as folder:
        traced = {name: tracer for name, tracer in TRACERS.items() if tracer.first}
        turns = [
            {name: run(tracer, Path(folder), python, url, lines=False)[0] for name, tracer in traced.items()}
            for _ in range(runs)
        ]
        print(
            f"{'':26}{'version':>10}{'code':>6}{'good':>6}{'failed':>8}{'first trace':>14}   best of {runs} runs"
        )
        for name, tracer in TRACERS.items():
            _, added = run(tracer, Path(folder), python, url, lines=True)
            taken = [seconds for turn in turns if (seconds := turn.get(name)) is not None]
            first = f"{min(taken):.2f} s" if taken else "none"
            good, failed = map(len, added)
            code = len(tracer.code.splitlines())
            print(
                f"{name:26}{version_of(tracer, python):>10}{code:6}{good:6}{failed:8}{first:>14}", flush=True
            )
            if show:
                print(*(f"  | {line}" for each in added for line in ["", *each]), sep="\n")


if __name__ == "__main__":
    arguments = [each for each in sys.argv[1:] if each != "--show"]
    main(Path(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 5, "--show" in sys.argv)
