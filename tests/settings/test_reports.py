"""Reports of problems: one warning each, or one error in strict mode; and near misses of names."""

from __future__ import annotations

import pytest

from eco2_tracing._errors import ConfigurationError
from eco2_tracing._settings import Problem, TracingSettings, load_settings, report_problems

FURTHER = Problem("OTEL_TRACES_SAMPLER_ARG", "x", "1", "OTEL_TRACES_SAMPLER_ARG='x': no; using 1")


def test_one_warning_each(read, caplog):
    """Each problem is one WARNING of the library's logger, once in a process."""
    settings = read(OTEL_LOG_LEVEL="loud", OTEL_BSP_SCHEDULE_DELAY="fast")
    report_problems(settings, [FURTHER])
    report_problems(settings, [FURTHER])
    assert [(record.name, record.levelname) for record in caplog.records] == [("eco2_tracing", "WARNING")] * 3
    assert "OTEL_LOG_LEVEL='loud'" in caplog.text


def test_nothing_to_report(read, caplog):
    """Good settings log nothing."""
    report_problems(read())
    assert not caplog.records


def test_strict_mode_lists_everything():
    """One error names every variable."""
    environ = {"ECO2_TRACING_STRICT": "true", "OTEL_LOG_LEVEL": "loud", "OTEL_SERVCE_NAME": "x"}
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ=environ)
    assert len(caught.value.problems) == 2
    assert "OTEL_LOG_LEVEL" in str(caught.value)
    assert "OTEL_SERVCE_NAME" in str(caught.value)


def test_strict_mode_by_keyword():
    """Strict mode can be set in code."""
    with pytest.raises(ConfigurationError):
        TracingSettings(_environ={"OTEL_LOG_LEVEL": "loud"}, strict=True)


def test_strict_mode_lets_doubts_pass(read, caplog):
    """A value that is used as it is remains a warning in strict mode."""
    settings = read(ECO2_TRACING_STRICT="true", OTEL_EXPORTER_OTLP_TIMEOUT="10", OTEL_ENABLED="true")
    report_problems(settings)
    assert len(caplog.records) == 2


def test_strict_mode_raises_for_what_others_found(read):
    """A problem found later raises as well."""
    with pytest.raises(ConfigurationError, match="no; using 1"):
        report_problems(read(ECO2_TRACING_STRICT="true"), [FURTHER])


