"""The service behind the proxies, once for each value of `OTEL_PROPAGATORS`, and a receiver of all spans."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from eco2_tracing.testing import OtlpReceiver
from tests.support.children import Child

ROOT = Path(__file__).parents[2]
SHOP = "shop"


@pytest.fixture(scope="package")
def receiver() -> Iterator[OtlpReceiver]:
    """Receives the spans of the proxies and of the service."""
    with OtlpReceiver() as running:
        yield running


@pytest.fixture(scope="package")
def service(receiver: OtlpReceiver) -> Iterator[Callable[[str], str]]:
    """Start the service with a value of `OTEL_PROPAGATORS`, or use the running one; returns its URL."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "ECO2_"))}
    environ = kept | {
        "OTEL_SERVICE_NAME": SHOP,
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    command = [sys.executable, "-m", "uvicorn", "tests.proxies.service:app", "--app-dir", str(ROOT)]
    with ExitStack() as stack:

        @cache
        def start(propagators: str) -> str:
            variables = environ | {"OTEL_PROPAGATORS": propagators}
            child = stack.enter_context(Child(SHOP, [*command, "--port", "0"], variables))
            return f"http://127.0.0.1:{child.wait_for_line(r'running on http://[^ :]+:([0-9]+)').group(1)}"

        yield start
