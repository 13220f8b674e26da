"""Services as processes on free ports, stopped by their process id."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from eco2_tracing.testing import OtlpReceiver

ROOT = Path(__file__).parents[2]
APP = "benchmarks.reliability._service:app"
LIMIT_S = 60.0
# The route that most rows ask for.
WORK = "/jobs/{item}"
Mode = Literal["bare", "ours", "stock"]

_MODULE = (sys.executable, "-m")
# Command lines by the name of the server; `{port}` is filled in.
SERVERS: dict[str, tuple[str, ...]] = {
    "uvicorn": (*_MODULE, "uvicorn", APP, "--port", "{port}"),
    "gunicorn": (*_MODULE, "gunicorn", APP, "-b", "127.0.0.1:{port}", "-k", "uvicorn_worker.UvicornWorker"),
    "hypercorn": (*_MODULE, "hypercorn", APP, "-b", "127.0.0.1:{port}"),
    "granian": (*_MODULE, "granian", APP, "--port", "{port}", "--interface", "asgi"),
}


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(reached: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: It did not in time; ``what`` says what was waited for.
    """
    end = time.monotonic() + limit_s
    while not reached():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {limit_s:g} s for {what}")
        time.sleep(0.02)


def environment(mode: Mode, endpoint: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """A service's environment: the same for both variants, without that of this process.

    Args:
        mode: What the service is.
        endpoint: Where the collector is, for gRPC.
        more: More variables; they win.
    """
    ours = ("OTEL_", "ECO2_", "WEB_CONCURRENCY", "RELIABILITY_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environ |= {"RELIABILITY_MODE": mode, "PYTHONPATH": str(ROOT), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    if mode == "stock":
        # What a team behind Envoy sets, and the conventions that this library writes.
        environ |= {
            "OTEL_PROPAGATORS": "b3multi,tracecontext,baggage",
            "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
        }
    return environ | dict(more or {})


@dataclass
class Served:
    """A running server.

    Attributes:
        process: Its first process.
        port: Where it listens on loopback.
        log: The file of what it writes to stdout and stderr.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Send one request on a connection of its own; give status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def flush(self) -> None:
        """Have what the service holds delivered."""
        status, body = self.get("/flush")
        if (status, body) != (200, b'{"flushed":true}'):
            raise RuntimeError(f"the flush was answered {status} {body!r}")

    def prove_traced(self, receiver: OtlpReceiver) -> None:
        """Check that spans arrive at all, so that no row is held because nothing is traced."""
        self.get(WORK.format(item=1))
        self.flush()
        receiver.wait_for(lambda spans: any(span.name == f"GET {WORK}" for span in spans))

    def wait_for(self, reached: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds, as long as the server lives."""

        def living() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server has ended: {self.log.read_text()[-2000:]}")
            return reached()

        wait_until(living, what)

    def answers(self) -> bool:
        """Whether the application responds, on a path that this library does not trace."""
        try:
            return self.get("/health")[0] > 0
        except (OSError, http.client.HTTPException):
            return False

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal, SIGINT as a terminal does to the whole group; give exit status and seconds."""
        begun = time.monotonic()
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self.process.wait(LIMIT_S), time.monotonic() - begun

    def _end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(LIMIT_S)


@contextmanager
def serving(
    mode: Mode,
    endpoint: str,
    *,
    server: str = "uvicorn",
    options: Sequence[str] = (),
    routes: str = "",
    environ: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """Run the service until the block ends, from when it answers.

    Args:
        mode: What it is.
        endpoint: Where the collector is, for gRPC.
        server: A name of `SERVERS`.
        options: More words of its command line.
        routes: The module of the row's own routes, beside this one.
        environ: More variables.
    """
    port = free_port()
    command = [*(word.format(port=port) for word in SERVERS[server]), *options]
    more = {"RELIABILITY_ROUTES": f"benchmarks.reliability.{routes}" if routes else "", **(environ or {})}
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        log = Path(folder, "log")
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdout=out,
                stderr=out,
                env=environment(mode, endpoint, more),
                cwd=ROOT,
                start_new_session=True,
            )
        served = Served(process, port, log)
        try:
            served.wait_for(served.answers, "the first answer")
            yield served
        finally:
            served._end()
