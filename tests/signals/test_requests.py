"""The metrics of requests and calls, as a collector receives them."""

from __future__ import annotations

import contextlib

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.testclient import TestClient as StarletteClient

from eco2_tracing import flush_tracing, instrument_app, shutdown_tracing, span
from eco2_tracing.metrics import DURATION_BUCKETS
from tests.signals.conftest import SAMPLED, UNSAMPLED, make_app

SERVER, ACTIVE, CLIENT = (
    "http.server.request.duration",
    "http.server.active_requests",
    "http.client.request.duration",
)


def routes(received, name=SERVER):
    """Route, status and error of each series, with its count."""
    return {
        (
            found.get("http.route"),
            found.get("http.response.status_code"),
            found.get("error.type"),
        ): point.count
        for found, point in received.points(name)
    }


@pytest.mark.parametrize("headers", [SAMPLED, UNSAMPLED])
def test_durations_of_requests(configure, received, client, headers):
    """Each request is measured, sampled or not, with its route, status and error."""
    configure()
    for path in ("/items/1", "/items/2", "/boom", "/raised/404", "/v1/orders/5", "/inner/a/parts/b", "/nope"):
        client.get(path, headers=headers)
    client.request("BREW", "/items/1", headers=headers)
    assert flush_tracing()
    assert routes(received) == {
        ("/items/{item_id}", 200, None): 2,
        ("/boom", 500, "ValueError"): 1,
        ("/raised/{code}", 404, None): 1,
        ("/v1/orders/{order_id}", 200, None): 1,
        ("/inner/{tenant}/parts/{part}", 200, None): 1,
        (None, 404, None): 1,
        ("/items/{item_id}", 405, None): 1,
    }
    metric = received.metric(SERVER)
    assert metric.unit == "s"
    for found, point in received.points(SERVER):
        assert tuple(point.explicit_bounds) == DURATION_BUCKETS
        assert sum(point.bucket_counts) == point.count
        assert 0 < point.min <= point.max
        assert point.sum >= point.max
        assert found["url.scheme"] == "http"
        assert found["network.protocol.version"] == "1.1"
        assert found["http.request.method"] in {"GET", "_OTHER"}


def test_exemplars_are_exported_traces(configure, received, client):
    """A sampled request, and a failed one that was kept, are exemplars; an unsampled one is not."""
    configure()
    client.get("/items/1", headers={**SAMPLED, "x-b3-traceid": "a" * 32})
    client.get("/v1/orders/1", headers={**UNSAMPLED, "x-b3-traceid": "b" * 32})
    client.get("/boom", headers={**UNSAMPLED, "x-b3-traceid": "c" * 32})
    assert flush_tracing()
    exemplars = {
        found["http.route"]: {each.trace_id.hex() for each in point.exemplars}
        for found, point in received.points(SERVER)
    }
    assert exemplars == {"/items/{item_id}": {"a" * 32}, "/v1/orders/{order_id}": set(), "/boom": {"c" * 32}}
    spans = {span.span_id for span in received.spans()}
    assert spans >= {each.span_id for _, point in received.points(SERVER) for each in point.exemplars}
    assert flush_tracing()
    assert not any(point.exemplars for _, point in received.points(SERVER))


def test_requests_that_are_being_served(configure, received):
    """A request counts while it is served."""
    configure()
    app = FastAPI()

    @app.get("/")
    def read():
        assert flush_tracing()

    instrument_app(app)
    assert TestClient(app).get("/").status_code == 200
    ((attributes, point),) = received.points(ACTIVE)
    assert attributes == {"http.request.method": "GET", "url.scheme": "http"}
    assert point.as_int == 1
    assert flush_tracing()
    ((_, point),) = received.points(ACTIVE)
    assert point.as_int == 0
    metric = received.metric(ACTIVE)
    assert (metric.unit, metric.sum.is_monotonic) == ("{request}", False)


@pytest.mark.parametrize("headers", [SAMPLED, UNSAMPLED])
def test_durations_of_calls(configure, received, client, headers):
    """Each attempt of a call is measured, also in an unsampled request and outside of requests."""
    configure()
    client.get("/call", headers=headers)
    with pytest.raises(httpx.ConnectError):
        httpx.get("http://127.0.0.1:1/")
    assert flush_tracing()
    found = {
        (
            attributes["server.address"],
            attributes.get("server.port"),
            attributes.get("http.response.status_code"),
            attributes.get("error.type"),
        ): (point.count, len(point.exemplars))
        for attributes, point in received.points(CLIENT)
    }
    assert found == {
        ("stock.svc", 8080, 503, "503"): (1, 1),
        ("127.0.0.1", 1, None, "ConnectError"): (1, 1),
    }


@pytest.mark.parametrize("sampler", ["always_on", "always_off"])
def test_each_attempt_of_a_retrying_transport(configure, received, sampler):
    """It is measured once, whether it has a span or not."""
    configure(OTEL_TRACES_SAMPLER=sampler, ECO2_TRACING_ERROR_SAMPLING_RATE="0")
    inner = httpx.HTTPTransport()

    class Retrying(httpx.BaseTransport):
        pass_on = staticmethod(inner.handle_request)  # not among the attributes, where it would be found

        def handle_request(self, request):
            with contextlib.closing(self.pass_on(request)):
                return self.pass_on(request)

    with inner, httpx.Client(transport=Retrying()) as client:
        assert client.get(received.http_endpoint).status_code == 501
    assert flush_tracing()
    ((found, point),) = received.points(CLIENT)
    assert (found["http.response.status_code"], point.count) == (501, 2)


