"""Rare routes: very deep mounts and middleware, hosts that raise."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Host, Mount, Route

from eco2_tracing._instrumentation.common.route import route_of


class Around:
    """Middleware around an application."""

    def __init__(self, app):
        self.app = app


class BrokenHost(Host):
    """A host route that raises."""

    def matches(self, scope):
        """Raise."""
        raise ValueError("no")


def endpoint(request):
    """Send an empty response."""


def served(path: str, root: str, app) -> str | None:
    """The route of a request served by a route `/leaf` below `root`."""
    scope = {"type": "http", "method": "GET", "path": path, "headers": [("host", "x")], "app_root_path": ""}
    return route_of(
        {**scope, "root_path": root, "route": Route("/leaf", endpoint)}, {**scope, "root_path": ""}, app
    )


@pytest.mark.parametrize(("depth", "is_known"), [(3, True), (17, True), (18, False), (30, False)])
def test_nested_mounts(depth, is_known):
    """They are followed to a depth beyond real applications; below it, the route's own template is used."""
    routes = [Route("/leaf", endpoint)]
    for _ in range(depth):
        routes = [Mount("/{m}", routes=routes)]
    route = served("/a" * depth + "/leaf", "/a" * depth, Starlette(routes=routes))
    assert route == ("/{m}" * depth if is_known else "") + "/leaf"


@pytest.mark.parametrize(("layers", "route"), [(3, "/w/in/leaf"), (40, "/leaf")])
def test_middleware_around_a_mount(layers, route):
    """It is unwrapped to a limited depth."""
    app = Starlette(routes=[Mount("/in", routes=[Route("/leaf", endpoint)])])
    for _ in range(layers):
        app = Around(app)
    assert served("/w/in/leaf", "/w/in", Starlette(routes=[Mount("/w", app=app)])) == route


def test_host_that_raises_is_skipped():
    """The mount beside it gives the route."""
    app = FastAPI()
    app.router.routes.append(BrokenHost("x", Starlette(routes=[Mount("/{wrong}", routes=[])])))
    app.mount("/m", Starlette(routes=[Route("/leaf", endpoint)]))
    assert served("/m/leaf", "/m", app) == "/m/leaf"
