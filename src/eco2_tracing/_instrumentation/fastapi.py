"""Implements ``instrument_app``: adds the tracing middleware as the outermost layer of an application."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from starlette.middleware import Middleware

from eco2_tracing._guard import attempt_silently, logger, warn_once
from eco2_tracing._instrumentation.common.excluded import ExcludedPaths, excluded_paths_of
from eco2_tracing._instrumentation.common.isolation import record_server_contexts
from eco2_tracing._instrumentation.common.outer import INSTALLED, isolate, unbuilt_stack
from eco2_tracing._instrumentation.common.route import RouterScope
from eco2_tracing._instrumentation.common.served_request import NOT_AWAITED
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._instrumentation.server.middleware import TracingMiddleware, instrument_background_tasks
from eco2_tracing._settings import shown_argument

if TYPE_CHECKING:
    from opentelemetry.trace import Span
    from starlette.applications import Starlette

    ServerRequestHook = Callable[[Span, dict[str, Any]], None]

_EXPECTED = "instrument_app takes a FastAPI or Starlette application, not {}"
# The packages of other frameworks, and the packages that instrument them.
_FRAMEWORKS = {
    "flask": "opentelemetry-instrumentation-flask",
    "django": "opentelemetry-instrumentation-django",
    "aiohttp": "opentelemetry-instrumentation-aiohttp-server",
    "tornado": "opentelemetry-instrumentation-tornado",
    "falcon": "opentelemetry-instrumentation-falcon",
    "pyramid": "opentelemetry-instrumentation-pyramid",
    "litestar": "opentelemetry-instrumentation-asgi",
    "sanic": "opentelemetry-instrumentation-asgi",
    "quart": "opentelemetry-instrumentation-asgi",
}
_DEPTH_LIMIT = 10


class _NoApplication:
    """The class to check against while Starlette is not imported."""


def check_application(app: object, server_request_hook: Callable[..., Any] | None = None) -> None:
    """Check the arguments of ``instrument_app``.

    Args:
        app: The application.
        server_request_hook: The hook.

    Raises:
        TypeError: ``app`` is no application, or the hook is no plain function. The message names the argument and
            what to pass instead.
    """
    # Code that has an application has imported this module. It is not imported for the check.
    application: type = getattr(sys.modules.get("starlette.applications"), "Starlette", _NoApplication)
    # A proxy of an application counts; its ``__class__`` may raise.
    if not attempt_silently(isinstance, app, application, default=False):
        raise TypeError(_EXPECTED.format(_described(app, application)))
    if server_request_hook is None:
        return
    if not callable(server_request_hook):
        raise TypeError(
            f"server_request_hook is called with a span and a scope: "
            f"{shown_argument(server_request_hook)} is no function"
        )
    if any(map(inspect.iscoroutinefunction, (server_request_hook, type(server_request_hook).__call__))):
        raise TypeError(f"server_request_hook {NOT_AWAITED}")


def _described(app: Any, application: type) -> str:
    """Return a description of a wrong object, with what to pass instead."""
    return attempt_silently(
        _advice, app, application, default=f"{type(app).__module__}.{type(app).__qualname__}"
    )


def _advice(app: Any, application: type) -> str:
    name = f"{type(app).__module__}.{type(app).__qualname__}"
    if app is None or isinstance(app, str | bytes):
        return f"{shown_argument(app)}: pass the application object itself, such as app after app = FastAPI()"
    if inspect.isclass(app):
        is_subclass = issubclass(app, application)
        return f"the class {app.__qualname__}: pass an instance" + (
            f", {app.__qualname__}()" if is_subclass else ""
        )
    if inspect.iscoroutine(app) or inspect.isawaitable(app):
        if inspect.iscoroutine(app):
            app.close()  # Python warns of a coroutine that is never awaited
        return f"a {type(app).__name__}: await it, and pass the application that it returns"
    if inspect.ismodule(app):
        inside = next((key for key, value in vars(app).items() if isinstance(value, application)), "app")
        return f"the module {app.__name__}: pass its application, such as {app.__name__}.{inside}"
    if hasattr(app, "routes") and hasattr(app, "add_route"):
        return f"a router ({name}): pass the application that includes it"
    if _wraps(app, application):
        return f"{name}, which wraps an application: pass the application itself, before it is wrapped"
    if package := _FRAMEWORKS.get(type(app).__module__.partition(".")[0]):
        return f"{name}: use {package} for it"
    if inspect.isroutine(app):
        return f"the function {getattr(app, '__qualname__', name)}: call it, and pass the application that it returns"
    return name


def _wraps(app: Any, application: type) -> bool:
    """Return whether an application is reached through the usual attributes of middleware."""
    for _ in range(_DEPTH_LIMIT):
        inner = next(
            (
                found
                for key in ("app", "_app", "application", "asgi_app")
                if (found := getattr(app, "__dict__", {}).get(key))
            ),
            None,
        )
        if inner is None:
            return False
        if isinstance(inner, application):
            return True
        app = inner
    return False


_ARGUMENTS = "_eco2_tracing_arguments"
_CONTRIB_MARK = "_is_instrumented_by_opentelemetry"


def install(
    app: Starlette, excluded_paths: str | Iterable[str] | None, server_request_hook: ServerRequestHook | None
) -> None:
    """Instrument one application in place; see ``eco2_tracing.instrument_app``."""
    record_server_contexts()
    if getattr(app, INSTALLED, None) is not None:
        _report_different_arguments(getattr(app, _ARGUMENTS, None), excluded_paths, server_request_hook)
        return
    if getattr(app, _CONTRIB_MARK, False):
        # Under an external provider another line has reported which package creates the spans.
        level = (
            logging.INFO if current.state is None or current.state.begin_external is None else logging.DEBUG
        )
        logger.log(
            level, "FastAPIInstrumentor already traces this application: it stays in charge of server spans"
        )
        isolate(app, ExcludedPaths(excluded_paths_of(excluded_paths)))
        return
    disable_native_telemetry(app)
    instrument_background_tasks()
    paths = ExcludedPaths(excluded_paths_of(excluded_paths))
    stack: Any = app.middleware_stack
    middleware = TracingMiddleware(stack or unbuilt_stack, app, paths, server_request_hook)
    if stack is not None:
        app.middleware_stack = middleware  # type: ignore[assignment]  # ASGI's types are written differently
    setattr(app, INSTALLED, middleware)
    setattr(app, _ARGUMENTS, (paths, server_request_hook))
    # A later FastAPIInstrumentor must skip the application: it rebuilds stacks and would lose our middleware.
    setattr(app, _CONTRIB_MARK, True)
    build = app.build_middleware_stack

    def build_middleware_stack() -> Any:
        # Starlette builds the stack at the first request, after every ``add_middleware``. Ours is the outermost.
        middleware.app = _with_router_scope(app, build)
        return middleware

    app.build_middleware_stack = build_middleware_stack  # type: ignore[method-assign]


def _report_different_arguments(
    first: tuple[ExcludedPaths, ServerRequestHook | None] | None,
    excluded_paths: str | Iterable[str] | None,
    server_request_hook: ServerRequestHook | None,
) -> None:
    if first is None:
        return
    found = []
    if (
        excluded_paths is not None
        and ExcludedPaths(excluded_paths_of(excluded_paths)).entries != first[0].entries
    ):
        found.append("excluded_paths")
    if server_request_hook is not None and server_request_hook != first[1]:
        found.append("server_request_hook")
    if found:
        warn_once(
            "instrument_app:again",
            "instrument_app was called again for the same application with other arguments, which are not used: %s",
            ", ".join(found),
        )


def _with_router_scope(app: Starlette, build: Callable[[], Any]) -> Any:
    """Return the built stack, with ``RouterScope`` inside of the application's middleware if there is any."""
    layers = app.user_middleware
    if not layers:
        return build()
    app.user_middleware = [*layers, Middleware(RouterScope)]
    try:
        return build()
    finally:
        app.user_middleware = layers


