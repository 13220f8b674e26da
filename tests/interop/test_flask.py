"""The Flask service of `examples/flask` with real MySQL, Redis and Kafka."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec

import httpx
import pytest

from eco2_tracing.testing import OtlpReceiver, b3_headers
from tests.repository.sources import ROOT
from tests.support.compose import composed
from tests.support.jaeger import wait_for, wait_for_trace
from tests.support.trees import assert_shown

EXAMPLE = ROOT / "examples" / "flask"
PAGE = "docs/interop.md"
CALLER = "c" * 16
# By fixture: the service of the Compose file, its port, and the variable that names it.
STORES = {
    "mysql": ("mysql", 3306, "MYSQL_ADDRESS"),
    "redis": ("redis", 6379, "REDIS_URL"),
    "broker": ("kafka", 9092, "KAFKA_SERVERS"),
}
PACKAGES = ("flask", "opentelemetry.instrumentation.flask", "pymysql", "redis", "kafka", "gunicorn")


def missing_package():
    """The first absent package that the example needs."""
    return next((name for name in PACKAGES if find_spec(name) is None), None)


@contextmanager
def shop(folder, servers):
    """Run the example with some of its servers; the variables of the others are unset.

    Args:
        folder: An empty folder.
        servers: Ports by the names of the fixtures.
    """
    if name := missing_package():
        pytest.skip(f"{name} is not here: pip install -r examples/flask/requirements.txt")
    absent = [variable for name, (*_, variable) in STORES.items() if name not in servers]
    consuming = () if "broker" in servers else ("packing",)
    table = () if "mysql" in servers else ("table",)
    with OtlpReceiver() as receiver:
        ports = {("jaeger", 4317): receiver.grpc_port}
        ports |= {STORES[name][:2]: port for name, port in servers.items()}
        with composed(
            EXAMPLE / "compose.yaml",
            folder=folder,
            code=EXAMPLE,
            left_out=["jaeger", "mysql", "redis", "kafka", *consuming, *table],
            ports=ports,
            ready={"packing": "Waiting for orders", "table": "table created"},
            unset=absent,
            environ={"OTEL_BSP_SCHEDULE_DELAY": "50"},
        ) as running:
            yield running.url("orders", 8000), receiver, running


def create(url, trace_id, *, sampled=True, quantity=2):
    """Order something, as the gateway forwards it."""
    with httpx.Client(trust_env=False, timeout=20) as client:
        headers = b3_headers(trace_id, CALLER, sampled=sampled)
        return client.post(f"{url}/orders", json={"item": "tea", "quantity": quantity}, headers=headers)


@pytest.mark.parametrize(
    ("server", "spans"),
    [
        ("mysql", ["POST /orders", "validate order", "INSERT"]),
        ("redis", ["POST /orders", "validate order", "SET"]),
        ("broker", ["POST /orders", "validate order", "send orders", "process orders", "pack order"]),
    ],
)
def test_each_server(server, spans, tmp_path, request):
    """With one of the servers, an order is one tree below the caller's span."""
    port = request.getfixturevalue(server)
    with shop(tmp_path, {server: port}) as (url, store, _):
        assert create(url, "1" * 32).status_code == 201
        trace = wait_for_trace(store, "1" * 32, len(spans))
    assert [span.name for _, span in trace.walk()] == spans
    assert trace.is_one_tree
    assert [top.parent_span_id for top in trace.tops] == [CALLER]


@pytest.fixture(scope="module")
def whole(mysql, redis, broker, tmp_path_factory):
    """The example with all of its servers."""
    with shop(
        tmp_path_factory.mktemp("flask"), {"mysql": mysql, "redis": redis, "broker": broker}
    ) as running:
        yield running


def test_order(whole):
    """Flask, MySQL, Redis, Kafka and the consumer are one tree, which the documentation shows."""
    url, store, running = whole
    answer = create(url, "2" * 32)
    assert answer.status_code == 201
    trace = wait_for_trace(store, "2" * 32, 7)
    assert trace.services == ("orders", "packing")
    assert_shown(trace, PAGE)
    lines = wait_for(lambda: [line for line in running.children["packing"].lines if "Order packed" in line])
    assert f'"trace.id":"{"2" * 32}"' in lines[-1].replace(": ", ":")
    with httpx.Client(trust_env=False, headers=b3_headers("3" * 32, CALLER)) as client:
        assert client.get(f"{url}/orders/{answer.json()['id']}").json()["item"] == "tea"
    read = wait_for_trace(store, "3" * 32, 2)
    assert [span.name for _, span in read.walk()] == ["GET /orders/<int:order_id>", "GET"]


def test_failed_order_of_an_unsampled_trace(whole):
    """Its local trace is kept; of one that succeeds, nothing is."""
    url, store, _ = whole
    assert create(url, "4" * 32, sampled=False).status_code == 201
    assert create(url, "5" * 32, sampled=False, quantity="many").status_code == 500
    trace = wait_for_trace(store, "5" * 32, 2)
    assert [(span.name, span.is_error) for _, span in trace.walk()] == [
        ("POST /orders", True),
        ("validate order", True),
    ]
    assert store.trace("4" * 32).spans == ()
