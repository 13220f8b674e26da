"""Several workers of one server: each is its own service instance."""

from __future__ import annotations

import signal
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from uuid import UUID

import pytest

from tests.lifecycle.servers import APP, SERVERS, environment, serving

EACH = 10
_TWO = {"gunicorn": "-w", "gunicorn, its own worker": "-w", "hypercorn": "-w", "granian": "--workers"}
# By name: the module without which it is skipped, and the command line.
WORKERS = {
    name: (SERVERS[name].needs, SERVERS[name].on) for name in ("uvicorn --workers 2", "gunicorn --preload")
}
WORKERS |= {
    f"{name} {option} 2": (SERVERS[name].needs, [*SERVERS[name].on, option, "2"])
    for name, option in _TWO.items()
}
SHARED = ("service.name", "host.name", "process.runtime.version", "telemetry.sdk.name")


def requests_to_each(served):
    """Send requests until two workers have served some; return the process by item."""
    items, served_by = count(), {}

    def one(item):
        served_by[item] = int(served.get(f"/work/{item}")[1])

    def enough():
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(one, [next(items) for _ in range(16)]))
        times = Counter(served_by.values())
        return len(times) == 2 and min(times.values()) >= EACH

    served.wait_for(enough)
    return served_by


@pytest.mark.parametrize("name", WORKERS)
def test_each_worker_is_an_instance_of_its_own(name, tmp_path, otlp_receiver):
    """Spans carry their process; the other resource attributes are equal, and ids are unique."""
    needs, command = WORKERS[name]
    pytest.importorskip(needs)
    log = tmp_path / "log"
    with serving(command, log, environment(otlp_receiver.grpc_endpoint)) as served:
        served.wait_for(served.answers)
        served_by = requests_to_each(served)
        served.stop(signal.SIGTERM)
    spans = otlp_receiver.find("GET /work/{item}")
    told = {int(span.attributes["url.path"].rpartition("/")[2]): span for span in spans}
    assert {item: span.resource["process.pid"] for item, span in told.items()} == served_by, log.read_text()
    assert {span.resource["process.parent_pid"] for span in spans} == {served.process.pid}
    instances = defaultdict(set)
    for span in otlp_receiver.spans:
        instances[span.resource["process.pid"]].add(UUID(span.resource["service.instance.id"]))
    assert [len(ids) for ids in instances.values()] == [1, 1]
    assert len(set.union(*instances.values())) == 2
    for fact in SHARED:
        assert len({span.resource[fact] for span in spans}) == 1, fact
    # A generator of random ids that a fork copied would give them twice.
    ids = [(span.trace_id, span.span_id) for span in otlp_receiver.spans]
    assert len({trace for trace, _ in ids}) == len({one for _, one in ids}) == len(ids)


def test_what_a_master_made_is_its_own(tmp_path, otlp_receiver):
    """With ``--preload`` the master delivers its own spans once, as its own instance."""
    server = SERVERS["gunicorn --preload"]
    pytest.importorskip(server.needs)
    command = ["tests.lifecycle.preloaded:app" if part == APP else part for part in server.on]
    with serving(command, tmp_path / "log", environment(otlp_receiver.grpc_endpoint)) as served:
        served.wait_for(served.answers)
        served_by = requests_to_each(served)
        master = served.process.pid
        served.stop(signal.SIGTERM)
    loaded = otlp_receiver.one("loaded")
    assert loaded.resource["process.pid"] == master
    workers = otlp_receiver.find("GET /work/{item}")
    assert Counter(span.resource["process.pid"] for span in workers) == Counter(served_by.values())
    assert loaded.resource["service.instance.id"] not in {
        span.resource["service.instance.id"] for span in workers
    }
    assert sys.executable.rpartition("/")[2] in str(loaded.resource["process.executable.path"])
