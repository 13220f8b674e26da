"""Samplers with strategies per operation receive the operation before routing."""

from __future__ import annotations

import pytest

from eco2_tracing._instrumentation.common.route import operation_of
from tests.requests.conftest import make_app


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/items/7", "GET /items/{item_id}"),
        ("DELETE", "/items/7", "DELETE /items/{item_id}"),
        ("GET", "/api/v1/outer/me/inner/items/7", "GET /api/v1/outer/{owner}/inner/items/{item_id}"),
        ("GET", "/tenants/acme/items/7", "GET /tenants/{tenant}/items/{item_id}"),
        ("GET", "/sky/deep/stars/vega", "GET /sky/deep/stars/{star}"),
        ("GET", "/nothing", "GET"),
    ],
)
def test_operation_is_the_name_of_the_span(method, path, name):
    """Jaeger's strategies use the names of spans."""
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    assert operation_of(scope, make_app()) == name


def test_mounts_with_a_common_prefix():
    """The mount that matched gives the name; another root path does not."""
    from fastapi import FastAPI

    from eco2_tracing._instrumentation.common.route import route_of

    app, inner = FastAPI(), FastAPI()
    inner.get("/items/{item_id}")(lambda item_id: item_id)
    app.mount("/a", FastAPI())
    app.mount("/a/{b}", inner)
    (route,) = [one for one in inner.routes if getattr(one, "path", "") == "/items/{item_id}"]
    scope = {"type": "http", "method": "GET", "path": "/a/x/items/7", "headers": [], "route": route}
    mounted = {**scope, "app_root_path": ""}  # as Starlette's mounts note it
    assert route_of({**mounted, "root_path": "/a/x"}, scope, app) == "/a/{b}/items/{item_id}"
    assert route_of({**mounted, "root_path": "/elsewhere"}, scope, app) == "/items/{item_id}"


def test_routes_that_raise_are_skipped():
    """An application may have custom routes."""
    from fastapi import FastAPI

    class Broken:
        def matches(self, scope):
            raise ValueError("no")

    app = FastAPI()
    app.router.routes.insert(0, Broken())
    scope = {"type": "http", "method": "GET", "path": "/docs", "root_path": "", "headers": []}
    assert operation_of(scope, app) == "GET /docs"


def test_strategy_per_operation():
    """The sampler decides by the route."""
    from fastapi.testclient import TestClient

    import eco2_tracing
    from eco2_tracing._instrumentation.common.state import current
    from eco2_tracing.sampling import HeadSampler
    from eco2_tracing.testing import CapturedSpans

    class ByName(HeadSampler):
        needs_name = True

        def sample(self, trace_id, name):
            return float(name == "GET /items/{item_id}")

        def probability(self, name):
            return 1.0

        def get_description(self):
            return "by name"

    captured, app = CapturedSpans(), make_app()
    settings = eco2_tracing.TracingSettings(traces_exporter="none", error_sampling_rate=0)
    eco2_tracing.configure_tracing(settings=settings, span_processors=[captured])
    eco2_tracing.instrument_app(app)
    instrumenter = current.state.instrumenter
    instrumenter.head = ByName()
    instrumenter.tail_sampler._sample = instrumenter.head.sample
    with TestClient(app) as client:
        client.get("/items/7")
        client.get("/sync/7")
    assert [span.name for span in captured.spans] == ["GET /items/{item_id}"]
