"""The full template of the route that served a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import fastapi.routing
from starlette.routing import Match

from eco2_tracing._instrumentation._server_attributes import span_method

# Since FastAPI 0.137 included routers are nodes of a tree; this flattens them.
_flattened: Callable[[Any], Iterable[Any]] = getattr(fastapi.routing, "iter_route_contexts", iter)

_DEPTH_LIMIT = 16


def route_of(scope: dict[str, Any], root_path: str, app: Any) -> str | None:
    """The matched route's template, mounts and included routers in full.

    Args:
        scope: The ASGI scope after the application has run.
        root_path: The root path before it ran.
        app: The instrumented application.

    Returns:
        Such as ``/tenants/{tenant}/items/{id}``; ``None`` where no route matched.
    """
    own = _own_template(scope)
    routes = getattr(app, "routes", ())
    if own is not None:
        mounted = _mounted(scope, root_path)
        return ((_mount_template(routes, mounted) or "") if mounted else "") + own
    if scope.get("type") == "websocket" and scope.get("endpoint") is None:
        return None
    # A path that fits while the method does not (405), a mount in which nothing fits, or a route of
    # Starlette's own, which leaves no trace in the scope before Starlette 1.0.
    return _matching(routes, {**scope, "root_path": root_path})


def _mounted(scope: dict[str, Any], root_path: str) -> str:
    """What mounts have moved from the path to the root path."""
    now = scope.get("root_path", "")
    if not isinstance(now, str) or now == root_path:
        return ""
    app_root = scope.get("app_root_path", root_path)
    return now[len(app_root) :] if isinstance(app_root, str) and now.startswith(app_root) else ""


def _own_template(scope: dict[str, Any]) -> str | None:
    native = scope.get("fastapi")
    if isinstance(native, dict):
        # Included routers are lazy since FastAPI 0.137: ``scope["route"]`` lacks their prefix.
        template = getattr(native.get("effective_route_context"), "path_format", None)
        if isinstance(template, str):
            return template
    route = scope.get("route")
    template = None if hasattr(route, "routes") else getattr(route, "path_format", None)
    return template if isinstance(template, str) else None


def _mount_template(routes: Iterable[Any], path: str, depth: int = 0) -> str | None:
    """The templates of the mounts that took this part of the path."""
    for route, template, rest in _mounts(routes, path):
        if not rest:
            return template
        inner = _mount_template(route.routes, "/" + rest, depth + 1) if depth < _DEPTH_LIMIT else None
        if inner is not None:
            return template + inner
    return None


def _mounts(routes: Iterable[Any], path: str) -> Iterator[tuple[Any, str, str]]:
    """The mounts that fit the beginning of a path: each with its template and the rest of the path."""
    for route in routes:
        regex = getattr(route, "path_regex", None)
        template = getattr(route, "path_format", None)
        if regex is None or not isinstance(template, str) or not hasattr(route, "routes"):
            continue
        found = regex.match(path + "/")
        if found is not None and "path" in found.groupdict():
            yield route, template.removesuffix("/{path}"), found.group("path").rstrip("/")


def operation_of(scope: dict[str, Any], app: Any) -> str:
    """The server span's name as far as it can be told before the request is routed.

    This matches routes a second time, so it is asked for only where a sampler tells operations apart.

    Args:
        scope: The ASGI scope before the application has run.
        app: The instrumented application.
    """
    method = span_method(scope)
    route = _matching(getattr(app, "routes", ()), {**scope, "app": app})
    return f"{method} {route}" if route else method


def _matching(routes: Iterable[Any], scope: dict[str, Any], depth: int = 0) -> str | None:
    """The template of the first route that matches, or else of one whose path does."""
    by_path = None
    for route in _flattened(routes):
        try:
            match, child = route.matches(scope)
        except Exception:  # noqa: BLE001, S112 - a route of the application's own that cannot match here
            continue
        if not match.value:
            continue
        template = getattr(route, "path_format", None) or getattr(route, "path", None)
        children = getattr(getattr(route, "original_route", route), "routes", None)
        if children and isinstance(template, str) and depth < _DEPTH_LIMIT:
            inner = _matching(children, {**scope, **child}, depth + 1)
            template = template.removesuffix("/{path}") + (inner or "")
        if match is Match.FULL:
            return template
        by_path = by_path or template
    return by_path
