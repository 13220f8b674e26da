"""Names in the environment that look like a mistake for one that would be read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from eco2_tracing._settings._variables import ENVIRONMENT, SERVICE_VERSION, VARIABLES

if TYPE_CHECKING:
    from eco2_tracing._settings._problem import Findings, Problem

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_ENVIRONMENT = (f"{ENVIRONMENT} in OTEL_RESOURCE_ATTRIBUTES", ENVIRONMENT)
_VERSION = (f"{SERVICE_VERSION} in OTEL_RESOURCE_ATTRIBUTES", SERVICE_VERSION)
# Names of older set-ups: what to set instead, and what silences the warning because it settles the matter.
_OTHERS_NAMES: Mapping[str, tuple[str, ...]] = {
    "OTLP_ENDPOINT": _ENDPOINTS,
    "OTEL_EXPORTER_ENDPOINT": _ENDPOINTS,
    "OTEL_COLLECTOR_ENDPOINT": _ENDPOINTS,
    "TEMPO_ENDPOINT": _ENDPOINTS,
    "JAEGER_HOST": _ENDPOINTS,
    "JAEGER_ENDPOINT": _ENDPOINTS,
    "JAEGER_AGENT_HOST": _ENDPOINTS,
    "JAEGER_COLLECTOR_ENDPOINT": _ENDPOINTS,
    "OTEL_EXPORTER_JAEGER_ENDPOINT": _ENDPOINTS,
    "OTEL_EXPORTER_JAEGER_AGENT_HOST": _ENDPOINTS,
    "ENVIRONMENT": _ENVIRONMENT,
    "OTEL_ENVIRONMENT": _ENVIRONMENT,
    "DEPLOYMENT_ENVIRONMENT": _ENVIRONMENT,
    "OTEL_DEPLOYMENT_ENVIRONMENT": _ENVIRONMENT,
    "OTEL_SERVICE_VERSION": _VERSION,
    "OTEL_SAMPLER": ("OTEL_TRACES_SAMPLER",),
    "OTEL_EXPORTER": ("OTEL_TRACES_EXPORTER",),
    "OTEL_EXCLUDED_URLS": ("OTEL_PYTHON_EXCLUDED_URLS",),
    "OTEL_BSP_SCHEDULE_DELAY_MILLIS": ("OTEL_BSP_SCHEDULE_DELAY",),
    "OTEL_BSP_EXPORT_TIMEOUT_MILLIS": ("OTEL_BSP_EXPORT_TIMEOUT",),
}
_UNSUPPORTED: Mapping[str, str] = {
    "OTEL_CONFIG_FILE": "declarative configuration is not supported; the variables are read",
    "OTEL_EXPERIMENTAL_CONFIG_FILE": "declarative configuration is not supported; the variables are read",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "it is not supported; the stable conventions are always used",
}
# Names that belong to others: signals and languages, the Operator's own, and the links that Kubernetes sets for
# a Service called otel-something.
_FOREIGN = (
    r"OTEL_(METRIC|LOGS?_|LOGRECORD_|BLRP_|PROFILES?_|EXPORTER_OTLP_(METRICS|LOGS|PROFILES)_|EXPORTER_(PROMETHEUS|ZIPKIN)"
    r"|RESOURCE_ATTRIBUTES_|EXPERIMENTAL_|JAVA|NODE_|GO_|DOTNET_|PHP_|POD_|INJECTOR_)"
    r"|.*(_SERVICE_HOST|_SERVICE_PORT(_.*)?|_PORT|_PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?)$"
)
_OURS = ("OTEL_", "ECO2_TRACING_")
# How alike two names have to be. Nobody else uses our prefix, so a distant likeness is worth a question there; of the
# names that contrib's instrumentations read, many are alike.
_LIKENESS = {"ECO2_TRACING_": 0.7, "OTEL_PYTHON_": 0.95, "OTEL_INSTRUMENTATION_": 0.95, "OTEL_": 0.88}


def report_near_misses(environ: Mapping[str, str], settled: AbstractSet[str], findings: Findings) -> None:
    """Note every variable that is not read although its name says that it was meant to be.

    Args:
        environ: The environment.
        settled: The variables and facts that have a value; an older name for one of them is not told.
        findings: Where to note them.
    """
    for name in sorted(environ):
        value = environ[name].strip()
        if not value or name in VARIABLES:
            continue
        name = name if name.isprintable() else ascii(name)[1:-1]
        if name in _UNSUPPORTED:
            findings.replaced(name, value, _UNSUPPORTED[name], None)
        elif proper := _OTHERS_NAMES.get(name):
            if settled.isdisjoint(proper):
                findings.replaced(name, value, f"this name is not read, set {proper[0]}", None)
        elif name.upper().startswith(_OURS) and not re.match(_FOREIGN, name):
            _report_similar(name, value, findings)


def is_settled(problem: Problem, settled: AbstractSet[str]) -> bool:
    """Tell whether a problem is an older name of something that has a value."""
    return not settled.isdisjoint(_OTHERS_NAMES.get(problem.variable, ()))


def _report_similar(name: str, value: str, findings: Findings) -> None:
    from difflib import get_close_matches  # rarely needed, and its import is not free

    likeness = next(least for prefix, least in _LIKENESS.items() if name.upper().startswith(prefix))
    close = get_close_matches(name.upper(), VARIABLES, n=1, cutoff=likeness)
    if close:
        findings.replaced(name, value, f"this name is not read, did you mean {close[0]}?", None)
    elif name.startswith("ECO2_TRACING_"):
        findings.replaced(name, value, "this name is not read", None)
