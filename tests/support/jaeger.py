"""A real Jaeger v2 for the tests that need one.

In this order: the host in ``ECO2_TEST_JAEGER`` (Jaeger's usual ports, its own strategies), a container,
the command ``jaeger`` on PATH; otherwise the test is skipped, and the reason names all three.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

IMAGE = "jaegertracing/jaeger:2.20.0"
PORTS = {
    "otlp_grpc": 4317,
    "otlp_http": 4318,
    "zipkin": 9411,
    "query": 16686,
    "query_grpc": 16685,
    "sampling": 5778,
    "sampling_grpc": 5779,
    "health": 13133,
}
START_S = 60.0


@dataclass(frozen=True)
class Jaeger:
    """Where a running Jaeger listens.

    Attributes:
        otlp_grpc: ``http://host:port`` of the OTLP gRPC receiver.
        otlp_http: ``http://host:port`` of the OTLP HTTP receiver.
        zipkin: ``http://host:port`` of the Zipkin receiver.
        query: ``http://host:port`` of the UI and the query API.
        sampling: ``http://host:port/sampling``, the strategies over HTTP.
        sampling_grpc: ``grpc://host:port``, the strategies over gRPC.
        health: ``http://host:port/status``.
        strategies: The file that the strategies are read from, twice a second; ``None`` when it is not ours.
    """

    otlp_grpc: str
    otlp_http: str
    zipkin: str
    query: str
    sampling: str
    sampling_grpc: str
    health: str
    strategies: Path | None

    def set_strategies(self, strategies: dict[str, Any]) -> None:
        """Change what the server tells samplers; skips where the server is not ours."""
        if self.strategies is None:
            pytest.skip("ECO2_TEST_JAEGER names a server whose strategies cannot be changed")
        self.strategies.write_text(json.dumps(strategies))  # in place: it may be mounted

    def get(self, url: str, timeout_s: float = 10.0) -> Any:
        """Fetch a URL's JSON; ``None`` when the server answers 404."""
        try:
            with urllib.request.urlopen(url, timeout=timeout_s) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:
                return None
            raise

    def strategy(self, service: str) -> Any:
        """What the server tells a service's sampler."""
        return self.get(f"{self.sampling}?{urllib.parse.urlencode({'service': service})}")

    def spans(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace as OTLP JSON, each with its ``service``; empty while there are none."""
        answer = self.get(f"{self.query}/api/v3/traces/{trace_id}")
        found = []
        for part in (answer or {}).get("result", {}).get("resourceSpans", ()):
            attributes = part.get("resource", {}).get("attributes", ())
            names = [a["value"].get("stringValue") for a in attributes if a["key"] == "service.name"]
            for scope in part.get("scopeSpans", ()):
                found += [{**span, "service": names[0] if names else None} for span in scope["spans"]]
        return found

    def wait_for_spans(self, trace_id: str, count: int, timeout_s: float = 30.0) -> list[dict[str, Any]]:
        """The spans of a trace, as soon as there are so many; fails when they do not come."""
        return wait_for(lambda: (s := self.spans(trace_id)) and len(s) >= count and s, timeout_s)


def wait_for(condition: Any, timeout_s: float = 30.0) -> Any:
    """What a condition returns, as soon as that is true; fails when it stays false."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.02)
    return value


def _jaeger(host: str, ports: dict[str, int], strategies: Path | None) -> Jaeger:
    at = {name: f"{host}:{port}" for name, port in ports.items()}
    return Jaeger(
        otlp_grpc=f"http://{at['otlp_grpc']}",
        otlp_http=f"http://{at['otlp_http']}",
        zipkin=f"http://{at['zipkin']}",
        query=f"http://{at['query']}",
        sampling=f"http://{at['sampling']}/sampling",
        sampling_grpc=f"grpc://{at['sampling_grpc']}",
        health=f"http://{at['health']}/status",
        strategies=strategies,
    )


def _is_ready(jaeger: Jaeger) -> bool:
    try:
        with urllib.request.urlopen(jaeger.health, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _free_ports() -> dict[str, int]:
    held = [socket.socket() for _ in PORTS]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in zip(PORTS, held, strict=True)}
    finally:
        for one in held:
            one.close()


def _config(host: str, ports: dict[str, int], strategies: str) -> str:
    """Jaeger's configuration, all in one and in memory. YAML, of which JSON is a part."""

    def at(name: str) -> dict[str, str]:
        return {"endpoint": f"{host}:{ports[name]}"}

    extensions = {
        "healthcheckv2": {"use_v2": True, "http": at("health")},
        "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": 100_000}}}},
        "jaeger_query": {
            "storage": {"traces": "memory"},
            "http": at("query"),
            "grpc": at("query_grpc"),
        },
        "remote_sampling": {
            "file": {"path": strategies, "reload_interval": "500ms", "default_sampling_probability": 1},
            "http": at("sampling"),
            "grpc": at("sampling_grpc"),
        },
    }
    otlp = {"protocols": {"grpc": at("otlp_grpc"), "http": at("otlp_http")}}
    pipeline = {"receivers": ["otlp", "zipkin"], "processors": [], "exporters": ["jaeger_storage_exporter"]}
    return json.dumps(
        {
            "service": {
                "extensions": list(extensions),
                "pipelines": {"traces": pipeline},
                "telemetry": {"metrics": {"level": "none"}},
            },
            "extensions": extensions,
            "receivers": {"otlp": otlp, "zipkin": at("zipkin")},
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
        }
    )


