"""`http.route` of everything that can serve a request, with routers, mounts, hosts and middleware."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

import eco2_tracing
from eco2_tracing import TracingSettings, configure_tracing
from eco2_tracing._instrumentation.common.route import operation_of
from eco2_tracing.testing import CapturedSpans

INCLUDES_MOUNTS = hasattr(__import__("fastapi.routing").routing, "iter_route_contexts")
HAS_FRONTENDS = hasattr(FastAPI, "frontend")


async def plain(request):
    """A plain Starlette endpoint."""
    return PlainTextResponse("x")


class Endpoint(HTTPEndpoint):
    """A class-based endpoint."""

    async def get(self, request):
        """An endpoint for GET alone."""
        return PlainTextResponse("x")


async def talk(websocket):
    """A WebSocket endpoint."""
    await websocket.accept()
    await websocket.send_text("hi")
    await websocket.close()


async def raw(scope, receive, send):
    """An ASGI application without routes."""
    await PlainTextResponse("x")(scope, receive, send)


async def item(n: str) -> str:
    """A FastAPI endpoint."""
    return n


class Wrapped:
    """Middleware around a mounted application."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


def items(**arguments) -> FastAPI:
    """A FastAPI application with one route."""
    app = FastAPI(**arguments)
    app.get("/x/{n}")(item)
    return app


def included() -> APIRouter:
    """A router with a route of every kind."""
    router, inner = APIRouter(), APIRouter()
    router.get("/api/{n}")(item)
    router.add_route("/plain/{n}", plain)
    router.add_route("/class/{n}", Endpoint)
    router.routes.append(Route("/appended/{n}", plain))
    router.add_websocket_route("/ws/{n}", talk)
    router.routes.append(WebSocketRoute("/ws-appended/{n}", talk))

    @router.websocket("/fws/{n}")
    async def fastapi_socket(websocket: WebSocket, n: str) -> None:
        await talk(websocket)

    inner.get("/deep/{n}")(item)
    inner.add_route("/deep-plain/{n}", plain)
    router.include_router(inner, prefix="/inner/{i}")
    router.routes.append(Mount("/m/{q}", routes=[Route("/leaf/{n}", plain), WebSocketRoute("/ws/{n}", talk)]))
    router.mount("/sub", items())
    router.mount("/raw", raw)
    router.routes.append(Host("in.example", app=items()))
    return router


def make_app() -> FastAPI:
    """An application with everything that can serve a request."""
    app = FastAPI()
    app.include_router(included(), prefix="/pre/{p}")
    app.add_route("/top/{n}", plain)
    app.router.routes.append(Route("/direct/{n}", plain))
    app.host("api.example", items())
    nested = FastAPI()
    nested.mount("/m/{q}", items())
    app.host("{tenant}.nested.example", nested)
    outer, router = FastAPI(), APIRouter()
    router.mount("/inner", items())
    outer.include_router(router, prefix="/q")
    app.mount("/outer/{o}", outer)
    app.mount("/wrapped", Wrapped(Wrapped(Starlette(routes=[Mount("/w", app=items())]))))
    app.mount(
        "/router", Router([Route("/leaf/{n}", plain), Mount("/again", routes=[Route("/leaf/{n}", plain)])])
    )
    app.mount("/raw", raw)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent))
    return app


def recorded(app) -> CapturedSpans:
    """Instrument an application; return its spans."""
    captured = CapturedSpans()
    configure_tracing("shop", settings=TracingSettings(traces_exporter="none"), span_processors=[captured])
    eco2_tracing.instrument_app(app)
    return captured


def request(app, captured, method: str, url: str, **arguments):
    """Send one request; return its status and its span."""
    captured.clear()
    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.request(method, url, **arguments)
    (span,) = captured.spans
    return response.status_code, span


ALWAYS = [
    ("/pre/a/api/1", "/pre/{p}/api/{n}"),
    ("/pre/a/plain/1", "/pre/{p}/plain/{n}"),
    ("/pre/a/class/1", "/pre/{p}/class/{n}"),
    ("/pre/a/appended/1", "/pre/{p}/appended/{n}"),
    ("/pre/a/inner/b/deep/1", "/pre/{p}/inner/{i}/deep/{n}"),
    ("/pre/a/inner/b/deep-plain/1", "/pre/{p}/inner/{i}/deep-plain/{n}"),
    ("/top/1", "/top/{n}"),
    ("/direct/1", "/direct/{n}"),
    ("http://api.example/x/1", "/x/{n}"),
    ("http://acme.nested.example/m/a/x/1", "/m/{q}/x/{n}"),
    ("/wrapped/w/x/1", "/wrapped/w/x/{n}"),
    ("/router/leaf/1", "/router/leaf/{n}"),
    ("/router/again/leaf/1", "/router/again/leaf/{n}"),
]
IN_INCLUDES = [
    ("/pre/a/m/b/leaf/1", "/pre/{p}/m/{q}/leaf/{n}"),
    ("/pre/a/sub/x/1", "/pre/{p}/sub/x/{n}"),
    ("http://in.example/pre/a/x/1", "/pre/{p}/x/{n}"),
    ("/outer/a/q/inner/x/1", "/outer/{o}/q/inner/x/{n}"),
]
if INCLUDES_MOUNTS:  # older routers leave mounts and hosts out when they are included
    ALWAYS += IN_INCLUDES


