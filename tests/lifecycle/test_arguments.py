"""A wrong argument of a public function is one clear warning, or a `TypeError` that says what to pass."""

from __future__ import annotations

import enum
import logging
from collections import UserList
from decimal import Decimal
from pathlib import PurePosixPath

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.trace import SpanKind

import eco2_tracing
from eco2_tracing import (
    ConfigurationError,
    TracingSettings,
    bind_log_fields,
    configure_logging,
    configure_tracing,
    flush_tracing,
    instrument_app,
    instrument_libraries,
    shutdown_tracing,
    span,
    traced,
)
from eco2_tracing.logs import EcsFormatter, reset_logging, structlog_processor


class Hostile:
    """An object each of whose methods fails."""

    def _fail(self, *_: object) -> object:
        raise RuntimeError("hostile")

    __str__ = __repr__ = __iter__ = __bool__ = __len__ = __float__ = __getattr__ = _fail
    __eq__ = _fail
    __hash__ = _fail


class HostileText(str):
    """Text each of whose methods fails."""

    __slots__ = ()

    def _fail(self, *_: object) -> object:
        raise RuntimeError("hostile")

    __str__ = __repr__ = strip = split = _fail


def failing():
    """Fail after the first item."""
    yield "/first"
    raise RuntimeError("hostile")


WRONG = {
    "a number": lambda: 5,
    "an object": object,
    "a class": lambda: dict,
    "a list": lambda: [5, None],
    "a mapping": lambda: {1: 2},
    "bytes": lambda: b"health",
    "a generator": lambda: (each for each in [5]),
    "a function": lambda: print,
    "a hostile object": Hostile,
    "a hostile object in a list": lambda: [Hostile()],
}


class Processor(SpanProcessor):
    """Counts the spans that ended."""

    ended = 0

    def on_end(self, span) -> None:
        self.ended += 1


class Exporter(SpanExporter):
    """Belongs into a processor."""

    def export(self, spans) -> None:
        raise AssertionError


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Nothing is exported; logging is as it was."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    yield
    reset_logging()


@pytest.fixture(params=WRONG)
def wrong(request):
    """A wrong value."""
    return WRONG[request.param]()


def the_warning(caplog) -> str:
    """The one warning of this library."""
    (record,) = [
        each for each in caplog.records if each.name == "eco2_tracing" and each.levelno >= logging.WARNING
    ]
    assert record.exc_info is None
    return record.getMessage()


@pytest.mark.parametrize("function", [flush_tracing, shutdown_tracing])
@pytest.mark.parametrize("more", [None, "soon", b"5 s"])
@pytest.mark.parametrize("again", [False, True])
def test_seconds(function, more, again, caplog):
    """What is no number is the default, and a warning says what to write."""
    if again:
        configure_tracing("shop")
    assert function(more) is True
    told = the_warning(caplog)
    assert told.startswith(f"{function.__name__}(timeout_s={more!r}): timeout_s takes a number of seconds")
    assert told.endswith("using 5.0")


def test_seconds_of_any_type(wrong, caplog):
    """A number is used whatever its type; anything else is reported."""
    assert flush_tracing(wrong) is True
    assert shutdown_tracing(Decimal("0.5")) is True
    if type(wrong) is int:
        assert not caplog.records
    else:
        assert "timeout_s takes a number of seconds" in the_warning(caplog)


def test_seconds_as_text(caplog):
    """The number in a text is used."""
    assert flush_tracing("0.25") is True
    assert the_warning(caplog).endswith("using 0.25")


@pytest.mark.parametrize("mode", ["lean", "contrib"])
def test_excluded_paths(wrong, mode, monkeypatch, captured_spans, caplog):
    """The default paths are used in their place, and requests are served."""
    shutdown_tracing()
    monkeypatch.setenv("ECO2_TRACING_INSTRUMENTATION", mode)
    configure_tracing("shop", span_processors=[captured_spans])
    app = FastAPI()
    app.get("/health")(lambda: "ok")
    app.get("/items")(lambda: "ok")
    instrument_app(app, excluded_paths=wrong)
    told = the_warning(caplog)
    assert told.startswith("instrument_app(excluded_paths=")
    assert "takes paths, such as ['/internal', 'health']; using the default paths" in told
    client = TestClient(app)
    assert [client.get(path).status_code for path in ("/health", "/items")] == [200, 200]
    assert [each.name for each in captured_spans.find(kind=SpanKind.SERVER)] == ["GET /items"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ["/first", 5],
        failing,
        lambda: {"/first": 1, 2: 3},
        lambda: HostileText("/first"),
        lambda: ["/first", Hostile()],
    ],
)
def test_excluded_paths_that_can_be_used(make, captured_spans, caplog):
    """What can be used of the paths is used."""
    given = make()
    app = FastAPI()
    app.get("/first")(lambda: "ok")
    app.get("/health")(lambda: "ok")
    instrument_app(app, excluded_paths=given)
    if not isinstance(given, str):
        assert the_warning(caplog).endswith("using '/first'")
    client = TestClient(app)
    assert [client.get(path).status_code for path in ("/first", "/health")] == [200, 200]
    assert [each.name for each in captured_spans.find(kind=SpanKind.SERVER)] == ["GET /health"]


