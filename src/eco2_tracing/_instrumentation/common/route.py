"""The full template of the route that served a request."""

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
    from eco2_tracing._instrumentation.common.asgi import ASGIApp, ReadScope, Receive, Scope, Send

# Since FastAPI 0.137 included routers are nodes of a tree; this flattens them.
_NO_MATCH: tuple[Match, dict[str, object]] = (Match.NONE, {})
_contexts: Callable[[Iterable[Route]], Iterable[Route]] = getattr(
    fastapi.routing, "iter_route_contexts", iter
)

_DEPTH_LIMIT = 16
_REST = "/{path}"


class RouterScope:
    """Records the scope that the router gets: middleware may pass on a copy, with another path.

    It stands inside all middleware of an application, and only where the application has any.

    Args:
        app: The router, with the handlers of exceptions around it.
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
    """The matched route's template, mounts and included routers in full.

    Args:
        scope: The ASGI scope of the router, after the application has run.
        arrived: The scope as the request arrived.
        app: The instrumented application.

    Returns:
        Such as ``/tenants/{tenant}/items/{id}``; ``None`` where no route matched.
    """
    now = scope.get("root_path") or ""
    base = arrived.get("root_path") if "app_root_path" in arrived else scope.get("app_root_path", now)
    routes = getattr(app, "routes", ())
    own = _own_template(scope)
    if own is None:
        # A path that fits while the method does not (405), a mount in which nothing fits, or a plain
        # Starlette route, which FastAPI's routers do not put into the scope.
        return _matching(routes, {**scope, "root_path": base})
    if now == base or not isinstance(base, str) or not now.startswith(base):
        return own
    return (_mount_template(routes, now[len(base) :], scope) or "") + own


def _own_template(scope: ReadScope) -> str | None:
    """The template of the route itself, without the mounts that it stands in, where the scope names it."""
    route = scope.get("route")
    native = scope.get("fastapi")
    if isinstance(native, dict):
        template = _frontend_template(scope, native) or _included_template(scope, native, route)
        if template is not None:
            return template
    template = None if hasattr(route, "routes") else getattr(route, "path_format", None)
    return template if isinstance(template, str) else None


def _included_template(scope: ReadScope, native: Scope, route: Route) -> str | None:
    """The template with the prefixes of included routers, which are lazy since FastAPI 0.137."""
    context = native.get("effective_route_context")
    if context is None:
        return None
    # FastAPI's own HTTP routes stay as they are beside the context; others are made anew, with the prefix.
    served = getattr(context, "starlette_route", None)
    if served is None:
        fits = getattr(context, "original_route", None) is route
        template = getattr(context, "path_format", None) if fits else None
    else:
        fits = not hasattr(served, "routes") and getattr(served, "endpoint", None) is scope.get("endpoint")
        template = getattr(served, "path_format", None) if fits else None
    return template if isinstance(template, str) and template else None


def _frontend_template(scope: ReadScope, native: Scope) -> str | None:
    """The template of ``app.frontend()``, as FastAPI's own telemetry names it.

    Its paths have no parameters: the length that FastAPI puts into the scope says which part of the path it is.
    """
    length = native.get("frontend_specificity")
    if not isinstance(length, int):
        return None
    path, root_path = scope["path"], scope.get("root_path") or ""
    rest = path.removeprefix(root_path)
    return str(rest[:length]) + _REST


def _flattened(routes: Iterable[Route]) -> Iterator[Route]:
    """The routes, included ones with their prefixes."""
    for route in _contexts(routes):
        # FastAPI makes a route of Starlette's anew with the prefix; before 0.142 it is named here alone.
        yield getattr(route, "starlette_route", None) or route


def _mount_template(routes: Iterable[Route], path: str, scope: ReadScope, depth: int = 0) -> str | None:
    """The templates of the mounts that took this part of the path."""
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
    """The mounts that fit the beginning of a path: each with its template and the rest of the path.

    Mounts in included routers and below hosts are among them.
    """
    for one in routes:
        # Only what has no path of its own can be an included router: flattening costs more than a look.
        for route in (one,) if hasattr(one, "path_regex") else _flattened((one,)):
            if not hasattr(route, "routes"):
                continue
            if hasattr(route, "host_regex"):
                if depth < _DEPTH_LIMIT and _fits(route, scope):
                    yield from _mounts(_children(route), path, scope, depth + 1)
                continue
            regex, template = getattr(route, "path_regex", None), getattr(route, "path_format", None)
            found = regex.match(path + "/") if regex is not None and isinstance(template, str) else None
            if found is not None and "path" in found.groupdict():
                yield route, str(template).removesuffix(_REST), found.group("path").rstrip("/")


def _fits(route: Route, scope: ReadScope) -> bool:
    return bool(_match(route, scope)[0].value)


def _match(route: Route, scope: ReadScope) -> tuple[Match, Scope]:
    """Match a route; one of the application's own that raises matches nothing."""
    return attempt_silently(route.matches, scope, default=_NO_MATCH)


def _children(route: Route) -> Iterable[Route]:
    """The routes of what is mounted, also where middleware is wrapped around it."""
    routes, app = getattr(route, "routes", None), getattr(route, "app", None)
    for _ in range(_DEPTH_LIMIT):
        if routes or app is None:
            break
        routes, app = getattr(app, "routes", None), getattr(app, "app", None)
    return routes or ()


def operation_of(scope: Scope, app: Any) -> str:
    """The server span's name as far as it can be told before the request is routed.

    This matches routes a second time, so it is asked for only where a sampler tells operations apart.

    Args:
        scope: The ASGI scope before the application has run.
        app: The instrumented application.
    """
    method = span_method(scope)
    route = _matching(getattr(app, "routes", ()), {**scope, "app": app})
    return f"{method} {route}" if route else method


def _matching(routes: Iterable[Route], scope: Scope, depth: int = 0) -> str | None:
    """The template of the first route that matches, or else of one whose path does."""
    by_path = None
    for route in _flattened(routes):
        match, child = _match(route, scope)
        if not match.value:
            continue
        template = getattr(route, "path_format", None) or getattr(route, "path", None)
        if hasattr(route, "routes") and depth < _DEPTH_LIMIT:
            # A mount; or a host, which has no template of its own.
            inner = _matching(_children(route), {**scope, **child}, depth + 1)
            template = ((template or "").removesuffix(_REST) + (inner or "")) or None
        if match is Match.FULL:
            return template
        by_path = by_path or template
    return by_path
