"""Each kind of variable: values that are used, and values that are replaced and reported."""

from __future__ import annotations

import pytest

from eco2_tracing._settings import OtlpSettings, TracingSettings, expressions, load_settings


def test_defaults(read):
    """Without variables the documented defaults hold and nothing is wrong."""
    settings = read()
    assert settings.problems == ()
    assert settings.propagators == ("b3", "tracecontext", "baggage")
    assert settings.traces_exporter == ("otlp",)
    assert settings.traces_sampler == "parentbased_always_on"
    assert settings.otlp == OtlpSettings()
    assert (settings.otlp.endpoint, settings.otlp.insecure) == ("localhost:4317", True)
    assert (settings.bsp_schedule_delay, settings.bsp_max_queue_size) == (1000, 2048)
    assert settings.excluded_paths is None
    assert settings.error_sampling_rate == 1.0
    assert not settings.error_sampling_rate_is_set


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_TRACES_SAMPLER": "nonsense"},
        {"ECO2_TRACING_REDACT_KEYS": "pin", "OTEL_SERVICE_NAME": "auth"},
    ],
)
def test_a_start_without_settings_reads_the_same(variables):
    """The settings that are read without the model are those of the model."""
    read, model = load_settings(environ=variables), TracingSettings(_environ=variables)
    fields = TracingSettings.model_fields
    assert {name: getattr(read, name) for name in fields} == {name: getattr(model, name) for name in fields}
    assert "bsp_schedule_delay" in fields


@pytest.mark.parametrize("empty", ["", "  "])
def test_empty_is_unset(read, empty):
    """An empty variable means nothing, as the specification demands."""
    settings = read(
        OTEL_TRACES_SAMPLER=empty, OTEL_BSP_SCHEDULE_DELAY=empty, OTEL_EXPORTER_OTLP_ENDPOINT=empty
    )
    assert settings == read()


GOOD = [
    ("OTEL_SDK_DISABLED", "TRUE", "disabled", True),
    ("OTEL_SDK_DISABLED", "false", "disabled", False),
    ("OTEL_PROPAGATORS", "TraceContext, B3,b3", "propagators", ("tracecontext", "b3")),
    ("OTEL_PROPAGATORS", "none", "propagators", ("none",)),
    ("OTEL_TRACES_EXPORTER", "console,otlp", "traces_exporter", ("console", "otlp")),
    ("OTEL_TRACES_SAMPLER", "Always_Off", "traces_sampler", "always_off"),
    ("OTEL_PYTHON_ID_GENERATOR", "random", "id_generator", "random"),
    ("OTEL_LOG_LEVEL", "WARN", "log_level", "warning"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "exporter_otlp_compression", "gzip"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500", "exporter_otlp_timeout", 2500),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "exporter_otlp_timeout", 2**31 - 1),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "2147483648", "exporter_otlp_timeout", 2**31 - 1),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "9" * 5000, "exporter_otlp_timeout", 2**31 - 1),
    ("OTEL_BSP_EXPORT_TIMEOUT", "99999999999", "bsp_export_timeout", 2**31 - 1),
    ("OTEL_BSP_EXPORT_TIMEOUT", "9", "bsp_export_timeout", 9),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", "0", "span_event_count_limit", 0),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", "7", "span_attribute_count_limit", 7),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", "7", "event_attribute_count_limit", 7),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", "7", "link_attribute_count_limit", 7),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "9", "span_attribute_value_length_limit", 9),
    ("OTEL_PYTHON_EXCLUDED_URLS", "a.*,b", "excluded_urls", ("a.*", "b")),
    ("OTEL_PYTHON_EXCLUDED_URLS", "a.*,b", "httpx_excluded_urls", ("a.*", "b")),
    ("OTEL_PYTHON_EXCLUDED_URLS", "a,(?i)b.c", "excluded_urls", ("a", "(?i:b.c)")),
    ("ECO2_TRACING_EXCLUDED_PATHS", "health,/a/b", "excluded_paths", ("health", "/a/b")),
    ("ECO2_TRACING_EXCLUDED_PATHS", ",", "excluded_paths", ()),
    ("ECO2_TRACING_ERROR_SAMPLING_RATE", ".5", "error_sampling_rate", 0.5),
    ("ECO2_TRACING_ERROR_SAMPLING_RATE", "1", "error_sampling_rate_is_set", True),
    ("ECO2_TRACING_SLOW_THRESHOLD_MS", "1e3", "slow_threshold_ms", 1000.0),
    ("ECO2_TRACING_SLOW_THRESHOLDS_MS", "/a=5,/b/{c}=7.5", "slow_thresholds_ms", {"/a": 5.0, "/b/{c}": 7.5}),
    ("ECO2_TRACING_WORKERS", "4", "workers", 4),
    ("WEB_CONCURRENCY", "3", "workers", 3),
    ("ECO2_TRACING_REDACT_KEYS", "SSN,iban", "redact_keys", frozenset({"ssn", "iban"})),
    ("ECO2_TRACING_RESPONSE_HEADER", "x-trace-id", "response_header", "x-trace-id"),
    ("ECO2_TRACING_TRUST_INBOUND", "no", "trust_inbound", False),
    ("ECO2_TRACING_TRUST_INBOUND", "ON", "trust_inbound", True),
    ("ECO2_TRACING_PROPAGATION_TARGETS", "API.example.com", "propagation_targets", ("api.example.com",)),
    (
        "ECO2_TRACING_PROPAGATION_TARGETS",
        "[2001:db8::1],8.8.8.8",
        "propagation_targets",
        ("[2001:db8::1]", "8.8.8.8"),
    ),
    ("ECO2_TRACING_PROPAGATE_EXTERNALLY", "0", "propagate_externally", False),
    ("ECO2_TRACING_INSTRUMENTATION", "Contrib", "instrumentation", "contrib"),
    ("ECO2_TRACING_INSTRUMENTATIONS", "Redis", "instrumentations", ("redis",)),
    ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "redis", "disabled_instrumentations", ("redis",)),
    ("ECO2_TRACING_MAX_KEPT_TRACES_PER_SECOND", "0", "max_kept_traces_per_second", 0),
    (
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
        "x-.*,accept",
        "http_capture_headers_server_request",
        ("x-.*", "accept"),
    ),
]


