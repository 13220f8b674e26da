"""A real Jaeger v2 for the tests that need one.

There are three ways to one, in this order: the host in ``ECO2_TEST_JAEGER`` (Jaeger's usual ports, its own
strategies), a container, the command ``jaeger`` on PATH. The fixture ``jaeger`` takes the first that is there, and
skips where there is none; ``each_jaeger`` runs a test by every way, and skips those that are not there.
``ECO2_TEST_JAEGER_BY`` leaves the other ways out: ``docker``, ``command,endpoint``, ``neither``.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from eco2_tracing.testing import TlsFiles
from tests.support.jaeger_client import Holds, Jaeger, at_host, is_ready, wait_for, wait_for_trace
from tests.support.servers import free_port

__all__ = [
    "WAYS_VARIABLE",
    "Holds",
    "Jaeger",
    "each_jaeger",
    "first_way",
    "jaeger",
    "missing",
    "running_jaeger",
    "wait_for",
    "wait_for_trace",
]

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
WAYS_VARIABLE = "ECO2_TEST_JAEGER_BY"


def _config(host: str, ports: dict[str, int], folder: str, tls: TlsFiles | None) -> str:
    """Jaeger's configuration, all in one and in memory, as JSON, which is YAML too."""

    def at(name: str) -> dict[str, Any]:
        return {"endpoint": f"{host}:{ports[name]}"}

    secured: dict[str, Any] = {}
    if tls is not None:
        secured["tls"] = {"cert_file": f"{folder}/server.pem", "key_file": f"{folder}/server.key"}
        if tls.client_ca is not None:
            secured["tls"]["client_ca_file"] = f"{folder}/client-ca.pem"
    strategies = {"path": f"{folder}/strategies.json", "reload_interval": "500ms"}
    extensions = {
        "healthcheckv2": {"use_v2": True, "http": at("health")},
        "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": 100_000}}}},
        "jaeger_query": {
            "storage": {"traces": "memory"},
            "http": at("query"),
            "grpc": at("query_grpc"),
        },
        "remote_sampling": {
            "file": {**strategies, "default_sampling_probability": 1},
            "http": at("sampling"),
            "grpc": at("sampling_grpc"),
        },
    }
    # Pages of this machine may export too.
    pages = {"cors": {"allowed_origins": ["http://127.0.0.1:*"]}}
    otlp = {"protocols": {"grpc": at("otlp_grpc") | secured, "http": at("otlp_http") | secured | pages}}
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


def _fill(folder: Path, config: str, tls: TlsFiles | None) -> None:
    """Write Jaeger's files: configuration, strategies, certificates."""
    folder.chmod(0o755)  # a container may run as another user
    (folder / "strategies.json").write_text("{}")
    (folder / "jaeger.yaml").write_text(config)
    if tls is not None:
        shutil.copy(tls.certificate, folder / "server.pem")
        shutil.copy(tls.private_key, folder / "server.key")
        if tls.client_ca is not None:
            shutil.copy(tls.client_ca, folder / "client-ca.pem")


@contextmanager
def _endpoint(folder: Path, tls: TlsFiles | None) -> Iterator[Jaeger]:
    if tls is not None:
        pytest.skip("ECO2_TEST_JAEGER names a server whose certificates are not ours")
    jaeger = at_host(os.environ["ECO2_TEST_JAEGER"], PORTS, None)
    wait_for(lambda: is_ready(jaeger), START_S)
    yield jaeger


