"""What an invented or older name was meant to do, and the variable that does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from eco2_tracing._settings.probable import probable_boolean, probable_rate
from eco2_tracing._settings.samplers import ARG, RATIO, SAMPLER


class Intent(NamedTuple):
    """What does the work of a name that is not read.

    Attributes:
        advice: What to do instead, as a clause such as ``set OTEL_SERVICE_NAME``.
        settled_by: The variables and resource attributes that make the name superfluous where one of them is set.
    """

    advice: str
    settled_by: tuple[str, ...]


_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_DISABLED = ("OTEL_SDK_DISABLED", "OTEL_ENABLED")
_IN_RESOURCE = "{} in OTEL_RESOURCE_ATTRIBUTES"
_VERSION = (_IN_RESOURCE.format("service.version"), "service.version")
_ENVIRONMENT = (
    _IN_RESOURCE.format("deployment.environment.name"),
    *("deployment.environment.name", "deployment.environment"),
)

# Words of one meaning. A word that says no more than "this is about tracing" has none.
_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("OTEL", "OTLP", "ECO2", "ECO", "ECO2TRACING", "OPENTELEMETRY", "SDK", "PYTHON"), ""),
    **dict.fromkeys(("TRACES", "TRACE", "TRACING", "TRACER", "SPAN", "SPANS", "APM"), ""),
    **dict.fromkeys(("JAEGER", "ZIPKIN", "TEMPO", "GRPC", "HTTP", "BSP", "THE", "IS", "USE"), ""),
    **dict.fromkeys(("EXPORTER", "EXPORTERS", "EXPORT", "REPORTER"), "EXPORTER"),
    **dict.fromkeys(("SAMPLER", "SAMPLING", "SAMPLE", "SAMPLERS"), "SAMPLE"),
    **dict.fromkeys(("RATE", "RATIO", "PROBABILITY", "PERCENT", "PERCENTAGE", "FRACTION", "SHARE"), "RATE"),
    **dict.fromkeys(("ARG", "ARGS", "ARGUMENT", "PARAM", "PARAMETER", "VALUE"), "RATE"),
    **dict.fromkeys(
        ("URL", "URI", "ENDPOINT", "ENDPOINTS", "HOST", "HOSTNAME", "ADDRESS", "ADDR"), "ENDPOINT"
    ),
    **dict.fromkeys(("SERVER", "COLLECTOR", "AGENT", "TARGET", "BACKEND", "DESTINATION", "PORT"), "ENDPOINT"),
    **dict.fromkeys(("ENABLED", "ENABLE", "ON", "ACTIVE"), "ENABLE"),
    **dict.fromkeys(("DISABLED", "DISABLE", "OFF"), "DISABLE"),
    **dict.fromkeys(("ENV", "ENVIRONMENT", "DEPLOYMENT", "STAGE"), "ENVIRONMENT"),
    **dict.fromkeys(("SERVICE", "SERVICENAME", "APP", "APPLICATION"), "SERVICE"),
    **dict.fromkeys(("PROPAGATOR", "PROPAGATORS", "PROPAGATION", "FORMATS"), "PROPAGATOR"),
    **dict.fromkeys(("EXCLUDED", "EXCLUDE", "EXCLUDES", "IGNORE", "IGNORED", "SKIP"), "EXCLUDE"),
    **dict.fromkeys(("URLS", "PATHS", "PATH", "ROUTES", "ENDPOINTS_LIST"), "PATH"),
    **dict.fromkeys(("REDACT", "REDACTED", "SANITIZE", "MASK", "MASKED", "SENSITIVE", "SCRUB"), "REDACT"),
    **dict.fromkeys(("KEYS", "FIELDS", "NAMES"), "KEYS"),
    **dict.fromkeys(("ERROR", "ERRORS", "FAILED", "FAILURE"), "ERROR"),
    **dict.fromkeys(("SLOW", "LATENCY"), "SLOW"),
    **dict.fromkeys(("MS", "MILLIS", "MILLISECONDS", "REQUEST", "REQUESTS", "MAX", "MAXIMUM"), ""),
    **dict.fromkeys(("HEADER", "HEADERS", "METADATA"), "HEADER"),
    **dict.fromkeys(("TOKEN", "APIKEY", "AUTH", "AUTHORIZATION", "PASSWORD", "USER", "USERNAME"), "TOKEN"),
    **dict.fromkeys(("TAGS", "LABELS", "ATTRIBUTES", "ATTRS"), "ATTRIBUTES"),
    **dict.fromkeys(("INTERVAL", "DELAY", "PERIOD"), "DELAY"),
    **dict.fromkeys(("CERT", "CERTIFICATE", "CA"), "CERTIFICATE"),
    **dict.fromkeys(("TLS", "SSL", "SECURE"), "SECURE"),
    **dict.fromkeys(("INSECURE", "PLAINTEXT"), "INSECURE"),
    **dict.fromkeys(("INSTRUMENTATION", "INSTRUMENTATIONS", "INSTRUMENTORS", "LIBRARIES"), "INSTRUMENTATION"),
    **dict.fromkeys(("TRUST", "TRUSTED", "INBOUND", "INCOMING"), "TRUST"),
    **dict.fromkeys(("HOSTS", "TARGETS", "DOMAINS"), "HOSTS"),
    **dict.fromkeys(("WORKERS", "WORKER", "PROCESSES", "COUNT"), "WORKERS"),
    **dict.fromkeys(("LEVEL", "VERBOSITY"), "LEVEL"),
    **dict.fromkeys(("LOG", "LOGS", "LOGGING"), "LOG"),
    "LOGLEVEL": "LEVEL",
}

# The words of a name, alternatives separated by a bar, and the variables that do what it says.
_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "ENDPOINT": _ENDPOINTS,
    "SERVICE|NAME|SERVICE NAME": ("OTEL_SERVICE_NAME", "service.name"),
    "VERSION|SERVICE VERSION": _VERSION,
    "ENVIRONMENT|ENVIRONMENT NAME|SERVICE ENVIRONMENT": _ENVIRONMENT,
    "NAMESPACE|SERVICE NAMESPACE": (_IN_RESOURCE.format("service.namespace"), "service.namespace"),
    "INSTANCE ID|SERVICE INSTANCE ID": (_IN_RESOURCE.format("service.instance.id"), "service.instance.id"),
    "ATTRIBUTES|RESOURCE ATTRIBUTES|RESOURCE|SERVICE ATTRIBUTES": ("OTEL_RESOURCE_ATTRIBUTES",),
    "SAMPLE|SAMPLE TYPE|SAMPLE STRATEGY|SAMPLE NAME": (SAMPLER,),
    "ERROR RATE|ERROR SAMPLE|ERROR|KEEP ERROR|SAMPLE ERROR": ("ECO2_TRACING_ERROR_SAMPLING_RATE",),
    "SLOW|SLOW THRESHOLD|THRESHOLD": ("ECO2_TRACING_SLOW_THRESHOLD_MS",),
    "PROPAGATOR|PROPAGATOR STYLE|PROPAGATOR TYPE|PROPAGATOR FORMAT": ("OTEL_PROPAGATORS",),
    "EXPORTER": ("OTEL_TRACES_EXPORTER",),
    "PROTOCOL": ("OTEL_EXPORTER_OTLP_PROTOCOL",),
    "HEADER|TOKEN|API KEY|API TOKEN|ACCESS TOKEN": ("OTEL_EXPORTER_OTLP_HEADERS",),
    "TIMEOUT": ("OTEL_EXPORTER_OTLP_TIMEOUT",),
    "COMPRESSION": ("OTEL_EXPORTER_OTLP_COMPRESSION",),
    "CERTIFICATE|CERTIFICATE FILE": ("OTEL_EXPORTER_OTLP_CERTIFICATE",),
    "CLIENT CERTIFICATE": ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",),
    "CLIENT KEY": ("OTEL_EXPORTER_OTLP_CLIENT_KEY",),
    "EXCLUDE|EXCLUDE PATH|PATH": ("ECO2_TRACING_EXCLUDED_PATHS", "OTEL_PYTHON_EXCLUDED_URLS"),
    "QUEUE SIZE|QUEUE|BUFFER SIZE": ("OTEL_BSP_MAX_QUEUE_SIZE",),
    "BATCH SIZE|BATCH": ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE",),
    "DELAY|SCHEDULE DELAY|FLUSH DELAY|BATCH DELAY": ("OTEL_BSP_SCHEDULE_DELAY",),
    "REDACT|REDACT KEYS": ("ECO2_TRACING_REDACT_KEYS",),
    "RESPONSE HEADER NAME|ID HEADER|ID RESPONSE HEADER|RESPONSE ID": ("ECO2_TRACING_RESPONSE_HEADER",),
    "WORKERS": ("ECO2_TRACING_WORKERS",),
    "INTERNAL HOSTS|HOSTS|OWN HOSTS|PROPAGATOR HOSTS|TRUST HOSTS": ("ECO2_TRACING_PROPAGATION_TARGETS",),
    "TRUST|TRUST HEADER|TRUST CONTEXT": ("ECO2_TRACING_TRUST_INBOUND",),
    "STRICT MODE": ("ECO2_TRACING_STRICT",),
    "INSTRUMENTATION MODE": ("ECO2_TRACING_INSTRUMENTATION",),
    "DISABLE INSTRUMENTATION|EXCLUDE INSTRUMENTATION": ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",),
    "ENABLE INSTRUMENTATION|INSTRUMENT": ("ECO2_TRACING_INSTRUMENTATIONS",),
    "ID GENERATOR": ("OTEL_PYTHON_ID_GENERATOR",),
    "LEVEL|LOG LEVEL": ("OTEL_LOG_LEVEL",),
    "CAPTURE HEADER": ("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",),
}
_MODES = {
    frozenset({"DEBUG"}): "OTEL_LOG_LEVEL=debug",
    frozenset({"CONSOLE"}): "OTEL_TRACES_EXPORTER=console",
}
_BY_WORDS: Mapping[frozenset[str], tuple[str, ...]] = {
    frozenset(words.split()): variables
    for names, variables in _VARIABLES.items()
    for words in names.split("|")
}
_FLAGS = frozenset({"ENABLE", "DISABLE", "SECURE", "INSECURE"})
_HINTS = {
    "JAEGER": ": spans are sent as OTLP, which Jaeger receives on port 4317",
    "ZIPKIN": ": spans are sent as OTLP",
}


def intent_of(name: str, value: str, sampler: str | None = None) -> Intent | None:
    """Find what a name was meant to do.

    Args:
        name: An environment variable that is not read.
        value: What it holds; the advice says how to write it where its meaning is the opposite.
        sampler: ``OTEL_TRACES_SAMPLER``, where it is set.
    """
    words = _words(name)
    words = words - {"EXPORTER"} or words
    if words in ({"ENABLE"}, {"DISABLE"}) or (not words and probable_boolean(value) is not None):
        return Intent(_switch(words, value), _DISABLED)
    if words <= {"SAMPLE", "RATE"} and "RATE" in words:
        return Intent(_ratio(value, sampler), (ARG, "OTEL_SAMPLING_RATE"))
    if {"SAMPLE", "ENDPOINT"} <= words:
        return Intent(f"set {SAMPLER}=parentbased_jaeger_remote and {ARG}=endpoint=…", (SAMPLER,))
    if words - {"ENABLE"} in ({"SECURE"}, {"INSECURE"}, {"SECURE", "INSECURE"}):
        return Intent(_insecure(words, value), ("OTEL_EXPORTER_OTLP_INSECURE",))
    if words in ({"DEBUG"}, {"CONSOLE"}):
        return Intent(f"set {_MODES[words]}", (_MODES[words].partition("=")[0],))
    found = _BY_WORDS.get(words)
    if found is None:
        return None
    hint = next((hint for maker, hint in _HINTS.items() if maker in name.upper()), "")
    return Intent(f"set {found[0]}{hint if found is _ENDPOINTS else ''}", found)


def is_switch(name: str) -> bool:
    """Tell whether a name says that something is on or off; a similar name may say the opposite."""
    return not _words(name).isdisjoint(_FLAGS)


def _words(name: str) -> frozenset[str]:
    return frozenset(filter(None, (_WORDS.get(word, word) for word in name.upper().split("_"))))


def _switch(words: frozenset[str], value: str) -> str:
    word = probable_boolean(value)
    if word is None:
        return "set OTEL_SDK_DISABLED=true to disable tracing"
    on = word is ("DISABLE" not in words)
    return "tracing is enabled unless OTEL_SDK_DISABLED=true" if on else "set OTEL_SDK_DISABLED=true"


def _ratio(value: str, sampler: str | None) -> str:
    share = probable_rate(value)
    argument = ARG if share is None else f"{ARG}={share:.10g}"
    return (
        f"set {argument}"
        if sampler and "ratio" in sampler.lower()
        else f"set {SAMPLER}={RATIO} and {argument}"
    )


def _insecure(words: frozenset[str], value: str) -> str:
    word = probable_boolean(value)
    if word is None:
        return "set OTEL_EXPORTER_OTLP_INSECURE"
    return f"set OTEL_EXPORTER_OTLP_INSECURE={str(word is ('INSECURE' in words)).lower()}"
