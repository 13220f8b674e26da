"""Our own exports are never traced, whatever is instrumented."""

from __future__ import annotations

import importlib.util
import os
import sys
import textwrap

import pytest
from tests.support import programs

from eco2_tracing.testing import OtlpReceiver

SCRIPT = """
    import eco2_tracing
    import grpc, urllib3, requests

    assert eco2_tracing.configure_tracing(service_name="exporting")
    print(*eco2_tracing.instrument_libraries(["grpc_client", "urllib3", "requests"]))
    for name in ("one", "two"):
        with eco2_tracing.span(name):
            pass
        assert eco2_tracing.flush_tracing()
    assert eco2_tracing.shutdown_tracing()
"""


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_exports_make_no_spans(protocol):
    """With the instrumentation of the exporter's own HTTP and gRPC library on, only the service's spans arrive."""
    needed = [f"opentelemetry.instrumentation.{part}" for part in ("grpc", "urllib3", "requests")]
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_"))}
    with OtlpReceiver() as receiver:
        endpoint = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
        exporter = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        done = programs.run(
            [sys.executable, "-c", textwrap.dedent(SCRIPT)],
            env={**kept, **exporter},
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["grpc_client", "urllib3", "requests"]
        assert sorted(span.name for span in receiver.spans) == ["one", "two"]
