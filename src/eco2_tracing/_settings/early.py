"""Keeps a bad ``OTEL_PROPAGATORS``, ``OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`` or ``OTEL_PYTHON_…_PROVIDER`` from doing harm.

``opentelemetry.propagate`` reads the variable when it is imported and raises on a name that it does not know, upper
case included; FastAPI >= 0.142 imports that module. ``opentelemetry.sdk.trace`` does the same with the limit. Imported
once under a value that it takes, a module stays imported. The providers' names are read whenever somebody asks for a
provider, as FastAPI does at each request, and raise each time.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import MutableMapping

_MODULE = "opentelemetry.propagate"
_VARIABLE = "OTEL_PROPAGATORS"
_SDK = "opentelemetry.sdk.trace"
_LIMIT = "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"
_DIGITS = 20
_PROVIDERS = ("tracer", "meter", "logger")

removed: dict[str, str] = {}
"""Variables that were taken out of the environment, with what they held."""


def protect_propagators_variable(environ: MutableMapping[str, str] = os.environ) -> None:
    """Import ``opentelemetry.propagate`` now, under a corrected variable where its own value does not do.

    The variable has its own value again when this returns: child processes inherit it and the settings report it.
    Nothing is imported when the variable is unset or the module is there already.

    Args:
        environ: The environment that ``opentelemetry.propagate`` reads.
    """
    value = environ.get(_VARIABLE)
    if not value or _MODULE in sys.modules:
        return
    lower = ",".join(name.strip().lower() for name in value.split(","))
    try:
        any(_imports_under(attempt, environ) for attempt in (value, lower, ""))
    finally:
        environ[_VARIABLE] = value


def protect_span_limit_variable(environ: MutableMapping[str, str] = os.environ) -> None:
    """Import ``opentelemetry.sdk.trace`` now, without the variable, where its value is no number of attributes.

    Args:
        environ: The environment that ``opentelemetry.sdk.trace`` reads; unchanged when this returns.
    """
    value = environ.get(_LIMIT, "").strip()
    # Nor does `int` take what has thousands of digits.
    if not value or (value.isdecimal() and len(value) < _DIGITS) or _SDK in sys.modules:
        return
    before = environ.pop(_LIMIT)
    try:
        importlib.import_module(_SDK)
    finally:
        environ[_LIMIT] = before


def protect_provider_variables(environ: MutableMapping[str, str] = os.environ) -> None:
    """Take out of the environment what names a provider that no installed package brings, the empty name too.

    Args:
        environ: The environment that OpenTelemetry's API reads.
    """
    for kind in _PROVIDERS:
        variable = f"OTEL_PYTHON_{kind.upper()}_PROVIDER"
        name = environ.get(variable)
        if name is not None and not (name and _is_installed(f"opentelemetry_{kind}_provider", name)):
            removed[variable] = environ.pop(variable)


def _is_installed(group: str, name: str) -> bool:
    from importlib.metadata import entry_points

    return bool(entry_points(group=group, name=name))


def _imports_under(value: str, environ: MutableMapping[str, str]) -> bool:
    """Tell whether the module could be imported; what it raises differs with its version and with the propagator."""
    environ[_VARIABLE] = value
    try:
        importlib.import_module(_MODULE)
    except Exception:  # noqa: BLE001 - a propagator's package may raise anything when it is loaded
        return False
    return True
