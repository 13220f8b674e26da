"""Finds names in the environment that look like a mistake for one that is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from eco2_tracing._settings.fields import ALIASES, SERVICE_FACTS, VARIABLES

if TYPE_CHECKING:
    from eco2_tracing._settings.intents import Intent
    from eco2_tracing._settings.problem import Findings, Problem

_NO_FILE = "declarative configuration is not supported; the variables are read"
_UNSUPPORTED = {
    "OTEL_CONFIG_FILE": _NO_FILE,
    "OTEL_EXPERIMENTAL_CONFIG_FILE": _NO_FILE,
    "OTEL_SEMCONV_STABILITY_OPT_IN": "it is not supported; the stable conventions are always used",
}
# Older names whose words alone do not say what they mean.
_OLDER = {
    "OTEL_BSP_SCHEDULE_DELAY_MILLIS": "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT_MILLIS": "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_EXCLUDED_URLS": "OTEL_PYTHON_EXCLUDED_URLS",
}
# Other code in the process may read these, so they are advice: names of a deployment, and names of the clients and
# exporters of Jaeger and Zipkin.
_GENERIC = frozenset({"ENVIRONMENT", "DEPLOYMENT_ENVIRONMENT"})
_OF_OTHERS = (
    *("JAEGER_", "ZIPKIN_", "OTEL_EXPORTER_JAEGER_", "OTEL_EXPORTER_ZIPKIN_", "OTLP_", "TEMPO_ENDPOINT"),
)
# Names that exist elsewhere: other signals and languages, the Operator, contrib's instrumentations, and the links
# that Kubernetes sets for a Service called otel-something. Compiled by `re` at the first unknown name.
_EXISTING = r"""(?x)
    OTEL_(?: METRICS_PRODUCERS | PROFILES?_ | ENTITIES | EVENT_NAME | SERVICE_PEER
      | EXPORTER_(?: OTLP_PROFILES_ | PROMETHEUS_(?!HOST|PORT) | LOGGING | CONSOLE | OTLP_FILE )
      | RESOURCE_(?: ATTRIBUTES_ | PROVIDERS_ | DISABLED_ ) | EXPERIMENTAL_ | IMR_ | TRACES_SAMPLER_JAEGER
      | JAVA | NODE_ | GO_ | DOTNET_ | PHP_ | RUBY_ | RUST_ | CPP_ | ERLANG_ | SWIFT_ | JS_ | BROWSER_ | SPRING
      | POD_ | K8S_ | INJECTOR_ | OPERATOR_ | LAMBDA_ | AWS_ | AZURE_ | GCP_ | EBPF_ | CLI_ | HELM_ | HOST_IP
      | PYTHON_(?: LOG_ | LOGGING_ | DISTRO | CONFIGURATOR | CONTEXT | SDK_ | (?:TRACER|METER|LOGGER)_ | EXPORTER_
          | AUTO_ | INSTRUMENTATION_ | DJANGO_ | PLATFORM | EXPERIMENTAL_ | GRPC_
          | [A-Z0-9_]+_(?: EXCLUDED_(?:URLS|METHODS|SERVICES|HOSTS) | TRACED_REQUEST_ATTRS )$ ) )
      | .*(?: _SERVICE_HOST | _SERVICE_PORT(?:_.*)? | _PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_.*)? )$"""
# Names whose words would be misread: options of instrumentations, and versions that Dockerfiles install.
_NEVER_MEANT = (
    r"OTEL_INSTRUMENTATION_|(?:OTEL|OPENTELEMETRY)_(?:[A-Z]+_)?VERSION$(?<!SERVICE_VERSION)(?<!APP_VERSION)"
)
_PREFIX = "ECO2_TRACING_"
_OWN = ("ECO2_TRACING", "ECO2TRACING", "ECO_TRACING", "ECO2_TRACE_", "ECO2_OTEL_")
_PREFIXES = ("OTEL_", "OPENTELEMETRY_", *_OWN)
# The least similarity of two names: contrib's instrumentations read many names that are alike.
_LIKENESS = {"OTEL_PYTHON_": 0.95, "OTEL_INSTRUMENTATION_": 0.95, "OTEL_": 0.88}
_CERTAIN = 0.95
_OWN_LIKENESS = 0.7  # of the text after our prefix, which no other product uses


def report_near_misses(environ: Mapping[str, str], known: AbstractSet[str], findings: Findings) -> None:
    """Report each variable that is not read although its name suggests that it was meant to be.

    Another name for one of the known variables and resource attributes, which have a value, is not reported.
    """
    for name in sorted(environ):
        value = environ[name].strip()
        if not value or name in VARIABLES:
            continue
        upper = name.upper()
        if not (upper.startswith(_PREFIXES) or name in _GENERIC or name.startswith(_OF_OTHERS)):
            continue
        name = name if name.isprintable() else ascii(name)[1:-1]
        if name in _UNSUPPORTED:
            findings.replaced(name, value, _UNSUPPORTED[name], None)
        elif not (re.match(_EXISTING, upper) or _is_link(upper, value)):
            _report(name, value, environ, known, findings)


def is_superfluous(problem: Problem, known: AbstractSet[str]) -> bool:
    """Return whether a problem is about another name of something that has a value."""
    if problem.variable in VARIABLES or problem.variable in SERVICE_FACTS or not problem.variable.isupper():
        return False
    intent = _intent(problem.variable, "", {})
    return intent is not None and not known.isdisjoint(intent.known_as)


def is_generic(problem: Problem) -> bool:
    """Return whether a problem is about a name that applications use for themselves."""
    return problem.variable in _GENERIC


def _is_link(name: str, value: str) -> bool:
    """Return whether Kubernetes set this variable for a Service: `<SERVICE>_PORT=tcp://10.0.0.1:4317`."""
    return name.endswith("_PORT") and not value.isdecimal()


def _intent(name: str, value: str, environ: Mapping[str, str]) -> Intent | None:
    from eco2_tracing._settings.intents import Intent, intent_of  # most starts have no such name

    if proper := _OLDER.get(name.upper()):
        return Intent(f"set {proper}", (proper,))
    return intent_of(name, value, environ.get("OTEL_TRACES_SAMPLER"))


def _report(
    name: str, value: str, environ: Mapping[str, str], known: AbstractSet[str], findings: Findings
) -> None:
    upper = name.upper()
    intent = None if re.match(_NEVER_MEANT, upper) else _intent(name, value, environ)
    is_new = intent is not None and known.isdisjoint(intent.known_as)
    advice = "" if intent is None else f", {intent.advice}"
    if not upper.startswith(_PREFIXES) or name.startswith(_OF_OTHERS):
        if is_new and not _is_exported(name, environ):
            doubt = ", if it was meant for the traces" if name in _GENERIC else ""
            findings.doubted(name, value, f"this name is not read{doubt}{advice}", "nothing")
    elif close := _similar(name, None if intent is None else _CERTAIN):
        findings.replaced(name, value, f"this name is not read, did you mean {close}?", None)
    elif is_new or upper.startswith(_OWN):
        findings.replaced(name, value, f"this name is not read{advice}", None)


def _is_exported(name: str, environ: Mapping[str, str]) -> bool:
    """Return whether the exporter of Zipkin or Jaeger is in use, which reads its own variables."""
    exporters = environ.get("OTEL_TRACES_EXPORTER", "").lower()
    return any(maker.upper() in name and maker in exporters for maker in ("zipkin", "jaeger"))


def _similar(name: str, least: float | None) -> str | None:
    from difflib import get_close_matches  # rarely needed, and its import is not free

    from eco2_tracing._settings.intents import is_switch

    upper = name.upper()
    if is_switch(name) and "INSTRUMENTATION" not in upper and "EXCLUDED" not in upper:
        return None  # the most similar name may say the opposite
    likeness = least or next(
        (each for prefix, each in _LIKENESS.items() if upper.startswith(prefix)), _CERTAIN
    )
    close = get_close_matches(upper, sorted(VARIABLES.difference(ALIASES)), n=1, cutoff=likeness)
    if not close and least is None and upper.startswith(_OWN):
        own = {each.removeprefix(_PREFIX): each for each in VARIABLES if each.startswith(_PREFIX)}
        rest = re.sub(r"^ECO2?_?TRAC(?:ING|E)_?", "", upper)
        close = [own[each] for each in get_close_matches(rest, sorted(own), n=1, cutoff=_OWN_LIKENESS)]
    return close[0] if close else None
