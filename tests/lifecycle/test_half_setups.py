"""Incomplete set-ups are one warning, and wrong objects are errors that say what to pass."""

from __future__ import annotations

import functools
import logging
import types

import pytest
import starlette.applications
from fastapi import APIRouter, FastAPI
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router
from starlette.testclient import TestClient

import eco2_tracing
from eco2_tracing import (
    ConfigurationError,
    TracingSettings,
    configure_tracing,
    instrument_app,
    shutdown_tracing,
    span,
    traced,
)


@pytest.fixture
def quiet(monkeypatch):
    """Nothing is exported."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")


def warnings(caplog) -> list[str]:
    """The library's warnings."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "eco2_tracing" and record.levelno >= logging.WARNING
    ]


def served() -> TestClient:
    """An instrumented application."""
    app = FastAPI()
    instrument_app(app)

    @app.websocket("/socket")
    async def socket(websocket) -> None:
        await websocket.close()

    @app.get("/work")
    async def work() -> None:
        return None

    return TestClient(app)


# instrument_app without configure_tracing ------------------------------------------------------------


@pytest.mark.parametrize("mode", ["lean", "contrib"])
def test_a_request_without_a_configuration_is_one_warning(quiet, monkeypatch, caplog, mode):
    """However many requests are served, one line says that there are no spans, and why."""
    monkeypatch.setenv("ECO2_TRACING_INSTRUMENTATION", mode)
    client = served()
    assert warnings(caplog) == []
    for _ in range(3):
        assert client.get("/work").status_code == 200
    assert len(warnings(caplog)) == 1
    assert "configure_tracing() was not called" in warnings(caplog)[0]


def test_a_lifespan_may_still_configure(quiet, caplog):
    """The beginning of a lifespan is no request: tracing may be configured there."""

    async def lifespan(app):
        configure_tracing("late")
        yield

    app = FastAPI(lifespan=lifespan)
    instrument_app(app)
    with TestClient(app) as client:
        client.get("/")
    assert warnings(caplog) == []


@pytest.mark.parametrize("variable", ["OTEL_SDK_DISABLED=true", "OTEL_ENABLED=false"])
def test_disabled_tracing_needs_no_configuration(quiet, monkeypatch, caplog, variable):
    """Disabled tracing gives no warning."""
    monkeypatch.setenv(*variable.split("="))
    served().get("/work")
    assert warnings(caplog) == []


def test_another_provider_needs_no_configuration(quiet, monkeypatch, caplog):
    """An external provider gives no warning."""
    monkeypatch.setattr(trace, "get_tracer_provider", TracerProvider)
    served().get("/work")
    assert warnings(caplog) == []


def test_a_failure_of_the_warning_itself_harms_nobody(quiet, monkeypatch, caplog):
    """The request is served, and the failure is logged once."""

    def fails():
        raise RuntimeError("no provider")

    client = served()
    monkeypatch.setattr(trace, "get_tracer_provider", fails)
    assert client.get("/work").status_code == 200
    assert ["a request without a configuration" in line for line in warnings(caplog)] == [True]


def test_after_a_shutdown_there_is_nothing_to_report(quiet, caplog):
    """Requests after `shutdown_tracing` have no spans, as was asked for."""
    configure_tracing("x")
    client = served()
    shutdown_tracing()
    client.get("/work")
    assert warnings(caplog) == []


def test_a_refused_configuration_is_not_reported_again(quiet, monkeypatch, caplog):
    """After an error of strict mode, requests give no further warning."""
    monkeypatch.setenv("ECO2_TRACING_STRICT", "true")
    monkeypatch.setenv("OTEL_LOG_LEVEL", "loud")
    with pytest.raises(ConfigurationError):
        configure_tracing()
    monkeypatch.delenv("OTEL_LOG_LEVEL")
    served().get("/work")
    assert warnings(caplog) == []


# A second configure_tracing --------------------------------------------------------------------------

PROCESSOR = SpanProcessor()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        ({"service_name": "a"}, {"service_name": "a"}),
        ({"service_name": "a", "environment": "dev"}, {}),
        ({"span_processors": [PROCESSOR]}, {"span_processors": (PROCESSOR,)}),
        ({"resource_attributes": {"a": 1}}, {"resource_attributes": {"a": 1}}),
    ],
)
def test_the_same_arguments_say_nothing(quiet, caplog, first, second):
    """A second call with the same arguments logs nothing."""
    configure_tracing(**first)
    configure_tracing(**second)
    assert warnings(caplog) == []


