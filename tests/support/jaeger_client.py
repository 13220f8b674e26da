"""Queries to a running Jaeger, and waiting for their results."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from eco2_tracing.testing import ReceivedTrace
from tests.support.jaeger_json import trace_of_json

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


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
        """Change the server's sampling strategies; skips if the server is not ours."""
        if self.strategies is None:
            pytest.skip("ECO2_TEST_JAEGER names a server whose strategies cannot be changed")
        self.strategies.write_text(json.dumps(strategies))  # in place: it may be mounted

    def get(self, url: str, timeout_s: float = 10.0) -> Any:
        """Fetch JSON from a URL; `None` for a 404."""
        try:
            with _OPENER.open(url, timeout=timeout_s) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:
                return None
            raise

    def strategy(self, service: str) -> Any:
        """The sampling strategy of a service."""
        return self.get(f"{self.sampling}?{urllib.parse.urlencode({'service': service})}")

    def trace(self, trace_id: str) -> ReceivedTrace:
        """A trace as it is held here, which may be without spans."""
        return trace_of_json(trace_id, self.get(f"{self.query}/api/v3/traces/{trace_id}"))


def wait_for(condition: Any, timeout_s: float = 30.0) -> Any:
    """Wait until a condition is true; return its value, or fail."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.02)
    return value


class Holds(Protocol):
    """A store of received spans: Jaeger, or an `OtlpReceiver`."""

    def trace(self, trace_id: str) -> ReceivedTrace:
        """A trace as far as it has come."""


def wait_for_trace(held: Holds, trace_id: str, count: int, timeout_s: float = 30.0) -> ReceivedTrace:
    """Wait for a number of a trace's spans; fail with those received."""
    end = time.monotonic() + timeout_s
    while len((trace := held.trace(trace_id)).spans) < count:
        assert time.monotonic() < end, f"after {timeout_s:g} s, of {count} spans, there is {trace}"
        time.sleep(0.02)
    return trace


def at_host(host: str, ports: dict[str, int], strategies: Path | None) -> Jaeger:
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


def is_ready(jaeger: Jaeger) -> bool:
    try:
        with _OPENER.open(jaeger.health, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