def test_libraries(wrong, caplog):
    """The tested list is used in their place."""
    assert instrument_libraries(wrong) == instrument_libraries()
    told = the_warning(caplog)
    assert told.startswith("instrument_libraries(names=")
    assert "takes names of instrumentations, such as ['redis']; using the tested list" in told


def test_library_names_that_are_none(caplog):
    """An empty name is none; a name that nobody can print is reported in a form that anybody can."""
    assert instrument_libraries(["redis", " ", ""]) == ("redis",)
    assert instrument_libraries("redis,") == ("redis",)
    assert instrument_libraries(["\ud800"]) == ()
    the_warning(caplog).encode()


def test_httpx_is_no_library(caplog):
    """The message says which function does it."""
    assert instrument_libraries("httpx") == ()
    assert "call instrument_httpx()" in the_warning(caplog)


TEXTS = ["service_name", "service_version", "environment"]


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name, wrong, caplog):
    """What is no text is left out; a number is its text."""
    assert configure_tracing(**{name: wrong}) is True
    told = the_warning(caplog)
    assert told.startswith(f"configure_tracing({name}=")
    assert "takes a string, such as" in told
    assert told.endswith("using '5'" if type(wrong) is int else "using nothing")


class Stage(str, enum.Enum):  # noqa: UP042 - the form of most services
    """The way in which many services name their environments."""

    PROD = "prod"


class Version(enum.Enum):
    """An enumeration of texts."""

    CURRENT = "1.2"


def test_texts_of_other_types(captured_spans, caplog):
    """Members of enumerations are their values, and objects with a text of their own are that text."""
    shutdown_tracing()
    configure_tracing(
        PurePosixPath("shop"),
        Version.CURRENT,
        Stage.PROD,
        span_processors=(each for each in [captured_spans]),
    )
    with span("work"):
        pass
    found = captured_spans.spans[0].resource
    assert found["service.name"] == "shop"
    assert found["service.version"] == "1.2"
    assert found["deployment.environment.name"] == "prod"
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_resource_attributes(wrong, caplog):
    """What is no mapping of names is left out."""
    assert configure_tracing("shop", resource_attributes=wrong) is True
    told = the_warning(caplog)
    assert told.startswith("configure_tracing(resource_attributes=")
    assert told.endswith("using nothing")


class BrokenMapping(dict):
    """Fails when it is read."""

    def items(self):
        yield "team", "payments"
        raise RuntimeError("hostile")


@pytest.mark.parametrize("given", [{"team": "payments", 1: 2}, BrokenMapping()])
def test_resource_attributes_that_can_be_used(given, captured_spans, caplog):
    """The names that are texts are used."""
    shutdown_tracing()
    configure_tracing("shop", resource_attributes=given, span_processors=[captured_spans])
    with span("work"):
        pass
    assert captured_spans.spans[0].resource["team"] == "payments"
    assert the_warning(caplog).endswith("using team alone")


def test_a_resource_attribute_that_cannot_be_read(caplog):
    """It is named."""

    class Unreadable:
        @property
        def __class__(self):
            raise RuntimeError("hostile")

    assert configure_tracing("shop", resource_attributes={"team": Unreadable()}) is True
    assert "reading the resource attribute team, which is left out" in caplog.text


def test_span_processors(wrong, caplog):
    """What is no processor is left out, and spans are made."""
    assert configure_tracing("shop", span_processors=wrong) is True
    told = the_warning(caplog)
    assert told.startswith("configure_tracing(span_processors=")
    assert "takes a list of span processors, such as [BatchSpanProcessor(exporter)]" in told
    assert told.endswith("using nothing")
    with span("work") as made:
        assert made.is_recording()


def test_one_span_processor_without_a_list(caplog):
    """It is used, also in strict mode."""
    processor = Processor()
    configure_tracing("shop", span_processors=processor, settings=TracingSettings(strict=True))
    with span("work"):
        pass
    assert processor.ended == 1
    assert the_warning(caplog).endswith("using it alone")


