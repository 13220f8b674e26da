"""The public API as a typed program uses it; mypy and pyright check this file, nothing runs it.

A ``type: ignore`` marks a misuse: both fail where they accept it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import assert_type

from fastapi import FastAPI
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import Span, SpanKind
from pydantic import SecretStr

from eco2_tracing import (
    TracingSettings,
    TracingStatus,
    bind_log_fields,
    configure_logging,
    configure_tracing,
    current_exemplar,
    current_span_id,
    current_trace_id,
    flush_tracing,
    instrument_app,
    instrument_httpx,
    instrument_libraries,
    record_metric,
    shutdown_tracing,
    span,
    traced,
    tracing_status,
)

app = FastAPI()

configure_logging()
configure_logging("DEBUG", service_name="auth-api")
bind_log_fields(user_id="u-1", attempt=2)

assert_type(configure_tracing(), bool)
assert_type(configure_tracing("auth-api", "1.2.0", "prod"), bool)
configure_tracing(
    settings=TracingSettings(),
    resource_attributes={"team": "auth"},
    span_processors=[SpanProcessor()],
)
configure_tracing("auth-api", "1.2.0", "prod", TracingSettings())  # type: ignore[call-arg]
TracingSettings(
    disabled=False,
    service_name="auth-api",
    resource_attributes={"team": "auth"},
    propagators=["tracecontext", "b3"],
    traces_exporter="waterfall",
    traces_sampler="parentbased_traceidratio",
    traces_sampler_arg="0.1",
    exporter_otlp_protocol="http/protobuf",
    exporter_otlp_headers={"api-key": "s3cret", "tenant": SecretStr("a")},
    excluded_paths=("health", "/internal"),
    error_sampling_rate=1,
    slow_threshold_ms=None,
    slow_thresholds_ms={"/report": 5},
    redact_keys={"pin"},
    strict=True,
)
TracingSettings(exluded_paths=["health"])  # type: ignore[call-arg]
TracingSettings(problems=())  # type: ignore[call-arg]
TracingSettings(excluded_paths=5)  # type: ignore[arg-type]
TracingSettings(traces_exporter=["otlp", 1])  # type: ignore[list-item]
TracingSettings(disabled="no")  # type: ignore[arg-type]
TracingSettings(bsp_schedule_delay="5s")  # type: ignore[arg-type]
TracingSettings(exporter_otlp_protocol="http/json")  # type: ignore[arg-type]
assert_type(TracingSettings().disabled, bool)
assert_type(TracingSettings().excluded_paths, Sequence[str] | None)
assert_type(TracingSettings().slow_threshold_ms, float | None)
configure_tracing(service_name=1)  # type: ignore[arg-type]

instrument_app(app)
instrument_app(app, excluded_paths=["health", "/internal"])
instrument_httpx()
instrument_libraries()
instrument_libraries(["redis"])

assert_type(current_trace_id(), str | None)
assert_type(current_span_id(), str | None)
assert_type(flush_tracing(), bool)
assert_type(shutdown_tracing(timeout_s=1.5), bool)

status = tracing_status()
assert_type(status, TracingStatus)
assert_type(status.enabled, bool)
assert_type(status.sampler, str)
assert_type(status.spans_sent, int)
assert_type(status.spans_queued, int)
status.enabled = False  # type: ignore[misc]


@traced
def bare(number: int) -> str:
    return str(number)


@traced("price", attributes={"currency": "EUR"}, kind=SpanKind.CLIENT)
def named(number: int, *, tax: float = 0.0) -> float:
    return number + tax


@traced()
async def asynchronous(number: int) -> str:
    return str(number)


@traced
def generator(number: int) -> Iterator[int]:
    yield number


@traced
async def async_generator(number: int) -> AsyncIterator[int]:
    yield number


assert_type(bare(1), str)
assert_type(named(1, tax=0.5), float)
assert_type(generator(1), Iterator[int])
assert_type(async_generator(1), AsyncIterator[int])
bare("1")  # type: ignore[arg-type]
named(1, vat=0.5)  # type: ignore[call-arg]

with span("sum", attributes={"items": 3}, kind=SpanKind.INTERNAL) as current:
    assert_type(current, Span)


async def use() -> None:
    assert_type(await asynchronous(1), str)
    async for number in async_generator(1):
        assert_type(number, int)


record_metric("orders.created", 1)
record_metric("order.price", 12.5, {"channel": "web"}, kind="histogram", unit="EUR")
record_metric("orders.created", "1")  # type: ignore[arg-type]
record_metric("orders.created", 1, kind="summary")  # type: ignore[arg-type]
assert_type(current_exemplar(), dict[str, str] | None)
