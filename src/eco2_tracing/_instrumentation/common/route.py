"""Finds the full template of the route that served a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import fastapi.routing
from starlette.routing import Match

from eco2_tracing._guard import attempt_silently
from eco2_tracing._instrumentation.common.http_attributes import span_method
from eco2_tracing.logs._request import current_request

if TYPE_CHECKING:
    Route = Any  # Starlette's, FastAPI's and other packages', which have few attributes in common
    from eco2_tracing._instrumentation.common.http_attributes import ASGIApp, ReadScope, Receive, Scope, Send

# Flattens included routers, which are nodes of a tree since FastAPI 0.137.
_NO_MATCH: tuple[Match, dict[str, object]] = (Match.NONE, {})
_contexts: Callable[[Iterable[Route]], Iterable[Route]] = getattr(
    fastapi.routing, "iter_route_contexts", iter
)

_DEPTH_LIMIT = 16
_REST = "/{path}"


class RouterScope:
    """Records the scope that the router gets: middleware may pass on a copy with another path.

    It is the innermost middleware of an application. It is added only if the application has other middleware.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        request = current_request.get()
        if request is not None:
            request.routed = scope
        await self.app(scope, receive, send)


def route_of(scope: ReadScope, arrived: ReadScope, app: Any) -> str | None:
    """Return the template of the matched route, with the prefixes of mounts and included routers.

    Args:
        scope: The ASGI scope of the router, after the application has run.
        arrived: The scope before the application changed it.
        app: The instrumented application.

    Returns:
        A template such as ``/tenants/{tenant}/items/{id}``; ``None`` if no route matched.
    """
    now = scope.get("root_path") or ""
    base = arrived.get("root_path") if "app_root_path" in arrived else scope.get("app_root_path", now)
    routes = getattr(app, "routes", ())
    own = _route_template(scope)
    if own is None:
        # The scope has no route if only the path matches (405), if nothing matches in a mount, and for a plain
        # Starlette route in a router of FastAPI.
        return _matching(routes, {**scope, "root_path": base})
    if now == base or not isinstance(base, str) or not now.startswith(base):
        return own
    return (_mount_template(routes, now[len(base) :], scope) or "") + own


def plain_route(scope: ReadScope) -> str | None:
    """Return the template of a route without mounts and included routers; ``None`` for `route_of` to find it.

    It takes a fourth of the time of `route_of`.
    """
    if "app_root_path" in scope or "fastapi" in scope:
        return None
    route = scope.get("route")
    template = getattr(route, "path_format", None)
    return template if type(template) is str and not hasattr(route, "routes") else None


def _route_template(scope: ReadScope) -> str | None:
    """Return the template of the route without its mounts; ``None`` if the scope has no route."""
    route = scope.get("route")
    native = scope.get("fastapi")
    if isinstance(native, dict):
        template = _frontend_template(scope, native) or _included_template(scope, native, route)
        if template is not None:
            return template
    template = None if hasattr(route, "routes") else getattr(route, "path_format", None)
    return template if isinstance(template, str) else None


def _included_template(scope: ReadScope, native: Scope, route: Route) -> str | None:
    """Return the template with the prefixes of included routers, which are lazy since FastAPI 0.137."""
    context = native.get("effective_route_context")
    if context is None:
        return None
    # A route of FastAPI is referenced by the context. A route of Starlette is copied, with the prefix.
    served = getattr(context, "starlette_route", None)
    if served is None:
        fits = getattr(context, "original_route", None) is route
        template = getattr(context, "path_format", None) if fits else None
    else:
        fits = not hasattr(served, "routes") and getattr(served, "endpoint", None) is scope.get("endpoint")
        template = getattr(served, "path_format", None) if fits else None
    return template if isinstance(template, str) and template else None


def _frontend_template(scope: ReadScope, native: Scope) -> str | None:
    """Return the template of ``app.frontend()`` in the form of FastAPI's own telemetry.

    Its paths have no parameters. FastAPI puts the length of the matched part of the path into the scope.
    """
    length = native.get("frontend_specificity")
    if not isinstance(length, int):
        return None
    path, root_path = scope["path"], scope.get("root_path") or ""
    rest = path.removeprefix(root_path)
    return str(rest[:length]) + _REST


