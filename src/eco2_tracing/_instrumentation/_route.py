"""The full template of the route that served a request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
    mounted = _mounted(scope, root_path)
    own = _own_template(scope)
    if mounted:
        prefix = _mount_template(getattr(app, "routes", ()), mounted)
        if prefix is not None:
            return prefix + own if own is not None else prefix
    return own if own is not None else _partial(scope, root_path, app, mounted)


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
    template = getattr(scope.get("route"), "path_format", None)
    return template if isinstance(template, str) else None


def _mount_template(routes: Iterable[Any], path: str, depth: int = 0) -> str | None:
    for route in routes:
        children = getattr(route, "routes", None)
        regex = getattr(route, "path_regex", None)
        template = getattr(route, "path_format", None)
        if children is None or regex is None or not isinstance(template, str):
            continue
        found = regex.match(path + "/")
        if found is None or "path" not in found.groupdict():
            continue
        prefix = template.removesuffix("/{path}")
        rest = found.group("path").rstrip("/")
        if not rest:
            return prefix
        inner = _mount_template(children, "/" + rest, depth + 1) if depth < _DEPTH_LIMIT else None
        if inner is not None:
            return prefix + inner
    return None


def _partial(scope: dict[str, Any], root_path: str, app: Any, mounted: str) -> str | None:
    """A route whose path fits and whose method does not (405), or one that names itself nowhere."""
    if mounted or scope.get("endpoint") is None and scope.get("type") == "websocket":
        return None
    for route in getattr(app, "routes", ()):
        try:
            match, _ = route.matches({**scope, "root_path": root_path})
        except Exception:  # noqa: BLE001, S112 - a route of the application's own that cannot match here
            continue
        if match.value:
            template = getattr(route, "path_format", None)
            return template if isinstance(template, str) else getattr(route, "path", None)
    return None
