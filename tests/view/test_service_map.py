"""The map of the services."""

from __future__ import annotations

import pytest

from eco2_tracing._view import service_map
from eco2_tracing._view.service_map import map_of
from tests.view.requests import CLIENT, SERVER, TRACE, request, shop, span
from tests.view.test_trace import opened

PRODUCER, CONSUMER = 4, 5
HTTP = {
    "http__request__method": "GET",
    "url__full": "http://stock:8001/7",
    "server__address": "stock",
    "server__port": 8001,
}
PROXY = {"component": "proxy"}


def mapped(*requests):
    """The nodes with kind and spans, the calls with count and errors, and the whole map."""
    traces = {f"{at}": opened(one) for at, one in enumerate(requests)}
    found = map_of(traces, traces.get)
    nodes = {one["name"]: (one["kind"], one["spans"], one["errors"]) for one in found["nodes"]}
    calls = {(one["from"], one["to"]): (one["count"], one["errors"]) for one in found["calls"]}
    return nodes, calls, found


def test_services_and_their_calls():
    """A service counts its requests; a call has the times of the caller."""
    nodes, calls, found = mapped(shop(), shop(error=True))
    assert nodes == {"shop": ("service", 2, 1), "stock": ("service", 2, 0)}
    assert calls == {("shop", "stock"): (2, 0)}
    (call,) = found["calls"]
    assert (call["p50_ms"], call["p95_ms"], call["per_second"]) == (50.0, 50.0, 2.0)
    assert (found["traces"], found["seconds"], found["more_nodes"]) == (2, 1.0, 0)


def test_a_gateway_and_sidecars():
    """A gateway is a node, however many spans it has; sidecars are none."""
    made = request(
        span(1, "", "shop:80/*", 0, 90, SERVER, **PROXY),
        span(2, 1, "router outbound egress", 1, 89, CLIENT, **PROXY),
        service="istio-ingressgateway",
    )
    request(span(3, 2, "shop:80/*", 2, 88, SERVER, **PROXY), service="shop.shop", into=made)
    request(
        span(4, 3, "GET /", 3, 80, SERVER, error=True), span(5, 4, "GET", 4, 70, CLIENT, **HTTP), into=made
    )
    request(span(6, 5, "stock:80/*", 5, 60, CLIENT, **PROXY), service="shop.shop", into=made)
    request(span(7, 6, "stock:80/*", 6, 50, SERVER, **PROXY), service="stock.shop", into=made)
    request(span(8, 7, "GET /7", 7, 40, SERVER), service="stock", into=made)
    nodes, calls, _ = mapped(made)
    assert nodes == {
        "istio-ingressgateway": ("gateway", 1, 0),
        "shop": ("service", 1, 1),
        "stock": ("service", 1, 0),
    }
    assert calls == {("istio-ingressgateway", "shop"): (1, 0), ("shop", "stock"): (1, 0)}


def test_databases_and_brokers():
    """A query counts once, whatever spans its driver has; a message comes from the broker."""
    query = {"db__system__name": "postgresql", "db__namespace": "carts"}
    topic = {"messaging__system": "kafka", "messaging__destination__name": "orders"}
    made = request(
        span(1, "", "GET /", 0, 90, SERVER),
        span(2, 1, "SELECT", 1, 9, CLIENT, **query),
        span(3, 2, "fetch", 2, 8, CLIENT, **query),
        span(4, 1, "connect", 1, 2, CLIENT, **query),
        span(5, 1, "send orders", 10, 20, PRODUCER, **topic),
        span(6, 1, "send", 11, 12, PRODUCER),
    )
    request(span(7, 5, "process orders", 30, 40, CONSUMER, **topic), service="billing", into=made)
    nodes, calls, _ = mapped(made)
    assert nodes == {
        "shop": ("service", 1, 0), "billing": ("service", 1, 0), "postgresql carts": ("database", 1, 0),
        "kafka orders": ("messaging", 1, 0), "messages": ("messaging", 1, 0),
    }  # fmt: skip
    assert calls == {
        ("shop", "postgresql carts"): (1, 0), ("shop", "kafka orders"): (1, 0), ("kafka orders", "billing"): (1, 0),
        ("shop", "messages"): (1, 0),
    }  # fmt: skip


