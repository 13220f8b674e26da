"""Hostile requests and values: the application responds as it does untraced.

``HOSTILE_REQUESTS=10000`` sends more requests than the suite does.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from opentelemetry import baggage, trace
from opentelemetry.trace import Link, SpanKind, StatusCode

import eco2_tracing
from eco2_tracing.testing import SPAN_ID, TRACE_ID, OtlpReceiver, b3_headers
from tests.calls.conftest import configure
from tests.support.hostile import Unhashable, Unreadable, UnreadableError

COUNT = int(os.environ.get("HOSTILE_REQUESTS", "600"))
# A server that rejects a request before reading all of it may reset the connection.
TRIES = 4
READ = (
    b"b3",
    b"x-b3-traceid",
    b"x-b3-spanid",
    b"x-b3-parentspanid",
    b"x-b3-sampled",
    b"x-b3-flags",
    b"traceparent",
    b"tracestate",
    b"baggage",
    b"x-request-id",
    b"uber-trace-id",
    b"user-agent",
    b"host",
    b"x-captured",
    b"authorization",
)
VALID = {
    b"b3": f"{TRACE_ID}-{SPAN_ID}-1".encode(),
    b"x-b3-traceid": TRACE_ID.encode(),
    b"x-b3-spanid": SPAN_ID.encode(),
    b"x-b3-sampled": b"1",
    b"x-b3-flags": b"1",
    b"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01".encode(),
    b"tracestate": b"a=1,b@c=2",
    b"baggage": b"user=kim;p=1,tenant=%ec%97%90",
    b"x-request-id": b"8f4e1ab2-7f0c-9d3a-b9a2-52d1a6b0c1de",
}
TOKENS = (
    b"",
    b"0",
    b"1",
    b"d",
    b"-",
    b"=",
    b",",
    b";",
    b"%",
    b"%zz",
    b"%ff",
    b"true",
    b"\xff",
    b"\xed\xa0\x80",
    b"\t",
    b"0" * 32,
)


def make_app():
    """An application that returns what it received, without calls."""
    app = FastAPI()

    @app.get("/echo/{name}")
    async def echo(name: str, request: Request):
        names = sorted({key for key, _ in request.headers.raw})
        held = [(key.decode("latin-1"), request.headers.getlist(key.decode("latin-1"))) for key in names]
        dict(baggage.get_all())
        return PlainTextResponse(f"{name} {request.url.path} {len(request.headers.raw)} {held!r}")

    @app.get("/boom")
    async def boom():
        raise ValueError("no such luck")

    return app


class Server:
    """An application under uvicorn in a thread.

    Args:
        app: The application.
        http: uvicorn's implementation.
    """

    def __init__(self, app, http):
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        # uvicorn's configuration of loggers would outlast the test.
        config = uvicorn.Config(
            app, http=http, lifespan="off", log_config=None, h11_max_incomplete_event_size=1 << 20
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=[[listener]], daemon=True)
        self._thread.start()

    def stop(self):
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(10)

    def send(self, request):
        """Send bytes on a new connection; return the status line, constant headers and body."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
            except OSError:  # refused before all of it was read
                answer = b""
        head, _, body = answer.partition(b"\r\n\r\n")
        told = sorted(
            line
            for line in head.split(b"\r\n")[1:]
            if not line.lower().startswith((b"date:", b"server-timing:"))
        )
        return head.split(b"\r\n")[0], told, body


def hostile_values(source):
    """Values for a header: every byte, huge ones, mutated ones."""
    for byte in range(256):
        yield None, bytes([byte])
    while True:
        name = source.choice(READ)
        value = bytearray(VALID.get(name, b"x") * source.choice((1, 1, 1, 2, 40)))
        for _ in range(source.randrange(4)):
            at = source.randrange(len(value) + 1)
            value[at : at + source.randrange(3)] = source.choice((*TOKENS, bytes([source.randrange(256)])))
        yield name, bytes(value) if source.random() > 0.03 else bytes(value) * source.choice((10, 100))


