"""Samplers that tell operations apart know the operation before the request is routed."""

from __future__ import annotations

import pytest

from eco2_tracing._instrumentation._route import operation_of
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
def test_the_operation_is_the_spans_later_name(method, path, name):
    """Jaeger's per-operation strategies name operations as the spans are named."""
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    assert operation_of(scope, make_app()) == name
