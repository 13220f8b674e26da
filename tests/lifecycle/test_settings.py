"""A service starts with every bad setting if eco2_tracing is imported first."""

from __future__ import annotations

import sys

import pytest

import eco2_tracing
from eco2_tracing._errors import ConfigurationError
from tests.lifecycle.servers import LIMIT_S, environment
from tests.support import programs

SERVICE = """
import eco2_tracing
eco2_tracing.configure_logging()
eco2_tracing.configure_tracing("x")
from fastapi import FastAPI
app = FastAPI()
eco2_tracing.instrument_app(app)
@app.get("/")
async def root() -> str | None:
    with eco2_tracing.span("inside"):
        return eco2_tracing.current_trace_id()
import opentelemetry.sdk.trace.export
import anyio
sent = []
async def receive(): return {"type": "http.request"}
async def send(message): sent.append(message)
scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
anyio.run(app, scope, receive, send)
print(sent[0]["status"], len(sent[1]["body"]))
"""
# What kills stock imports, or tracers later, each alone: a bad one may hide the next.
DEADLY = {
    "OTEL_PROPAGATORS": "nonsense",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "abc",
    "OTEL_PYTHON_CONTEXT": "nonsense",
    "OTEL_PYTHON_METER_PROVIDER": "nonsense",
    "OTEL_PYTHON_TRACER_PROVIDER": "nonsense",
    "OTEL_PYTHON_LOGGER_PROVIDER": "nonsense",
}
NUMBERS = [
    *(
        f"OTEL_BSP_{name}"
        for name in ("SCHEDULE_DELAY", "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE", "EXPORT_TIMEOUT")
    ),
    *(f"OTEL_{name}_LIMIT" for name in ("ATTRIBUTE_COUNT", "ATTRIBUTE_VALUE_LENGTH", "SPAN_EVENT_COUNT")),
    *(
        f"OTEL_{name}_COUNT_LIMIT"
        for name in ("SPAN_ATTRIBUTE", "SPAN_LINK", "EVENT_ATTRIBUTE", "LINK_ATTRIBUTE")
    ),
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "ECO2_TRACING_ERROR_SAMPLING_RATE",
    "ECO2_TRACING_SLOW_THRESHOLD_MS",
    "ECO2_TRACING_MAX_KEPT_TRACES_PER_SECOND",
    "ECO2_TRACING_WORKERS",
]
TEXTS = [
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_LOG_LEVEL",
    "OTEL_PYTHON_ID_GENERATOR",
    "OTEL_PYTHON_EXCLUDED_URLS",
    "ECO2_TRACING_RESPONSE_HEADER",
    "ECO2_TRACING_INSTRUMENTATION",
    "ECO2_TRACING_INSTRUMENTATIONS",
    "ECO2_TRACING_SLOW_THRESHOLDS_MS",
]
BAD = {
    **{name: {name: value} for name, value in DEADLY.items()},
    "numbers that are words": dict.fromkeys(NUMBERS, "abc"),
    "numbers below zero": dict.fromkeys(NUMBERS, "-1"),
    "numbers too large": dict.fromkeys(NUMBERS, "9" * 400),
    "texts": dict.fromkeys(TEXTS, "[(\x01 =é,"),
    "disabled": {**DEADLY, "OTEL_SDK_DISABLED": "true"},
    "endpoint": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1:99999999/\x01"},
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_setting_does_not_stop_the_service(name):
    """The service starts, answers and is traced, unless the setting disables it."""
    environ = environment("http://127.0.0.1:9", **BAD[name])
    done = programs.run(
        [sys.executable, "-c", SERVICE],
        env=environ,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    body = "4" if name == "disabled" else "34"
    assert f"200 {body}" in done.stdout.splitlines(), done.stdout + done.stderr
    assert "eco2-tracing failed" not in done.stdout


def test_providers_named_after_the_import_do_not_stop_the_service():
    """Bad settings that the application sets itself are reported, masked, and requests are traced."""
    named = {name: "user:geheim@nonsense" for name in DEADLY if name.endswith("_PROVIDER")}
    code = SERVICE.replace(
        "import eco2_tracing\n",
        f"import eco2_tracing, os\neco2_tracing.configure_tracing\nos.environ.update({named})\n",
        1,
    )
    done = programs.run(
        [sys.executable, "-c", code],
        env=environment("http://127.0.0.1:9"),
        timeout=LIMIT_S,
    )
    assert "200 34" in done.stdout.splitlines(), done.stdout + done.stderr
    # Where our provider is in charge of spans, nobody asks for the one that is named.
    for name in named.keys() - {"OTEL_PYTHON_TRACER_PROVIDER"}:
        assert f"{name}='**********@nonsense' cannot be loaded" in done.stdout
    assert "geheim" not in done.stdout


def test_strict_mode_raises_for_an_instrumentation_that_cannot_be(monkeypatch):
    """The error names the variable and the correction, and nothing is installed."""
    # The last one can be, where its extra is installed.
    monkeypatch.setenv("ECO2_TRACING_INSTRUMENTATIONS", "nosuch,flask,requests")
    monkeypatch.setenv("ECO2_TRACING_STRICT", "true")
    with pytest.raises(ConfigurationError) as raised:
        eco2_tracing.configure_tracing()
    first, second, *_ = raised.value.problems
    assert "ECO2_TRACING_INSTRUMENTATIONS='nosuch'" in first
    assert "pip install" in first
    assert "flask" in second
    assert not eco2_tracing.tracing_status().enabled
