"""Processes that are no servers: greenlets, forks, and the imports of a start."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

from tests.lifecycle.servers import environment
from tests.support import programs
from tests.support.signals import attributes


def variables(received, **more: str) -> dict[str, str]:
    """An environment that exports every signal often."""
    return environment(
        received.grpc_endpoint,
        OTEL_METRICS_EXPORTER="otlp",
        OTEL_LOGS_EXPORTER="otlp",
        OTEL_METRIC_EXPORT_INTERVAL="5",
        **more,
    )


@pytest.mark.parametrize("library", ["none", "gevent", "eventlet"])
def test_greenlets(library, received):
    """Under gevent and eventlet everything arrives, while other greenlets run."""
    if library != "none" and find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    command = [sys.executable, "-W", "ignore", "-m", "tests.signals.greened", library]
    done = programs.run(command, env=variables(received), timeout=60, new=True)
    assert done.returncode == 0, done.stderr
    assert "eco2-tracing failed" not in done.stderr
    ((_, worked),) = received.points("worked")
    assert worked.as_int == 21
    assert received.points("seen")
    assert len([name for name, _, _ in received.log_records() if name == "work"]) == 20
    assert len(received.spans()) == 20
    assert len(received.of("metrics")) > 2


FORKING = """
import logging, os, sys
from opentelemetry import metrics
from eco2_tracing import configure_tracing, flush_tracing, record_metric, shutdown_tracing
from tests.support.c_fork import c_fork
fork = c_fork() if sys.argv[1] == "in C" else os.fork
configure_tracing("forking")
counter = metrics.get_meter("own").create_counter("own")
record_metric("worked", 5)
counter.add(5)
logging.getLogger("work").warning("parent")
pid = fork()
record_metric("worked", 1)
counter.add(1)
logging.getLogger("work").warning("parent again" if pid else "child")
delivered = shutdown_tracing(20)
os._exit(not delivered or (pid and os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
"""


@pytest.mark.parametrize("how", ["in Python", "in C"])
def test_a_forked_child_counts_from_zero(how, received):
    """It exports its own measurements and records, once, as an instance of its own."""
    environ = variables(received) | {"OTEL_METRIC_EXPORT_INTERVAL": "3600000"}
    done = programs.run([sys.executable, "-c", FORKING, how], env=environ, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[int, dict[str, int]] = {}
    for message in received.of("metrics"):
        for resource in message.resource_metrics:
            values = found.setdefault(attributes(resource.resource.attributes)["process.pid"], {})
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name in {"worked", "own"}:
                        values[metric.name] = metric.sum.data_points[0].as_int
    assert sorted(map(sorted, (each.items() for each in found.values()))) == [
        [("own", 1), ("worked", 1)],
        [("own", 6), ("worked", 6)],
    ]
    bodies = sorted(record.body.string_value for _, record, _ in received.log_records())
    assert bodies == ["child", "parent", "parent again"]


STARTED = """
import sys, threading
from eco2_tracing import configure_tracing, instrument_app
from fastapi import FastAPI
app = FastAPI()
configure_tracing("shop")
instrument_app(app)
modules = ["opentelemetry.sdk.metrics", "opentelemetry.sdk._logs", "prometheus_client",
    "opentelemetry.exporter.otlp.proto.common", "google.protobuf", "eco2_tracing.metrics._pipeline",
    "eco2_tracing.logs._otel", "eco2_tracing._export.metrics"]
print([name for name in modules if name in sys.modules], threading.active_count())
"""


def test_nothing_is_imported_while_both_are_off(received):
    """No module of either signal is imported, and no thread is started."""
    done = programs.run(
        [sys.executable, "-c", STARTED], env=environment(received.grpc_endpoint), timeout=60, new=True
    )
    assert done.stdout.splitlines()[-1] == "[] 1", done.stderr + done.stdout