def test_a_query_below_a_call():
    """It is one of the called service, whose own span is missing; the call has its answer by it."""
    made = request(span(1, "", "GET", 0, 90, CLIENT, **HTTP))
    request(span(2, 1, "SELECT", 1, 9, CLIENT, db__system="mysql"), service="stock", into=made)
    _, calls, _ = mapped(made)
    assert calls == {("shop", "stock"): (1, 0), ("stock", "mysql"): (1, 0)}


def test_a_gateway_alone():
    """The service behind it has no spans."""
    gateway = span(1, "", "shop:80/*", 0, 9, CLIENT, http__method="GET", **PROXY)
    nodes, calls, _ = mapped(request(gateway, service="gateway"))
    assert (nodes, calls) == ({"gateway": ("gateway", 1, 0)}, {})


def test_a_consumer_without_the_name_of_its_broker():
    """The producer's is taken; without both, it is called by messages."""
    made = request(
        span(1, "", "send", 0, 5, PRODUCER, messaging__system="kafka", messaging__destination="orders")
    )
    request(span(2, 1, "process", 10, 20, CONSUMER), service="billing", into=made)
    _, calls, _ = mapped(made, request(span(1, "", "process", 0, 5, CONSUMER), service="jobs"))
    assert calls == {
        ("shop", "kafka orders"): (1, 0),
        ("kafka orders", "billing"): (1, 0),
        ("messages", "jobs"): (1, 0),
    }


def test_calls_without_an_answer():
    """They go to the service at that address, if another call reached it, else to the host."""
    answered = request(span(1, "", "GET", 0, 9, CLIENT, **HTTP))
    request(span(2, 1, "GET /7", 1, 8, SERVER), service="stock", into=answered)
    failed = request(
        span(1, "", "GET", 0, 9, CLIENT, error=True, **HTTP),
        span(
            2,
            "",
            "POST",
            0,
            9,
            CLIENT,
            http__method="POST",
            net__peer__name="pay.example",
            net__peer__port=443,
        ),
        span(3, "", "GET", 0, 9, CLIENT, http__method="GET"),
    )
    nodes, calls, _ = mapped(failed, answered)
    assert calls == {("shop", "stock"): (2, 1), ("shop", "pay.example"): (1, 0), ("shop", "http"): (1, 0)}
    assert nodes["pay.example"] == ("external", 1, 0)


def test_a_service_that_calls_itself():
    """It has two requests; its inner spans are none."""
    made = request(
        span(1, "", "GET /", 0, 90, SERVER), span(2, 1, "work", 1, 80), span(3, 2, "GET", 2, 70, CLIENT, **HTTP),
        span(4, 3, "GET /7", 3, 60, SERVER),
    )  # fmt: skip
    nodes, calls, _ = mapped(made)
    assert nodes == {"shop": ("service", 2, 0)}
    assert calls == {("shop", "shop"): (1, 0)}


def test_an_internal_call_across_services():
    """Without a span of a client, the called service's own times count."""
    made = request(span(1, "", "job", 0, 90))
    request(span(2, 1, "part", 10, 20), service="", into=made)
    _, calls, found = mapped(made)
    assert calls == {("shop", "?"): (1, 0)}
    assert found["calls"][0]["p50_ms"] == 10.0


def test_a_map_is_bounded(monkeypatch):
    """By its nodes and by the spans that are read; a trace that was removed meanwhile is left out."""
    monkeypatch.setattr(service_map, "_MOST_NODES", 2)
    wide = request(span(1, "", "GET /", 0, 90, SERVER))
    for at in range(2, 6):
        request(
            span(at, 1, "GET", 1, 2, SERVER),
            span(at + 10, 1, "GET", 1, 2, SERVER),
            service=f"s{at}",
            into=wide,
        )
    nodes, calls, found = mapped(wide)
    assert (len(nodes), calls, found["more_nodes"]) == (2, {}, 3)
    monkeypatch.setattr(service_map, "MOST_SPANS", 3)
    assert mapped(shop(), shop())[2]["traces"] == 1
    assert map_of([TRACE], lambda _trace_id: None)["nodes"] == []


@pytest.mark.parametrize("parent", [lambda at: at - 1 or "", lambda at: at % 3000 + 1])
def test_hostile_traces_are_mapped(parent):
    """Deep and cyclic ones."""
    nodes, _, _ = mapped(request(*[span(at, parent(at), "step", at, at + 2) for at in range(1, 3001)]))
    assert nodes == {"shop": ("service", 1, 0)}