@pytest.mark.parametrize(("url", "route"), ALWAYS)
def test_route_of_requests(url, route):
    """The full template, also of a 405; the span's name contains it."""
    app = make_app()
    captured = recorded(app)
    for method, status in (("GET", 200), ("POST", 405)):
        found, span = request(app, captured, method, url)
        assert (found, span.attributes["http.route"], span.name) == (status, route, f"{method} {route}")


SOCKETS = [
    ("/pre/a/ws/1", "/pre/{p}/ws/{n}"),
    ("/pre/a/ws-appended/1", "/pre/{p}/ws-appended/{n}"),
    ("/pre/a/fws/1", "/pre/{p}/fws/{n}"),
]
if INCLUDES_MOUNTS:
    SOCKETS.append(("/pre/a/m/b/ws/1", "/pre/{p}/m/{q}/ws/{n}"))


@pytest.mark.parametrize(("url", "route"), SOCKETS)
def test_route_of_websockets(url, route):
    """Of FastAPI and Starlette, in routers and in their mounts."""
    app = make_app()
    captured = recorded(app)
    with TestClient(app) as client, client.websocket_connect(url) as socket:
        socket.receive_text()
    (span,) = captured.spans
    assert (span.attributes["http.route"], span.name) == (route, f"HTTP {route}")


@pytest.mark.parametrize(
    ("url", "status", "route"),
    [
        ("/raw/anything", 200, "/raw"),
        ("/static/conftest.py", 200, "/static"),
        ("/static/none", 404, "/static"),
        ("/pre/a/raw/anything", *((200, "/pre/{p}/raw") if INCLUDES_MOUNTS else (404, None))),
        ("/nothing", 404, None),
        ("http://api.example/nothing", 404, None),
        ("/outer/a/nothing", 404, "/outer/{o}"),
    ],
)
def test_route_without_a_template(url, status, route):
    """A mounted application without routes has the mount's route; an unmatched path has none."""
    app = make_app()
    found, span = request(app, recorded(app), "GET", url)
    assert (found, span.attributes.get("http.route")) == (status, route)
    assert span.name == (f"GET {route}" if route else "GET")


def test_slash_redirect_has_no_route():
    """No route served it, as in contrib."""
    app = FastAPI()
    app.get("/slash/")(item)
    found, span = request(app, recorded(app), "GET", "/slash", follow_redirects=False)
    assert (found, span.name) == (307, "GET")


@pytest.mark.skipif(not HAS_FRONTENDS, reason="this FastAPI has no app.frontend()")
@pytest.mark.parametrize(
    ("url", "method", "status", "route"),
    [
        ("/page.txt", "GET", 200, "/{path}"),
        ("/ui/page.txt", "GET", 200, "/ui/{path}"),
        ("/ui/none", "GET", 404, "/ui/{path}"),
        ("/pre/in/page.txt", "GET", 200, "/pre/in/{path}"),
        ("/sub/page.txt", "GET", 200, "/sub/{path}"),
        ("/ui/x/1", "GET", 200, "/ui/x/{n}"),
    ],
)
def test_route_of_a_frontend(tmp_path, url, method, status, route):
    """As in FastAPI's own telemetry; other routes precede it."""
    (tmp_path / "page.txt").write_text("page")
    app, router, sub = FastAPI(), APIRouter(), FastAPI()
    app.get("/ui/x/{n}")(item)
    app.frontend("/", directory=tmp_path)
    app.frontend("/ui", directory=tmp_path)
    router.frontend("/in", directory=tmp_path)
    app.include_router(router, prefix="/pre")
    sub.frontend("/", directory=tmp_path)
    app.mount("/sub", sub)
    found, span = request(app, recorded(app), method, url)
    assert (found, span.attributes["http.route"]) == (status, route)


def rewrite(scope) -> dict:
    """Rewrite a path, as middleware does."""
    if scope["type"] == "lifespan":
        return {}
    path = scope["path"].removeprefix("/v2")
    return {"path": path, "raw_path": path.encode()}


