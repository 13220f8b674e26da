"""Routes that are seldom built: very deep mounts and middleware, hosts that cannot match."""

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
    """A host that cannot match."""

    def matches(self, scope):
        """Raise."""
        raise ValueError("no")


def endpoint(request):
    """Answer nothing."""


def served(path: str, root: str, app) -> str | None:
    """The route of a request that a route ``/leaf`` below ``root`` served."""
    scope = {"type": "http", "method": "GET", "path": path, "headers": [("host", "x")], "app_root_path": ""}
    return route_of(
        {**scope, "root_path": root, "route": Route("/leaf", endpoint)}, {**scope, "root_path": ""}, app
    )


@pytest.mark.parametrize(("depth", "is_known"), [(3, True), (17, True), (18, False), (30, False)])
def test_mounts_in_mounts(depth, is_known):
    """They are followed to a depth that no application has; below it the route's own template is left."""
    routes = [Route("/leaf", endpoint)]
    for _ in range(depth):
        routes = [Mount("/{m}", routes=routes)]
    route = served("/a" * depth + "/leaf", "/a" * depth, Starlette(routes=routes))
    assert route == ("/{m}" * depth if is_known else "") + "/leaf"


@pytest.mark.parametrize(("layers", "route"), [(3, "/w/in/leaf"), (40, "/leaf")])
def test_middleware_around_what_is_mounted(layers, route):
    """It is looked through, though not without an end."""
    app = Starlette(routes=[Mount("/in", routes=[Route("/leaf", endpoint)])])
    for _ in range(layers):
        app = Around(app)
    assert served("/w/in/leaf", "/w/in", Starlette(routes=[Mount("/w", app=app)])) == route


def test_a_host_that_cannot_match_is_passed_over():
    """The mount beside it names the route."""
    app = FastAPI()
    app.router.routes.append(BrokenHost("x", Starlette(routes=[Mount("/{wrong}", routes=[])])))
    app.mount("/m", Starlette(routes=[Route("/leaf", endpoint)]))
    assert served("/m/leaf", "/m", app) == "/m/leaf"