def test_no_span_processors(caplog):
    """`None` stands for none."""
    assert configure_tracing("shop", span_processors=None) is True
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_an_exporter_and_a_class(caplog):
    """Of a list the processors are used; the message says where an exporter belongs."""
    processor = Processor()
    configure_tracing("shop", span_processors=[processor, Exporter(), Processor])
    with span("work"):
        pass
    assert processor.ended == 1
    told = the_warning(caplog)
    assert "an exporter is put into a processor" in told
    assert "using <" in told


def test_settings(wrong):
    """The error says what to pass."""
    with pytest.raises(
        TypeError, match=r"settings takes a TracingSettings, such as TracingSettings\(\), not"
    ):
        configure_tracing(settings=wrong)


def test_a_second_call(wrong, caplog):
    """Whatever it is given: nothing is raised, and the first call stays in force."""
    configure_tracing("shop", resource_attributes={"team": Hostile()})
    assert configure_tracing(wrong, settings=wrong, resource_attributes={"team": wrong}) is True
    told = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert any("configure_tracing(service_name=" in each for each in told)
    assert any("settings" in each and "resource_attributes (team)" in each for each in told)


@pytest.mark.parametrize(
    "arguments",
    [
        {"service_name": object()},
        {"resource_attributes": 5},
        {"span_processors": [5]},
    ],
)
def test_strict_mode(monkeypatch, arguments):
    """It raises, with the same message."""
    monkeypatch.setenv("ECO2_TRACING_STRICT", "true")
    with pytest.raises(ConfigurationError, match=r"configure_tracing\(\w+=.*takes"):
        configure_tracing(**arguments)
    with pytest.raises(ConfigurationError, match=r"instrument_app\(excluded_paths=5\): excluded_paths takes"):
        instrument_app(FastAPI(), excluded_paths=5)


def test_settings_of_hostile_values():
    """A keyword that has no text is a problem, not an exception."""
    for value in (Hostile(), [Hostile()], {"a": Hostile()}, object(), HostileText("x")):
        TracingSettings(service_name=value)
    problems = TracingSettings(service_name=object()).problems
    assert [each.variable for each in problems] == ["OTEL_SERVICE_NAME"]
    assert TracingSettings(no_such=Hostile()).problems


def test_secrets_in_wrong_arguments(caplog):
    """What is shown of a wrong argument is masked and short."""
    configure_tracing("shop", resource_attributes="https://user:geheim@host/" + "x" * 500)
    told = the_warning(caplog)
    assert "geheim" not in told
    assert len(told) < 400


@pytest.mark.parametrize("kind", [list, UserList])
def test_values_that_hold_each_other_many_times(kind, captured_spans):
    """What is shown of them is bounded: the whole of it would have ten to the twentieth items."""
    value = kind()
    for _ in range(20):
        value = kind([value] * 10)
    assert flush_tracing(value) is True
    configure_logging(value)
    configure_tracing(value, resource_attributes={1: value}, span_processors=[value])
    instrument_app(FastAPI(), excluded_paths=[value])
    with span("work", attributes={1: value}, kind=value):
        pass
    with span("more", attributes=value):
        pass
    assert len(captured_spans.spans) == 2


# Applications and hooks ------------------------------------------------------------------------------


def test_hostile_applications_and_hooks():
    """The error is still the one that says what to pass."""

    class Proxy:
        @property
        def __class__(self):
            raise RuntimeError("hostile")

    for app in (Hostile(), HostileText("app"), Proxy()):
        with pytest.raises(TypeError, match="instrument_app takes a FastAPI or Starlette application"):
            instrument_app(app)
    with pytest.raises(TypeError, match="is no function"):
        instrument_app(FastAPI(), server_request_hook=Hostile())


# Logging ---------------------------------------------------------------------------------------------


def test_levels(wrong, caplog):
    """A level that is none is INFO, and the message says what to write."""
    root = logging.getLogger()
    configure_logging(wrong)
    root.addHandler(caplog.handler)
    assert root.level == (5 if type(wrong) is int else logging.INFO)
    root.removeHandler(caplog.handler)


def test_the_name_of_the_service_in_logs(wrong, capsys):
    """What is no text is left out."""
    configure_logging(service_name=wrong)
    logging.getLogger("shop").info("served")
    out = capsys.readouterr().out
    assert "configure_logging(service_name=" in out
    assert ('"service.name":"5"' in out) is (type(wrong) is int)


@pytest.mark.parametrize("name", ["", " ", ". .", "labels.", "a. "])
def test_blank_names_of_fields(name):
    """Elasticsearch refuses a document with a blank name: the field is a label with a name."""
    bind_log_fields(**{name: 7})
    line = EcsFormatter().format(logging.makeLogRecord({"msg": "served"}))
    assert '"":' not in line
    assert '" ":' not in line
    assert ":7" in line
    bind_log_fields(**{name: None})


