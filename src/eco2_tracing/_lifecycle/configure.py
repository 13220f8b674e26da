"""The public functions that configure, instrument, flush and shut down the tracing of this process."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eco2_tracing._errors import ConfigurationError
from eco2_tracing._forks import in_child, notice_fork
from eco2_tracing._guard import forget_warnings, guarded, logger
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._instrumentation.contrib import switch
from eco2_tracing._instrumentation.fastapi import check_application, install
from eco2_tracing._instrumentation.instrument import instrument_libraries as switch_on
from eco2_tracing._lifecycle.arguments import (
    Arguments,
    checked_arguments,
    library_names,
    path_names,
    report_again,
)
from eco2_tracing._lifecycle.libraries import instrument_by, uninstrument_by
from eco2_tracing._lifecycle.processes import end_with_child
from eco2_tracing._lifecycle.report import TracingStatus, announce, further_problems, status_of
from eco2_tracing._lifecycle.tracing import Tracing
from eco2_tracing._native import RLock
from eco2_tracing._settings import (
    Problem,
    Settings,
    load_settings,
    report_arguments,
    report_problems,
    seconds_argument,
)

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue
    from starlette.applications import Starlette

    from eco2_tracing._settings import TracingSettings


@dataclass
class _Process:
    """The configuration of this process. The lock is never held while spans are delivered."""

    lock: RLock
    tracing: Tracing | None = None
    arguments: Arguments | None = None
    level: int = logging.INFO
    """Level of the start-up line."""
    prepared: Settings | None = None
    """The settings by which libraries were instrumented before."""
    replacement: Callable[[Arguments], Arguments] | None = None
    """Set while the configuration is a default: the code's own call replaces it by what this returns."""


_process = _Process(RLock())
_REPLACEMENT_S = 0.5

DEFAULT_NAME = "_ECO2_TRACING_RUN_SERVICE"
"""The variable of `eco2-tracing run` with ``service.name`` if neither the environment nor the code has one."""


def configure_tracing(
    service_name: str | None = None,
    service_version: str | None = None,
    environment: str | None = None,
    *,
    settings: TracingSettings | None = None,
    resource_attributes: Mapping[str, AttributeValue] | None = None,
    span_processors: Sequence[SpanProcessor] = (),
    before_export: Callable[[Any], bool | None] | None = None,
) -> bool:
    """Set up tracing for this process: provider, sampler, exporter, propagators and library instrumentations.

    Call it once at start-up. The environment configures everything else: ``OTEL_EXPORTER_OTLP_ENDPOINT`` names the
    collector, ``OTEL_TRACES_SAMPLER`` the sampler, ``OTEL_SDK_DISABLED=true`` turns tracing off. The environment takes
    precedence over the arguments, and ``settings`` over both. A second call changes nothing. It logs one warning if its
    arguments differ.

    Args:
        service_name: ``service.name``, unless ``OTEL_SERVICE_NAME`` is set. Default: ``unknown_service:<executable>``.
        service_version: ``service.version``, unless ``OTEL_RESOURCE_ATTRIBUTES`` sets it.
        environment: ``deployment.environment.name``, unless ``OTEL_RESOURCE_ATTRIBUTES`` sets it.
        settings: Settings to use instead of the environment.
        resource_attributes: More resource attributes. Those of the environment take precedence.
        span_processors: Span processors of the application. They are called with the spans that are exported.
        before_export: Called with each ended span before it is exported. It may edit the span, which has the public
            attributes of the SDK's ``ReadableSpan`` and the methods of the API's ``Span``. ``False`` drops the span.
            Secrets are masked afterwards.

    Returns:
        True if spans are recorded.

    Raises:
        ConfigurationError: The configuration is wrong, and ``ECO2_TRACING_STRICT=true`` is set.
        TypeError: ``settings`` is not a ``TracingSettings``.

    Examples:
        Import ``eco2_tracing`` before FastAPI:

        >>> from eco2_tracing import configure_logging, configure_tracing, instrument_app
        >>> from fastapi import FastAPI
        >>> configure_logging()
        >>> configure_tracing(service_name="auth-api", service_version="1.2.0")
        True
        >>> app = FastAPI()
        >>> instrument_app(app)
    """
    given, wrong = checked_arguments(
        service_name,
        service_version,
        environment,
        settings,
        resource_attributes,
        span_processors,
        before_export,
    )
    notice_fork()
    if (replacement := _process.replacement) is not None:
        shutdown_tracing(_REPLACEMENT_S)
        given = replacement(given)
    with _process.lock:
        if _process.tracing is not None:
            report_arguments(*wrong)
            report_again(_process.arguments, given)
            return _process.tracing.makes_spans
        current.configured = True
        _process.arguments = given
        loaded = load_settings(
            given.settings,
            service_name=given.service_name or os.environ.get(DEFAULT_NAME),
            service_version=given.service_version,
            environment=given.environment,
            resource_attributes=tuple(given.resource_attributes or ()),
        )
        if loaded.log_level:
            logger.setLevel(loaded.log_level.upper())
        with guarded("configure_tracing", but=ConfigurationError):
            _process.tracing = _installed(loaded, given, wrong)
        if (tracing := _process.tracing) is None:
            return False
    if _process.prepared is not None and given.settings is not None:
        uninstrument_by(_process.prepared)
    _process.prepared = None
    tracing.contrib_calls = instrument_by(tracing.settings)
    announce(tracing, _process.level)
    return tracing.makes_spans


