"""rotel, an OpenTelemetry collector, as a process that can be killed and started again; and certificates."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import pytest
from tests.support.jaeger import wait_for
from tests.support.servers import answers, free_port

from eco2_tracing._cli._processes import Child
from eco2_tracing.testing import TlsFiles


@dataclass(frozen=True)
class Certificates:
    """What a private CA signed, as PEM files.

    Attributes:
        ca: The CA's own certificate.
        client: A client's key and certificate in one file.
        server: A server's files, which ask for such a client.
    """

    ca: Path
    client: Path
    server: TlsFiles


class Collector:
    """A collector that passes on what it gets, on ports that stay the same.

    Args:
        to: URL of the OTLP gRPC receiver behind it.

    Attributes:
        grpc: URL of its gRPC receiver.
        http: URL of its HTTP receiver.
    """

    def __init__(self, to: str) -> None:
        found = find_spec("rotel")
        if found is None or found.origin is None:
            pytest.skip("no rotel: pip install --pre rotel")
        command = str(Path(found.origin).parent / "rotel-agent")
        self._ports = (free_port(), free_port())
        self.grpc, self.http = (f"http://127.0.0.1:{port}" for port in self._ports)
        at = (f"127.0.0.1:{port}" for port in self._ports)
        arguments = ["start", "--otlp-grpc-endpoint", next(at), "--otlp-http-endpoint", next(at)]
        arguments += ["--disable-batching", "--exporter", "otlp", "--otlp-exporter-protocol", "grpc"]
        self._command = [command, *arguments, "--otlp-exporter-endpoint", to]
        self.start()

    def start(self) -> None:
        """Run it, and wait until it listens."""
        self._child = Child("rotel", self._command, os.environ, grace_s=3.0)
        try:
            for port in self._ports:
                wait_for(answers(port))
        except BaseException:
            self._child.stop()
            raise

    def kill(self) -> None:
        """End it at once: what it holds is lost."""
        self._child._process.kill()
        self._child.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop()
