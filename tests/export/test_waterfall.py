"""The exporter `waterfall`: local traces of this process on stdout."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from functools import partial
from types import SimpleNamespace

import httpx2
import pytest
from fastapi import FastAPI
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from eco2_tracing import (
    bind_log_fields,
    configure_logging,
    configure_tracing,
    flush_tracing,
    instrument_app,
    shutdown_tracing,
    span,
    tracing_status,
)
from eco2_tracing import logs as logs_module
from eco2_tracing._console.waterfall import Waterfall
from eco2_tracing._export.local_traces import REASON, LocalTraces
from eco2_tracing._export.waterfall import WaterfallExporter
from eco2_tracing.sampling._tail import local_trace as tail_exporter


@pytest.fixture
def out(monkeypatch):
    """Configure the exporter by variables and read what it prints."""
    stream = io.StringIO()

    def configure(**variables):
        monkeypatch.setattr(sys, "stdout", stream)  # pytest sets it after the fixtures
        for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "waterfall")
        monkeypatch.setenv("ECO2_TRACING_SLOW_THRESHOLD_MS", "60000")  # a busy machine takes its time
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert configure_tracing(service_name="shop")

    def read():
        assert flush_tracing()
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return [line for line in text.splitlines() if not line.startswith("{")]

    yield SimpleNamespace(configure=configure, read=read, stream=stream)
    logs_module.reset_logging()


def request(app, path, **options):
    """Send one request to an application in this process."""

    async def send():
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
            return await client.request(options.pop("method", "GET"), path, **options)

    return asyncio.run(send())


def words(line):
    """A line without time and padding."""
    return " ".join(line.split()[1:])


def test_a_request_that_went_well(out):
    """One line, after the local root has ended."""
    out.configure()
    app = FastAPI()
    instrument_app(app)

    @app.get("/users/{user_id}")
    def user(user_id: int) -> int:
        with span("look up", kind=SpanKind.CLIENT, attributes={"db.system.name": "postgresql"}):
            return user_id

    request(app, "/users/7")
    (line,) = out.read()
    assert words(line).startswith("GET /users/{user_id} 200 ")
    assert " ms 1 sql " in words(line)
    status = tracing_status()
    assert status.endpoints == ("stdout (waterfall)",)
    assert status.spans_sent == 2


def test_a_request_that_failed(out):
    """The tree, its log lines with fields, the exception, the reason and the command; secrets are masked."""
    out.configure(
        ECO2_TRACING_REDACT_KEYS="plan", OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST="x-.*"
    )
    configure_logging()
    app = FastAPI()
    instrument_app(app)

    @app.post("/login")
    def log_in() -> None:
        bind_log_fields(user_id="mina", plan="secret-plan")
        logging.getLogger("shop").warning("\x1b[2J password=planted", extra={"order": 7})
        raise RuntimeError("api_key=planted")

    request(
        app, "/login?token=planted&page=1", method="POST", headers={"x-api-key": "planted", "x-page": "2"}
    )
    text = "\n".join(lines := out.read())
    assert "planted" not in text
    assert "secret-plan" not in text
    assert "\x1b" not in text
    assert words(lines[0]).startswith("POST /login 500 ")
    (warning,) = (line for line in lines if "WARNING" in line)
    assert r"WARNING \x1b[2J password=REDACTED  " in warning
    assert {"user.id=mina", "plan=REDACTED", "order=7"} <= set(warning.split())
    assert "  RuntimeError: api_key=REDACTED" in lines
    assert '      raise RuntimeError("api_key=REDACTED")' in lines
    assert "  kept: error" in lines
    (command,) = (line for line in lines if line.startswith("  curl "))
    assert command.startswith("  curl -X POST 'http://shop")
    assert "/login?token=REDACTED&page=1'" in command
    assert "-H 'x-api-key: [REDACTED]' -H 'x-page: 2'" in command


def test_log_lines_without_configure_logging(out):
    """They come from the record factory, without the fields of `extra`."""
    out.configure()
    with pytest.raises(ValueError, match="no"), span("job"):
        logging.getLogger("shop").warning("token=planted", extra={"order": 7})
        raise ValueError("no")
    text = "\n".join(out.read())
    assert "WARNING token=REDACTED" in text
    factory = logging.getLogRecordFactory()
    shutdown_tracing()
    assert logging.getLogRecordFactory() is not factory


def test_log_lines_end_with_tracing(out):
    """After the shutdown no line is kept, also where another factory was installed since."""
    out.configure()
    taps = logging.getLogRecordFactory()
    logging.setLogRecordFactory(partial(taps))
    configure_logging()
    shutdown_tracing()
    logging.getLogger("shop").warning("after the end")
    assert '"message":"after the end"' in out.stream.getvalue()


@pytest.mark.parametrize(
    ("detail", "good", "bad"), [("errors", 0, True), ("all", 1, True), ("tree", 3, True)]
)
def test_detail(detail, good, bad, out):
    """ECO2_TRACING_WATERFALL selects traces and form."""
    out.configure(ECO2_TRACING_WATERFALL=detail)
    with span("job"):
        pass
    assert len(out.read()) == good
    with pytest.raises(ValueError, match="no"), span("job"):
        raise ValueError("no")
    assert any(line.startswith("  ValueError: no") for line in out.read()) is bad


def test_slow_traces(out):
    """By the threshold that is configured, else from one second."""
    out.configure(ECO2_TRACING_SLOW_THRESHOLD_MS="0.0001")
    with span("job"):
        pass
    assert any(line.startswith("  kept: slow, it took ") for line in out.read())


def test_other_roots(out):
    """Jobs, consumers and calls have a line that says what they do."""
    out.configure()
    tracer = trace.get_tracer("shop")
    with tracer.start_as_current_span("process orders", kind=SpanKind.CONSUMER):
        pass
    with span("nightly"):
        pass
    assert [words(line).split(" ok")[0] for line in out.read()] == ["process orders", "nightly"]


def test_late_spans(out):
    """Spans that end after their local root are printed with what is below them."""
    out.configure()
    with span("request"):
        ambient = otel_context.get_current()
        early = trace.get_tracer("shop").start_span("task")
    (line,) = out.read()
    assert words(line).startswith("request ok")
    token = otel_context.attach(trace.set_span_in_context(early, ambient))
    with span("below", kind=SpanKind.CLIENT, attributes={"db.system": "redis"}):
        pass
    assert out.read() == []
    early.end()
    otel_context.detach(token)
    (line,) = out.read()
    assert words(line).startswith("… task ok")
    assert "1 redis" in line


def test_spans_without_a_root_are_printed_at_the_end(out):
    """As a part of their trace, when the process ends."""
    out.configure(OTEL_TRACES_SAMPLER="always_on")
    root = trace.get_tracer("shop").start_span("stream")
    with trace.use_span(root), span("message"):
        pass
    flush_tracing()
    assert out.read() == []
    shutdown_tracing()
    assert words(out.stream.getvalue().splitlines()[0]).startswith("… message ok")


def test_unsampled_traces(out):
    """What the tail sampler drops is not printed, and what it keeps is."""
    out.configure(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0")
    with span("fine"):
        pass
    with pytest.raises(ValueError, match="no"), span("failing"):
        raise ValueError("no")
    lines = out.read()
    assert words(lines[0]).startswith("failing ValueError")
    assert "  kept: error" in lines


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        (
            {"ECO2_TRACING_TRACE_URL": "https://traces.example/{trace_id}?a=1"},
            "https://traces.example/{}?a=1",
        ),
        ({"ECO2_TRACING_TRACE_URL": "http://127.0.0.1:9/"}, "http://127.0.0.1:9/trace/{}"),
        ({"OTEL_TRACES_EXPORTER": "waterfall,otlp"}, "http://127.0.0.1:16686/trace/{}"),
        (
            {
                "OTEL_TRACES_EXPORTER": "waterfall,otlp",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
            },
            None,
        ),
        ({"OTEL_TRACES_EXPORTER": "waterfall"}, None),
    ],
)
def test_links(variables, address, monkeypatch):
    """To the address that is set, else to the UI beside a local receiver."""
    from eco2_tracing._export import waterfall
    from eco2_tracing._settings import load_settings

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = waterfall._target(load_settings())
    assert found == ("" if address is None else address.format("{trace_id}"))


def test_values_that_cannot_be_used(out, caplog):
    """One warning each, with the value that is used."""
    out.configure(
        ECO2_TRACING_WATERFALL="error", ECO2_TRACING_TRACE_URL="jaeger", ECO2_TRACING_LOG_FORMAT="pretty"
    )
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [
        each
        for each in warnings
        if each.startswith("ECO2_TRACING_WATERFALL='error'") and "using 'all'" in each
    ]
    assert [
        each
        for each in warnings
        if each.startswith("ECO2_TRACING_TRACE_URL='jaeger'") and "using nothing" in each
    ]
    assert [each for each in warnings if each.startswith("ECO2_TRACING_LOG_FORMAT='pretty'")]


def test_stdout_that_cannot_be_written_to(out):
    """The spans are counted as dropped, and requests go on."""
    out.configure()
    out.stream.close()
    with span("job"):
        pass
    assert not flush_tracing()
    assert tracing_status().spans_dropped["export_failed"] == 1


def test_a_trace_that_cannot_be_formatted(out, monkeypatch, caplog):
    """It is reported once, and the others are printed."""
    out.configure()
    monkeypatch.setattr(Waterfall, "text", lambda *_: 1 / 0)
    for _ in range(2):
        with span("job"):
            pass
    assert out.read() == []
    assert [record.getMessage()[:35] for record in caplog.records if "failed at" in record.getMessage()] == [
        "eco2-tracing failed at printing a t"
    ]


def test_the_reason_is_the_attribute_of_the_tail_sampler():
    """The two packages do not import each other."""
    assert tail_exporter.REASON == REASON


def ended(span_id, parent=0, start=0, end=10, *, reason=None, trace_id=1, **attributes):
    """An ended span of the SDK's class."""

    def context(given):
        return SpanContext(trace_id, given, is_remote=False, trace_flags=TraceFlags(1))

    own = attributes | ({} if reason is None else {REASON: reason})
    return ReadableSpan(
        f"span {span_id}", context(span_id), context(parent) if parent else None,
        attributes=own, start_time=start, end_time=end,
    )  # fmt: skip


