"""The waterfall in forked processes."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import logging, os, sys
from eco2_tracing import configure_logging, configure_tracing, flush_tracing, span
from opentelemetry import trace

configure_logging()
configure_tracing(service_name="shop")
log = logging.getLogger("shop")


def fail(name):
    try:
        with span(name):
            log.warning("a line of %s", name)
            raise ValueError(name)
    except ValueError:
        pass


with span("root of the parent"):
    log.warning("a line before the fork")
    with span("child span of the parent"):
        pass
    flush_tracing()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
if child:
    fail("parent")
else:
    fail("child")
"""


def test_fork():
    """A child prints its own traces with its own log lines, and nothing of its parent's."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_"))}
    environ |= {
        "OTEL_TRACES_EXPORTER": "waterfall",
        "ECO2_TRACING_SLOW_THRESHOLD_MS": "60000",
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    lines = [line for line in done.stdout.splitlines() if not line.startswith("{")]
    roots = [line.split()[1:3] for line in lines if not line.startswith(" ")]
    assert sorted(roots) == [["child", "ValueError"], ["parent", "ValueError"], ["root", "of"]]
    assert sum("a line of child" in line for line in lines) == 1
    assert sum("before the fork" in line for line in lines) == 0