@pytest.mark.parametrize(("variable", "text", "field", "value"), GOOD)
def test_good_values(read, variable, text, field, value):
    """A good value is used and nothing is reported."""
    settings = read(**{variable: text})
    assert getattr(settings, field) == value
    assert settings.problems == ()


BAD = [
    ("OTEL_SDK_DISABLED", "yes", "disabled", False),
    ("OTEL_PROPAGATORS", "b33", "propagators", ("b3", "tracecontext", "baggage")),
    ("OTEL_PROPAGATORS", "b3,typo", "propagators", ("b3",)),
    ("OTEL_PROPAGATORS", "b3,none", "propagators", ("none",)),
    ("OTEL_PROPAGATORS", ",", "propagators", ("b3", "tracecontext", "baggage")),
    ("OTEL_TRACES_EXPORTER", "otpl", "traces_exporter", ("otlp",)),
    ("OTEL_TRACES_SAMPLER", "alwayson", "traces_sampler", "parentbased_always_on"),
    ("OTEL_PYTHON_ID_GENERATOR", "mine", "id_generator", "random"),
    ("OTEL_LOG_LEVEL", "loud", "log_level", None),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "exporter_otlp_protocol", "grpc"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "exporter_otlp_compression", "none"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "inf", "exporter_otlp_timeout", 10_000),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "nan", "exporter_otlp_timeout", 10_000),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "exporter_otlp_timeout", 10_000),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1", "exporter_otlp_timeout", 10_000),
    ("OTEL_BSP_SCHEDULE_DELAY", "0", "bsp_schedule_delay", 1000),
    ("OTEL_BSP_SCHEDULE_DELAY", "1_000", "bsp_schedule_delay", 1000),
    ("OTEL_BSP_SCHEDULE_DELAY", "٣", "bsp_schedule_delay", 1000),
    ("OTEL_BSP_SCHEDULE_DELAY", "9" * 5000, "bsp_schedule_delay", 1000),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", "many", "attribute_count_limit", 128),
    ("OTEL_RESOURCE_ATTRIBUTES", "team=x,broken", "resource_attributes", {}),
    ("OTEL_RESOURCE_ATTRIBUTES", "team=%ff", "resource_attributes", {}),
    ("OTEL_PYTHON_EXCLUDED_URLS", "ok,(", "excluded_urls", ("ok",)),
    ("OTEL_PYTHON_EXCLUDED_URLS", "(?P<a>.)x,(?P<a>.)y", "excluded_urls", ("(?P<a>.)x",)),
    ("ECO2_TRACING_STRICT", "maybe", "strict", False),
    ("ECO2_TRACING_ERROR_SAMPLING_RATE", "2", "error_sampling_rate", 0.02),
    ("ECO2_TRACING_ERROR_SAMPLING_RATE", "50 %", "error_sampling_rate", 0.5),
    ("ECO2_TRACING_ERROR_SAMPLING_RATE", "1000", "error_sampling_rate", 1.0),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500ms", "exporter_otlp_timeout", 2500),
    ("OTEL_BSP_EXPORT_TIMEOUT", "1m30s", "bsp_export_timeout", 90_000),
    ("OTEL_BSP_SCHEDULE_DELAY", "5s", "bsp_schedule_delay", 5000),
    ("OTEL_BSP_SCHEDULE_DELAY", "5x", "bsp_schedule_delay", 1000),
    ("OTEL_ENABLED", "inactive", "disabled", True),
    ("OTEL_BSP_SCHEDULE_DELAY", "PT0.5S", "bsp_schedule_delay", 500),
    ("OTEL_BSP_SCHEDULE_DELAY", "2000.0", "bsp_schedule_delay", 2000),
    ("OTEL_BSP_SCHEDULE_DELAY", "0.2ms", "bsp_schedule_delay", 1000),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "4k", "bsp_max_queue_size", 4000),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "4,096", "bsp_max_queue_size", 4096),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "2.5", "bsp_max_queue_size", 2048),
    ("ECO2_TRACING_SLOW_THRESHOLD_MS", "1.5s", "slow_threshold_ms", 1500.0),
    ("ECO2_TRACING_SLOW_THRESHOLDS_MS", "/a=2s,/b=7", "slow_thresholds_ms", {"/a": 2000.0, "/b": 7.0}),
    ("ECO2_TRACING_TRUST_INBOUND", "disabled", "trust_inbound", False),
    ("ECO2_TRACING_ERROR_SAMPLING_RATE", "nan", "error_sampling_rate_is_set", False),
    ("ECO2_TRACING_SLOW_THRESHOLD_MS", "1e999", "slow_threshold_ms", None),
    ("ECO2_TRACING_SLOW_THRESHOLD_MS", "0", "slow_threshold_ms", None),
    ("ECO2_TRACING_SLOW_THRESHOLDS_MS", "/a=5,b=6,/c=x", "slow_thresholds_ms", {"/a": 5.0}),
    ("ECO2_TRACING_WORKERS", "0", "workers", 1),
    ("ECO2_TRACING_RESPONSE_HEADER", "content-length", "response_header", None),
    ("ECO2_TRACING_RESPONSE_HEADER", "x trace", "response_header", None),
    ("ECO2_TRACING_RESPONSE_HEADER", "off", "response_header", None),
    ("ECO2_TRACING_RESPONSE_HEADER", "True", "response_header", None),
    ("ECO2_TRACING_RESPONSE_HEADER", "x" * 129, "response_header", None),
    ("ECO2_TRACING_PROPAGATION_TARGETS", "a.io,https://b.io", "propagation_targets", ("a.io",)),
    ("ECO2_TRACING_PROPAGATION_TARGETS", "a.io:8443,b.io", "propagation_targets", ("b.io",)),
    ("ECO2_TRACING_PROPAGATION_TARGETS", "*,.b.io", "propagation_targets", (".b.io",)),
    ("ECO2_TRACING_PROPAGATION_TARGETS", "*b.io,*.c.io,", "propagation_targets", ("*.c.io",)),
    ("ECO2_TRACING_INSTRUMENTATION", "fast", "instrumentation", "lean"),
    ("ECO2_TRACING_INSTRUMENTATIONS", f"redis,{'x' * 1000},[a", "instrumentations", ("redis",)),
    ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*,re dis", "disabled_instrumentations", ("*",)),
    ("OTEL_EXPORTER_PROMETHEUS_PORT", "65536", "exporter_prometheus_port", 9464),
]