def test_structlogs_processor_behind_a_renderer(caplog):
    """What is no event is handed on, and the message says where the processor belongs."""
    assert structlog_processor(None, "info", "rendered") == "rendered"
    assert "put it before the renderer" in the_warning(caplog)


# Spans -----------------------------------------------------------------------------------------------


def test_names_of_spans(captured_spans, caplog):
    """Any object is a name; the message says what to write."""
    for name in (5, None, Hostile()):
        with span(name):
            pass
    assert [each.name for each in captured_spans.spans] == ["5", "", "<unprintable Hostile>"]
    assert the_warning(caplog) == "span(name=5): name takes a string, such as 'charge card'; using '5'"


@pytest.mark.parametrize("kind", ["client", 3, None, SpanKind])
def test_kinds_of_spans(kind, captured_spans, caplog):
    """What is no kind is INTERNAL."""
    with span("work", kind=kind):
        pass
    traced("more", kind=kind)(lambda: None)()
    assert [each.kind for each in captured_spans.spans] == [SpanKind.INTERNAL] * 2
    told = [each.getMessage() for each in caplog.records]
    assert [each.partition("(")[0] for each in told] == ["span", "traced"]
    assert all("takes a SpanKind, such as SpanKind.CLIENT; using SpanKind.INTERNAL" in each for each in told)


@pytest.mark.parametrize("make", [lambda: 5, lambda: [("a", 1)], lambda: "a", Hostile, lambda: dict])
def test_attributes_of_spans(make, captured_spans, caplog):
    """What is no mapping is left out, in one warning."""
    attributes = make()
    with span("work", attributes=attributes):
        pass
    traced("more", attributes=attributes)(lambda: None)()
    assert [each.name for each in captured_spans.spans] == ["work", "more"]
    assert "attributes takes a mapping, such as" in the_warning(caplog)


def test_names_of_attributes(captured_spans, caplog):
    """A name that is no text is left out, and the others stay."""
    with span("work", attributes={1: 2, "order.id": 7}):
        pass
    assert captured_spans.one("work").attributes["order.id"] == 7
    assert "an attribute's name takes a string" in the_warning(caplog)


def test_attributes_that_fail(captured_spans, caplog):
    """What was read before stays."""
    with span("work", attributes=BrokenMapping()):
        pass
    assert captured_spans.one("work").attributes["team"] == "payments"
    assert "reading attributes" in caplog.text


def test_hostile_functions():
    """The error that says what to decorate does not depend on the object's `repr`."""
    with pytest.raises(TypeError, match="traced decorates functions and methods, not <unprintable Hostile>"):
        traced(Hostile())
    assert eco2_tracing.traced("named")(lambda: 1)() == 1


class AsyncHook:
    """An object that is called as an async function is."""

    async def __call__(self, span, scope) -> None:
        raise AssertionError


def test_async_objects_are_no_hooks():
    """As async functions are none: nothing awaits them."""
    with pytest.raises(TypeError, match="server_request_hook is not awaited"):
        instrument_app(FastAPI(), server_request_hook=AsyncHook())


def set_up(mode, monkeypatch) -> None:
    """Configure tracing in one of three ways."""
    shutdown_tracing()
    if mode == "external":
        trace.set_tracer_provider(TracerProvider())
    else:
        monkeypatch.setenv("ECO2_TRACING_INSTRUMENTATION", mode)
    configure_tracing("shop")


@pytest.mark.parametrize("mode", ["lean", "contrib", "external"])
def test_a_hook_that_fails(mode, monkeypatch, caplog):
    """The request goes on."""
    set_up(mode, monkeypatch)
    app = FastAPI()
    app.get("/items")(lambda: "ok")
    instrument_app(app, server_request_hook=lambda: None)
    assert TestClient(app).get("/items").status_code == 200
    assert "the server_request_hook" in caplog.text


@pytest.mark.parametrize("mode", ["lean", "contrib", "external"])
def test_a_hook_that_returns_a_coroutine(mode, monkeypatch, caplog):
    """It is closed and reported once, and requests are served."""
    set_up(mode, monkeypatch)
    app = FastAPI()
    app.get("/items")(lambda: "ok")
    hook = AsyncHook()
    instrument_app(app, server_request_hook=lambda *arguments: hook(*arguments))  # noqa: PLW0108 - a plain function
    client = TestClient(app)
    assert [client.get("/items").status_code for _ in range(2)] == [200, 200]
    assert "server_request_hook is not awaited" in the_warning(caplog)
