"""The public verbs over the one configuration that a process has."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eco2_tracing._errors import ConfigurationError
from eco2_tracing._forks import in_child, notice_fork
from eco2_tracing._guard import forget_warnings, internal_failure, logger
from eco2_tracing._instrumentation.applications import check_application
from eco2_tracing._instrumentation.client.httpx import instrument_httpx, uninstrument_httpx
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._instrumentation.contrib import switch
from eco2_tracing._instrumentation.fastapi import install
from eco2_tracing._instrumentation.instrument import instrument_libraries as switch_on
from eco2_tracing._instrumentation.instrument import uninstrument_libraries
from eco2_tracing._lifecycle.arguments import Arguments, accepted, library_names, path_names
from eco2_tracing._lifecycle.children import end_with_child
from eco2_tracing._lifecycle.problems import further_problems
from eco2_tracing._lifecycle.report import announce, status_of
from eco2_tracing._lifecycle.second_call import report_again
from eco2_tracing._lifecycle.status import TracingStatus
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
    from starlette.applications import Starlette

    from eco2_tracing._settings import TracingSettings


class _Process:
    """What this process has configured.

    Args:
        lock: Guards configuring and shutting down; never held while spans are delivered.
    """

    __slots__ = ("arguments", "lock", "tracing")

    def __init__(self, lock: RLock) -> None:
        self.lock = lock
        self.tracing: Tracing | None = None
        self.arguments: Arguments | None = None


_process = _Process(RLock())


def configure_tracing(
    service_name: str | None = None,
    service_version: str | None = None,
    environment: str | None = None,
    *,
    settings: TracingSettings | None = None,
    resource_attributes: Mapping[str, Any] | None = None,
    span_processors: Sequence[SpanProcessor] = (),
) -> bool:
    """Set tracing up for this process: provider, sampler, exporter, propagator, libraries.

    The environment wins over the arguments, because operators own the Deployment; explicit
    ``settings`` win over both. Safe to call twice: the second call changes nothing, and one warning names
    the arguments that differ from those in force.

    Args:
        service_name: ``service.name``, where ``OTEL_SERVICE_NAME`` does not say.
        service_version: ``service.version``, where ``OTEL_RESOURCE_ATTRIBUTES`` does not say.
        environment: The deployment environment, likewise.
        settings: Used as they are, in place of the environment.
        resource_attributes: More attributes of the service; the environment's win.
        span_processors: The application's own; they see what will be exported, kept errors included.

    Returns:
        Whether spans are made.

    Raises:
        ConfigurationError: In strict mode (``ECO2_TRACING_STRICT=true``), for wrong configuration.
    """
    given, wrong = accepted(
        service_name, service_version, environment, settings, resource_attributes, span_processors
    )
    notice_fork()
    with _process.lock:
        if _process.tracing is not None:
            report_arguments(*wrong)
            report_again(_process.arguments, given)
            return _process.tracing.makes_spans
        current.configured = True
        _process.arguments = given
        loaded = load_settings(
            settings,
            service_name=given.service_name,
            service_version=given.service_version,
            environment=given.environment,
            resource_attributes=tuple(given.resource_attributes or ()),
        )
        if loaded.log_level:
            logger.setLevel(loaded.log_level.upper())
        try:
            tracing = _process.tracing = _installed(loaded, given, wrong)
        except ConfigurationError:
            raise
        except Exception:  # noqa: BLE001 - the application goes on
            internal_failure("configure_tracing")
            return False
    _instrument(tracing)
    announce(tracing)
    return tracing.makes_spans


def _installed(settings: Settings, given: Arguments, wrong: list[Problem]) -> Tracing:
    tracing = Tracing(settings, given.resource_attributes, given.span_processors)
    try:
        report_problems(settings, [*wrong, *further_problems(tracing)], generic=tracing.foreign is None)
    except ConfigurationError:
        tracing.discard()
        raise
    tracing.install()
    end_with_child(_at_exit)
    return tracing


def _instrument(tracing: Tracing) -> None:
    settings = tracing.settings
    try:
        if settings.instrumentation == "contrib":
            switch.instrument_httpx()
        elif _contrib_traces_httpx():
            tracing.contrib_calls = True
            switch.patch_httpx()
        else:
            instrument_httpx()
        switch_on(more=settings.instrumentations, disabled=settings.disabled_instrumentations)
    except Exception:  # noqa: BLE001 - the application goes on
        internal_failure("switching library instrumentations on")


def _contrib_traces_httpx() -> bool:
    module: Any = sys.modules.get("opentelemetry.instrumentation.httpx")
    classes = [
        getattr(module, name, None) for name in ("HTTPXClientInstrumentor", "HTTPX2ClientInstrumentor")
    ]
    return any(found is not None and found().is_instrumented_by_opentelemetry for found in classes)


def instrument_app(
    app: FastAPI | Starlette,
    *,
    excluded_paths: str | Iterable[str] | None = None,
    server_request_hook: Callable[[Span, dict[str, Any]], None] | None = None,
) -> None:
    """Trace one FastAPI or Starlette application, in place, outside all its middleware.

    Safe to call twice, before or after ``configure_tracing``, and before or after the application
    has served its first request.

    Args:
        app: The application.
        excluded_paths: Paths that get no span, in place of the default
            ``health,healthz,ready,readyz,livez,metrics``; ``ECO2_TRACING_EXCLUDED_PATHS`` wins.
        server_request_hook: Called with each recording server span and the ASGI scope.

    Raises:
        TypeError: The object is no FastAPI or Starlette application, or the hook no plain function.
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
    """Switch on the instrumentations of installed libraries, by hand.

    Args:
        names: Which, by their entry points' names such as ``redis``; ``None`` for the tested list.

    Returns:
        The names that are on now.
    """
    return switch_on(library_names(names))


