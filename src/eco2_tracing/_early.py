"""Protects imports and requests from bad values of variables that OpenTelemetry reads.

``opentelemetry.propagate`` reads ``OTEL_PROPAGATORS`` when it is imported and raises on an unknown name, upper case
included; FastAPI >= 0.142 imports that module. ``opentelemetry.sdk.trace`` does the same with
``OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT``. A module that was imported once under a good value stays imported.
``OTEL_PYTHON_…_PROVIDER`` is read whenever a provider is requested, which FastAPI does for each request, and an unknown
name raises each time.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import MutableMapping

_PROPAGATE, _PROPAGATORS = "opentelemetry.propagate", "OTEL_PROPAGATORS"
_SDK, _LIMIT = "opentelemetry.sdk.trace", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"
_DIGITS = 20

removed: dict[str, str] = {}
"""Variables that were removed from the environment, with their values."""


def protect_variables(environ: MutableMapping[str, str] = os.environ) -> None:
    """Protect from bad values of each of these variables."""
    _protect_propagators(environ)
    _protect_span_limit(environ)
    _protect_providers(environ)


def _protect_propagators(environ: MutableMapping[str, str]) -> None:
    """Import ``opentelemetry.propagate`` now, under a corrected variable where its own value raises.

    The variable has its own value again afterwards: child processes inherit it and the settings report it. Nothing is
    imported where the variable is unset or the module is already imported.
    """
    value = environ.get(_PROPAGATORS)
    if not value or _PROPAGATE in sys.modules:
        return
    lower = ",".join(name.strip().lower() for name in value.split(","))
    try:
        any(_imports_under(attempt, environ) for attempt in (value, lower, ""))
    finally:
        environ[_PROPAGATORS] = value


def _protect_span_limit(environ: MutableMapping[str, str]) -> None:
    """Import ``opentelemetry.sdk.trace`` now, without the variable, where its value is not a number of attributes."""
    value = environ.get(_LIMIT, "").strip()
    # `int` also raises for thousands of digits.
    if not value or (value.isdecimal() and len(value) < _DIGITS) or _SDK in sys.modules:
        return
    before = environ.pop(_LIMIT)
    try:
        importlib.import_module(_SDK)
    finally:
        environ[_LIMIT] = before


def _protect_providers(environ: MutableMapping[str, str]) -> None:
    """Remove variables that name a provider that no installed package has; an empty name is one of those."""
    for kind in ("tracer", "meter", "logger"):
        variable = f"OTEL_PYTHON_{kind.upper()}_PROVIDER"
        name = environ.get(variable)
        if name is not None and not (name and _is_installed(f"opentelemetry_{kind}_provider", name)):
            removed[variable] = environ.pop(variable)


def _is_installed(group: str, name: str) -> bool:
    from importlib.metadata import entry_points

    return bool(entry_points(group=group, name=name))


def _imports_under(value: str, environ: MutableMapping[str, str]) -> bool:
    """Return whether the module can be imported; its exceptions differ with its version and with the propagator."""
    environ[_PROPAGATORS] = value
    try:
        importlib.import_module(_PROPAGATE)
    except Exception:  # noqa: BLE001 - the package of a propagator may raise anything while it is imported
        return False
    return True