@contextmanager
def _process(command: str, folder: Path) -> Iterator[Jaeger]:
    ports = _free_ports()
    strategies = folder / "strategies.json"
    config = folder / "jaeger.yaml"
    config.write_text(_config("127.0.0.1", ports, str(strategies)))
    log = folder / "jaeger.log"
    with log.open("wb") as out:
        process = subprocess.Popen([command, "--config", str(config)], stdout=out, stderr=out)
    try:
        jaeger = _jaeger("127.0.0.1", ports, strategies)
        with suppress(AssertionError):
            wait_for(lambda: process.poll() is not None or _is_ready(jaeger), START_S)
        assert process.poll() is None, log.read_text()[-4000:]
        assert _is_ready(jaeger), log.read_text()[-4000:]
        yield jaeger
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextmanager
def _container(folder: Path) -> Iterator[Jaeger]:
    folder.chmod(0o755)
    ports = _free_ports()
    strategies = folder / "strategies.json"
    (folder / "jaeger.yaml").write_text(_config("0.0.0.0", PORTS, "/eco2/strategies.json"))
    publish = [f"--publish=127.0.0.1:{ports[name]}:{port}" for name, port in PORTS.items()]
    mount = f"--volume={folder}:/eco2:ro"
    command = ["docker", "run", "--rm", "--detach", *publish, mount, IMAGE, "--config", "/eco2/jaeger.yaml"]
    container = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    try:
        jaeger = _jaeger("127.0.0.1", ports, strategies)
        wait_for(lambda: _is_ready(jaeger), START_S)
        yield jaeger
    finally:
        subprocess.run(["docker", "rm", "--force", container], check=False, capture_output=True)


def _docker_works() -> bool:
    if shutil.which("docker") is None:
        return False
    known = subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=30)
    if known.returncode != 0:
        return False
    return (
        subprocess.run(["docker", "pull", "--quiet", IMAGE], check=False, capture_output=True).returncode == 0
    )


@contextmanager
def running_jaeger() -> Iterator[Jaeger | None]:
    """A Jaeger, ended afterwards where it was begun here; ``None`` when there is no way to one."""
    host = os.environ.get("ECO2_TEST_JAEGER")
    if host:
        jaeger = _jaeger(host, PORTS, None)
        wait_for(lambda: _is_ready(jaeger), START_S)
        yield jaeger
        return
    with tempfile.TemporaryDirectory(prefix="eco2-jaeger-") as name:
        folder = Path(name)
        (folder / "strategies.json").write_text("{}")
        command = shutil.which("jaeger")
        if _docker_works():
            with _container(folder) as jaeger:
                yield jaeger
        elif command:
            with _process(command, folder) as jaeger:
                yield jaeger
        else:
            yield None


@pytest.fixture(scope="session")
def jaeger() -> Iterator[Jaeger]:
    """A running Jaeger for all tests of the run."""
    with running_jaeger() as found:
        if found is None:
            pytest.skip("no Jaeger: set ECO2_TEST_JAEGER to a host, start Docker, or put jaeger 2.20 on PATH")
        yield found
