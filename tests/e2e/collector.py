"""Collectors as processes that can be killed and restarted: rotel, and OpenTelemetry's in Go."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import pytest
from tests.support.jaeger import wait_for
from tests.support.servers import answers, free_port

from eco2_tracing._cli.processes import Child

Config = dict[str, Any]


class Collector:
    """A collector that forwards spans, on constant ports.

    Args:
        to: URL of the OTLP gRPC receiver behind it.

    Attributes:
        grpc: URL of its gRPC receiver.
        http: URL of its HTTP receiver.
        libraries: Folder of shared libraries that its program needs, and may not find.
    """

    libraries = ""

    def __init__(self, to: str) -> None:
        self._ports = (free_port(), free_port())
        self.grpc, self.http = (f"http://127.0.0.1:{port}" for port in self._ports)
        self._command = self.command(*(f"127.0.0.1:{port}" for port in self._ports), to)
        self.start()

    def command(self, grpc: str, http: str, to: str) -> Sequence[str]:
        """Its command line, by the addresses of its receivers and the URL behind it; skips where it is absent."""
        raise NotImplementedError

    def start(self) -> None:
        """Run it and wait until it listens."""
        folders = filter(None, (self.libraries, os.environ.get("LD_LIBRARY_PATH")))
        environ = os.environ | {"LD_LIBRARY_PATH": ":".join(folders)}
        self._child = Child(type(self).__name__, self._command, environ, grace_s=3.0)
        try:
            for port in self._ports:
                wait_for(answers(port))
        except BaseException:
            self._child.stop()
            print(*self._child.lines[-10:], sep="\n")
            raise

    def kill(self) -> None:
        """Kill it; spans that it holds are lost."""
        self._child._process.kill()
        self._child.stop()

    @property
    def lines(self) -> tuple[str, ...]:
        """Its output since the start."""
        return self._child.lines

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()  # a graceful end would wait for our connection


class Rotel(Collector):
    """Streamfold's collector, a wheel that is linked to its interpreter's libpython."""

    libraries = sysconfig.get_config_var("LIBDIR") or ""

    def command(self, grpc: str, http: str, to: str) -> Sequence[str]:
        """Receive, and send on unbatched."""
        found = find_spec("rotel")
        if found is None or found.origin is None:
            pytest.skip("rotel is not installed: pip install --pre rotel")
        program = str(Path(found.origin).parent / "rotel-agent")
        receivers = ["--otlp-grpc-endpoint", grpc, "--otlp-http-endpoint", http]
        exporter = ["--exporter", "otlp", "--otlp-exporter-protocol", "grpc", "--otlp-exporter-endpoint", to]
        return [program, "start", *receivers, "--disable-batching", *exporter]


class GoCollector(Collector):
    """OpenTelemetry's collector: the program in `ECO2_TEST_OTELCOL`, else one on PATH.

    Args:
        to: URL of the OTLP gRPC receiver behind it.
        more: Merged over the configuration that only passes on.
        below: A file whose configuration is merged over instead; its receiver and exporter are replaced.
        needs: Components that the smaller distribution has not; skips without them.
    """

    def __init__(
        self,
        to: str,
        more: Mapping[str, Any] | None = None,
        below: Path | None = None,
        needs: Sequence[str] = (),
    ) -> None:
        self._more = more
        self._below = below
        if absent := set(needs) - components(go_collector()):
            pytest.skip(f"this OpenTelemetry collector lacks {', '.join(absent)}: use otelcol-contrib")
        super().__init__(to)

    def command(self, grpc: str, http: str, to: str) -> Sequence[str]:
        """Each configuration is merged over the one before it."""
        protocols = {"grpc": {"endpoint": grpc}, "http": {"endpoint": http}}
        ends: Config = {
            "receivers": {"otlp": {"protocols": protocols}},
            "exporters": {"otlp_grpc": {"endpoint": to.removeprefix("http://"), "tls": {"insecure": True}}},
            "service": {"telemetry": {"metrics": {"level": "none"}}},
        }
        through: Config = {"receivers": ["otlp"], "exporters": ["otlp_grpc"]}
        first = (
            f"file:{self._below}" if self._below else _yaml({"service": {"pipelines": {"traces": through}}})
        )
        given = [first, _yaml(ends), *([_yaml(self._more)] if self._more else [])]
        return [go_collector(), *(f"--config={one}" for one in given)]


def _yaml(config: Mapping[str, Any]) -> str:
    return f"yaml:{json.dumps(config)}"


def go_collector() -> str:
    """The path of the program; skips if there is none."""
    named = os.environ.get("ECO2_TEST_OTELCOL", "")
    for name in (named,) if named else ("otelcol", "otelcol-contrib"):
        if (found := shutil.which(name)) is not None:
            return found
    return pytest.skip(
        f"no command {named}: ECO2_TEST_OTELCOL names it"
        if named
        else "no OpenTelemetry collector: put otelcol-contrib 0.155.0 of its release on PATH or set ECO2_TEST_OTELCOL"
    )


@cache
def components(program: str) -> frozenset[str]:
    """The components in a collector's build."""
    told = subprocess.run([program, "components"], check=True, capture_output=True, text=True).stdout
    return frozenset(re.findall(r"- name: (\w+)", told))


COLLECTORS = {"rotel": Rotel, "otelcol": GoCollector}
