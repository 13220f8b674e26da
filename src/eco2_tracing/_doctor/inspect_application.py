"""Run in a process of its own: imports an application, without serving it, and writes a report as JSON.

Arguments: ``module:attribute`` or a file; the folder to import from; 1 for a factory; the file of the report. This
library is imported after the application, because importing it first changes what importing FastAPI does.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from functools import reduce
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_AGENTS = {"ddtrace": "ddtrace", "elasticapm": "elastic-apm", "newrelic": "newrelic"}
# Segments of paths that are no business of the service.
_PROBES = frozenset(
    """alive docs favicon.ico health healthcheck healthz live liveness livez metrics openapi.json ping probe ready
    readiness readyz redoc startup status""".split()  # noqa: SIM905 - a list of twenty literals is no easier to read
)
_CONTRIB = "_is_instrumented_by_opentelemetry"
_ENTRIES = "excluded_entries"


def load(name: str, is_factory: bool) -> object:
    """Import the application."""
    if name.endswith(".py"):
        sys.path.insert(0, str(Path(name).resolve().parent))
        return importlib.import_module(Path(name).stem).app
    path, _, attribute = name.removesuffix("()").partition(":")
    found: Any = reduce(getattr, attribute.split("."), importlib.import_module(path))
    return found() if is_factory else found


def inspect(app: object) -> dict[str, object]:
    """Return what `eco2_tracing._doctor.application` reads."""
    import eco2_tracing
    from eco2_tracing._instrumentation.common.outer import INSTALLED
    from eco2_tracing._lifecycle.configure import current_tracing

    starlette = sys.modules.get("starlette.applications")
    if starlette is None or not isinstance(app, starlette.Starlette):
        return {"is_application": False, "type": f"{type(app).__module__}.{type(app).__qualname__}"}
    tracing, arguments = current_tracing()
    middleware = getattr(app, INSTALLED, None)
    settings = eco2_tracing.TracingSettings()
    is_contrib = bool(getattr(app, _CONTRIB, False)) and not hasattr(middleware, _ENTRIES)
    provider = None if tracing is None else tracing.external_provider
    return {
        "is_application": True,
        "is_configured": tracing is not None,
        "is_instrumented": middleware is not None,
        "is_contrib": is_contrib and settings.instrumentation == "lean",
        "service_name": arguments and arguments.service_name,
        "service_version": arguments and arguments.service_version,
        "environment": arguments and arguments.environment,
        "external_provider": provider and f"{type(provider).__module__}.{type(provider).__qualname__}",
        "agents": list(_agents()),
        "excluded": _excluded(app, settings),
        "formatters_without_ids": list(_formatters()),
    }


def _agents() -> Iterator[str]:
    for module, name in _AGENTS.items():
        if module in sys.modules:
            yield name
    sentry = sys.modules.get("sentry_sdk")
    if sentry is not None and sentry.get_client().options.get("traces_sample_rate"):
        yield "sentry-sdk"


def _excluded(app: Any, settings: Any) -> dict[str, list[str]]:
    """Return the routes that each entry excludes, without those of probes."""
    from eco2_tracing._instrumentation.common.excluded import ExcludedPaths, ExcludedUrls, split_urls
    from eco2_tracing._instrumentation.common.outer import INSTALLED
    from eco2_tracing._instrumentation.common.route import templates

    middleware = getattr(app, INSTALLED, None)
    entries = settings.excluded_paths
    if entries is None:
        entries = getattr(middleware, _ENTRIES, ())
    words, expressions = split_urls(settings.excluded_urls)
    matchers = {entry: ExcludedPaths((entry,)) for entry in (*entries, *words)}
    routes = [each for each in templates(app) if _PROBES.isdisjoint(each.split("/"))]
    found = {
        entry: [each for each in routes if match(each, app.root_path)] for entry, match in matchers.items()
    }
    for expression in expressions:
        search = ExcludedUrls((expression,))
        found[expression] = [each for each in routes if search(f"http://host{each}")]
    return {entry: covered for entry, covered in found.items() if covered}


def _formatters() -> Iterator[str]:
    """Yield the formatters of the root logger, unless one of its handlers writes trace ids."""
    import logging

    from eco2_tracing.logs import TraceContextFilter

    handlers = logging.getLogger().handlers
    names = [type(each.formatter) for each in handlers if each.formatter is not None]
    filters = [one for each in handlers for one in each.filters]
    if any(isinstance(each, TraceContextFilter) for each in filters):
        return
    if any(name.__module__.startswith(("eco2_tracing", "structlog")) for name in names):
        return
    yield from (f"{name.__module__}.{name.__qualname__}" for name in names)


def main(name: str, folder: str, is_factory: str, report: str) -> None:
    """Write the report."""
    sys.path.insert(0, str(Path(folder).resolve()))
    try:
        found = inspect(load(name, is_factory == "1"))
    except BaseException as error:  # noqa: BLE001 - an import may raise anything, SystemExit included; it is the result
        found = {"error": f"{type(error).__name__}: {error}"[:500]}
    Path(report).write_text(json.dumps(found))
    os._exit(0)  # what the application has started is not waited for
