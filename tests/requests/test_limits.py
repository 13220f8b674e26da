"""The specification's limits apply to server and client spans."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.trace import get_current_span

from eco2_tracing import TracingSettings, configure_tracing, instrument_app
from eco2_tracing.testing import CapturedSpans

OURS = ("eco2.", "sampler.")


@pytest.fixture
def traced(clean_tracing):
    """Send one request that sets an attribute and calls a service; return both spans."""

    def run(**settings):
        seen = CapturedSpans()
        configure_tracing(
            settings=TracingSettings(traces_exporter=("none",), **settings), span_processors=(seen,)
        )
        app = FastAPI()
        backend = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200)))

        @app.get("/items/{item}")
        def item(item):
            get_current_span().set_attribute("shop.item", item)
            backend.get("http://backend/stock/0123456789")

        instrument_app(app)
        TestClient(app).get("/items/0123456789", headers={"x-colour": "0123456789"})
        client, server = seen.spans
        return [
            {key: value for key, value in one.attributes.items() if not key.startswith(OURS)}
            for one in (server, client)
        ]

    return run


def test_values_are_truncated(traced):
    """`OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT` truncates texts, also in lists."""
    server, client = traced(
        span_attribute_value_length_limit=5, http_capture_headers_server_request="x-colour"
    )
    assert server["url.path"] == "/item"
    assert server["shop.item"] == "01234"
    assert server["http.request.header.x-colour"] == ("01234",)
    assert server["http.response.status_code"] == 200
    assert client["url.full"] == "http:"


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_attribute_count_is_limited(traced, limit):
    """`OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT` includes attributes of the application."""
    server, client = traced(span_attribute_count_limit=limit)
    assert (len(server), len(client)) == (limit, limit)
    assert ("shop.item" in server) == bool(limit)


def test_default_limits_remove_nothing(traced):
    """Ordinary spans are exported whole."""
    server, client = traced()
    assert server["url.path"] == "/items/0123456789"
    assert client["url.full"] == "http://backend/stock/0123456789"
