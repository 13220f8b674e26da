"""What the JSON of a trace says about its spans."""

from __future__ import annotations

import pytest

from eco2_tracing._view.json_views import trace_view
from eco2_tracing._view.kept import probability_of
from tests.view.requests import BEGIN, CLIENT, SERVER, attributes, logs, request, shop, span
from tests.view.test_trace import opened

HEAD = "Sampled by the head sampler or by the caller. Nothing failed."


def view(*requests):
    """The JSON of a trace."""
    return trace_view(opened(*requests))


def test_the_trace():
    """Its root, its duration, and each resource once."""
    found = view(shop(error=True), request(span(9, 1, "more", 70, 80)))
    assert {key: found[key] for key in ("start_ns", "duration_ms", "service", "name", "status")} == {
        "start_ns": str(BEGIN), "duration_ms": 90.0, "service": "shop", "name": "GET /cart/{item}", "status": "200",
    }  # fmt: skip
    assert [one["service.name"] for one in found["resources"]] == ["shop", "stock"]
    assert [one["resource"] for one in found["spans"]] == [0, 0, 1, 0]


def test_a_span():
    """What it does, its code, its kind of call, and where its time goes."""
    root, call, _ = view(shop())["spans"]
    assert (root["title"], root["code"], root["call"], root["self_ms"]) == (
        "GET /cart/{item}",
        "200",
        "",
        40.0,
    )
    assert (call["title"], call["call"]) == ("GET /stock/7", "http")
    assert root["critical"] == [[0.0, 10.0], [60.0, 90.0]]
    assert root["gaps"] == [[0.0, 10.0], [60.0, 90.0]]


def test_a_trace_of_log_records_alone():
    """It has no spans and no root."""
    found = view(logs())
    assert (found["name"], found["status"], found["duration_ms"], found["spans"]) == ("", "", 0.0, [])
    assert (found["logs"][0]["span"], found["logs"][0]["offset_ms"]) == (None, 0.0)


def test_log_lines():
    """Each has its place, the index of its span and its own fields."""
    twins = request(span(1, "", "call", 0, 90, CLIENT), service="shop")
    request(span(1, "", "serve", 5, 80, SERVER), service="stock", into=twins)
    first, unknown = view(twins, logs(user=2**60), logs(span_id=77))["logs"]
    assert first == {
        "span": 0, "offset_ms": 20.0, "level": "warning", "message": "the cart is empty", "logger": "shop.cart",
        "service": "shop", "fields": {"user": str(2**60)},
    }  # fmt: skip
    assert unknown["span"] is None
    assert view(request(span(1, "", "serve"), service="other"), logs())["logs"][0]["span"] == 0


@pytest.mark.parametrize(
    ("attributes", "parent", "service", "expected"),
    [
        ({"component": "proxy", "node_id": "router~10.0.0.1~gw.istio-system~x"}, "", "front", "gateway"),
        ({"component": "proxy"}, 9, "istio-ingressgateway.istio-system", "gateway"),
        ({"component": "proxy", "node_id": "sidecar~10.0.0.1~shop.shop~x"}, "", "shop.shop", "sidecar"),
        ({"component": "proxy", "node_id": "waypoint~10.0.0.1~w.shop~x"}, "", "w.shop", "sidecar"),
        ({"component": "proxy", "upstream_cluster": "inbound|8000||"}, "", "shop.shop", "sidecar"),
        ({"component": "proxy", "upstream_cluster": "outbound|80||stock"}, 9, "shop.shop", "sidecar"),
        ({"component": "proxy", "upstream_cluster": "app"}, "", "envoy", "gateway"),
        ({"component": "net/http"}, "", "shop", ""),
        ({}, "", "gateway", ""),
    ],
)
def test_hops(attributes, parent, service, expected):
    """Envoy and Istio mark their spans by attributes. At the top of a trace such a span is a gateway's."""
    spans = [span(9, "", "client")] if parent else []
    made = request(*spans, span(1, parent, "hop", 1, **attributes), service=service)
    assert view(made)["spans"][-1]["hop"] == expected


def test_hops_of_other_proxies():
    """The scope names Traefik, the resource names Caddy."""
    made = request(span(1, "", "GET"), service="traefik")
    made.resource_spans[0].scope_spans[0].scope.name = "github.com/traefik/traefik"
    request(span(2, 1, "caddy", 1), service="caddy", into=made)
    attributes(made.resource_spans[1].resource.attributes.add, {"webengine.name": "Caddy"})
    assert [one["hop"] for one in view(made)["spans"]] == ["gateway", "gateway"]