def test_equal_settings_say_nothing(quiet, caplog):
    """Settings are compared by what they hold."""
    configure_tracing(settings=TracingSettings(traces_sampler="always_off", service_name="a"))
    said = len(warnings(caplog))
    configure_tracing(settings=TracingSettings(traces_sampler="always_off", service_name="a"))
    assert len(warnings(caplog)) == said


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ({"service_name": "a"}, {"service_name": "b"}, "service_name='b' instead of 'a'"),
        ({}, {"service_version": "2"}, "service_version='2'"),
        ({}, {"environment": "dev"}, "environment='dev'"),
        ({}, {"span_processors": [PROCESSOR]}, "span_processors"),
        ({"span_processors": [SpanProcessor()]}, {"span_processors": [PROCESSOR]}, "span_processors"),
        (
            {"resource_attributes": {"a": 1}},
            {"resource_attributes": {"a": 1, "b": 2}},
            "resource_attributes (b)",
        ),
        ({}, {"resource_attributes": ["a"]}, "resource_attributes"),
        ({"settings": TracingSettings()}, {"settings": {"a": 1}}, "settings"),
    ],
)
def test_other_arguments_are_one_warning(quiet, caplog, first, second, named):
    """The arguments that differ are named once, however often the call is repeated."""
    configure_tracing(**first)
    for _ in range(3):
        assert configure_tracing(**second) is True
    (told,) = warnings(caplog)
    assert named in told


@pytest.mark.parametrize("settings", [{"a": 1}, "a", TracingSettings])
def test_settings_of_another_type(quiet, settings):
    """The error says what to pass."""
    with pytest.raises(TypeError, match="settings takes a TracingSettings"):
        configure_tracing(settings=settings)


def test_other_settings_are_named(quiet, caplog):
    """The settings that differ are named, never their values."""
    configure_tracing(settings=TracingSettings(service_name="a"))
    configure_tracing(settings=TracingSettings(service_name="a", exporter_otlp_headers={"k": "geheim"}))
    (told,) = warnings(caplog)
    assert "settings (exporter_otlp_headers)" in told
    assert "geheim" not in told


def test_an_application_instrumented_again_with_other_arguments(quiet, caplog):
    """The first call stays in force, and one line names what is not used."""
    app = FastAPI()
    instrument_app(app, excluded_paths=["a"])
    instrument_app(app)
    instrument_app(app, excluded_paths="a")
    assert warnings(caplog) == []
    instrument_app(app, excluded_paths=["b"], server_request_hook=print)
    (told,) = warnings(caplog)
    assert "excluded_paths, server_request_hook" in told


# Wrong objects ---------------------------------------------------------------------------------------


def factory() -> FastAPI:
    """Make an application."""
    return FastAPI()


async def async_factory() -> FastAPI:
    """Make an application, on an event loop."""
    return FastAPI()


class Flask:
    """An object like a Flask application."""


Flask.__module__ = "flask.app"
module = types.ModuleType("main")
module.service = FastAPI()


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        ("app", "pass the application object itself"),
        (b"main:app", "pass the application object itself"),
        (None, "pass the application object itself"),
        (FastAPI, "pass an instance, FastAPI()"),
        (starlette.applications.Starlette, "pass an instance, Starlette()"),
        (int, "pass an instance"),
        (FastAPI().router, "pass the application that includes it"),
        (APIRouter(), "pass the application that includes it"),
        (Router(), "pass the application that includes it"),
        (factory, "call it, and pass the application that it returns"),
        (functools.partial(FastAPI), "functools.partial"),
        (GZipMiddleware(FastAPI()), "pass the application itself, before it is wrapped"),
        (GZipMiddleware(GZipMiddleware(FastAPI())), "before it is wrapped"),
        (Mount("/x", FastAPI()), "FastAPI or Starlette application"),
        (module, "such as main.service"),
        (Flask(), "opentelemetry-instrumentation-flask"),
        ([FastAPI()], "builtins.list"),
        (object(), "builtins.object"),
    ],
)
@pytest.mark.parametrize("mode", ["lean", "contrib"])
def test_a_wrong_object_says_what_to_pass(quiet, monkeypatch, mode, wrong, cure):
    """Anything that is no FastAPI or Starlette application is a TypeError."""
    monkeypatch.setenv("ECO2_TRACING_INSTRUMENTATION", mode)
    with pytest.raises(TypeError, match="instrument_app takes a FastAPI or Starlette application") as caught:
        instrument_app(wrong)
    assert cure in str(caught.value)


def test_a_coroutine_says_to_await_it():
    """It is closed: Python would warn that nobody awaits it."""
    with pytest.raises(TypeError, match="await it"):
        instrument_app(async_factory())


def test_an_awaitable_says_to_await_it():
    """So does any other object that gives an application later."""

    class Later:
        def __await__(self):
            raise AssertionError

    with pytest.raises(TypeError, match="a Later: await it"):
        instrument_app(Later())


def test_an_object_that_holds_itself():
    """The search for an application inside of an object ends."""

    class Wrapper:
        """Wraps another object."""

    wrapper = Wrapper()
    wrapper.app = wrapper
    with pytest.raises(TypeError, match="Wrapper"):
        instrument_app(wrapper)