def test_a_call_that_nothing_keeps(configure, received, client):
    """A call in a denied request has no span, and is measured."""
    configure()
    client.get("/call", headers={"b3": "0"})
    assert flush_tracing()
    ((attributes, point),) = received.points(CLIENT)
    assert attributes == {
        "http.request.method": "GET",
        "server.address": "stock.svc",
        "server.port": 8080,
        "http.response.status_code": 503,
        "network.protocol.version": "1.1",
        "error.type": "503",
    }
    assert not point.exemplars
    assert received.spans() == []


def test_what_is_not_measured(configure, received, client):
    """Excluded paths, WebSockets and excluded calls are not."""
    configure(OTEL_PYTHON_HTTPX_EXCLUDED_URLS="stock", ECO2_TRACING_EXCLUDED_PATHS="health")
    client.get("/health")
    client.get("/call")
    assert flush_tracing()
    assert set(routes(received)) == {("/call", 200, None)}
    assert received.points(CLIENT) == []


def test_few_series(configure, received):
    """Beyond 2 000 sets of attributes, measurements are counted together."""
    configure()
    transport = httpx.MockTransport(lambda _request: httpx.Response(200))
    with span("crawl"), httpx.Client(transport=transport) as client:
        for number in range(2100):
            client.get(f"http://host-{number}.svc/")
    assert flush_tracing()
    points = received.points(CLIENT)
    assert len(points) == 2000
    assert [point.count for found, point in points if found == {"otel.metric.overflow": True}] == [101]


@pytest.mark.parametrize("preference", ["delta", "lowmemory", "cumulative"])
def test_temporality(configure, received, client, preference):
    """Delta histograms begin anew with each export."""
    configure(OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=preference)
    for _ in range(2):
        client.get("/items/1")
        assert flush_tracing()
    is_delta = preference != "cumulative"
    ((_, point),) = received.points(SERVER)
    assert point.count == (1 if is_delta else 2)
    assert received.metric(SERVER).histogram.aggregation_temporality == (1 if is_delta else 2)
    ((_, sold),) = received.points("items.sold")
    assert sold.as_int == (1 if is_delta else 2)
    assert received.metric(ACTIVE).sum.aggregation_temporality == 2
    assert received.metric("eco2_tracing.spans.sent").sum.aggregation_temporality == (
        1 if preference == "delta" else 2
    )


def test_exponential_buckets(configure, received, client):
    """Histograms of requests and of the application have exponential buckets."""
    configure(OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION="base2_exponential_bucket_histogram")
    client.get("/items/1", headers=SAMPLED)
    client.get("/call", headers=UNSAMPLED)
    assert flush_tracing()
    for name in (SERVER, CLIENT):
        metric = received.metric(name)
        assert (metric.WhichOneof("data"), metric.unit) == ("exponential_histogram", "s")
    assert routes(received) == {("/items/{item_id}", 200, None): 1, ("/call", 200, None): 1}
    ((_, active),) = received.points(ACTIVE)
    assert active.as_int == 0
    exemplars = {
        found["http.route"]: [each.trace_id.hex() for each in point.exemplars]
        for found, point in received.points(SERVER)
    }
    assert exemplars["/items/{item_id}"] == ["8" * 32]


@pytest.mark.parametrize(("name", "exemplars"), [("always_off", 0), ("always_on", 1)])
def test_filters_of_exemplars(configure, received, client, name, exemplars):
    """No measurement is an exemplar, or each may be one."""
    configure(OTEL_METRICS_EXEMPLAR_FILTER=name)
    client.get("/items/1", headers=SAMPLED if exemplars == 0 else UNSAMPLED)
    assert flush_tracing()
    ((_, point),) = received.points(SERVER)
    assert len(point.exemplars) == exemplars
    ((_, sold),) = received.points("items.sold")
    assert len(sold.exemplars) == exemplars


def test_contrib_records_the_metrics(configure, received):
    """In contrib mode its instrumentations record each request and call once."""
    configure(ECO2_TRACING_INSTRUMENTATION="contrib")
    client = TestClient(make_app(), raise_server_exceptions=False)
    client.get("/items/1")
    assert httpx.get(received.http_endpoint).status_code == 501
    assert flush_tracing()
    assert {found["http.route"]: point.count for found, point in received.points(SERVER)} == {
        "/items/{item_id}": 1
    }
    ((_, point),) = received.points(CLIENT)
    assert point.count == 1


def test_the_metrics_of_fastapi_are_off(configure, received):
    """FastAPI's own metrics and logs are off while ours are on, in either order, and on again afterwards."""
    before, after = make_app(), None
    configure()
    after = make_app()
    own = FastAPI(telemetry={"meter_provider": object()}) if hasattr(before, "_telemetry") else None
    if own is None:
        pytest.skip("this FastAPI has no telemetry of its own")
    instrument_app(own)
    for app in (before, after):
        StarletteClient(app).get("/items/1")
        assert not app._telemetry["metrics"]
        assert not app._telemetry["logs"]
    assert own._telemetry["metrics"]
    assert flush_tracing()
    assert routes(received) == {("/items/{item_id}", 200, None): 2}
    shutdown_tracing()
    assert before._telemetry["metrics"]
    assert after._telemetry["logs"]


def test_off_by_default(configure, received, client):
    """Without an exporter nothing is recorded."""
    configure(OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none")
    client.get("/items/1")
    assert flush_tracing()
    assert {name for name, _, _ in received.requests} == {"traces"}
