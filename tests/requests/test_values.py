"""Values that raise SystemExit, never end, or hide their class."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from http import HTTPStatus

import pytest
from fastapi import FastAPI, Response
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.trace import Link, Status, StatusCode

import eco2_tracing
from eco2_tracing.testing import OtlpReceiver, b3_headers
from tests.support.hostile import ClasslessError, EndlessMapping, EndlessSequence, ExitingError, of_every_kind


def laughing(*, mapping):
    """Nested containers that expand to ten to the ninth texts."""
    value = "ha"
    for _ in range(9):
        value = {str(number): value for number in range(10)} if mapping else [value] * 10
    return value


VALUES = {
    "endless": EndlessSequence(),
    "endless mapping": EndlessMapping(),
    "laughing": laughing(mapping=False),
    "laughing mapping": laughing(mapping=True),
    "enumeration": HTTPStatus.NOT_FOUND,
    "10**5000": 10**5000,
} | {
    f"{type(error).__name__} {number}": value
    for error in (SystemExit(), KeyboardInterrupt(), GeneratorExit(), StopIteration())
    for number, value in enumerate(of_every_kind(error))
}


def raises(begin, error):
    """Let an exception leave a block; the same exception must arrive."""
    with pytest.raises(type(error)) as raised, begin("raises"):
        raise error
    assert raised.value is error


def abuse(span, value):
    """Pass a value to every method of every kind of span."""
    tracer = trace.get_tracer("library")
    own = span.get_span_context()
    links = [Link(own, {"value": value}), value]
    for each in (span, tracer.start_span(value, None, value, {"value": value}, links, value)):
        each.set_attribute("value", value)
        each.set_attribute("values", [value])
        each.set_attribute(value, 1)
        each.set_attributes({"value": value})
        each.set_attributes(value)
        each.add_event(value, {"value": value}, value)
        each.add_event("event", value)
        each.add_link(value)
        each.add_link(own, value)
        each.set_status(value)
        each.set_status(StatusCode.ERROR, value)
        each.update_name(value)
        each.record_exception(ValueError("plain"), {"value": value}, value)
        each.record_exception(value, value)
    each.end(value)
    tracer.start_span("library", attributes=value, links=value).end()
    with eco2_tracing.span(value, attributes={"value": value}, kind=value):
        eco2_tracing.traced("decorated", attributes=value)(print)
    raises(eco2_tracing.span, ExitingError())
    raises(tracer.start_as_current_span, ExitingError())


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("name", VALUES)
def test_no_value_ends_a_request_or_the_export(name, sampled):
    """The response is that of the untraced application, and all spans are exported."""
    with OtlpReceiver() as receiver:
        settings = eco2_tracing.TracingSettings(exporter_otlp_endpoint=receiver.grpc_endpoint)
        eco2_tracing.configure_tracing(settings=settings)
        app = FastAPI()

        @app.get("/fight")
        async def fight():
            span = trace.get_current_span()
            abuse(span, VALUES[name])
            span.update_name("fought")
            span.set_attribute("survived", True)
            span.set_status(Status(StatusCode.ERROR))

        @app.get("/raise")
        async def fail():
            raise ExitingError

        eco2_tracing.instrument_app(app)
        with TestClient(app) as client:
            headers = b3_headers(sampled=sampled)
            assert client.get("/fight", headers=headers).json() is None
            with pytest.raises(ExitingError):
                client.get("/raise", headers=headers)
        assert eco2_tracing.flush_tracing(20)
        assert not any(eco2_tracing.tracing_status().spans_dropped.values())
        fought, failed = receiver.one("fought"), receiver.one("GET /raise")
    assert fought.attributes["survived"] is True
    assert len(receiver.spans) == 7
    assert failed.attributes["error.type"] == "ExitingError"
    assert failed.events[0].attributes["exception.message"] == "<exception str() failed>"


def exported(value):
    """The exported value of an attribute."""
    with OtlpReceiver() as receiver:
        settings = eco2_tracing.TracingSettings(exporter_otlp_endpoint=receiver.grpc_endpoint)
        eco2_tracing.configure_tracing(settings=settings)
        with eco2_tracing.span("holds") as span:
            span.set_attribute("value", value)
        assert eco2_tracing.flush_tracing(20)
        return receiver.one("holds").attributes["value"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (HTTPStatus.NOT_FOUND, 404),
        ([HTTPStatus.OK, "a", None, b"x"], (200, "a", None, b"x")),
        ({"a": {"b": [1.5]}, 7: True, None: 1}, {"a": {"b": (1.5,)}, "7": True}),
        (Decimal("1.50"), "1.50"),
        (type("Bytes", (bytes,), {})(b"x"), b"x"),
        (type("Float", (float,), {})(0.5), 0.5),
        (EndlessSequence(), tuple(range(1024))),
        (object(), None),
    ],
)
def test_values_are_exported_as_built_in_types(value, expected):
    """Subclasses become their built-in type."""
    assert exported(value) == expected


def test_nested_containers_are_truncated():
    """The total number of items is limited."""
    assert str(exported(laughing(mapping=False))).count("ha") < 2049


@pytest.mark.parametrize("time", [1.5e18, True, -1, 2**70, "now", float("nan")])
def test_invalid_times_become_now(time):
    """A float of nanoseconds is accepted, because seconds times 10**9 is one."""
    with OtlpReceiver() as receiver:
        settings = eco2_tracing.TracingSettings(exporter_otlp_endpoint=receiver.grpc_endpoint)
        eco2_tracing.configure_tracing(settings=settings)
        span = trace.get_tracer("library").start_span("timed")
        span.add_event("event", timestamp=time)
        span.end()
        assert eco2_tracing.flush_tracing(20)
        found = receiver.one("timed")
    told = found.events[0].time_ns
    assert told == int(time) if time in (1.5e18, True) else found.start_ns <= told <= found.end_ns


def raising(error):
    """A traced application that raises this, without Starlette's middleware, which unwraps groups for ever."""
    app = FastAPI()

    async def fail(scope, receive, send):
        raise error

    eco2_tracing.instrument_app(app)
    app.middleware_stack = app.build_middleware_stack()
    app.middleware_stack.app = fail
    return TestClient(app)