def test_a_hook_that_cannot_be_called():
    """A hook is a plain function."""

    async def hook(span, scope) -> None:
        raise AssertionError

    with pytest.raises(TypeError, match="not awaited"):
        instrument_app(FastAPI(), server_request_hook=hook)
    with pytest.raises(TypeError, match="is no function"):
        instrument_app(FastAPI(), server_request_hook="hook")


@pytest.mark.parametrize("mode", ["lean", "contrib"])
def test_a_plain_starlette_application(quiet, monkeypatch, captured_spans, mode):
    """Starlette's own applications, and subclasses, are traced as FastAPI's are."""
    shutdown_tracing()
    monkeypatch.setenv("ECO2_TRACING_INSTRUMENTATION", mode)
    configure_tracing(span_processors=(captured_spans,))

    class Own(starlette.applications.Starlette):
        """A subclass."""

    async def answer(request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    app = Own(routes=[Route("/items/{item}", answer)])
    instrument_app(app)
    client = TestClient(app)
    assert [client.get(path).status_code for path in ("/items/1", "/health")] == [200, 404]
    assert [one.name for one in captured_spans.spans if one.kind.name == "SERVER"] == ["GET /items/{item}"]


# Manual spans ----------------------------------------------------------------------------------------


def test_span_as_a_decorator_names_traced():
    """Both forms are refused where the function is defined."""
    with pytest.raises(TypeError, match=r"write @traced\('work'\)"):
        span("work")(factory)
    for bare in (factory, async_factory, Flask, classmethod(factory), staticmethod(factory), print):
        with pytest.raises(TypeError, match="write @traced above"):
            span(bare)


def test_traced_says_where_it_belongs():
    """A class and a property are no functions: the message says what to decorate."""
    with pytest.raises(TypeError, match="decorate its methods"):
        traced(Flask)
    with pytest.raises(TypeError, match="write @traced below @property"):
        traced(property(factory))
    with pytest.raises(TypeError, match="write @traced below @cached_property"):
        traced("name")(functools.cached_property(factory))


def test_traced_below_a_property(captured_spans):
    """What the message says works."""

    class Owner:
        @property
        @traced("read")
        def value(self) -> int:
            return 1

    assert Owner().value == 1
    assert [one.name for one in captured_spans.spans] == ["read"]


# Names, and another provider -------------------------------------------------------------------------


def test_the_error_of_strict_mode_is_public():
    """Code can catch it by the name that the documentation gives."""
    assert issubclass(eco2_tracing.ConfigurationError, ValueError)
    with pytest.raises(ConfigurationError):
        TracingSettings(strict=True, otel_log_level="loud")


@pytest.mark.parametrize(
    ("attributes", "arguments", "expected"),
    [
        (
            {"service.name": "theirs", "service.version": "7"},
            {"service_name": "ours", "service_version": "1"},
            "service.name 'theirs' and service.version '7'; log lines alone have this configuration's name 'ours' and",
        ),
        (
            {"service.name": "auth"},
            {"service_name": "auth", "service_version": "1"},
            "spans have its service.name 'auth'; log lines alone have this configuration's version '1'",
        ),
        ({"service.name": "auth"}, {"service_name": "auth"}, "spans have its service.name 'auth'"),
        ({"service.name": "password=geheim"}, {}, "spans have its service.name"),
    ],
)
def test_another_providers_line_names_the_service(
    quiet, monkeypatch, caplog, attributes, arguments, expected
):
    """The line says which name and version spans have, and what ours are used for."""
    caplog.set_level(logging.INFO, "eco2_tracing")
    theirs = TracerProvider(resource=Resource(attributes))
    monkeypatch.setattr("eco2_tracing._lifecycle.tracing.global_provider", lambda: theirs)
    configure_tracing(**arguments)
    (line,) = [record.getMessage() for record in caplog.records if "already installed" in record.getMessage()]
    assert expected in line
    assert "geheim" not in line
    shutdown_tracing()


def test_another_provider_without_a_resource(quiet, monkeypatch, caplog):
    """A provider without a resource gets no statement about names."""
    caplog.set_level(logging.INFO, "eco2_tracing")
    theirs = TracerProvider()
    monkeypatch.setattr(TracerProvider, "resource", None)
    monkeypatch.setattr("eco2_tracing._lifecycle.tracing.global_provider", lambda: theirs)
    configure_tracing("auth")
    assert "spans have the service's name that it gives" in caplog.text
    shutdown_tracing()


def test_an_applications_own_environment_beside_another_provider(quiet, monkeypatch, caplog):
    """An external provider has its own resource: the variable is not reported."""
    monkeypatch.setenv("ENVIRONMENT", "dev")
    monkeypatch.setattr("eco2_tracing._lifecycle.tracing.global_provider", TracerProvider)
    configure_tracing("auth")
    assert warnings(caplog) == []
    shutdown_tracing()
