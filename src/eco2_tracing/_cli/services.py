"""The example services as processes, with the environment of a Deployment."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from eco2_tracing._cli.processes import Child
from eco2_tracing._cli.story import TRACE_HEADER

_OURS = ("OTEL_", "ECO2_TRACING_")


def examples() -> Path:
    """The folder of the example services: beside this module in the wheel, else in the checkout.

    Raises:
        FileNotFoundError: Neither folder exists.
    """
    inside, checkout = Path(__file__).parent / "_examples", Path(__file__).parents[3] / "examples"
    for folder in (inside, checkout):
        if (folder / "auth_api.py").is_file():
            return folder
    raise FileNotFoundError(f"the example services are neither in {inside} nor in {checkout}")


def service_environ(environ: Mapping[str, str], endpoint: str | None, receiver: str) -> dict[str, str]:
    """The environment of the services.

    Args:
        environ: The environment of this process. Its tracing variables are left out, but for
            `OTEL_EXPORTER_OTLP_*` if there is an `endpoint`, which may need headers and certificates.
        endpoint: The OTLP endpoint given by the user, or `None`.
        receiver: The OTLP endpoint (gRPC) of the demo's receiver.
    """
    kept = "OTEL_EXPORTER_OTLP_" if endpoint is not None else ()
    made = {key: value for key, value in environ.items() if not key.startswith(_OURS) or key.startswith(kept)}
    made |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint or receiver,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "ECO2_TRACING_RESPONSE_HEADER": TRACE_HEADER,
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1",
    }
    if endpoint is not None and urlsplit(endpoint).port == 4318:
        made.setdefault("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    return made


def start_service(module: str, environ: Mapping[str, str]) -> Child:
    """Start an example service under uvicorn, on a free port."""
    arguments = ("--app-dir", str(examples()), "--host", "127.0.0.1", "--port", "0")
    command = (sys.executable, "-m", "uvicorn", f"{module}:app", *arguments)
    return Child(module.replace("_", "-"), command, environ)


def url_of(service: Child) -> str:
    """Wait until a service listens; return its URL."""
    return f"http://127.0.0.1:{service.wait_for_line(r'running on http://[^ :]+:([0-9]+)').group(1)}"