def names(traces):
    """The names of the spans of each trace, root first."""
    return [[one.root.name, *(row.name for row in one.rows if row is not one.root)] for one in traces]


def test_two_local_traces_of_one_trace():
    """Each has its own spans, and those whose parent was dropped while it ran."""
    traces = LocalTraces()
    outer, inner = ended(2, 1, 1, 8), ended(4, 3, 3, 5)
    complete = traces.add([inner, ended(9, 99, 3, 4), outer, ended(3, 2, 2, 6, reason="head")])
    assert names(complete) == [["span 3", "span 4", "span 9"]]
    assert names(traces.add([ended(1, 0, 0, 9, reason="head")])) == [["span 1", "span 2"]]
    assert traces.drain() == []


def test_parts_that_wait_too_long_or_are_too_much():
    """The oldest is returned as a part."""
    now = [0.0]
    traces = LocalTraces(lambda: now[0], characters=5000)
    assert traces.add([ended(1, 9)]) == []
    now[0] = 11
    assert names(traces.add([ended(2, 9, trace_id=2)])) == [["span 1"]]
    assert names(traces.add([ended(3, 9, trace_id=3, text="x" * 3000)])) == [["span 2"]]
    assert names(traces.add([ended(4, 9, trace_id=4, number=7)])) == [["span 3"]]
    for trace_id in range(5, 600):
        traces.add([ended(1, 9, trace_id=trace_id)])
    assert len(traces.drain()) < 5