class Copying(Wrapped):
    """Passes on a copy of the scope."""

    async def __call__(self, scope, receive, send):
        await self.app({**scope}, receive, send)


class CopyingAndRewriting(Wrapped):
    """Passes on a copy with another path."""

    async def __call__(self, scope, receive, send):
        await self.app({**scope, **rewrite(scope)}, receive, send)


class Rewriting(Wrapped):
    """Changes the path in place."""

    async def __call__(self, scope, receive, send):
        scope.update(rewrite(scope))
        await self.app(scope, receive, send)


class Rerooting(Wrapped):
    """Changes the root path in place, as for a proxy that strips it."""

    async def __call__(self, scope, receive, send):
        if scope["type"] != "lifespan":
            scope["root_path"], scope["path"] = "/gateway", "/gateway" + rewrite(scope)["path"]
        await self.app(scope, receive, send)


@pytest.mark.parametrize("middleware", [Copying, CopyingAndRewriting, Rewriting, Rerooting])
@pytest.mark.parametrize(("url", "route"), [one for one in ALWAYS if one[0].startswith("/")])
def test_middleware_that_copies_or_rewrites_the_scope(middleware, url, route):
    """The route is that of the served path; `url.path` is the requested one."""
    app = make_app()
    app.add_middleware(middleware)
    captured = recorded(app)
    prefix = "" if middleware is Copying else "/v2"
    found, span = request(app, captured, "GET", prefix + url)
    assert (found, span.attributes["http.route"]) == (200, route)
    assert span.attributes["url.path"] == prefix + url


@pytest.mark.parametrize(("url", "route"), SOCKETS)
def test_websockets_behind_middleware_that_copies_the_scope(url, route):
    """They are routed on the copy."""
    app = make_app()
    app.add_middleware(CopyingAndRewriting)
    captured = recorded(app)
    with TestClient(app) as client, client.websocket_connect("/v2" + url) as socket:
        socket.receive_text()
    assert captured.spans[0].attributes["http.route"] == route


def test_user_middleware_list_does_not_change():
    """The middleware that records the router's scope is in the stack alone."""
    app = make_app()
    app.add_middleware(Copying)
    recorded(app)
    app.build_middleware_stack()
    assert [one.cls for one in app.user_middleware] == [Copying]


MOUNTED = ("/wrapped", "/router", "/pre/a/m", "/pre/a/sub", "/outer")


# Starlette finds nothing in mounts where the root path is no part of the path.
STRIPPED = [
    (*one, stripped)
    for one in ALWAYS
    for stripped in (True, False)
    if one[0].startswith("/") and not (stripped and one[0].startswith(MOUNTED))
]


@pytest.mark.parametrize("root_path", ["/gateway", "/wrapped"])
@pytest.mark.parametrize(("url", "route", "stripped"), STRIPPED)
def test_root_path_is_not_in_the_route(root_path, url, route, stripped):
    """Whether or not the proxy strips it, and if a mount has the same name."""
    app = make_app()
    captured = recorded(app)
    with TestClient(app, root_path=root_path) as client:
        response = client.get(url if stripped else root_path + url)
    (span,) = captured.spans
    assert (response.status_code, span.attributes["http.route"]) == (200, route)


def test_application_mounted_in_an_untraced_one():
    """Its route begins at its own mount."""
    app = make_app()
    captured = recorded(app)
    with TestClient(Starlette(routes=[Mount("/around", app=app)])) as client:
        assert client.get("/around/wrapped/w/x/1").status_code == 200
    assert captured.spans[0].attributes["http.route"] == "/wrapped/w/x/{n}"


@pytest.mark.parametrize(("url", "route"), [one for one in ALWAYS if one[0].startswith("/")])
def test_sampler_receives_the_route(url, route):
    """The operation that a sampler receives is the later name of the span."""
    scope = {"type": "http", "method": "GET", "path": url, "root_path": "", "headers": []}
    assert operation_of(scope, make_app()) == f"GET {route}"


@pytest.mark.parametrize(("url", "route"), [one for one in ALWAYS if one[0].startswith("/")])
def test_slow_threshold_by_route(url, route):
    """It is looked up by the span's route."""
    app, captured = make_app(), CapturedSpans()
    settings = TracingSettings(
        traces_exporter="none",
        traces_sampler="traceidratio",
        traces_sampler_arg="0",
        slow_threshold_ms=1e6,
        slow_thresholds_ms={route: 0.000001},
    )
    configure_tracing("shop", settings=settings, span_processors=[captured])
    eco2_tracing.instrument_app(app)
    _, span = request(app, captured, "GET", url)
    assert span.attributes["eco2.sampling.reason"] == "slow"
