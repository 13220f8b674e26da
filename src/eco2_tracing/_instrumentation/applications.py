"""Checks the arguments of ``instrument_app`` and describes wrong ones."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

from eco2_tracing._guard import attempt_silently
from eco2_tracing._instrumentation.common.hook import NOT_AWAITED
from eco2_tracing._settings import shown_argument

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
    if not _is_a(app, application):
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


def _is_a(app: object, application: type) -> bool:
    """Return whether an object is an application or a proxy of one, whose ``__class__`` may raise."""
    return attempt_silently(isinstance, app, application, default=False)


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
