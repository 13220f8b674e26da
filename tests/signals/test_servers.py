"""All signals of real servers: forked workers, signals, and collectors that are away."""

from __future__ import annotations

import signal
from collections import Counter
from contextlib import ExitStack
from importlib.util import find_spec

import pytest

from tests.export.receivers import BlackHole
from tests.lifecycle.servers import APP, SERVERS, environment, serving, stop_together
from tests.support.servers import free_port
from tests.support.signals import attributes, metrics_of

OURS = "tests.signals.served:app"
BOUND_S = 5.0
BOUNDED = ["uvicorn", "gunicorn --preload"]
NAMES = ["uvicorn", "gunicorn --preload", "uvicorn --workers 2", "granian"]


def command(name: str) -> list[str]:
    """The command line of a server with the service of these tests."""
    if find_spec(SERVERS[name].needs) is None:
        pytest.skip(f"{SERVERS[name].needs} is not installed")
    return [OURS if part == APP else part for part in SERVERS[name].on]


def everything(endpoint: str, **more: str) -> dict[str, str]:
    """An environment in which all signals are exported at the end alone."""
    return environment(
        endpoint,
        OTEL_METRICS_EXPORTER="otlp",
        OTEL_LOGS_EXPORTER="otlp",
        OTEL_METRIC_EXPORT_INTERVAL="3600000",
        OTEL_BLRP_SCHEDULE_DELAY="3600000",
        **more,
    )


def by_process(received, signal_name: str) -> dict[int, list]:
    """The resource entries of each process."""
    found: dict[int, list] = {}
    for message in received.of(signal_name):
        for resource in getattr(message, f"resource_{signal_name}"):
            found.setdefault(attributes(resource.resource.attributes)["process.pid"], []).append(resource)
    return found


def values(resources, name: str) -> list[int]:
    """The values of a counter in several exports of one process."""
    return [
        point.as_int
        for resource in resources
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.sum.data_points
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_signal_arrives_after_sigterm(name, tmp_path, received):
    """What is queued is delivered by each worker, from zero and as an instance of its own."""
    with serving(command(name), tmp_path / "log", everything(received.grpc_endpoint)) as served:
        served.wait_for(served.answers)
        processes = Counter(int(served.get(f"/work/{item}")[1]) for item in range(20))
        served.stop(signal.SIGTERM)
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    metrics, logs = by_process(received, "metrics"), by_process(received, "logs")
    for pid, count in processes.items():
        assert values(metrics[pid], "worked")[-1:] == [count], log
        assert values(metrics[pid], "started")[-1:] in ([], [1])
        lines = [
            record.body.string_value
            for resource in logs[pid]
            for scope in resource.scope_logs
            if scope.scope.name == "work"
            for record in scope.log_records
        ]
        assert len(lines) == count, log
    served_requests = sum(
        point.count
        for message in received.of("metrics")
        for metric in metrics_of(message)
        if metric.name == "http.server.request.duration"
        for point in metric.histogram.data_points
    )
    assert served_requests >= 20
    assert len(received.spans()) == 20
    instances = {
        attributes(resource.resource.attributes)["service.instance.id"]
        for pid in processes
        for resource in metrics[pid]
    }
    assert len(instances) == len(processes)


@pytest.fixture(scope="module")
def ends_without_collector(tmp_path_factory):
    """The seconds and the log of each end with full queues."""
    folder = tmp_path_factory.mktemp("away")
    few = {"OTEL_BSP_MAX_QUEUE_SIZE": "20", "OTEL_BLRP_MAX_QUEUE_SIZE": "20"}
    with BlackHole() as hole, ExitStack() as stack:
        ports = {"refused": free_port(), "black hole": hole.port}
        running = {
            (name, kind): stack.enter_context(
                serving(
                    command(name), folder / f"{name} {kind}", everything(f"http://127.0.0.1:{port}", **few)
                )
            )
            for name in BOUNDED
            if find_spec(SERVERS[name].needs)
            for kind, port in ports.items()
        }
        for served in running.values():
            served.wait_for(served.answers)
            served.work(30)
        ends = stop_together(list(running.values()))
    return {
        case: (seconds, served.log.read_text())
        for (case, served), (_, seconds) in zip(running.items(), ends, strict=True)
    }


@pytest.mark.parametrize("kind", ["refused", "black hole"])
@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.quiet
def test_the_end_without_a_collector_is_bounded(name, kind, ends_without_collector):
    """With full queues of all signals a process ends within its limit, without a traceback."""
    if (name, kind) not in ends_without_collector:
        pytest.skip(f"{SERVERS[name].needs} is not installed")
    seconds, log = ends_without_collector[name, kind]
    assert seconds <= BOUND_S
    assert "Traceback" not in log


def test_prometheus_behind_workers(tmp_path, received):
    """One worker has the port; the others say so, and every worker serves."""
    port = free_port()
    variables = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": str(port)}
    environ = everything(received.grpc_endpoint) | variables
    log = tmp_path / "log"
    with serving(command("gunicorn --preload"), log, environ) as served:
        served.wait_for(served.answers)

        def both_serve() -> bool:
            return len(served.work(20)) == 2

        served.wait_for(both_serve)
        served.wait_for(lambda: "cannot be opened" in log.read_text())
        served.stop(signal.SIGTERM)
    assert "Traceback" not in log.read_text()