def hostile_requests(count):
    """A number of requests, the same in every run."""
    source = random.Random(20261122)
    values = hostile_values(source)
    for _ in range(count):
        pairs = []
        for _ in range(source.choice((1, 1, 2, 5))):
            name, value = next(values)
            if name is None:
                # Every byte: alone, within a valid value, and in a name.
                for one in source.sample(READ, 3):
                    good = VALID.get(one, b"x")
                    pairs.extend(
                        [(one, value), (source.choice(READ), good[: len(good) // 2] + value + good)][
                            : source.choice((1, 2))
                        ]
                    )
            else:
                pairs.extend([(name, value)] * source.choice((1, 1, 1, 2, 3)))
        for name in source.sample(sorted(VALID), source.randrange(4)):
            pairs.append((name, VALID[name]))
        source.shuffle(pairs)
        upper = source.random() < 0.2
        path = source.choice(
            (
                *[b"/echo/a"] * 5,
                b"/echo/%ff%00?token=%zz&x=\xff",
                b"/boom",
                b"/nothing",
                b"/health",
                b"/echo/\xc3\xa9",
            )
        )
        lines = [b"GET " + path + b" HTTP/1.1", b"connection: close"]
        if not any(name == b"host" for name, _ in pairs):
            lines.append(b"host: auth-api")
        lines.extend((name.upper() if upper else name) + b": " + value for name, value in pairs)
        yield b"\r\n".join(lines) + b"\r\n\r\n"


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_no_header_changes_the_response(http):
    """Status, headers and body are those of the same application without tracing."""
    pytest.importorskip(http)
    captured = configure(
        http_capture_headers_server_request=".*",
        http_capture_headers_server_response=".*",
    )
    traced = make_app()
    eco2_tracing.instrument_app(traced)
    plain = make_app()
    logging.disable(logging.CRITICAL)
    servers = Server(untraced(plain), http), Server(traced, http)
    try:
        differing = []
        for request in hostile_requests(COUNT // 2):
            for _ in range(TRIES):
                expected, found = (server.send(request) for server in servers)
                if expected == found:
                    break
            else:
                differing.append((request, expected, found))
    finally:
        logging.disable(logging.NOTSET)
        for server in servers:
            server.stop()
    assert not differing, f"{len(differing)} differ, the first: {differing[0]}"
    assert captured.find(kind=SpanKind.SERVER)


def untraced(app):
    """The application without FastAPI's own telemetry, which a global provider enables."""

    async def serve(scope, receive, send):
        await app({**scope, "fastapi.telemetry": None}, receive, send)

    return serve


# Values ------------------------------------------------------------------------------------------


def recursive():
    """A list and a dict that contain each other."""
    held = []
    held.append({"held": held})
    return held


VALUES = {
    "surrogates": "\ud800 \udfff",
    "10 MB": "x" * 10_000_000,
    "recursive": recursive(),
    "unreadable": Unreadable(),
    "unhashable": Unhashable(),
    "unreadable member": [1, Unhashable()],
    "2**70": 2**70,
    "-2**70": -(2**70),
    "NaN": float("nan"),
    "infinity": float("-inf"),
    "bytes": b"\xff\x00",
    "none": None,
    "mixed": [1, "a", None, 2.5, [b"x"]],
    "NUL": "a\x00b",
    "object": object(),
    "set": {1, 2},
    "deep": eval("[" * 90 + "]" * 90),
}


def abuse(span, value):
    """Pass a value to every method of a span."""
    span.set_attribute("value", value)
    span.set_attribute(value, "key")
    span.set_attributes({"first": 1, "values": value, "last": 2})
    span.add_event("event", {"first": 1, "value": value})
    span.add_event(value, {"last": 2})
    span.set_status(StatusCode.ERROR, value)
    span.add_link(span.get_span_context(), {"value": value})
    span.add_link(value)
    span.update_name(value)
    for exception in (ValueError(value), UnreadableError(value)):
        span.record_exception(exception, {"value": value})
    span.record_exception(ValueError("plain"), value)
    span.set_attributes(value)
    span.update_name("GET /renamed")
    span.set_attribute("survived", True)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("sampled", [True, False])
def test_no_value_changes_the_response(name, sampled):
    """The span is exported as far as possible, and so are its neighbours."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    with OtlpReceiver() as receiver:
        eco2_tracing.configure_tracing(
            settings=eco2_tracing.TracingSettings(exporter_otlp_endpoint=receiver.grpc_endpoint)
        )
        app = FastAPI()

        @app.get("/fight")
        async def fight():
            abuse(trace.get_current_span(), VALUES[name])
            return {"fine": True}

        @app.get("/raise")
        async def fail():
            raise UnreadableError(VALUES[name])

        app.get("/plain")(lambda: None)
        eco2_tracing.instrument_app(app)
        with TestClient(app, raise_server_exceptions=False) as client:
            assert client.get("/fight", headers=b3_headers(sampled=sampled)).json() == {"fine": True}
            assert client.get("/raise", headers=b3_headers(sampled=sampled)).status_code == 500
            assert client.get("/plain").status_code == 200
        assert eco2_tracing.flush_tracing(20)
        assert not any(eco2_tracing.tracing_status().spans_dropped.values())
        fought = receiver.one("GET /renamed")
        failed = receiver.one("GET /raise")
        assert receiver.one("GET /plain")
    assert fought.attributes["survived"] is True
    assert (fought.attributes["first"], fought.attributes["last"]) == (1, 2)
    assert fought.attributes["http.route"] == "/fight"
    events = [event for event in fought.events if event.name == "event"]
    assert events[0].attributes["first"] == 1
    assert fought.events[-1].attributes["exception.message"] == "plain"
    assert fought.status is StatusCode.ERROR
    assert failed.attributes["error.type"] == "UnreadableError"
    assert failed.events[0].attributes["exception.message"] == "<exception str() failed>"


def test_long_message_does_not_displace_stack_frames():
    """The frame that raised matters more than the end of the message."""
    captured = configure()
    app = FastAPI()

    @app.get("/long")
    async def long():
        raise ValueError("x" * 10_000_000)

    eco2_tracing.instrument_app(app)
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/long").status_code == 500
    (event,) = captured.one().events
    assert "in long" in event.attributes["exception.stacktrace"]
    assert len(event.attributes["exception.stacktrace"]) < 40_000


def in_request(work, captured=None, **settings):
    """Run code with a server span; return the exported span."""
    captured = captured or configure(**settings)
    app = FastAPI()

    @app.get("/work")
    async def handler():
        work(trace.get_current_span())

    eco2_tracing.instrument_app(app)
    with TestClient(app) as client:
        assert client.get("/work").status_code == 200
    return captured.one(kind=SpanKind.SERVER)


def test_secrets_on_spans_are_masked():
    """On the local root and other spans, kept or sampled."""
    span = in_request(
        lambda span: span.set_attributes({"password": "s3cret", "note": "Bearer abcdef.s3cret"})
    )
    assert "s3cret" not in str(span.attributes)
    assert span.attributes["http.route"] == "/work"


def test_links_status_and_events_are_exported():
    """The span behaves as the SDK's."""
    other = trace.SpanContext(1, 2, True)

    def work(span):
        assert isinstance(span, trace.Span)
        span.add_link(other)
        span.add_link(other, {"again": True})
        assert span.resource.attributes["service.name"]
        span.add_event("seen", {"a": 1}, timestamp=7)
        span.set_status(StatusCode.OK)
        span.set_status(StatusCode.ERROR, "ignored after OK")

    span = in_request(work)
    assert [dict(link.attributes) for link in span.links] == [{}, {"again": True}]
    assert {link.span_id for link in span.links} == {f"{2:016x}"}
    assert [(event.name, event.time_ns) for event in span.events] == [("seen", 7)]
    assert span.status is StatusCode.OK


def test_ended_span_does_not_change(caplog):
    """As with the SDK; a second end has no effect."""

    def work(span):
        span.end()
        end = span.end_time
        span.end()
        span.set_attribute("late", 1)
        span.set_attributes({"late": 1})
        span.add_event("late")
        span.add_link(Link(trace.SpanContext(1, 2, True)).context)
        span.update_name("late")
        assert span.end_time == end
        assert not span.is_recording()

    span = in_request(work)
    assert (span.name, span.events, span.links) == ("GET /work", (), ())
    assert "late" not in span.attributes


def test_span_to_json():
    """Console exporters and debuggers use it."""
    seen = []
    in_request(lambda span: seen.append(span.to_json()))
    assert '"http.request.method": "GET"' in seen[0]


def test_internal_failure_costs_only_details(monkeypatch, caplog):
    """The span lacks the attributes that could not be computed."""
    from eco2_tracing._instrumentation.server.recorded import RecordedRequest

    def broken(_span):
        raise RuntimeError("ours")

    monkeypatch.setattr(RecordedRequest, "describe_name", broken)
    monkeypatch.setattr(RecordedRequest, "describe_attributes", broken)
    span = in_request(lambda span: span.set_attribute("mine", 1))
    assert (span.name, span.attributes["mine"]) == ("unknown", 1)
    assert len([record for record in caplog.records if "eco2-tracing failed" in record.message]) == 2


def test_exception_that_cannot_be_formatted_is_recorded(monkeypatch):
    """The application may have patched the traceback module."""
    import traceback

    def broken(*_args, **_options):
        raise RuntimeError("no frames")

    def work(span):
        with monkeypatch.context() as patch:
            patch.setattr(traceback, "format_exception", broken)
            span.record_exception(ValueError("plain"))

    (event,) = in_request(work).events
    assert event.attributes["exception.message"] == "plain"
    assert "cannot be formatted" in event.attributes["exception.stacktrace"]


def test_deep_stack_keeps_its_last_frames():
    """They show where the exception was raised."""

    def deep(level):
        if level:
            return deep(level - 1) if level % 2 else deep(level - 1) + 0
        raise ValueError("x" * 4000 + "bottom" + "y" * 40_000)

    def work(span):
        chained = None
        for _ in range(12):
            try:
                try:
                    deep(60)
                except ValueError as exception:
                    raise RuntimeError("z" * 5000) from (chained or exception)
            except RuntimeError as exception:
                chained = exception
        span.record_exception(chained)

    stack = in_request(work).events[0].attributes["exception.stacktrace"]
    assert stack.startswith("…")
    assert len(stack) <= 32_768


def test_failure_at_the_end_of_a_span(monkeypatch, caplog):
    """An internal failure does not reach the application."""
    from eco2_tracing.sampling._tail.buffer import TraceBuffer

    def broken(*_args):
        raise RuntimeError("ours")

    def work(_span):
        with monkeypatch.context() as patch:
            patch.setattr(TraceBuffer, "child_ended", broken)
            with eco2_tracing.span("inner"):
                pass

    assert in_request(work).name == "GET /work"
    assert [record for record in caplog.records if "ending a span" in record.message]