def _flattened(routes: Iterable[Route]) -> Iterator[Route]:
    """Yield the routes, also those of included routers, with their prefixes."""
    for route in _contexts(routes):
        # FastAPI copies a route of Starlette, with the prefix. Before 0.142 only this attribute refers to the copy.
        yield getattr(route, "starlette_route", None) or route


def templates(app: Any) -> Iterator[str]:
    """Yield the templates of an application's routes, those of included routers and mounts too."""
    yield from _templates(getattr(app, "routes", ()), "", 0)


def _templates(routes: Iterable[Route], prefix: str, depth: int) -> Iterator[str]:
    for route in _flattened(routes):
        template = getattr(route, "path_format", None) or getattr(route, "path", None) or ""
        if not hasattr(route, "routes"):
            yield f"{prefix}{template}"
        elif depth < _DEPTH_LIMIT:
            yield from _templates(_children(route), f"{prefix}{template.removesuffix(_REST)}", depth + 1)


def _mount_template(routes: Iterable[Route], path: str, scope: ReadScope, depth: int = 0) -> str | None:
    """Return the joined templates of the mounts that match this part of the path."""
    for route, template, rest in _mounts(routes, path, scope, depth):
        if not rest:
            return template
        if depth < _DEPTH_LIMIT:
            inner = _mount_template(_children(route), "/" + rest, scope, depth + 1)
            if inner is not None:
                return template + inner
    return None


def _mounts(
    routes: Iterable[Route], path: str, scope: ReadScope, depth: int
) -> Iterator[tuple[Route, str, str]]:
    """Yield the mounts that match the beginning of a path, each with its template and the rest of the path.

    Mounts in included routers and below hosts are yielded, too.
    """
    for node in routes:
        # An included router has no path. Only such nodes are flattened, because flattening is slow.
        for route in (node,) if hasattr(node, "path_regex") else _flattened((node,)):
            if not hasattr(route, "routes"):
                continue
            if hasattr(route, "host_regex"):
                if depth < _DEPTH_LIMIT and _match(route, scope)[0].value:
                    yield from _mounts(_children(route), path, scope, depth + 1)
                continue
            regex, template = getattr(route, "path_regex", None), getattr(route, "path_format", None)
            found = regex.match(path + "/") if regex is not None and isinstance(template, str) else None
            if found is not None and "path" in found.groupdict():
                yield route, str(template).removesuffix(_REST), found.group("path").rstrip("/")


def _match(route: Route, scope: ReadScope) -> tuple[Match, Scope]:
    """Return the match of a route; no match if a custom route raises."""
    return attempt_silently(route.matches, scope, default=_NO_MATCH)


def _children(route: Route) -> Iterable[Route]:
    """Return the routes of a mounted application, also if middleware wraps it."""
    routes, app = getattr(route, "routes", None), getattr(route, "app", None)
    for _ in range(_DEPTH_LIMIT):
        if routes or app is None:
            break
        routes, app = getattr(app, "routes", None), getattr(app, "app", None)
    return routes or ()


def operation_of(scope: Scope, app: Any) -> str:
    """Return the name of the server span before the request is routed.

    The routes are matched a second time. Therefore it is called only for samplers with rules by operation.
    """
    method = span_method(scope)
    route = _matching(getattr(app, "routes", ()), {**scope, "app": app})
    return f"{method} {route}" if route else method


def _matching(routes: Iterable[Route], scope: Scope, depth: int = 0) -> str | None:
    """Return the template of the first route that matches; otherwise of the first whose path matches."""
    by_path = None
    for route in _flattened(routes):
        match, child = _match(route, scope)
        if not match.value:
            continue
        template = getattr(route, "path_format", None) or getattr(route, "path", None)
        if hasattr(route, "routes") and depth < _DEPTH_LIMIT:
            # A mount, or a host, which has no template.
            inner = _matching(_children(route), {**scope, **child}, depth + 1)
            template = ((template or "").removesuffix(_REST) + (inner or "")) or None
        if match is Match.FULL:
            return template
        by_path = by_path or template
    return by_path