def test_exception_without_a_class_is_recorded(captured_spans):
    """Its `__class__` is not read."""
    with pytest.raises(ClasslessError):
        raising(ClasslessError()).get("/", headers=b3_headers(sampled=False))
    assert captured_spans.one().attributes["error.type"] == "ClasslessError"


class SelfMember(ExceptionGroup):
    """A group whose only member is itself."""

    exceptions = property(lambda self: (self,))


def chained(length):
    """An exception with so many causes."""
    error = ValueError("the first")
    for _ in range(length):
        error, cause = RuntimeError("the last"), error
        error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        SelfMember("x", [ValueError()]),
        chained(5000),
        ExceptionGroup("x", [ValueError(n) for n in range(10_000)]),
    ],
    ids=["in itself", "chain", "group"],
)
def test_linked_exceptions_are_limited(error, captured_spans):
    """The raised exception is written; formatting all would block the event loop."""
    with pytest.raises(type(error)) as raised:
        raising(error).get("/")
    assert raised.value is error
    stack = captured_spans.one().events[0].attributes["exception.stacktrace"]
    assert "linked exceptions are left out" in stack
    assert "in fail" in stack
    assert stack.count("Traceback") <= 1


def test_deep_stack_keeps_the_frame_that_raised(captured_spans):
    """Hundreds of frames may be above it."""

    def down(level):
        if level % 2:
            return down(level - 1) + 1
        return down(level - 1) if level else int("at the bottom")

    with pytest.raises(ValueError, match="bottom"), eco2_tracing.span("deep"):
        down(300)
    assert 'int("at the bottom")' in captured_spans.one().events[0].attributes["exception.stacktrace"]


@pytest.mark.parametrize("status", ["500", None, HTTPStatus.BAD_GATEWAY])
def test_status_of_a_wrong_type(status, captured_spans):
    """The server receives it unchanged, and the span is exported."""
    app = FastAPI()
    sent = []

    async def answer(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body"})

    async def send(message):
        sent.append(message)

    eco2_tracing.instrument_app(app)
    stack = app.build_middleware_stack()
    stack.app = answer
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    with contextlib.suppress(StopIteration):
        stack(scope, None, send).send(None)
    assert sent[0]["status"] is status
    found = captured_spans.one()
    assert found.attributes.get("http.response.status_code") == (
        502 if status is HTTPStatus.BAD_GATEWAY else None
    )


def test_attributes_without_a_name_are_dropped(captured_spans):
    """Only keys that are not text are dropped."""
    with eco2_tracing.span("x", attributes={1: "a", "": "b", "c": [1]}):
        pass
    (span,) = captured_spans.spans
    assert span.attributes["c"] == (1,)
    assert not {1, ""} & {*span.attributes}


def test_unreadable_response_headers(captured_spans):
    """The status is on the span."""

    def headers():
        raise RuntimeError("no")
        yield

    class Odd(Response):
        async def __call__(self, scope, receive, send):
            await send({"type": "http.response.start", "status": 500, "headers": headers()})

    app = FastAPI()
    eco2_tracing.instrument_app(app)
    app.add_api_route("/", lambda: Odd())  # noqa: PLW0108 - a class would be asked for its parameters
    with contextlib.suppress(Exception), TestClient(app) as client:
        client.get("/", headers=b3_headers())
    (span,) = captured_spans.spans
    assert span.attributes["http.response.status_code"] == 500
