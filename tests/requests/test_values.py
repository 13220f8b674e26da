"""Values that raise what would end the process, that never end, or that are not what they seem."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from http import HTTPStatus

import pytest
from fastapi import FastAPI, Response
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.trace import Link, Status, StatusCode

import eco2_tracing
from eco2_tracing.testing import OtlpReceiver, b3_headers

# What an object can be asked: each answers by raising.
ASKED = (
    "__str__", "__repr__", "__hash__", "__eq__", "__len__", "__iter__", "__bool__", "__int__", "__float__", "__index__",
    "__getitem__", "__contains__", "__format__", "__lt__", "__gt__", "__setattr__", "items", "keys", "encode",
)  # fmt: skip


def ends(error):
    """Objects of all kinds, each of which raises what ends a process as soon as it is asked anything."""

    def no(self, *_arguments):
        raise error

    methods = dict.fromkeys(ASKED, no) | {"__class__": property(no)}
    values = [
        type("Ends", (base,), methods)() for base in (str, int, float, bytes, list, tuple, dict, object)
    ]
    return [
        *values,
        type("EndsMeta", (type,), {"__name__": property(no), "__module__": property(no)})("X", (), {})(),
    ]


class EndingError(Exception):
    """An exception that ends the process when it is looked at."""

    def __str__(self):
        raise SystemExit

    __repr__ = __str__


class Endless(Sequence):
    """Says that it is short, and goes on and on."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return index


class EndlessMapping(Mapping):
    """Likewise."""

    __len__, __getitem__ = Endless.__len__, Endless.__getitem__

    def __iter__(self):
        return map(str, itertools.count())


def laughing(*, mapping):
    """A few containers that hold each other: ten to the ninth texts."""
    value = "ha"
    for _ in range(9):
        value = {str(number): value for number in range(10)} if mapping else [value] * 10
    return value


VALUES = {
    "endless": Endless(),
    "endless mapping": EndlessMapping(),
    "laughing": laughing(mapping=False),
    "laughing mapping": laughing(mapping=True),
    "enumeration": HTTPStatus.NOT_FOUND,
    "10**5000": 10**5000,
} | {
    f"{type(error).__name__} {number}": value
    for error in (SystemExit(), KeyboardInterrupt(), GeneratorExit(), StopIteration())
    for number, value in enumerate(ends(error))
}


def raises(begin, error):
    """Let an exception leave a block; it is the one that arrives."""
    with pytest.raises(type(error)) as raised, begin("raises"):
        raise error
    assert raised.value is error


def abuse(span, value):
    """Do with a value all that can be done on spans of all kinds."""
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
    raises(eco2_tracing.span, EndingError())
    raises(tracer.start_as_current_span, EndingError())


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("name", VALUES)
def test_no_value_ends_a_request_or_the_delivery(name, sampled):
    """The answer is that of the untraced application, and all spans arrive, whole but for what cannot be read."""
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
            raise EndingError

        eco2_tracing.instrument_app(app)
        with TestClient(app) as client:
            headers = b3_headers(sampled=sampled)
            assert client.get("/fight", headers=headers).json() is None
            with pytest.raises(EndingError):
                client.get("/raise", headers=headers)
        assert eco2_tracing.flush_tracing(20)
        assert not any(eco2_tracing.tracing_status().spans_dropped.values())
        fought, failed = receiver.one("fought"), receiver.one("GET /raise")
    assert fought.attributes["survived"] is True
    assert len(receiver.spans) == 7
    assert failed.attributes["error.type"] == "EndingError"
    assert failed.events[0].attributes["exception.message"] == "<exception str() failed>"


def exported(value):
    """What is exported of an attribute."""
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
        (Endless(), tuple(range(1024))),
        (object(), None),
    ],
)
def test_odd_values_are_exported_as_what_they_are(value, expected):
    """A copy in types of Python's own."""
    assert exported(value) == expected


def test_containers_that_hold_each_other_are_cut():
    """Their number is bounded in all, not only one by one."""
    assert str(exported(laughing(mapping=False))).count("ha") < 2049


@pytest.mark.parametrize("time", [1.5e18, True, -1, 2**70, "now", float("nan")])
def test_times_that_are_none_stand_for_now(time):
    """A number of seconds times a milliard is a float, and is taken for what it is."""
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


class OfNoClass(Exception):
    """An exception that does not say what it is."""

    __class__ = property(EndingError.__str__)


def raising(error):
    """A traced application that raises this, with nothing of Starlette's in between: that unwraps some without end."""
    app = FastAPI()

    async def fail(scope, receive, send):
        raise error

    eco2_tracing.instrument_app(app)
    app.middleware_stack = app.build_middleware_stack()
    app.middleware_stack.app = fail
    return TestClient(app)


def test_an_exception_that_hides_its_class_is_kept(captured_spans):
    """It is asked nothing that its type can tell."""
    with pytest.raises(OfNoClass):
        raising(OfNoClass()).get("/", headers=b3_headers(sampled=False))
    assert captured_spans.one().attributes["error.type"] == "OfNoClass"


class InItself(ExceptionGroup):
    """A group that says that it is its own only member."""

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
        InItself("x", [ValueError()]),
        chained(5000),
        ExceptionGroup("x", [ValueError(n) for n in range(10_000)]),
    ],
    ids=["in itself", "chain", "group"],
)
def test_exceptions_that_hang_together_are_not_all_written(error, captured_spans):
    """Each of them would cost the event loop its share; the one that was raised is told."""
    with pytest.raises(type(error)) as raised:
        raising(error).get("/")
    assert raised.value is error
    stack = captured_spans.one().events[0].attributes["exception.stacktrace"]
    assert "linked exceptions are left out" in stack
    assert "in fail" in stack
    assert stack.count("Traceback") <= 1


def test_a_deep_stack_keeps_the_frame_that_raised(captured_spans):
    """A hundred frames of others may stand above it."""

    def down(level):
        if level % 2:
            return down(level - 1) + 1
        return down(level - 1) if level else int("at the bottom")

    with pytest.raises(ValueError, match="bottom"), eco2_tracing.span("deep"):
        down(300)
    assert 'int("at the bottom")' in captured_spans.one().events[0].attributes["exception.stacktrace"]


@pytest.mark.parametrize("status", ["500", None, HTTPStatus.BAD_GATEWAY])
def test_a_status_of_a_wrong_type_costs_no_span(status, captured_spans):
    """The server is given what the application gave."""
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


def test_attributes_without_a_name_are_left_out(captured_spans):
    """A name is a text: what has none goes, and what stands beside it stays."""
    with eco2_tracing.span("x", attributes={1: "a", "": "b", "c": [1]}):
        pass
    (span,) = captured_spans.spans
    assert span.attributes["c"] == (1,)
    assert not {1, ""} & {*span.attributes}


def test_headers_of_an_answer_that_cannot_be_read(captured_spans):
    """The status that was read before is told all the same."""

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
