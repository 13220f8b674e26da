"""Traces of a made shop: ordinary ones, failures, N+1, hops of a mesh, large ones, two builds."""

from __future__ import annotations

from collections.abc import Iterator

from tests.browser.made import Made, Values

STACK = (
    '  File "/app/checkout/api.py", line 41, in checkout',
    "    receipt = await payments.charge(order)",
    '  File "/app/checkout/payments.py", line 88, in charge',
    "    raise CardDeclinedError(card.last4)",
)
CARD = "card ending in 4242 was declined"
HEAD = {"eco2.sampling.reason": "head"}
ERROR = {"eco2.sampling.reason": "error", "eco2.sampling.probability": 1.0}


def http(method: str, route: str, path: str, status: int = 200, **more: object) -> Values:
    """Return the attributes of a server's span."""
    return {
        "http.request.method": method,
        "http.route": route,
        "url.path": path,
        "url.scheme": "http",
        "server.address": "shop.local",
        "http.response.status_code": status,
        **more,
    }


def call(method: str, url: str, status: int = 200) -> Values:
    """Return the attributes of a client's span."""
    host = url.split("/")[2]
    return {
        "http.request.method": method,
        "url.full": url,
        "server.address": host,
        "http.response.status_code": status,
    }


def query(text: str, table: str = "shop") -> Values:
    """Return the attributes of a query."""
    return {
        "db.system.name": "postgresql",
        "db.namespace": table,
        "db.query.text": text,
        "server.address": "db",
    }


def envoy(node: str, cluster: str, status: int = 200) -> Values:
    """Return the tags of a span of an Istio proxy."""
    return {
        "component": "proxy",
        "node_id": f"{node}~10.0.0.7~pod.shop~shop.svc.cluster.local",
        "upstream_cluster": cluster,
        "http.status_code": str(status),
        "istio.mesh_id": "cluster.local",
    }


def cart(trace_id: str | None = None, seconds_ago: float = 1.0, slower: float = 1.0, item: int = 7) -> Made:
    """A request through a gateway and sidecars that reads a cart and asks the stock."""
    made, t = Made(trace_id, seconds_ago), slower
    path = f"/cart/{item}"
    gate = made.span(
        "istio-ingressgateway", "shop.local:80/*", 0, 92 * t, kind="client",
        values=envoy("router", "outbound|80||shop.shop.svc.cluster.local"),
    )  # fmt: skip
    side = made.span(
        "shop-sidecar", "shop:8000/*", 1.2, 90.5 * t, gate, values=envoy("sidecar", "inbound|8000||")
    )
    state = "ot=th:e666666666666"
    root = made.span(
        "shop", "GET /cart/{item}", 2, 89.4 * t, side,
        values=http("GET", "/cart/{item}", path, **HEAD), state=state,
    )  # fmt: skip
    made.span("shop", "SELECT cart", 4, 13.5, root, "client", values=query("SELECT * FROM cart WHERE id = ?"))
    out = made.span(
        "shop", "GET", 16, 66 * t, root, "client", values=call("GET", "http://stock:8000/stock/7")
    )
    there = made.span(
        "stock-sidecar", "stock:8000/*", 17.5, 64 * t, out, values=envoy("sidecar", "inbound|8000||")
    )
    stock = made.span(
        "stock",
        "GET /stock/{item}",
        18.4,
        63 * t,
        there,
        values=http("GET", "/stock/{item}", "/stock/7", **HEAD),
    )
    made.span(
        "stock",
        "GET",
        20,
        21.1,
        stock,
        "client",
        values={"db.system.name": "redis", "db.operation.name": "GET"},
    )
    made.span(
        "stock", "SELECT items", 23, 58 * t, stock, "client",
        values=query("SELECT count FROM items WHERE id = ?", "stock"),
    )  # fmt: skip
    made.span("shop", "render", 67 * t, 88 * t, root, "internal", values={"template": "cart.html"})
    made.log("shop", root, 3, f"reading the cart of customer 12, item {item}", customer=12)
    made.log("stock", stock, 22, "not in the cache, asking the database", "WARN", item=item)
    made.log("shop", root, 68 * t, "3 items, 2 in stock")
    return made