def disable_native_telemetry(app: Starlette) -> None:
    """Disable FastAPI's own telemetry (since 0.142), which would create a second server span."""
    config = getattr(app, "_telemetry", None)
    if not isinstance(config, dict):
        return  # pragma: no cover - FastAPI before 0.142
    if config.get("tracer_provider") is not None:
        logger.info(
            "eco2-tracing creates this application's server spans; FastAPI(telemetry=...) creates none"
        )
    config["tracing"] = False
    native.add(app)


class _NativeSignals:
    """FastAPI's own metrics and logs (since 0.142) of the instrumented applications.

    They are off while this library has the same ones. Applications with a provider of their own keep them.
    """

    def __init__(self) -> None:
        self._apps: WeakSet[Starlette] = WeakSet()
        self._off: dict[str, str] = {}
        self._before: WeakKeyDictionary[Starlette, dict[str, bool]] = WeakKeyDictionary()

    def add(self, app: Starlette) -> None:
        """Add an instrumented application."""
        self._apps.add(app)
        self._apply(app)

    def switch_off(self, *signals: str) -> None:
        """Switch signals off: ``metrics``, ``logs``. None switches on again what was switched off."""
        for app, before in list(self._before.items()):
            app._telemetry.update(before)  # type: ignore[attr-defined] # FastAPI's
        self._before.clear()
        self._off = {signal: _PROVIDERS[signal] for signal in signals}
        for app in list(self._apps):
            self._apply(app)

    def _apply(self, app: Starlette) -> None:
        config: dict[str, Any] = app._telemetry  # type: ignore[attr-defined] # FastAPI's
        wanted = {
            signal: config[signal]
            for signal, provider in self._off.items()
            if config.get(signal) and config.get(provider) is None
        }
        if wanted:
            self._before[app] = wanted
            config.update(dict.fromkeys(wanted, False))


_PROVIDERS = {"metrics": "meter_provider", "logs": "logger_provider"}
native = _NativeSignals()