def test_memory_of_known_spans_is_bounded():
    """A span that comes long after its trace waits as a part."""
    traces = LocalTraces()
    for trace_id in range(1, 200):
        traces.add([ended(1, 0, reason="head", trace_id=trace_id)])
    assert names(traces.add([ended(2, 1, trace_id=199)])) == [["span 2"]]
    assert traces.add([ended(2, 1, trace_id=1)]) == []
    assert names(traces.drain()) == [["span 2"]]
    for span_id in range(3, 1100):
        traces.add([ended(span_id, 1, trace_id=199)])
    assert traces.add([ended(2000, 1099, trace_id=199)]) == []


def test_interface_of_the_sdk():
    """`export` prints at once; a forked child forgets what waits."""
    stream = io.StringIO()
    exporter = WaterfallExporter(Waterfall(), None, stream)
    assert exporter.export([ended(1, 0, reason="head")] * 9) is SpanExportResult.SUCCESS
    assert stream.getvalue().count("span 1") == 9
    late = ended(2, 9, trace_id=5)
    assert exporter.encode_span(late) is late
    exporter.export([late])
    exporter.after_fork()
    exporter.cancel()
    exporter.shutdown()
    assert "span 2" not in stream.getvalue()
    assert exporter.force_flush()
    stream.close()
    assert exporter.export([ended(1, 0, reason="head")]) is SpanExportResult.FAILURE