def flush_tracing(timeout_s: float = 5.0) -> bool:
    """Deliver every span that is queued.

    Args:
        timeout_s: Seconds to wait at most.

    Returns:
        ``True`` when everything that was queued has been delivered.
    """
    timeout_s = seconds_argument("flush_tracing", timeout_s, 5.0)
    notice_fork()
    tracing = _process.tracing
    return True if tracing is None else tracing.flush(timeout_s)


def shutdown_tracing(timeout_s: float = 5.0) -> bool:
    """Deliver what can be delivered in time, stop every thread and undo ``configure_tracing``.

    Requests are served as before; they make no spans any more.

    Args:
        timeout_s: Seconds to wait at most.

    Returns:
        ``True`` when everything that was queued has been delivered.
    """
    timeout_s = seconds_argument("shutdown_tracing", timeout_s, 5.0)
    notice_fork()
    with _process.lock:
        tracing, _process.tracing = _process.tracing, None
        if tracing is None:
            return True
        tracing.uninstall()
        _uninstrument(tracing)
    return tracing.shutdown(timeout_s)


def _uninstrument(tracing: Tracing) -> None:
    try:
        uninstrument_httpx()
        if tracing.settings.instrumentation == "contrib":
            switch.uninstrument_httpx()
        uninstrument_libraries()
    except Exception:  # noqa: BLE001 - the application goes on
        internal_failure("switching library instrumentations off")


def tracing_status() -> TracingStatus:
    """How tracing stands in this process at this moment."""
    notice_fork()
    tracing = _process.tracing
    return TracingStatus() if tracing is None else status_of(tracing)


def reset_tracing() -> None:
    """Undo everything that this library has done to the process. For tests.

    Nothing queued is delivered and warnings are given again. Logging is left alone, and
    applications stay instrumented: without a configuration their requests pass untouched.
    """
    shutdown_tracing(0.0)
    current.state = None
    current.configured = False
    forget_warnings()


@atexit.register
def _at_exit() -> None:
    tracing = _process.tracing
    if tracing is None:
        return
    try:
        tracing.shutdown_at_end()
    except Exception:  # noqa: BLE001 - the application goes on
        internal_failure("the end of the process")


def _after_fork() -> None:
    _process.lock = RLock()
    tracing = _process.tracing
    if tracing is None:
        return
    try:
        tracing.after_fork()
        end_with_child(_at_exit)
    except Exception:  # noqa: BLE001 - the application goes on
        internal_failure("a fork")


in_child(_after_fork)
