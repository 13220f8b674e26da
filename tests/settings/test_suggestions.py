"""The probable meaning of wrong values and invented names; nothing is sampled by mistake."""

from __future__ import annotations

import pytest

from eco2_tracing._settings import TracingSettings, load_settings
from eco2_tracing.sampling import build_sampler

SHARES = [
    ("1%", 0.01),
    ("1 %", 0.01),
    ("1 percent", 0.01),
    ("5％", 0.05),  # noqa: RUF001 - the full-width sign of East Asian keyboards
    ("10", 0.1),
    ("10%", 0.1),
    ("2.5", 0.025),
    ("100", 1.0),
    ("100%", 1.0),
    ("0,01", 0.01),
    ("0,01%", 0.0001),
    ("1/100", 0.01),
    ("1:1000", 0.001),
    ("1 in 20", 0.05),
    ("0.01;", 0.01),
    ("rate=0.01", 0.01),
    ("0.01 # one percent", 0.01),
    ("'0.01'", 0.01),
    ('"1%"', 0.01),
    ("never", 0.0),
]
MEANINGLESS = [
    "-1",
    "-0.5",
    "nan",
    "inf",
    "150%",
    "1000",
    "1/0",
    "abc",
    "1.2.3",
    "10 10",
    "1e400",
    "٣",
    "0x1",
]


@pytest.mark.parametrize("sampler", ["traceidratio", "parentbased_traceidratio"])
@pytest.mark.parametrize(("text", "share"), SHARES)
def test_a_share_in_another_form(read, sampler, text, share):
    """The number that was probably meant is used and reported once."""
    settings = read(OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=text)
    assert {problem.variable for problem in settings.problems} == {"OTEL_TRACES_SAMPLER_ARG"}
    assert settings.traces_sampler == sampler
    built = build_sampler(settings.traces_sampler, settings.traces_sampler_arg)
    assert (built.root.probability(""), built.problems) == (share, ())
    told = settings.problems[-1].message
    assert f"{share:g}" in told or "quotation marks" in told


@pytest.mark.parametrize("text", MEANINGLESS)
def test_a_share_without_meaning_samples_little(only_problem, text):
    """A ratio that cannot be read is 0.01, as the report says, and never everything."""
    settings, problem = only_problem(
        OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG=text
    )
    assert settings.traces_sampler_arg == "0.01"
    assert problem.message.endswith("; using 0.01")
    assert not problem.advisory


@pytest.mark.parametrize("text", ["1", "0", "1.0", ".5", "1e-2", "0.01", "+.1", "1E-3"])
def test_a_good_share_is_used_as_it_is(read, text):
    """A number from 0 to 1 is used as it is."""
    settings = read(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG=text)
    assert (settings.traces_sampler_arg, settings.problems) == (text, ())


@pytest.mark.parametrize(
    ("text", "arg"), [("10%", "0.1"), ("10", "0.1"), ("0,5", "0.5"), ("abc", "0.01"), ("-1", "0.01")]
)
def test_the_older_name_of_the_ratio(only_problem, text, arg):
    """OTEL_SAMPLING_RATE follows the same rule."""
    settings, _ = only_problem(OTEL_SAMPLING_RATE=text)
    assert (settings.traces_sampler, settings.traces_sampler_arg) == ("parentbased_traceidratio", arg)