@pytest.mark.parametrize(("variable", "text", "field", "value"), BAD)
def test_bad_values(only_problem, variable, text, field, value):
    """A bad value is one problem that names the variable, what was found and what is used."""
    settings, problem = only_problem(**{variable: text})
    assert getattr(settings, field) == value
    assert problem.variable == variable
    assert not problem.advisory
    assert problem.message.startswith(f"{variable}={problem.found!r}: ")
    assert problem.message.endswith(f"; using {problem.used}")


def test_a_long_list_of_expressions_is_read_in_one_go(read, monkeypatch):
    """Each is compiled alone and all of them once together: a start does not take the square of their number."""
    compiled = []

    def compiles(pattern):
        compiled.append(pattern)
        return True

    monkeypatch.setattr(expressions, "_compiles", compiles)
    found = tuple(f"a{n}" for n in range(500))
    assert read(OTEL_PYTHON_HTTPX_EXCLUDED_URLS=",".join(found)).httpx_excluded_urls == found
    assert len(compiled) == len(found) + 1


def test_what_is_shown_is_bounded(only_problem):
    """A huge value is shortened in the log."""
    _, problem = only_problem(OTEL_TRACES_SAMPLER="x" * 10_000)
    assert len(problem.message) < 1000


@pytest.mark.parametrize(
    ("variable", "text", "cure"),
    [
        ("OTEL_PROPAGATORS", "jaeger", "pip install opentelemetry-propagator-jaeger"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "pip install opentelemetry-exporter-zipkin"),
    ],
)
def test_missing_package_names_its_cure(only_problem, variable, text, cure):
    """A name of a package that is not installed is reported with the line that installs it."""
    _, problem = only_problem(**{variable: text})
    assert cure in problem.message


