"""Two traces side by side, and two builds of a service."""

from __future__ import annotations

import pytest

from eco2_tracing._view.builds import Build, chosen_builds
from eco2_tracing._view.compare import compared
from eco2_tracing._view.compare_builds import compared_builds, routes_of
from eco2_tracing._view.store import Store
from tests.view.requests import CLIENT, SERVER, TRACE, request, shop, span
from tests.view.test_trace import opened

QUERY = {"db__system__name": "postgresql", "db__query__text": "SELECT a FROM items WHERE id = ?"}


def test_rows_are_a_tree():
    """Equal siblings are one row with their sums; what only one trace has is a row too, in its place by time."""
    left = request(
        span(1, "", "GET /items/7", 0, 90, SERVER),
        span(2, 1, "load", 10, 20),
        *[span(at, 2, "SELECT", 11, 13, CLIENT, **QUERY) for at in (3, 4, 5)],
        span(6, 1, "render", 30, 40, error=True),
    )
    right = request(
        span(1, "", "GET /items/8", 100, 170, SERVER),
        span(2, 1, "load", 110, 120),
        span(3, 2, "SELECT", 111, 112, CLIENT, **QUERY),
        span(4, 1, "cache", 125, 126),
    )
    found = compared(opened(left), opened(right))
    assert [(one["depth"], one["parent"], one["title"], one["kind"], one["delta_ms"]) for one in found] == [
        (0, None, "GET /items/{id}", "server", -20.0),
        (1, 0, "load", "internal", 0.0),
        (2, 1, "SELECT items", "client", -5.0),
        (1, 0, "cache", "internal", 1.0),
        (1, 0, "render", "internal", -10.0),
    ]
    query, cache, render = found[2], found[3], found[4]
    assert query["left"] == {"count": 3, "total_ms": 6.0, "self_ms": 6.0, "errors": 0, "span": 2}
    assert query["right"]["count"] == 1
    assert (cache["left"], cache["right"]["span"]) == (None, 3)
    assert (render["left"]["errors"], render["right"]) == (1, None)
    assert {one["service"] for one in found} == {"shop"}


def test_hosts_make_no_difference():
    """The same call to another port is the same row."""

    def call(host):
        return opened(
            request(
                span(1, "", "GET", 0, 9, CLIENT, http__request__method="GET", server__address=host,
                     url__full=f"http://{host}/stock/7"),
                service="",
            )
        )  # fmt: skip

    (row,) = compared(call("a"), call("b"))
    assert row["title"] == "GET /stock/{id}"


@pytest.mark.parametrize("parent", [lambda at: at - 1 or "", lambda at: at % 3000 + 1])
def test_hostile_traces_are_compared(parent):
    """Deep and cyclic ones, with an empty one."""
    hostile = opened(request(*[span(at, parent(at), f"step {at}", at, at + 2) for at in range(1, 3001)]))
    found = compared(hostile, opened())
    assert len(found) == 3000
    assert max(one["depth"] for one in found) == 2999


def test_builds_of_a_store():
    """A build is one instance of a service, the newest first; without an instance, the version stands for it."""
    store = Store()
    for number, (instance, version) in enumerate((("a", "1"), ("b", "2"), ("", "3"), ("", ""))):
        for at in range(2):
            trace = f"{number * 10 + at + 1:032x}"
            start = number * 1000 + at * 100
            store.add_traces(
                request(span(1, "", "GET", start, start + 5, trace=trace), instance=instance, version=version)
            )
    long = [span(2, "", "GET", -100, 5000, trace=f"{1:032x}"), span(3, "", "GET", 1, 2, trace=f"{1:032x}")]
    store.add_traces(request(*long, instance="a", version="1"))
    store.add_traces(request(span(4, "", "GET", 1, 2, trace=f"{1:032x}"), instance="b", version="2"))
    found = store.builds("shop")
    assert [(one.instance, one.version, one.traces) for one in found] == [
        ("3", "3", 2),
        ("b", "2", 3),
        ("a", "1", 2),
    ]
    assert found == store.builds()
    assert store.builds("stock") == []
    assert found[2].last_ns - found[2].first_ns == 5_100_000_000
    assert store.traces_of(found[1]) == [f"{number:032x}" for number in (12, 11, 1)]
    (summary,) = store.summaries([f"{1:032x}"])
    assert summary.services == ("shop",)
    assert store.services() == ["shop"]
    store.close()