@pytest.mark.parametrize(
    ("text", "sampler", "arg"),
    [
        ("parentbased_traceid_ratio", "parentbased_traceidratio", None),
        ("ParentBased(TraceIdRatioBased)", "parentbased_traceidratio", None),
        ("parent-based/ratio", "parentbased_traceidratio", None),
        ("trace_id_ratio", "traceidratio", None),
        ("probabilistic", "traceidratio", None),
        ("traceidratio:0.1", "traceidratio", "0.1"),
        ("parentbased_traceidratio=5%", "parentbased_traceidratio", "0.05"),
        ("parentbased_traceidratio(0.2)", "parentbased_traceidratio", "0.2"),
        ("parentbased_traceidratio/0.1", "parentbased_traceidratio", "0.1"),
        ("parentbased_traceidratio-0.1", "parentbased_traceidratio", "0.1"),
        ("traceidratio[0.1]", "traceidratio", "0.1"),
        ("traceidratio, arg=0.1", "traceidratio", "0.1"),
        ("parent-based/ratio 1/10", "parentbased_traceidratio", "0.1"),
        ("traceidratio:some", "traceidratio", "0.01"),
        ("traceidratio=", "traceidratio", None),
        ("0.1", "parentbased_traceidratio", "0.1"),
        ("10%", "parentbased_traceidratio", "0.1"),
        ("alwaysoff", "always_off", None),
        ("parentbased_always-off", "parentbased_always_off", None),
        ("off", "always_off", None),
        ("ratelimiting", "rate_limiting", None),
        ("jaeger-remote", "jaeger_remote", None),
        ("alwayson", "parentbased_always_on", None),
        ("always_onn", "parentbased_always_on", None),
        ("nonsense", "parentbased_always_on", None),
    ],
)
def test_a_sampler_in_another_spelling(only_problem, text, sampler, arg):
    """A sampler that was not meant to sample everything is never replaced by one that does."""
    settings, problem = only_problem(OTEL_TRACES_SAMPLER=text)
    assert (settings.traces_sampler, settings.traces_sampler_arg) == (sampler, arg)
    assert problem.variable == "OTEL_TRACES_SAMPLER"
    assert not problem.advisory


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("parentbased", "did you mean 'parentbased_always_on'?"),
        ("always", "did you mean 'always_on'?"),
        ("always_onn", "did you mean 'always_on'?"),
        ("jaeger", "jaeger_remote was probably meant"),
        ("traceidratio:0.1", "traceidratio with OTEL_TRACES_SAMPLER_ARG=0.1 was probably meant"),
    ],
)
def test_one_guess_at_the_sampler(only_problem, text, guess):
    """The report names the sampler that was probably meant, and no other one of similar spelling."""
    _, problem = only_problem(OTEL_TRACES_SAMPLER=text)
    assert guess in problem.message
    assert problem.message.count("did you mean") + problem.message.count("was probably meant") == 1


def test_an_unknown_sampler_with_a_share(only_problem):
    """An unknown sampler with a share is a ratio sampler, and does not sample everything."""
    settings, problem = only_problem(OTEL_TRACES_SAMPLER="adaptive", OTEL_TRACES_SAMPLER_ARG="0.01")
    assert (settings.traces_sampler, settings.traces_sampler_arg) == ("parentbased_traceidratio", "0.01")
    assert "parentbased_traceidratio was probably meant" in problem.message


def test_a_share_without_a_sampler_names_the_sampler(only_problem):
    """The argument alone does nothing, as specified; the report says what makes it work."""
    _, problem = only_problem(OTEL_TRACES_SAMPLER_ARG="1%")
    cure = "set OTEL_TRACES_SAMPLER=parentbased_traceidratio and OTEL_TRACES_SAMPLER_ARG=0.01"
    assert cure in problem.message