@pytest.mark.parametrize(
    ("reason", "probability", "state", "expected", "text"),
    [
        ("head", 1.0, "", 1.0, f"{HEAD} Every such trace is exported."),
        ("head", 0.01, "", 0.01, f"{HEAD} 1 % of such traces are exported, so that this one stands for 100."),
        ("head", None, "", None, f"{HEAD} The probability is unknown."),
        ("head", "much", "a=b,ot=rv:1234;th:8", 0.5,
         f"{HEAD} 50 % of such traces are exported, so that this one stands for 2."),
        ("error", 1.0, "", 1.0, "Kept because a span failed. Every such trace is exported."),
        ("slow", 7.5, "", None, "Kept because it took longer than its threshold. The probability is unknown."),
        ("upstream", None, "", None,
         "Kept because a called service kept its part of the trace. The probability is unknown."),
        ("luck", None, "", None, "Kept with the reason luck. The probability is unknown."),
    ],
)  # fmt: skip
def test_why_it_was_kept(reason, probability, state, expected, text):
    """By the attributes of the local root, or by its tracestate."""
    sampling = {"eco2.sampling.reason": reason, "eco2.sampling.probability": probability}
    made = request(span(1, "", "GET", **sampling), span(2, 1, "inner", 1))
    made.resource_spans[0].scope_spans[0].spans[0].trace_state = state
    root, inner = view(made)["spans"]
    assert root["kept"] == {"reason": reason, "probability": expected, "text": text}
    assert inner["kept"] is None


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("ot=th:0", 1.0),
        ("other=th:8, ot=th:c", 0.25),
        ("ot=rv:00000000000001", None),
        ("ot=th:", None),
        ("ot=th:xyz", None),
        ("ot=th:-8", None),
        ("ot=th:" + "1" * 15, None),
        ("", None),
    ],
)
def test_the_probability_of_a_tracestate(state, expected):
    """One minus the threshold; anything else is unknown."""
    assert probability_of(state) == expected


def test_equal_siblings_are_a_group():
    """Five queries with one statement are N+1; their total and errors are known; four are no group."""
    query = {"db__system__name": "postgresql", "db__query__text": "SELECT a FROM items WHERE id = ?"}
    other = {"db__system__name": "postgresql", "db__query__text": "SELECT b FROM items"}
    spans = [span(at, 1, "SELECT", at, at + 1, CLIENT, error=at == 12, **query) for at in range(10, 15)]
    spans += [span(at, 1, "SELECT", at, at + 1, CLIENT, **other) for at in range(20, 24)]
    made = request(span(1, "", "GET", 0, 90), *spans)
    found = view(request(span(30, 1, "SELECT", 30, 31, CLIENT, **other), service="stock", into=made))
    assert found["groups"] == [
        {
            "parent": 0,
            "title": "SELECT items",
            "spans": [1, 2, 3, 4, 5],
            "total_ms": 5.0,
            "errors": 1,
            "repeated": True,
        }
    ]
    assert [one["group"] for one in found["spans"]] == [None, *[0] * 5, *[None] * 5]


def test_calls_that_differ_by_an_id_are_equal():
    """Their title has a placeholder. A version in the path is no id."""
    ids = ["7", "8", "9", "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", "0af7651916cd43dd"]
    spans = [
        span(at + 10, "", "GET", at, at + 1, CLIENT, http__request__method="GET", server__address="stock",
             url__full=f"http://stock/v1/items/{one}/parts")
        for at, one in enumerate(ids)
    ]  # fmt: skip
    (group,) = view(request(*spans))["groups"]
    assert (group["parent"], group["title"], group["repeated"]) == (
        None,
        "GET stock/v1/items/{id}/parts",
        True,
    )


def test_equal_siblings_that_are_no_call():
    """They are folded and not N+1; neither are a pool's check-outs, nor the driver's span of a query."""
    database = {"db__system__name": "postgresql"}
    spans = [span(at, 1, "step", at, at + 1) for at in range(10, 15)]
    spans += [span(at, 1, "connect", at, at + 1, CLIENT, **database) for at in range(20, 25)]
    spans += [span(30, 1, "SELECT", 30, 60, CLIENT, **database)]
    spans += [span(at, 30, "fetch", at, at + 1, CLIENT, **database) for at in range(31, 36)]
    found = view(request(span(1, "", "GET", 0, 90), *spans))
    assert [(one["title"], one["repeated"]) for one in found["groups"]] == [
        ("step", False), ("connect", False), ("fetch", False),
    ]  # fmt: skip


def test_curl_is_masked():
    """Spans of others have secrets in the query and in headers; those of this library are masked already."""
    made = request(
        span(1, "", "GET", kind=SERVER, http__request__method="GET", url__path="/cart", server__address="shop",
             url__query="token=abc123&page=2", **{"http.request.header.authorization": ["Bearer abc123"]}),
        span(2, 1, "inner", 1),
    )  # fmt: skip
    root, inner = view(made)["spans"]
    assert root["curl"].startswith("curl 'http://shop/cart?token=")
    assert "page=2" in root["curl"]
    assert "authorization: " in root["curl"]
    assert "abc123" not in root["curl"]
    assert inner["curl"] == ""
    scoped = made.resource_spans[0].scope_spans[0]
    scoped.scope.name = "eco2_tracing.fastapi"
    scoped.spans[0].attributes[3].value.string_value = "token=REDACTED&page=2"
    assert view(made)["spans"][0]["curl"].startswith("curl 'http://shop/cart?token=REDACTED&page=2'")


def test_a_parent_beyond_the_limit(monkeypatch):
    """Its child is a top, and is part of no cycle."""
    monkeypatch.setattr("eco2_tracing._view.json_views._MOST_SPANS", 2)
    found = view(request(span(1, 3, "child", 0), span(2, 1, "grandchild", 1), span(3, "", "root", 2)))
    assert [one["parent"] for one in found["spans"]] == [None, 0]
    assert found["more_spans"] == 1


@pytest.mark.parametrize(
    "parent", [lambda at: at - 1 or "", lambda at: 1 if at > 1 else "", lambda at: at % 5000 + 1]
)
def test_hostile_traces_are_answered(parent):
    """Deep, wide and cyclic ones of 5 000 spans."""
    found = view(request(*[span(at, parent(at), "step", at, at + 2) for at in range(1, 5001)]))
    assert len(found["spans"]) == 5000
