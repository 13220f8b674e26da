"""Real servers, started as processes on free ports and stopped by their process id."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import programs
from tests.support.gunicorn import wait_for_workers
from tests.support.servers import free_port

ROOT = Path(__file__).parents[2]
APP = "tests.lifecycle.served:app"
LIMIT_S = 30.0
_MODULE = [sys.executable, "-m"]
_BIND = "127.0.0.1:{port}"


@dataclass(frozen=True)
class Server:
    """One way to run the application.

    Attributes:
        needs: The module without which it is skipped.
        on: Its command line with a lifespan.
        off: And without; empty where the server cannot.
        at_sigterm: Exit status after SIGTERM, as it is without this library; below zero a signal.
        at_sigint: The same after SIGINT.
    """

    needs: str
    on: list[str]
    off: list[str] = field(default_factory=list)
    at_sigterm: int = 0
    at_sigint: int = 0

    def commands(self) -> dict[str, list[str]]:
        """Its command lines by what becomes of the lifespan."""
        return {"on": self.on} | ({"off": self.off} if self.off else {})


def _uvicorn(*more: str, at_sigterm: int = 0) -> Server:
    command = [*_MODULE, "uvicorn", APP, "--port", "{port}", *more, "--lifespan"]
    return Server("uvicorn", [*command, "on"], [*command, "off"], at_sigterm)


def _gunicorn(*more: str) -> Server:
    command = [*_MODULE, "gunicorn", APP, "-b", _BIND, *more, "-k"]
    return Server(
        "uvicorn_worker",
        [*command, "uvicorn_worker.UvicornWorker"],
        [*command, "tests.lifecycle.workers.NoLifespan"],
    )


_RUN = [*_MODULE, "tests.lifecycle.served", "{port}"]
_GUNICORN_ASGI = [*_MODULE, "gunicorn", APP, "-b", _BIND, "-k", "asgi", "--asgi-lifespan"]
_HYPERCORN = [*_MODULE, "hypercorn", APP, "-b", _BIND]
_GRANIAN = [*_MODULE, "granian", APP, "--port", "{port}", "--interface"]

SERVERS = {
    "uvicorn": _uvicorn(at_sigterm=-signal.SIGTERM),
    "uvicorn.run": Server("uvicorn", [*_RUN, "on"], [*_RUN, "off"], -signal.SIGTERM),
    "uvicorn --workers 2": _uvicorn("--workers", "2"),
    "uvicorn --reload": _uvicorn("--reload", "--reload-dir", "tests/lifecycle"),
    "gunicorn": _gunicorn(),
    "gunicorn --preload": _gunicorn("--preload", "-w", "2"),
    "gunicorn, its own worker": Server(
        "gunicorn.workers.gasgi", [*_GUNICORN_ASGI, "on"], [*_GUNICORN_ASGI, "off"]
    ),
    "hypercorn": Server("hypercorn", _HYPERCORN),
    "granian": Server("granian", [*_GRANIAN, "asgi"], [*_GRANIAN, "asginl"]),
}


@dataclass
class Served:
    """A running server."""

    process: programs.Process
    port: int
    log: Path

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def wait_for(self, reached: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        end = time.monotonic() + LIMIT_S
        while not reached():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)

    def answers(self) -> bool:
        """Return whether the application answers, on a path without spans."""
        try:
            return self.get("/health")[0] == 404
        except (OSError, http.client.HTTPException):
            return False

    def work(self, count: int = 10) -> set[int]:
        """Send requests that make a span each; return the processes that served them."""
        return {int(self.get(f"/work/{item}")[1]) for item in range(count)}

    def stop(self, number: signal.Signals) -> tuple[int, float]:
        """Send a signal, SIGINT as a terminal does to the whole group; return the exit status and the seconds."""
        wait_for_workers(self.process)
        begun = time.monotonic()
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self.process.wait(LIMIT_S), time.monotonic() - begun


def environment(endpoint: str, **more: str) -> dict[str, str]:
    """The environment of a service whose queue is only exported by a flush."""
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "ECO2_", "WEB_CONCURRENCY"))
    }
    return inherited | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "60000"} | more


def stop_together(running: Sequence[Served]) -> list[tuple[int, float]]:
    """Stop servers by SIGTERM at the same time, because each may wait; return status and seconds of each end."""
    with ThreadPoolExecutor(len(running) or 1) as pool:
        return list(pool.map(lambda served: served.stop(signal.SIGTERM), running))


@contextmanager
def serving(command: list[str], log: Path, environ: dict[str, str]) -> Iterator[Served]:
    """Run a server until the block ends."""
    port = free_port()
    arguments = [argument.format(port=port) for argument in command]
    with log.open("wb") as out:
        process = programs.start(arguments, stdout=out, stderr=out, env=environ, start_new_session=True)
        served = Served(process, port, log)
        try:
            yield served
        finally:
            if process.poll() is None:
                served.stop(signal.SIGTERM)
