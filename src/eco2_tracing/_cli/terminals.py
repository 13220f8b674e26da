"""What `eco2-tracing run` chooses on a terminal."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, MutableMapping

_EXPORTERS = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_LONGEST_S = 0.2


def choose_for_terminal(
    environ: MutableMapping[str, str], service: str, *, logging: bool, answers: Callable[[int], bool]
) -> str:
    """Choose text for log lines, and the exporter `waterfall` where traces would be sent to nobody.

    Args:
        environ: The environment of the command, which is changed.
        service: The name of a service that has none.
        logging: Logging is set up.
        answers: Returns whether a port of this machine accepts connections.

    Returns:
        The start-up line.
    """
    if logging:
        environ["_ECO2_TRACING_RUN_LOG_FORMAT"] = "auto"  # a default: the environment and the code come first
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "eco2-tracing: tracing is switched off by OTEL_SDK_DISABLED"
    return f"eco2-tracing: tracing {environ.get('OTEL_SERVICE_NAME') or service} {_destination(environ, answers)}"


def _destination(environ: MutableMapping[str, str], answers: Callable[[int], bool]) -> str:
    exporter, *endpoints = (environ.get(each, "").strip() for each in _EXPORTERS)
    endpoint = next(filter(None, reversed(endpoints)), None)
    if exporter and exporter != "otlp":
        return f"with OTEL_TRACES_EXPORTER={exporter}"
    if endpoint:
        scheme, mark, rest = endpoint.rpartition("://")
        return f"to {scheme}{mark}{rest.partition('/')[0].rpartition('@')[2]}"  # tokens may stand elsewhere
    protocol = next(filter(None, (environ.get(each) for each in _PROTOCOLS)), "grpc")
    port = 4318 if protocol.strip().startswith("http") else 4317
    if exporter or answers(port):
        return f"to the collector at localhost:{port}"
    environ["OTEL_TRACES_EXPORTER"] = "waterfall"
    return f"here, because no collector answers at localhost:{port} (OTEL_TRACES_EXPORTER=waterfall)"


def answers(port: int) -> bool:
    """Return whether a port of this machine accepts connections, within 0.2 s."""
    deadline = time.monotonic() + _LONGEST_S
    for host in ("127.0.0.1", "::1"):
        try:
            socket.create_connection((host, port), max(deadline - time.monotonic(), 0.01)).close()
        except OSError:
            continue
        return True
    return False
