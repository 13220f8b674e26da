"""Keeps a bad ``OTEL_PROPAGATORS`` from killing imports.

``opentelemetry.propagate`` reads the variable when it is imported and raises on a name that it does not know, upper
case included; FastAPI >= 0.142 imports that module. Imported once under a value that it takes, it stays imported.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import MutableMapping

_MODULE = "opentelemetry.propagate"
_VARIABLE = "OTEL_PROPAGATORS"


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


def _imports_under(value: str, environ: MutableMapping[str, str]) -> bool:
    """Tell whether the module could be imported; what it raises differs with its version and with the propagator."""
    environ[_VARIABLE] = value
    try:
        importlib.import_module(_MODULE)
    except Exception:  # noqa: BLE001 - a propagator's package may raise anything when it is loaded
        return False
    return True