def checkout(trace_id: str | None = None, seconds_ago: float = 1.0) -> Made:
    """A request that fails: the card is declined, and one of two retries too."""
    made = Made(trace_id, seconds_ago)
    root = made.span(
        "shop", "POST /checkout", 0, 412, error="CardDeclinedError",
        values=http("POST", "/checkout", "/checkout", 502, **ERROR, **{
            "http.request.header.authorization": ["****"], "user_agent.original": "Mozilla/5.0",
        }),
    )  # fmt: skip
    made.span(
        "shop", "SELECT orders", 5, 21, root, "client", values=query("SELECT * FROM orders WHERE id = ?")
    )
    made.span("shop", "price the order", 24, 60, root, "internal", values={"order.items": 3})
    reserve = made.span(
        "shop", "POST", 64, 118, root, "client", values=call("POST", "http://stock:8000/reservations")
    )
    kept = made.span(
        "stock",
        "POST /reservations",
        67,
        114,
        reserve,
        values=http("POST", "/reservations", "/reservations", 201),
    )
    made.span(
        "stock", "INSERT reservations", 72, 108, kept, "client",
        values=query("INSERT INTO reservations VALUES (?, ?)", "stock"),
    )  # fmt: skip
    for start, end, status in ((124, 231, 503), (262, 398, 402)):
        out = made.span(
            "shop", "POST", start, end, root, "client", error=f"HTTP {status}",
            values=call("POST", "http://payment:8000/charges", status),
        )  # fmt: skip
        charge = made.span(
            "payment", "POST /charges", start + 4, end - 3, out, error=f"HTTP {status}",
            values=http("POST", "/charges", "/charges", status, **ERROR),
        )  # fmt: skip
        made.span("payment", "check for fraud", start + 9, end - 60, charge, "internal")
        bank = made.span(
            "payment", "POST", end - 55, end - 10, charge, "client", error="declined" if status == 402 else "timeout",
            values=call("POST", "https://bank.example/v2/charges", status),
        )  # fmt: skip
        made.event(bank, end - 30, "retry", {"attempt": 1})
        made.log("payment", charge, start + 10, f"charging 59.90 EUR, attempt at {start} ms", amount="59.90")
    made.exception(charge, 392, "CardDeclinedError", CARD, STACK)
    made.exception(root, 405, "CardDeclinedError", CARD, STACK)
    made.log("shop", root, 2, "checkout of order 4711", order=4711)
    made.log("payment", charge, 391, CARD, "ERROR", card="****4242")
    made.log("shop", root, 233, "payment answered 503, trying again", "WARN", attempt=1)
    made.log("shop", root, 406, "checkout of order 4711 failed: CardDeclinedError", "ERROR", order=4711)
    return made


def orders(trace_id: str | None = None, seconds_ago: float = 1.0, rows: int = 40) -> Made:
    """A request that reads each row by a query of its own: N+1."""
    made = Made(trace_id, seconds_ago)
    end = 30 + 6.0 * rows
    root = made.span("shop", "GET /orders", 0, end, values=http("GET", "/orders", "/orders", **HEAD))
    made.span(
        "shop",
        "SELECT orders",
        3,
        20,
        root,
        "client",
        values=query("SELECT id FROM orders WHERE customer = ?"),
    )
    for at in range(rows):
        made.span(
            "shop", "SELECT customer", 22 + 6 * at, 27 + 6 * at, root, "client",
            values=query("SELECT * FROM customer WHERE id = ?"),
        )  # fmt: skip
    made.log("shop", root, 21, f"{rows} orders")
    return made


def large(trace_id: str | None = None, seconds_ago: float = 1.0, spans: int = 5000) -> Made:
    """A trace of a job with so many spans in a tree of three levels; one of them failed."""
    made = Made(trace_id, seconds_ago)
    root = made.span("batch", "nightly job", 0, spans * 2.0, kind="internal")
    step = root
    for at in range(2, spans + 1):
        if at % 50 == 2:
            step = made.span("batch", f"step {at // 50}", at * 2, (at + 50) * 2, root, "internal")
        else:
            made.span(
                ("batch", "stock", "payment")[at % 3], f"work on {at}", at * 2, at * 2 + 1.5, step, "internal",
                error="broken" if at == spans - 10 else "", values={"item": at},
            )  # fmt: skip
    return made


def many(count: int = 10_000) -> Iterator[Made]:
    """Small traces of several services, routes and statuses, a tenth of a second apart."""
    for at in range(count):
        made = Made(f"{at + 1:032x}", (count - at) / 10)
        service = f"service-{at % 20}"
        status = 500 if at % 40 == 0 else 404 if at % 25 == 0 else 200
        made.span(
            service, f"GET /things/{at % 50}", 0, 1 + at % 997, error="broken" if status == 500 else "",
            values=http("GET", f"/things/{at % 50}", f"/things/{at}", status),
        )  # fmt: skip
        yield made


def build(number: int, seconds_ago: float, requests: int = 6) -> Iterator[Made]:
    """Requests to one build of a reloading service; the second is slower and asks twice as often."""
    resource = {"service.instance.id": f"build-{number}-0001", "service.version": f"1.{number}.0"}
    for at in range(requests):
        made = Made(seconds_ago=seconds_ago - at, resource=resource)
        root = made.span(
            "basket", "GET /basket", 0, 40 * number, values=http("GET", "/basket", "/basket", **HEAD)
        )
        for turn in range(number):
            made.span(
                "basket", "SELECT basket", 4 + turn * 30, 24 + turn * 30, root, "client",
                values=query("SELECT * FROM basket WHERE id = ?"),
            )  # fmt: skip
        yield made


def day() -> Iterator[Made]:
    """Some minutes of a shop, for pictures: mostly fine, some slow, some failed."""
    for at in range(28):
        ago = 170.0 - 6 * at
        if at % 9 == 5:
            yield checkout(seconds_ago=ago)
        elif at % 7 == 3:
            yield orders(seconds_ago=ago, rows=12 + at)
        else:
            yield cart(seconds_ago=ago, slower=1 + (at * 37 % 11) / 8, item=7 + at % 4)