@pytest.mark.parametrize(
    ("name", "proper"),
    [
        ("OTEL_EXPORTER_OLTP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_EXPORTER_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_EXPORTER_OTLP_TRACE_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ("OTEL_TRACE_SAMPLER", "OTEL_TRACES_SAMPLER"),
        ("OTEL_SERVICENAME", "OTEL_SERVICE_NAME"),
        ("otel_service_name", "OTEL_SERVICE_NAME"),
        ("OTEL_PROPAGATOR", "OTEL_PROPAGATORS"),
        ("ECO2_TRACING_ERROR_RATE", "ECO2_TRACING_ERROR_SAMPLING_RATE"),
        ("ECO2_TRACING_SLOW_TRESHOLD_MS", "ECO2_TRACING_SLOW_THRESHOLD_MS"),
        ("ECO2_TRACING_COLOUR_OF_THE_WATERFALL", "not read; using nothing"),
        ("OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("JAEGER_HOST", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("JAEGER_AGENT_HOST", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("ENVIRONMENT", "deployment.environment.name"),
        ("OTEL_SERVICE_VERSION", "service.version in OTEL_RESOURCE_ATTRIBUTES"),
        ("OTEL_EXCLUDED_URLS", "OTEL_PYTHON_EXCLUDED_URLS"),
        ("OTEL_PYTHON_FASTAPI_EXCLUDE_URLS", "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS"),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATION", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"),
        (
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADER_SERVER_REQUEST",
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
        ),
        ("OTEL_METRIC_EXPORTER", "OTEL_METRICS_EXPORTER"),
        ("OTEL_LOG_EXPORTER", "OTEL_LOGS_EXPORTER"),
        ("OTEL_EXPORTER_OTLP_METRIC_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
        ("OTEL_BLRP_MAX_QUEUESIZE", "OTEL_BLRP_MAX_QUEUE_SIZE"),
        ("eco2_tracing_strict", "ECO2_TRACING_STRICT"),
        ("OTEL_CONFIG_FILE", "not supported"),
        ("OTEL_SEMCONV_STABILITY_OPT_IN", "not supported"),
    ],
)
def test_names_that_are_not_read(only_problem, name, proper):
    """A near miss, an older name or an unsupported one is reported with what to do."""
    _, problem = only_problem(**{name: "value"})
    assert problem.variable == name
    assert "value" in problem.message
    assert proper in problem.message


@pytest.mark.parametrize(
    "name",
    [
        "OTEL_PROFILES_EXPORTER",
        "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT",
        "OTEL_METRICS_PRODUCERS",
        "OTEL_EXPORTER_PROMETHEUS_TRANSLATION_STRATEGY",
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
        "OTEL_PYTHON_DJANGO_EXCLUDED_URLS",
        "OTEL_PYTHON_FLASK_EXCLUDED_URLS",
        "OTEL_PYTHON_ASGI_EXCLUDED_URLS",
        "OTEL_PYTHON_LOG_LEVEL",
        "OTEL_RESOURCE_ATTRIBUTES_POD_NAME",
        "OTEL_NODE_IP",
        "OTEL_COLLECTOR_SERVICE_HOST",
        "OTEL_COLLECTOR_PORT_4317_TCP_ADDR",
        "OTEL_EXPORTER_OTLP_ENDPOINT_PORT",
        "OTEL_UNHEARD_OF",
        "JAEGER_PORT",
        "SERVICE_NAME",
        "PATH",
    ],
)
def test_names_of_others(read, name):
    """Variables of other signals, of the Operator and of Kubernetes are not reported."""
    assert read(**{name: "value"}).problems == ()


def test_empty_near_miss(read):
    """An empty variable means nothing, whatever its name."""
    assert read(OTEL_SERVCE_NAME=" ").problems == ()


@pytest.mark.parametrize(
    ("name", "proper"),
    [
        ("OTLP_ENDPOINT", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"}),
        ("JAEGER_HOST", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4317"}),
        ("ENVIRONMENT", {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=prod"}),
        ("OTEL_SERVICE_VERSION", {"OTEL_RESOURCE_ATTRIBUTES": "service.version=1"}),
    ],
)
def test_older_names_beside_the_proper_one(read, name, proper):
    """An older name is not reported where the proper variable is set."""
    assert read(**{name: "x"}, **proper).problems == ()


@pytest.mark.parametrize(
    ("name", "argument"), [("ENVIRONMENT", "environment"), ("OTEL_SERVICE_VERSION", "service_version")]
)
def test_facts_given_as_arguments(name, argument):
    """ENVIRONMENT is not reported where the application passes it on, with explicit settings too."""
    environ, given = {name: "dev"}, {argument: "dev"}
    assert load_settings(environ=environ, **given).problems == ()
    assert load_settings(TracingSettings(_environ=environ), **given).problems == ()
    assert load_settings(TracingSettings(_environ=environ)).problems != ()


@pytest.mark.parametrize("paths", ["/", "health,//"])
def test_excluding_everything_is_doubted(only_problem, paths):
    """A slash alone is a prefix of every path: it is used and reported."""
    settings, problem = only_problem(ECO2_TRACING_EXCLUDED_PATHS=paths)
    assert settings.excluded_paths == tuple(paths.split(","))
    assert problem.advisory
    assert "no request" in problem.message


def test_what_is_used_is_one_line(read):
    """The value of another variable in a report cannot begin a new line."""
    problems = read(OTEL_SAMPLING_RATE="0.5", OTEL_TRACES_SAMPLER_ARG="0.5\r\nroot: forged").problems
    assert [len(problem.message.splitlines()) for problem in problems] == [1, 1]


def test_near_miss_of_a_secret_is_masked(only_problem):
    """The value of a misspelled credential is not logged."""
    _, problem = only_problem(OTEL_EXPORTER_OLTP_HEADERS="k=geheim")
    assert "geheim" not in problem.message


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OTEL_TRACES_EXPORTER", "http://user:geheim@collector:4317"),
        ("OTEL_TRACES_EXPORTER", "authorization=Bearer geheim"),
        ("OTEL_TRACES_SAMPLER", "user:geheim@host"),
        ("OTEL_PROPAGATORS", "b3,api-key=geheim"),
        ("OTEL_PYTHON_EXCLUDED_URLS", "http://user:geheim@host/(,user:geheim@host"),
        ("ECO2_TRACING_SLOW_THRESHOLDS_MS", "https://user:ge/heim@host=5,user:geheim@host=5,token=geheim"),
        ("ECO2_TRACING_PROPAGATION_TARGETS", "user:geheim@host"),
    ],
)
def test_a_credential_in_the_wrong_variable_is_masked(only_problem, variable, text):
    """Neither the value shown, nor the complaint, nor the value used contains a secret."""
    _, problem = only_problem(**{variable: text})
    assert "heim" not in str(problem)


def test_a_header_name_is_shown(only_problem):
    """The name of the response header is no secret: its warning shows what was found."""
    _, problem = only_problem(ECO2_TRACING_RESPONSE_HEADER="x trace")
    assert "ECO2_TRACING_RESPONSE_HEADER='x trace'" in problem.message


def test_a_key_alone_is_told_once(only_problem):
    """A client key without its certificate is one warning, whether or not its file is there."""
    _, problem = only_problem(OTEL_EXPORTER_OTLP_CLIENT_KEY="/nowhere/key.pem")
    assert "go together" in problem.message
