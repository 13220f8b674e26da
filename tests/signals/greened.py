"""A program whose threads are greenlets: it measures and logs, and ends."""

from __future__ import annotations

import sys

if sys.argv[1] == "gevent":
    from gevent import monkey

    monkey.patch_all()
elif sys.argv[1] == "eventlet":
    import eventlet

    eventlet.monkey_patch()

import logging
import time

from opentelemetry import metrics

from eco2_tracing import configure_tracing, flush_tracing, record_metric, shutdown_tracing, span

configure_tracing("green")
for number in range(20):
    with span("work"):
        record_metric("worked", 1)
        logging.getLogger("work").warning("item %s", number)
    time.sleep(0.005)
metrics.get_meter("green").create_observable_gauge("seen", [lambda _: [metrics.Observation(1)]])
assert flush_tracing(20)
record_metric("worked", 1)
assert shutdown_tracing(20)