@contextmanager
def _process(folder: Path, tls: TlsFiles | None) -> Iterator[Jaeger]:
    ports = {name: free_port() for name in PORTS}
    _fill(folder, _config("127.0.0.1", ports, str(folder), tls), tls)
    log = folder / "jaeger.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["jaeger", "--config", str(folder / "jaeger.yaml")], stdout=out, stderr=out
        )
    try:
        jaeger = at_host("127.0.0.1", ports, folder / "strategies.json")
        with suppress(AssertionError):
            wait_for(lambda: process.poll() is not None or is_ready(jaeger), START_S)
        assert process.poll() is None, log.read_text()[-4000:]
        assert is_ready(jaeger), log.read_text()[-4000:]
        yield jaeger
    finally:
        process.terminate()
        try:
            process.wait(2)  # its data is not needed any more
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextmanager
def _container(folder: Path, tls: TlsFiles | None) -> Iterator[Jaeger]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import HttpWaitStrategy

    _fill(folder, _config("0.0.0.0", PORTS, "/eco2", tls), tls)
    ready = HttpWaitStrategy(PORTS["health"], "/status").with_startup_timeout(int(START_S))
    described = (
        DockerContainer(IMAGE)
        .with_exposed_ports(*PORTS.values())
        .with_volume_mapping(folder, "/eco2", "ro")
        .with_command(["--config", "/eco2/jaeger.yaml"])
        .waiting_for(ready)
    )
    with described as container:
        ports = {name: container.get_exposed_port(port) for name, port in PORTS.items()}
        yield at_host(container.get_container_host_ip(), ports, folder / "strategies.json")


_WAYS = {"endpoint": _endpoint, "docker": _container, "command": _process}


@cache
def missing(way: str) -> str | None:
    """Why a way to a Jaeger is not available; `None` if it is."""
    chosen = os.environ.get(WAYS_VARIABLE)
    if chosen and way not in chosen.split(","):
        return f"{WAYS_VARIABLE}={chosen} leaves it out"
    if way == "endpoint":
        return None if os.environ.get("ECO2_TEST_JAEGER") else "set ECO2_TEST_JAEGER to the host of a Jaeger"
    if way == "command":
        return None if shutil.which("jaeger") else "put the command jaeger of the release 2.20.0 on PATH"
    try:
        import docker
        from testcontainers.core.config import testcontainers_config
    except ImportError as error:
        return f"pip install testcontainers ({error})"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # without a daemon it leaves its socket open
        try:
            client = docker.from_env()
        except docker.errors.DockerException as error:
            return f"start Docker ({_first_line(error)})"
        finally:
            gc.collect()
    reaper = () if testcontainers_config.ryuk_disabled else (testcontainers_config.ryuk_image,)
    try:
        for image in (IMAGE, *reaper):
            try:
                client.images.get(image)
            except docker.errors.ImageNotFound:
                client.images.pull(image)
    except docker.errors.DockerException as error:
        cure = " or set TESTCONTAINERS_RYUK_DISABLED=true" if image in reaper else ""
        return f"let Docker pull {image}{cure} ({_first_line(error)})"
    finally:
        client.close()
    return None


def _first_line(error: Exception) -> str:
    return f"{str(error).partition(chr(10))[0]:.80}"


def first_way() -> str:
    """The first available way; skips with the reasons if there is none."""
    for way in _WAYS:
        if missing(way) is None:
            return way
    return pytest.skip("no Jaeger: " + ", or ".join(str(missing(way)) for way in _WAYS))


@contextmanager
def running_jaeger(way: str, tls: TlsFiles | None = None) -> Iterator[Jaeger]:
    """A running Jaeger, stopped afterwards if it was started here.

    Args:
        way: ``endpoint``, ``docker`` or ``command``; skips where it is not there.
        tls: What its OTLP receivers serve TLS with; plain text when ``None``.
    """
    if (reason := missing(way)) is not None:
        pytest.skip(f"no Jaeger by {way}: {reason}")
    with tempfile.TemporaryDirectory(prefix="eco2-jaeger-") as name:
        made: AbstractContextManager[Jaeger] = _WAYS[way](Path(name), tls)
        with made as jaeger:
            yield jaeger


@pytest.fixture(scope="session")
def jaeger() -> Iterator[Jaeger]:
    """A running Jaeger for all tests of the run, by the first available way."""
    with running_jaeger(first_way()) as found:
        yield found


@pytest.fixture(scope="session", params=list(_WAYS))
def each_jaeger(request: pytest.FixtureRequest) -> Iterator[Jaeger]:
    """A running Jaeger by each way; unavailable ways are skipped with the reason."""
    with running_jaeger(request.param) as found:
        yield found