def build(instance):
    """A build of the shop."""
    return Build("shop", instance, "1", 0, 1, 1)


@pytest.mark.parametrize(
    ("instances", "left", "right", "expected"),
    [
        ("cba", "", "", ("b", "c")),
        ("cba", "a", "", ("a", "c")),
        ("cba", "", "b", ("a", "b")),
        ("cba", "c", "a", ("c", "a")),
        ("c", "", "", (None, "c")),
        ("", "", "", (None, None)),
    ],
)
def test_the_builds_to_compare(instances, left, right, expected):
    """The newest and the one before it, unless others are given."""
    chosen = chosen_builds([build(one) for one in instances], left, right)
    assert tuple(one and one.instance for one in chosen) == expected


def test_a_build_that_there_is_not():
    """The error names it."""
    with pytest.raises(LookupError, match="x"):
        chosen_builds([build("a")], right="x")


def route(*requests, instance="a"):
    """The routes of a build."""
    traces = {f"{at}": opened(one) for at, one in enumerate(requests)}
    return routes_of(build(instance), traces, traces.get)


def served(took, calls=0, error=False, instance="a"):
    """A request that took so many milliseconds, with some queries, each with a driver's span, and one call."""
    made = request(
        span(1, "", "GET /cart/{item}", 0, took, SERVER, error=error, http__request__method="GET",
             http__route="/cart/{item}"),
        *[span(at * 2 + 2, 1, "SELECT", 1, 2, CLIENT, **QUERY) for at in range(calls)],
        *[span(at * 2 + 3, at * 2 + 2, "fetch", 1, 2, CLIENT, **QUERY) for at in range(calls)],
        instance=instance,
    )  # fmt: skip
    request(span(90, 1, "GET", 1, 2, CLIENT, http__request__method="GET"), instance=instance, into=made)
    request(span(91, 90, "GET /7", 1, 2, SERVER), service="stock", instance="s", into=made)
    return made


def test_the_routes_of_a_build():
    """Their times, errors, spans and calls; spans of other services and other builds are none of theirs."""
    found = route(served(10, 1), served(30, 3, error=True), served(20, 2), served(99, instance="b"))
    assert {name: one.view() for name, one in found.items()} == {
        "GET /cart/{item}": {
            "traces": 3, "p50_ms": 20.0, "p95_ms": 30.0, "error_share": 1 / 3, "spans": 6.0,
            "calls": {"sql": 2.0, "http": 1.0}, "trace_id": "2",
        }
    }  # fmt: skip


def test_a_request_below_a_request():
    """A service that calls itself has two; a request without a route has its path, without ids."""
    made = request(
        span(1, "", "GET", 0, 90, SERVER, http__request__method="GET", url__path="/items/7"),
        span(2, 1, "GET", 1, 80, CLIENT, http__request__method="GET"),
        span(3, 2, "job", 2, 70, 5),
        instance="a",
    )
    assert {name: one.spans for name, one in route(made).items()} == {"GET /items/{id}": 2, "job": 1}


def test_routes_of_two_builds():
    """Those with the most requests are first; one build may lack a route."""
    left = route(served(10))
    right = route(*[request(span(1, "", "job", 0, 5), instance="a")] * 3)
    found = compared_builds(left, right)
    assert [(one["name"], one["left"] is None, one["right"] is None) for one in found] == [
        ("job", True, False), ("GET /cart/{item}", False, True),
    ]  # fmt: skip
    assert compared_builds({}, {}) == []


def test_shop_is_one_trace():
    """A trace compared with itself has no difference."""
    found = compared(opened(shop()), opened(shop()))
    assert [one["delta_ms"] for one in found] == [0.0, 0.0, 0.0]
    assert opened(shop()).trace_id == TRACE
