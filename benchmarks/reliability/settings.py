"""Bad settings, one at a time, in each order of imports: does the service start?"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from benchmarks.reliability._processes import WORK, serving
from benchmarks.reliability._row import Figure, Row, Scale, Variant

# A port that nobody serves: no collector is needed to start.
NOBODY = "http://127.0.0.1:9"
# By variable: values that an operator may well have typed, and one that nobody would.
WRONG: Mapping[str, tuple[str, ...]] = {
    "OTEL_SDK_DISABLED": ("yes", "\udcff"),
    "OTEL_SERVICE_NAME": ("\udcff",),
    "OTEL_RESOURCE_ATTRIBUTES": ("service.version", "=,%zz=%", "\udcff=1"),
    "OTEL_PROPAGATORS": ("B3", "b3,typo", "none,b3", "\udcff"),
    "OTEL_TRACES_SAMPLER": ("alwayson", "jaeger_remote", "traceidratio", "\udcff"),
    "OTEL_TRACES_SAMPLER_ARG": ("1 %", "-1"),
    "OTEL_TRACES_EXPORTER": ("jaeger", "otlp,otlp,zipkin"),
    "OTEL_PYTHON_ID_GENERATOR": ("xray", "\udcff"),
    "OTEL_PYTHON_TRACER_PROVIDER": ("typo",),
    "OTEL_PYTHON_METER_PROVIDER": ("typo",),
    "OTEL_PYTHON_CONTEXT": ("typo",),
    "OTEL_LOG_LEVEL": ("loud",),
    "OTEL_CONFIG_FILE": ("missing.yaml",),
    "OTEL_SEMCONV_STABILITY_OPT_IN": ("httpp",),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("://", "http://[::1", "collector:port", "http://a b:4317", "\udcff"),
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ("ftp://collector", "http://collector:99999"),
    "OTEL_EXPORTER_OTLP_PROTOCOL": ("thrift", "GRPC"),
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": ("http/json",),
    "OTEL_EXPORTER_OTLP_INSECURE": ("maybe",),
    "OTEL_EXPORTER_OTLP_HEADERS": ("no-equals-sign", "é=ü,=", "Upper=1,a b=2", "a=\udcff"),
    "OTEL_EXPORTER_OTLP_TIMEOUT": ("10s", "-1", "nan"),
    "OTEL_EXPORTER_OTLP_COMPRESSION": ("none", "brotli"),
    "OTEL_EXPORTER_OTLP_CERTIFICATE": ("missing.pem", "/", "\udcff"),
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": ("missing.pem",),
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": ("missing.pem",),
    "OTEL_BSP_SCHEDULE_DELAY": ("fast", "0", "-1", "1e3"),
    "OTEL_BSP_EXPORT_TIMEOUT": ("30s", "-1"),
    "OTEL_BSP_MAX_QUEUE_SIZE": ("0", "100", "many", "9" * 30),
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": ("0", "100000", "-1"),
    "OTEL_ATTRIBUTE_COUNT_LIMIT": ("-1", "ten"),
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": ("-5", "1.5"),
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": ("-1", "ten"),
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": ("ten",),
    "OTEL_SPAN_EVENT_COUNT_LIMIT": ("-1", "ten"),
    "OTEL_SPAN_LINK_COUNT_LIMIT": ("-1", "ten"),
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": ("-1", "ten"),
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": ("ten",),
    "OTEL_PYTHON_EXCLUDED_URLS": ("(", "*"),
    "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS": ("[a-",),
    "OTEL_PYTHON_HTTPX_EXCLUDED_URLS": ("(",),
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ("typo,*", "("),
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": ("(", "*"),
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": ("[",),
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST": ("(",),
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE": ("*",),
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS": ("(",),
    "OTEL_ENABLED": ("perhaps",),
    "OTEL_SAMPLING_RATE": ("often",),
    "ECO2_TRACING_ERROR_SAMPLING_RATE": ("all", "2"),
    "ECO2_TRACING_SLOW_THRESHOLD_MS": ("1s", "-1"),
    "ECO2_TRACING_SLOW_THRESHOLDS_MS": ("/a", "=5,/b=x"),
    "ECO2_TRACING_MAX_KEPT_TRACES_PER_SECOND": ("-1", "many"),
    "ECO2_TRACING_WORKERS": ("0", "auto"),
    "ECO2_TRACING_TRUST_INBOUND": ("sometimes",),
    "ECO2_TRACING_PROPAGATION_TARGETS": ("https://", "*.*,\udcff"),
    "ECO2_TRACING_PROPAGATE_EXTERNALLY": ("sometimes",),
    "ECO2_TRACING_EXCLUDED_PATHS": ("(", "\udcff"),
    "ECO2_TRACING_REDACT_KEYS": ("(", "\udcff"),
    "ECO2_TRACING_RESPONSE_HEADER": ("x trace", "x\r\ny: z"),
    "ECO2_TRACING_INSTRUMENTATION": ("fat",),
    "ECO2_TRACING_INSTRUMENTATIONS": ("typo,httpx",),
    "ECO2_TRACING_STRICT": ("perhaps",),
    "ECO2_TRACING_TYPO": ("1",),
}
QUICK = ("OTEL_PROPAGATORS", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_EXPORTER_OTLP_COMPRESSION")
AT_ONCE = 2


def starts(variant: Variant, environ: Mapping[str, str]) -> bool:
    """Tell whether a service serves its requests with that environment."""
    try:
        with serving(variant, NOBODY, environ=environ) as served:
            return served.get(WORK.format(item=1))[0] == 200
    except (OSError, RuntimeError):  # it has ended, hangs, or breaks the connection
        return False


def count_started(variant: Variant, settings: list[tuple[str, str]], first: str) -> tuple[int, list[str]]:
    """Start a service for each setting; give how many did, and the variables of the others."""
    environs = [{name: value, "RELIABILITY_FIRST": first} for name, value in settings]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # Twice where it must be: another program may have been faster to take the free port.
        started = list(
            pool.map(lambda environ: starts(variant, environ) or starts(variant, environ), environs)
        )
    failed = [name for (name, _), good in zip(settings, started, strict=True) if not good]
    return sum(started), list(dict.fromkeys(failed))


def measure(variant: Variant, scale: Scale) -> Figure:
    """Count the services that start; the stock set-up is tried with its own variables alone."""
    names = WRONG if scale.full else QUICK
    settings = [(name, value) for name in names for value in WRONG[name]]
    if variant == "stock":
        settings = [(name, value) for name, value in settings if name.startswith("OTEL_")]
        good, failed = count_started(variant, settings, "")
        return Figure(f"{good} of {len(settings)} start", not failed)
    good, failed = count_started(variant, settings, "eco2_tracing")
    later, unstarted = count_started(variant, settings, "fastapi")
    told = f"{good} of {len(settings)} start; {later} with fastapi first"
    if failed or unstarted:
        told += f" (not: {', '.join(dict.fromkeys(failed + unstarted))})"
    return Figure(told, not failed)


ROWS = (
    Row(
        "settings",
        "a service starts with every invalid setting, in each import order",
        "always, when eco2_tracing is imported first",
        measure,
    ),
)