def test_installed_names(read, tmp_path, monkeypatch):
    """Names of installed entry points are accepted in any case, and used as they are spelled."""
    info = tmp_path / "mine-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[opentelemetry_propagator]\nMyFormat = mine:P\nOther = mine:O\n[opentelemetry_traces_sampler]\nmine = mine:S\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = read(
        OTEL_PROPAGATORS="myformat,other,b3", OTEL_TRACES_SAMPLER="MINE", OTEL_TRACES_SAMPLER_ARG="any"
    )
    assert settings.problems == ()
    assert settings.propagators == ("MyFormat", "Other", "b3")
    assert (settings.traces_sampler, settings.traces_sampler_arg) == ("mine", "any")


def test_batch_fits_its_queue(only_problem):
    """A batch that is set larger than the queue is made smaller, with one warning that shows what was found."""
    settings, problem = only_problem(OTEL_BSP_MAX_QUEUE_SIZE="100", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="0101")
    assert (settings.bsp_max_queue_size, settings.bsp_max_export_batch_size) == (100, 100)
    assert (problem.variable, problem.found) == ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0101")


def test_a_small_queue_alone_is_no_mistake():
    """A default batch larger than the queue is reduced without a report, also in strict mode."""
    settings = TracingSettings(_environ={"OTEL_BSP_MAX_QUEUE_SIZE": "100", "ECO2_TRACING_STRICT": "true"})
    assert (settings.bsp_max_export_batch_size, settings.problems) == (100, ())


def test_sampler_argument_is_checked(only_problem):
    """A percentage is read as the ratio that was probably meant."""
    settings, problem = only_problem(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="5%")
    assert (settings.traces_sampler, settings.traces_sampler_arg) == ("traceidratio", "0.05")
    assert problem.variable == "OTEL_TRACES_SAMPLER_ARG"


def test_sampler_argument_of_a_good_ratio(read):
    """A ratio stays text."""
    settings = read(OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0.25")
    assert settings.traces_sampler_arg == "0.25"
    assert settings.problems == ()


def test_sampler_argument_without_use_is_told(only_problem):
    """A ratio beside a sampler without an argument is reported."""
    settings, problem = only_problem(OTEL_TRACES_SAMPLER_ARG="0.1")
    assert settings.traces_sampler == "parentbased_always_on"
    assert problem.advisory
    assert "takes no argument" in problem.message


def test_bytes_that_are_no_text(read):
    """Bytes of the environment that are not UTF-8 are replaced."""
    assert read(OTEL_SERVICE_NAME="caf\udce9").service_name.encode().startswith(b"caf")


def test_settings_are_frozen():
    """Settings are frozen."""
    with pytest.raises(ValueError, match="frozen"):
        TracingSettings(_environ={}).disabled = True


@pytest.mark.parametrize(
    ("text", "used", "complaint"),
    [
        ("sizes,rows", {"sizes", "rows"}, None),
        (" ROWS ", {"rows"}, None),
        (",", set(), None),
        ("size", set(), "did you mean 'sizes'?"),
        ("sizes,headers", {"sizes"}, "expected some of sizes, rows"),
    ],
)
def test_captured_counts(monkeypatch, text, used, complaint):
    """`ECO2_TRACING_CAPTURE` is a list of words. Another word is one problem, and the others are used."""
    assert TracingSettings().capture == frozenset()
    monkeypatch.setenv("ECO2_TRACING_CAPTURE", text)
    settings = TracingSettings()
    assert settings.capture == used
    found = [str(problem) for problem in settings.problems]
    assert (len(found), complaint is None or complaint in found[0]) == (int(complaint is not None), True)