@pytest.mark.parametrize(
    ("variable", "text", "suggestion"),
    [
        ("OTEL_SDK_DISABLED", "yes", "'true' was probably meant"),
        ("OTEL_SDK_DISABLED", "1", "'true' was probably meant"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "on", "'true' was probably meant"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http", "did you mean 'http/protobuf'?"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http_protobuf", "did you mean 'http/protobuf'?"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gz", "expected one of none, gzip"),
        ("OTEL_PROPAGATORS", "w3c", "did you mean 'tracecontext'?"),
        ("OTEL_PROPAGATORS", "b3,trace_context", "did you mean 'tracecontext'?"),
        ("OTEL_PROPAGATORS", "b3;tracecontext", "separate names with commas"),
        ("OTEL_PROPAGATORS", "b3 tracecontext", "separate names with commas"),
        ("OTEL_TRACES_EXPORTER", "stdout", "did you mean 'console'?"),
        ("OTEL_TRACES_EXPORTER", "jaeger", "did you mean 'otlp'?"),
        ("OTEL_TRACES_EXPORTER", "off", "did you mean 'none'?"),
        ("OTEL_LOG_LEVEL", "warnings", "did you mean 'warning'?"),
    ],
)
def test_a_value_that_is_nearly_right(only_problem, variable, text, suggestion):
    """A suggestion would work; what the specification says is used."""
    _, problem = only_problem(**{variable: text})
    assert suggestion in problem.message


@pytest.mark.parametrize("quote", ['"', "'"])
def test_quotation_marks_are_removed(read, quote):
    """Marks that `docker --env-file` or YAML kept are no part of any value, and each is reported."""
    plain = {
        "OTEL_SERVICE_NAME": "auth",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=geheim",
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_SDK_DISABLED": "true",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
    }
    settings = read(**{name: f"{quote}{value}{quote}" for name, value in plain.items()})
    expected = read(**plain)
    assert settings.otlp == expected.otlp
    assert (settings.service_name, settings.traces_sampler) == ("auth", "always_off")
    assert (settings.disabled, settings.bsp_schedule_delay) == (True, 500)
    assert {problem.variable for problem in settings.problems} == set(plain)
    assert "geheim" not in " ".join(problem.message for problem in settings.problems)


NAMES = [
    ("ECO2_TRACING_LOGLEVEL", "info", "OTEL_LOG_LEVEL"),
    ("OTEL_EXPORTER_OTLP_USE_TLS", "false", "OTEL_EXPORTER_OTLP_INSECURE=true"),
    ("OTEL_EXPORTER_OTLP_TLS_INSECURE", "true", "OTEL_EXPORTER_OTLP_INSECURE=true"),
    ("OTEL_BSP_MAX_QUEUE", "5", "OTEL_BSP_MAX_QUEUE_SIZE"),
    ("OTEL_BSP_BATCH_SIZE", "5", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
    ("OTEL_SERVICE_VERSION", "1", "service.version in OTEL_RESOURCE_ATTRIBUTES"),
    ("ECO2_TRACING_ENABLED", "false", "OTEL_SDK_DISABLED=true"),
    ("ECO2_TRACING_ENABLED", "0", "OTEL_SDK_DISABLED=true"),
    ("ECO2_TRACING_ENABLED", "true", "tracing is enabled unless OTEL_SDK_DISABLED=true"),
    ("ECO2_TRACING_DISABLED", "1", "OTEL_SDK_DISABLED=true"),
    ("ECO2_TRACING", "off", "OTEL_SDK_DISABLED=true"),
    ("ECO2_TRACING_ENDPOINT", "http://c:4317", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ("ECO2_TRACING_COLLECTOR_URL", "http://c:4317", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ("ECO2_TRACING_PORT", "4317", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ("ECO2_TRACING_SERVICE_NAME", "auth", "OTEL_SERVICE_NAME"),
    ("ECO2_TRACING_SERVICE_VERSION", "1", "service.version in OTEL_RESOURCE_ATTRIBUTES"),
    ("ECO2_TRACING_ENVIRONMENT", "dev", "deployment.environment.name in OTEL_RESOURCE_ATTRIBUTES"),
    ("ECO2_TRACING_SAMPLE_RATE", "1%", "parentbased_traceidratio and OTEL_TRACES_SAMPLER_ARG=0.01"),
    ("ECO2_TRACING_SAMPLING_RATIO", "0.1", "OTEL_TRACES_SAMPLER_ARG=0.1"),
    ("ECO2_TRACING_SAMPLER", "always_on", "OTEL_TRACES_SAMPLER"),
    ("ECO2_TRACING_LOG_LEVEL", "info", "OTEL_LOG_LEVEL"),
    ("ECO2_TRACING_DEBUG", "1", "OTEL_LOG_LEVEL=debug"),
    ("ECO2_TRACING_PROPAGATORS", "b3", "OTEL_PROPAGATORS"),
    ("ECO2_TRACING_EXPORTER", "otlp", "OTEL_TRACES_EXPORTER"),
    ("ECO2_TRACING_TLS", "false", "OTEL_EXPORTER_OTLP_INSECURE=true"),
    ("ECO2_TRACING_SLOW_MS", "5", "ECO2_TRACING_SLOW_THRESHOLD_MS"),
    ("ECO2_TRACING_IGNORE_PATHS", "/a", "ECO2_TRACING_EXCLUDED_PATHS"),
    ("ECO2_TRACE_ENABLED", "no", "OTEL_SDK_DISABLED=true"),
    ("OTEL_SAMPLER_ARG", "0.01", "OTEL_TRACES_SAMPLER_ARG=0.01"),
    ("OTEL_TRACES_SAMPLER_RATIO", "0,01", "OTEL_TRACES_SAMPLER_ARG=0.01"),
    ("OTEL_SAMPLE_RATE", "high", "OTEL_TRACES_SAMPLER_ARG"),
    ("OTEL_DISABLED", "yes", "OTEL_SDK_DISABLED=true"),
    ("OTEL_SDK_ENABLED", "false", "OTEL_SDK_DISABLED=true"),
    ("OTEL_SDK_DISABLE", "true", "OTEL_SDK_DISABLED=true"),
    ("OTEL_TRACES_ENABLED", "maybe", "OTEL_SDK_DISABLED=true to disable tracing"),
    ("OTEL_TRACING_ENABLED", "false", "OTEL_SDK_DISABLED=true"),
    ("OTEL_EXPORTER_OTLP_URL", "http://c", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ("OTEL_EXPORTER_OTLP_HOST", "c", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ("OTEL_EXPORTER_OTLP_TRACES_URL", "c", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ("OTEL_ENDPOINT", "c", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ("OTEL_EXPORTER_OTLP_SECURE", "false", "OTEL_EXPORTER_OTLP_INSECURE=true"),
    ("OTEL_EXPORTER_OTLP_TLS", "perhaps", "OTEL_EXPORTER_OTLP_INSECURE"),
    ("OTEL_EXPORTER_OTLP_API_KEY", "geheim", "OTEL_EXPORTER_OTLP_HEADERS"),
    ("OTEL_EXPORTER_JAEGER_ENDPOINT", "http://j", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ("OTEL_EXPORTER_JAEGER_AGENT_PORT", "6831", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", "http://z", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ("JAEGER_SERVICE_NAME", "auth", "OTEL_SERVICE_NAME"),
    ("JAEGER_SAMPLER_PARAM", "0.1", "OTEL_TRACES_SAMPLER_ARG=0.1"),
    ("JAEGER_SAMPLING_ENDPOINT", "http://j", "OTEL_TRACES_SAMPLER=parentbased_jaeger_remote"),
    ("JAEGER_TAGS", "a=b", "OTEL_RESOURCE_ATTRIBUTES"),
    ("OTEL_SERVICE", "auth", "OTEL_SERVICE_NAME"),
    ("OTEL_PROPAGATOR", "b3", "OTEL_PROPAGATORS"),
    ("OTEL_EXPORTER", "otlp", "OTEL_TRACES_EXPORTER"),
]


@pytest.mark.parametrize(("name", "value", "advice"), NAMES)
def test_an_invented_name(only_problem, name, value, advice):
    """The report names the variable that does it, and how to write the value where the meaning is the opposite."""
    _, problem = only_problem(**{name: value})
    assert problem.variable == name
    assert advice in problem.message
    assert "geheim" not in problem.message


def test_a_share_under_another_name_beside_the_sampler(only_problem):
    """Where the sampler is set already, its argument alone is missing."""
    _, problem = only_problem(OTEL_TRACES_SAMPLER="traceidratio", OTEL_SAMPLER_ARG="0.1")
    assert "set OTEL_TRACES_SAMPLER_ARG=0.1;" in problem.message


EXISTING = """OTEL_PYTHON_LOG_CORRELATION OTEL_PYTHON_LOG_FORMAT OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED
OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED OTEL_PYTHON_TRACER_CONFIGURATOR OTEL_PYTHON_CONFIGURATOR
OTEL_PYTHON_DISTRO OTEL_PYTHON_CONTEXT OTEL_PYTHON_URLLIB3_EXCLUDED_URLS OTEL_PYTHON_GRPC_EXCLUDED_SERVICES
OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER OTEL_PYTHON_INSTRUMENTATION_HTTP_CAPTURE_ALL_METHODS
OTEL_PYTHON_DJANGO_INSTRUMENT OTEL_PYTHON_DJANGO_TRACED_REQUEST_ATTRS
 OTEL_PROFILES_EXPORTER
 OTEL_ENTITIES
OTEL_EXPERIMENTAL_RESOURCE_DETECTORS OTEL_INSTRUMENTATION_COMMON_DEFAULT_ENABLED OTEL_INSTRUMENTATION_JDBC_ENABLED
OTEL_JAVAAGENT_ENABLED OTEL_DOTNET_AUTO_TRACES_ENABLED OTEL_NODE_ENABLED_INSTRUMENTATIONS
OTEL_PHP_AUTOLOAD_ENABLED OTEL_GO_AUTO_TARGET_EXE OTEL_RUBY_ENABLED_INSTRUMENTATIONS OTEL_LAMBDA_TRACE_MODE
OTEL_RESOURCE_ATTRIBUTES_NODE_NAME OTEL_INJECTOR_K8S_POD_NAME OTEL_COLLECTOR_CONFIG OTEL_EBPF_OPEN_PORT
OTEL_TRACES_SAMPLER_JAEGER_REMOTE_ENDPOINT OTEL_BSP_EXPORT_UNSAMPLED_SPANS JAEGER_UI_URL JAEGER_SERVICE_HOST
OTEL_VERSION OTEL_PYTHON_VERSION OTEL_SDK_VERSION OTEL_COLLECTOR_VERSION ECO2_API_URL
SERVICE_NAME APP_ENV LOG_LEVEL SAMPLE_RATE"""


@pytest.mark.parametrize("name", EXISTING.split())
def test_names_that_exist_elsewhere(read, name):
    """Variables of other components are not reported, whatever their value."""
    assert read(**{name: "true"}).problems == ()


def test_an_exporter_in_use_reads_its_own_names(read):
    """Zipkin's variable is right where Zipkin's exporter was asked for."""
    told = read(OTEL_TRACES_EXPORTER="zipkin", OTEL_EXPORTER_ZIPKIN_ENDPOINT="http://z").problems
    assert [problem.variable for problem in told if "ZIPKIN" in problem.variable] == []


@pytest.mark.parametrize("name", ["ENVIRONMENT", "DEPLOYMENT_ENVIRONMENT"])
@pytest.mark.parametrize(
    "elsewhere",
    [
        {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod"},
        {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=prod"},
        {"OTEL_SDK_DISABLED": "true"},
    ],
)
def test_a_generic_name_that_would_change_nothing(read, name, elsewhere):
    """Where the environment is known, or no span is made, an application's own variable is not mentioned."""
    assert read(**{name: "dev"}, **elsewhere).problems == ()


def test_a_generic_name_is_never_wrong(read):
    """An application's own variable is advice, in strict mode too."""
    (problem,) = read(ENVIRONMENT="dev", ECO2_TRACING_STRICT="true").problems
    assert problem.advisory
    environ = {"ENVIRONMENT": "dev"}
    assert load_settings(environment="dev", environ=environ).problems == ()
    attributes = {"deployment.environment.name": "dev"}
    assert load_settings(resource_attributes=attributes, environ=environ).problems == ()
    given = TracingSettings(_environ=environ)
    assert load_settings(given, resource_attributes=attributes).problems == ()


@pytest.mark.parametrize(("sampler", "told"), [("parentbased_rate_limiting", 1), ("always_off", 0)])
def test_a_bad_number_of_processes(read, sampler, told):
    """A bad WEB_CONCURRENCY is reported only where a rate is shared, and is never an error."""
    settings = read(
        WEB_CONCURRENCY="auto",
        OTEL_TRACES_SAMPLER=sampler,
        OTEL_TRACES_SAMPLER_ARG="5" if told else "",
        ECO2_TRACING_STRICT="true",
    )
    assert settings.workers == 1
    assert [problem.variable for problem in settings.problems] == ["WEB_CONCURRENCY"] * told
