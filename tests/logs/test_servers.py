"""Lines of real servers: one ECS line each on stdout, whichever configures logging first."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from eco2_tracing.logs import uvicorn_log_config
from tests.logs.ids import SPAN_ID, TRACE_ID
from tests.support import programs
from tests.support.servers import free_port

APP = "tests.logs.served:app"
LIMIT_S = 30.0
UVICORN = [sys.executable, "-m", "uvicorn", APP, "--port", "{port}"]
GUNICORN = [
    sys.executable,
    "-m",
    "gunicorn",
    APP,
    "-k",
    "uvicorn_worker.UvicornWorker",
    "-b",
    "127.0.0.1:{port}",
]
SERVERS = {
    "uvicorn": UVICORN,
    "uvicorn with colours": [*UVICORN, "--use-colors"],
    "uvicorn, two workers": [*UVICORN, "--workers", "2"],
    "uvicorn.run": [sys.executable, "-m", "tests.logs.served", "{port}"],
    "gunicorn": GUNICORN,
    "gunicorn, access log on": [*GUNICORN, "--access-logfile", "-"],
    "gunicorn, preloaded": [*GUNICORN, "--preload"],
    "gunicorn, preloaded, access log on": [*GUNICORN, "--preload", "--access-logfile", "-"],
}


@dataclass
class Served:
    """A running server and its output."""

    process: programs.Process
    port: int
    out: Path
    err: Path

    def get(self, path: str) -> int:
        """Send one request on a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            connection.request("GET", path, headers={"User-Agent": "test/1"})
            return connection.getresponse().status
        finally:
            connection.close()

    def lines(self) -> list[dict[str, object]]:
        """Parse all of stdout; fails on a line that is no JSON object."""
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    def wait_for(self, reached: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        end = time.monotonic() + LIMIT_S
        while not reached():
            assert self.process.poll() is None, self.err.read_text()
            assert time.monotonic() < end, self.out.read_text() + self.err.read_text()
            time.sleep(0.02)

    def answers(self) -> bool:
        """Return True if the application responds."""
        try:
            return self.get("/ready") == 404
        except OSError:
            return False


@contextmanager
def serving(command: list[str], folder: Path, **environ: str) -> Iterator[Served]:
    """Run a server until the block ends."""
    port = free_port()
    arguments = [argument.format(port=port) for argument in command]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = programs.start(arguments, stdout=out, stderr=err, env=os.environ | environ)
        served = Served(process, port, folder / "out", folder / "err")
        try:
            served.wait_for(served.answers)
            yield served
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)


def access_lines(lines: list[dict[str, object]], path: str) -> list[dict[str, object]]:
    """The access lines of one path."""
    return [line for line in lines if line["log.logger"] == "uvicorn.access" and line.get("url.path") == path]


@pytest.mark.parametrize("name", SERVERS)
def test_every_line_is_one_ecs_document(name, tmp_path):
    """Application, access and traceback lines are there once, with HTTP fields, ids and masked secrets."""
    if "gunicorn" in name:
        pytest.importorskip("uvicorn_worker")
    with serving(SERVERS[name], tmp_path) as served:
        for item in range(4):
            assert served.get(f"/items/{item}?code=planted-secret&page=2") == 200
        assert served.get("/fail") == 500
        served.wait_for(lambda: '"error.type"' in served.out.read_text())
    lines = served.lines()
    written = served.out.read_text() + served.err.read_text()

    for item in range(4):
        (access,) = access_lines(lines, f"/items/{item}")
        assert access["http.request.method"] == "GET"
        assert access["http.response.status_code"] == 200
        assert access["url.query"] == "code=REDACTED&page=2"
        assert access["client.ip"] == "127.0.0.1"
        assert access["user_agent.original"] == "test/1"
        assert access["trace.id"] == f"{TRACE_ID:032x}"
        assert access["labels"] == {"item": item}
    assert [line["labels"] for line in lines if line["log.logger"] == "served"] == [
        {"item": item} for item in range(4)
    ]
    (failed,) = [line for line in lines if "error.type" in line]
    assert failed["log.logger"] == "uvicorn.error"
    assert (failed["trace.id"], failed["span.id"]) == (f"{TRACE_ID:032x}", f"{SPAN_ID:016x}")
    assert "planted-secret" not in written
    assert all(list(line)[:4] == ["@timestamp", "log.level", "message", "ecs.version"] for line in lines)
    assert {line["service.name"] for line in lines} == {"served"}
    assert "GET /items" not in served.err.read_text()


def test_access_lines_that_are_switched_off_stay_off(tmp_path):
    """`--no-access-log` is respected."""
    with serving([*UVICORN, "--no-access-log"], tmp_path) as served:
        assert served.get("/items/1") == 200
    assert not [line for line in served.lines() if line["log.logger"] == "uvicorn.access"]


def test_the_configuration_for_uvicorn_alone(tmp_path):
    """With `--log-config`, all lines are ECS without a call."""
    config = tmp_path / "log.json"
    config.write_text(json.dumps(uvicorn_log_config()))
    command = [*UVICORN, "--log-config", str(config), "--use-colors"]
    with serving(command, tmp_path, ECS_BY_CONFIGURATION="1") as served:
        assert served.get("/items/1?token=planted-secret") == 200
    (access,) = access_lines(served.lines(), "/items/1")
    assert access["url.query"] == "token=REDACTED"
    assert served.err.read_text() == ""


def test_gunicorns_master(tmp_path):
    """The recipe of the documentation: `gunicorn.conf.py` is run before the master's first line."""
    pytest.importorskip("uvicorn_worker")
    config = tmp_path / "gunicorn.conf.py"
    config.write_text(
        "from eco2_tracing import configure_logging\nconfigure_logging(service_name='served')\n"
    )
    with serving([*GUNICORN, "-c", str(config)], tmp_path) as served:
        assert served.get("/items/1") == 200
        served.process.send_signal(signal.SIGTERM)
        served.process.wait(LIMIT_S)
    master = [line for line in served.lines() if line["process.pid"] == served.process.pid]
    messages = [str(line["message"]) for line in master]
    assert messages[0].startswith("Starting gunicorn")
    assert messages[-1] == "Shutting down: Master"
    assert {line["log.logger"] for line in master} == {"gunicorn.error"}
    assert served.err.read_text() == ""


@pytest.mark.parametrize("logfile", [False, True])
def test_celerys_worker(tmp_path, logfile):
    """Lines of the worker and of tasks, printed ones included, are ECS lines on stdout and in the log file."""
    pytest.importorskip("celery", reason="Celery is not installed")
    command = [sys.executable, "-m", "celery", "--quiet", "-A", "tests.logs.celery_app"]
    more = ["-f", str(tmp_path / "log")] if logfile else []
    done = subprocess.run(
        [*command, "worker", "--pool", "solo", "-l", "INFO", *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * LIMIT_S,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    by_logger = [(line["log.logger"], line["message"]) for line in lines]
    assert by_logger.count(("tasks", "in the task")) == 2
    assert by_logger.count(("celery.redirected", "printed in the task")) == 2
    (failed,) = [line for line in lines if "error.type" in line]
    assert (failed["log.logger"], failed["error.message"]) == ("celery.app.trace", "token=REDACTED")
    assert any(message.endswith(" ready.") for _, message in by_logger)
    assert "planted-secret" not in done.stdout
    assert done.stderr == ""
    if logfile:
        assert [json.loads(line)["message"] for line in (tmp_path / "log").read_text().splitlines()] == [
            message for _, message in by_logger
        ]
