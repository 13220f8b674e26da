"""Finds out what an invented or older name was meant to do, and the variable that does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from eco2_tracing._settings.fields import ENVIRONMENT
from eco2_tracing._settings.names import ARG, RATIO, SAMPLER
from eco2_tracing._settings.probable import probable_boolean, probable_rate


class Intent(NamedTuple):
    """What to do instead, as a clause, and the variables and resource attributes that do the same."""

    advice: str
    known_as: tuple[str, ...]


_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_DISABLED = ("OTEL_SDK_DISABLED", "OTEL_ENABLED")

# The words of one meaning, by the word that stands for all of them.
_SYNONYMS: Mapping[str, str] = {
    # These words only say that the name is about tracing.
    "": "OTEL OTLP ECO2 ECO ECO2TRACING OPENTELEMETRY SDK PYTHON TRACES TRACE TRACING TRACER SPAN SPANS APM "
    "JAEGER ZIPKIN TEMPO GRPC HTTP BSP THE IS USE MS MILLIS MILLISECONDS REQUEST REQUESTS MAX MAXIMUM",
    "EXPORTER": "EXPORTERS EXPORT REPORTER",
    "SAMPLE": "SAMPLER SAMPLING SAMPLERS",
    "RATE": "RATIO PROBABILITY PERCENT PERCENTAGE FRACTION SHARE ARG ARGS ARGUMENT PARAM PARAMETER VALUE",
    "ENDPOINT": "URL URI ENDPOINTS HOST HOSTNAME ADDRESS ADDR SERVER "
    "COLLECTOR AGENT TARGET BACKEND DESTINATION PORT",
    "ENABLE": "ENABLED ON ACTIVE",
    "DISABLE": "DISABLED OFF",
    "ENVIRONMENT": "ENV DEPLOYMENT STAGE",
    "SERVICE": "SERVICENAME APP APPLICATION",
    "PROPAGATOR": "PROPAGATORS PROPAGATION FORMATS",
    "EXCLUDE": "EXCLUDED EXCLUDES IGNORE IGNORED SKIP",
    "PATH": "URLS PATHS ROUTES ENDPOINTS_LIST",
    "REDACT": "REDACTED SANITIZE MASK MASKED SENSITIVE SCRUB",
    "KEYS": "FIELDS NAMES",
    "ERROR": "ERRORS FAILED FAILURE",
    "SLOW": "LATENCY",
    "HEADER": "HEADERS METADATA",
    "TOKEN": "APIKEY AUTH AUTHORIZATION PASSWORD USER USERNAME",
    "ATTRIBUTES": "TAGS LABELS ATTRS",
    "DELAY": "INTERVAL PERIOD",
    "CERTIFICATE": "CERT CA",
    "SECURE": "TLS SSL",
    "INSECURE": "PLAINTEXT",
    "INSTRUMENTATION": "INSTRUMENTATIONS INSTRUMENTORS LIBRARIES",
    "TRUST": "TRUSTED INBOUND INCOMING",
    "HOSTS": "TARGETS DOMAINS",
    "WORKERS": "WORKER PROCESSES COUNT",
    "LEVEL": "VERBOSITY LOGLEVEL",
    "LOG": "LOGS LOGGING",
}
_WORDS = {word: meaning for meaning, words in _SYNONYMS.items() for word in words.split()}

# The words of a name, alternatives separated by a bar, and the variables that do the same.
_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "ENDPOINT": _ENDPOINTS,
    "SERVICE|NAME|SERVICE NAME": ("OTEL_SERVICE_NAME", "service.name"),
    "VERSION|SERVICE VERSION": ("service.version",),
    "ENVIRONMENT|ENVIRONMENT NAME|SERVICE ENVIRONMENT": (ENVIRONMENT, "deployment.environment"),
    "NAMESPACE|SERVICE NAMESPACE": ("service.namespace",),
    "INSTANCE ID|SERVICE INSTANCE ID": ("service.instance.id",),
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
_MODES = {"DEBUG": ("OTEL_LOG_LEVEL", "debug"), "CONSOLE": ("OTEL_TRACES_EXPORTER", "console")}
_BY_WORDS = {
    frozenset(words.split()): names for each, names in _VARIABLES.items() for words in each.split("|")
}
_FLAGS = frozenset({"ENABLE", "DISABLE", "SECURE", "INSECURE"})
_HINTS = {
    "JAEGER": ": spans are sent as OTLP, which Jaeger receives on port 4317",
    "ZIPKIN": ": spans are sent as OTLP",
}


def intent_of(name: str, value: str, sampler: str | None = None) -> Intent | None:
    """Return what a variable that is not read was meant to do; ``None`` where its words do not say it.

    The advice translates its value. ``sampler`` is ``OTEL_TRACES_SAMPLER``, where it is set.
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
    if len(words) == 1 and (mode := _MODES.get(min(words))):
        return Intent(f"set {mode[0]}={mode[1]}", mode[:1])
    found = _BY_WORDS.get(words)
    if found is None:
        return None
    hint = next((hint for maker, hint in _HINTS.items() if maker in name.upper()), "")
    where = " in OTEL_RESOURCE_ATTRIBUTES" if found[0].islower() else ""
    return Intent(f"set {found[0]}{where}{hint if found is _ENDPOINTS else ''}", found)


def is_switch(name: str) -> bool:
    """Return whether a name says that something is on or off; a similar name may say the opposite."""
    return not _words(name).isdisjoint(_FLAGS)


def _words(name: str) -> frozenset[str]:
    return frozenset(filter(None, (_WORDS.get(word, word) for word in name.upper().split("_"))))


def _switch(words: frozenset[str], value: str) -> str:
    word = probable_boolean(value)
    if word is None:
        return "set OTEL_SDK_DISABLED=true to disable tracing"
    enables = word is ("DISABLE" not in words)
    return "tracing is enabled unless OTEL_SDK_DISABLED=true" if enables else "set OTEL_SDK_DISABLED=true"


def _ratio(value: str, sampler: str | None) -> str:
    share = probable_rate(value)
    chosen = "" if sampler and "ratio" in sampler.lower() else f"{SAMPLER}={RATIO} and "
    return f"set {chosen}{ARG}" if share is None else f"set {chosen}{ARG}={share:.10g}"


def _insecure(words: frozenset[str], value: str) -> str:
    word = probable_boolean(value)
    if word is None:
        return "set OTEL_EXPORTER_OTLP_INSECURE"
    return f"set OTEL_EXPORTER_OTLP_INSECURE={str(word is ('INSECURE' in words)).lower()}"
