"""Precedence: explicit settings, environment, arguments, defaults."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from eco2_tracing._settings import TracingSettings, load_settings


@pytest.mark.parametrize(
    "keyword", ["traces_sampler", "TRACES_SAMPLER", "otel_traces_sampler", "OTEL_TRACES_SAMPLER"]
)
def test_keywords(keyword):
    """A keyword is a field or a variable, in either case, and overrides the environment."""
    settings = TracingSettings(_environ={"OTEL_TRACES_SAMPLER": "always_on"}, **{keyword: "always_off"})
    assert settings.traces_sampler == "always_off"
    assert settings.problems == ()


def test_typed_keywords():
    """Keywords may be numbers, booleans, sequences, mappings and secrets."""
    settings = TracingSettings(
        _environ={},
        disabled=True,
        bsp_schedule_delay=5,
        error_sampling_rate=0.5,
        propagators=["b3", "baggage"],
        excluded_paths=(),
        redact_keys={"b", "a"},
        resource_attributes={"team": "a,b=c"},
        slow_thresholds_ms={"/a/{b}": 5},
        exporter_otlp_headers={"X-Key": SecretStr("s,=%")},
        response_header=None,
    )
    assert settings.problems == ()
    assert settings.disabled
    assert (settings.bsp_schedule_delay, settings.error_sampling_rate) == (5, 0.5)
    assert settings.propagators == ("b3", "baggage")
    assert settings.excluded_paths == ()
    assert settings.redact_keys == {"a", "b"}
    assert settings.resource_attributes == {"team": "a,b=c"}
    assert settings.slow_thresholds_ms == {"/a/{b}": 5.0}
    assert settings.otlp.headers == {"x-key": "s,=%"}


def test_empty_set_of_keys():
    """An empty set is a value of its own."""
    assert (
        TracingSettings(_environ={"ECO2_TRACING_REDACT_KEYS": "a"}, redact_keys=set()).redact_keys
        == frozenset()
    )


def test_unknown_keyword_is_told():
    """A misspelled keyword is a problem, not an exception."""
    (problem,) = TracingSettings(_environ={}, trace_sampler="always_off").problems
    assert problem.variable == "trace_sampler"


def test_explicit_general_form_beats_traces_form_of_the_environment():
    """An explicit general form overrides the _TRACES_ form of the environment."""
    settings = TracingSettings(
        _environ={"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:4317"},
        exporter_otlp_endpoint="http://b:4317",
    )
    assert settings.otlp.endpoint == "b:4317"


@pytest.mark.parametrize(
    ("name", "traces", "general", "field", "value"),
    [
        ("PROTOCOL", "grpc", "http/protobuf", "protocol", "grpc"),
        ("ENDPOINT", "http://a:1", "http://b:2", "endpoint", "a:1"),
        ("HEADERS", "a=1", "b=2", "headers", {"a": "1"}),
        ("TIMEOUT", "1000", "2000", "timeout_s", 1.0),
        ("COMPRESSION", "gzip", "none", "compression", "gzip"),
        ("CERTIFICATE", __file__, "/", "certificate", __file__),
    ],
)
def test_traces_form_beats_general_form(read, name, traces, general, field, value):
    """The _TRACES_ form of an OTLP variable wins."""
    settings = read(**{f"OTEL_EXPORTER_OTLP_TRACES_{name}": traces, f"OTEL_EXPORTER_OTLP_{name}": general})
    assert getattr(settings.otlp, field) == value


def test_own_form_beats_general_form(read):
    """The variable of FastAPI or httpx wins over the one for all."""
    settings = read(
        OTEL_PYTHON_EXCLUDED_URLS="all",
        OTEL_PYTHON_FASTAPI_EXCLUDED_URLS="in",
        OTEL_PYTHON_HTTPX_EXCLUDED_URLS="out",
        OTEL_ATTRIBUTE_COUNT_LIMIT="5",
        OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="6",
        ECO2_TRACING_WORKERS="2",
        WEB_CONCURRENCY="3",
    )
    assert (settings.excluded_urls, settings.httpx_excluded_urls) == (("in",), ("out",))
    assert (settings.span_attribute_count_limit, settings.event_attribute_count_limit) == (6, 5)
    assert settings.workers == 2


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"OTEL_SERVICE_NAME": "a", "OTEL_RESOURCE_ATTRIBUTES": "service.name=b"}, "a"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=b"}, "b"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name="}, "argument"),
        ({}, "argument"),
    ],
)
def test_service_name(environ, name):
    """The variable, else the resource attribute, else the argument names the service."""
    assert load_settings(service_name="argument", environ=environ).service_name == name


def test_environment_and_version_from_attributes():
    """Both names of the environment are read; the environment overrides the arguments."""
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=prod,service.version=2"}
    settings = load_settings(service_version="1", environment="dev", environ=environ)
    assert (settings.environment, settings.service_version) == ("prod", "2")
    newer = {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=old,deployment.environment.name=new"}
    assert load_settings(environ=newer).environment == "new"


def test_explicit_service_facts_beat_the_environment():
    """Explicit resource attributes name the service even if the environment does."""
    environ = {"OTEL_SERVICE_NAME": "b", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=b"}
    settings = TracingSettings(_environ=environ, resource_attributes={"service.name": "a"}, environment="a")
    assert (settings.service_name, settings.environment) == ("a", "a")


def test_arguments_fill_given_settings():
    """Arguments fill what explicit settings do not set, and make another name in the environment superfluous."""
    given = TracingSettings(_environ={"ENVIRONMENT": "dev", "OTEL_LOG_LEVEL": "loud"}, service_name="given")
    assert {problem.variable for problem in given.problems} == {"ENVIRONMENT", "OTEL_LOG_LEVEL"}
    settings = load_settings(given, service_name="argument", environment="dev")
    assert (settings.service_name, settings.environment) == ("given", "dev")
    assert [problem.variable for problem in settings.problems] == ["OTEL_LOG_LEVEL"]
    assert load_settings(given, service_version="2").problems == given.problems


def test_process_environment_is_the_default(monkeypatch):
    """Without an argument the environment of the process is read."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    assert TracingSettings().traces_sampler == load_settings().traces_sampler == "always_off"