def _installed(settings: Settings, given: Arguments, wrong: list[Problem]) -> Tracing:
    tracing = Tracing(settings, given.resource_attributes, given.span_processors, given.before_export)
    try:
        external = tracing.external_provider is not None
        report_problems(settings, [*wrong, *further_problems(tracing)], generic=not external)
    except ConfigurationError:
        tracing.discard()
        raise
    tracing.install()
    end_with_child(_at_exit)
    return tracing


def instrument_app(
    app: FastAPI | Starlette,
    *,
    excluded_paths: str | Iterable[str] | None = None,
    server_request_hook: Callable[[Span, dict[str, Any]], None] | None = None,
) -> None:
    """Trace one FastAPI or Starlette application, in place, outside all its middleware.

    Call it before or after ``configure_tracing`` and ``add_middleware``. It is safe to call it twice.

    Args:
        app: The application.
        excluded_paths: Paths without spans, as a list or a comma-separated text. ``health`` excludes ``/health``,
            ``/health/db`` and ``/api/v1/health``; ``/internal`` excludes that prefix. Default:
            ``health,healthz,ready,readyz,livez,metrics``. ``ECO2_TRACING_EXCLUDED_PATHS`` takes precedence.
        server_request_hook: Called with each recording server span and the ASGI scope, before the application.

    Raises:
        TypeError: ``app`` is not a FastAPI or Starlette application, or the hook is not a plain function.

    Examples:
        >>> app = FastAPI()
        >>> def add_host(span, scope):
        ...     span.set_attribute("app.http_version", scope["http_version"])
        >>> instrument_app(app, excluded_paths=["health", "/internal"], server_request_hook=add_host)
    """
    check_application(app, server_request_hook)
    tracing = _process.tracing
    settings = tracing.settings if tracing is not None else load_settings()
    paths = path_names(excluded_paths, strict=settings.strict)
    if settings.instrumentation == "contrib" and not settings.disabled:
        switch.instrument_app(app, settings, paths, server_request_hook)
    else:
        install(app, paths, server_request_hook)


def instrument_libraries(names: Iterable[str] | None = None) -> tuple[str, ...]:
    """Trace installed libraries, such as database drivers and HTTP clients. ``configure_tracing`` calls it.

    Args:
        names: Names of OpenTelemetry's instrumentation entry points, such as ``["redis"]``. Default: the tested list.

    Returns:
        The names of the active instrumentations.
    """
    return switch_on(library_names(names))


def flush_tracing(timeout_s: float = 5.0) -> bool:
    """Deliver every span that is queued, and keep tracing.

    Args:
        timeout_s: Longest time to wait, in seconds.

    Returns:
        True if everything queued was delivered in time.
    """
    timeout_s = seconds_argument("flush_tracing", timeout_s, 5.0)
    notice_fork()
    tracing = _process.tracing
    return True if tracing is None else tracing.flush(timeout_s)


def shutdown_tracing(timeout_s: float = 5.0) -> bool:
    """Deliver queued spans, stop every thread and undo ``configure_tracing``. Requests go on without spans.

    Args:
        timeout_s: Longest time to wait, in seconds. Spans that are not delivered in time are counted as dropped.

    Returns:
        True if everything queued was delivered in time.
    """
    timeout_s = seconds_argument("shutdown_tracing", timeout_s, 5.0)
    notice_fork()
    with _process.lock:
        tracing, _process.tracing = _process.tracing, None
        _process.replacement, _process.level = None, logging.INFO
        if tracing is None:
            return True
        tracing.uninstall()
        uninstrument_by(tracing.settings)
    return tracing.shutdown(timeout_s)


def current_tracing() -> tuple[Tracing | None, Arguments | None]:
    """Return the configuration in force, and the arguments of ``configure_tracing``."""
    return _process.tracing, _process.arguments if _process.tracing is not None else None


def tracing_status() -> TracingStatus:
    """Return the state of tracing in this process, at once: settings in use, counts of spans, the last export error."""
    notice_fork()
    tracing = _process.tracing
    return TracingStatus() if tracing is None else status_of(tracing)


def reset_tracing() -> None:
    """Undo ``configure_tracing`` without delivering spans, and log each warning again. For tests.

    The logging configuration stays. Applications stay instrumented but pass requests on unchanged.
    """
    shutdown_tracing(0.0)
    current.state = None
    current.configured = False
    forget_warnings()


@atexit.register
def _at_exit() -> None:
    if (tracing := _process.tracing) is not None:
        with guarded("the end of the process"):
            tracing.shutdown_at_end()


def _after_fork() -> None:
    _process.lock = RLock()
    if (tracing := _process.tracing) is not None:
        with guarded("a fork"):
            tracing.after_fork()
            end_with_child(_at_exit)


in_child(_after_fork)