@pytest.mark.parametrize(("text", "disabled"), [("false", True), ("0", True), ("true", False)])
def test_older_name_of_disabled(only_problem, text, disabled):
    """OTEL_ENABLED still works, with one warning."""
    settings, problem = only_problem(OTEL_ENABLED=text)
    assert settings.disabled is disabled
    assert problem.advisory
    assert problem.used == f"OTEL_SDK_DISABLED={str(disabled).lower()}"


def test_older_name_of_disabled_loses(only_problem):
    """OTEL_SDK_DISABLED wins over OTEL_ENABLED."""
    settings, problem = only_problem(OTEL_ENABLED="false", OTEL_SDK_DISABLED="false")
    assert not settings.disabled
    assert problem.variable == "OTEL_ENABLED"


def test_older_name_of_disabled_with_a_bad_value(only_problem):
    """An OTEL_ENABLED without meaning leaves tracing enabled."""
    settings, problem = only_problem(OTEL_ENABLED="perhaps")
    assert not settings.disabled
    assert not problem.advisory


def test_older_name_of_the_ratio(only_problem):
    """OTEL_SAMPLING_RATE is a parent-based ratio, with one warning."""
    settings, problem = only_problem(OTEL_SAMPLING_RATE="0.1")
    assert (settings.traces_sampler, settings.traces_sampler_arg) == ("parentbased_traceidratio", "0.1")
    assert problem.advisory


def test_older_name_of_the_ratio_loses(only_problem):
    """OTEL_TRACES_SAMPLER wins over OTEL_SAMPLING_RATE."""
    settings, _ = only_problem(OTEL_SAMPLING_RATE="0.1", OTEL_TRACES_SAMPLER="always_on")
    assert (settings.traces_sampler, settings.traces_sampler_arg) == ("always_on", None)


def test_older_name_of_the_ratio_beside_the_argument(only_problem):
    """OTEL_TRACES_SAMPLER_ARG is the ratio even where the older name chose the sampler."""
    settings, _ = only_problem(OTEL_SAMPLING_RATE="0.1", OTEL_TRACES_SAMPLER_ARG="0.2")
    assert (settings.traces_sampler, settings.traces_sampler_arg) == ("parentbased_traceidratio", "0.2")


def test_older_name_of_the_ratio_with_a_bad_value(only_problem):
    """The ratio that was probably meant is used: sampling everything in its place would be wrong."""
    settings, problem = only_problem(OTEL_SAMPLING_RATE="10%")
    assert (settings.traces_sampler, settings.traces_sampler_arg) == ("parentbased_traceidratio", "0.1")
    assert "0.1 was probably meant" in problem.message
    assert not problem.advisory


def test_older_name_as_a_keyword_beats_the_environment():
    """An older name as a keyword overrides the environment."""
    settings = TracingSettings(
        _environ={"OTEL_SDK_DISABLED": "false", "OTEL_TRACES_SAMPLER": "always_on"},
        otel_enabled=False,
        otel_sampling_rate=0.5,
    )
    assert settings.disabled
    assert (settings.traces_sampler, settings.traces_sampler_arg) == ("parentbased_traceidratio", "0.5")
