"""Forked processes: each span arrives once, with the resource of its process."""

from __future__ import annotations

import json
import sys

import pytest

from tests.lifecycle.forking import BUSY, THREADS
from tests.lifecycle.servers import LIMIT_S, environment
from tests.support import programs


def run(receiver, plan: str, children: int, support: str = "", *how: str) -> list[dict[str, object]]:
    """Run a plan and return its log lines."""
    environ = environment(receiver.grpc_endpoint)
    if support:
        environ["GRPC_ENABLE_FORK_SUPPORT"] = support
    done = programs.run(
        [sys.executable, "-m", "tests.lifecycle.forking", plan, str(children), *how],
        env=environ,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr + done.stdout, done.stderr + done.stdout
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def names(plan: str, children: int) -> list[str]:
    """The spans that have to arrive."""
    parent = ["parent"] + (["parent again"] if plan != "before" else []) + ["open"] * (plan == "open")
    if plan == "nested":
        made = [f"child {n}{'.0' * depth}" for n in range(children) for depth in range(3)]
        return sorted(parent + made + [f"{name} again" for name in made])
    if plan == "busy":
        made = [f"child {n}{more}" for n in range(children) for more in ("", ".0", " again")]
        return sorted(parent + made + ["busy"] * BUSY * THREADS)
    more = ["terminated"] if plan in {"fork", "spawn", "forkserver"} else []
    return sorted(parent + more + [f"child {n}" for n in range(children)])


@pytest.mark.parametrize(
    ("plan", "children", "support"),
    [
        ("before", 3, ""),
        ("after", 3, ""),
        ("after", 3, "0"),
        ("after", 3, "1"),
        ("nested", 2, ""),
        ("after", 12, ""),
        ("busy", 6, ""),
        ("busy", 6, "0"),
        ("busy", 6, "1"),
        ("fork", 2, ""),
        ("spawn", 2, ""),
        ("forkserver", 2, ""),
    ],
)
def test_every_process_delivers(plan, children, support, otlp_receiver):
    """Each span arrives once; process id, instance id and the node name of logs are those of the process."""
    lines = run(otlp_receiver, plan, children, support)
    check(otlp_receiver.spans, lines, plan, children)


@pytest.mark.skipif(sys.platform == "win32", reason="this system cannot fork")
@pytest.mark.parametrize(
    ("plan", "children"),
    [("before", 3), ("after", 3), ("after", 12), ("nested", 2), ("held", 2), ("open", 2), ("daemon", 2)],
)
def test_forks_in_c(plan, children, otlp_receiver):
    """The same for forks in C, as by uWSGI."""
    lines = run(otlp_receiver, plan, children, "", "in C")
    check(otlp_receiver.spans, lines, plan, children)
    assert len({span.span_id for span in otlp_receiver.spans}) == len(otlp_receiver.spans)


def check(spans, lines: list[dict[str, object]], plan: str, children: int) -> None:
    """Compare spans and log lines with the work of the processes."""
    assert sorted(span.name for span in spans) == names(plan, children)
    of_process: dict[object, set[object]] = {}
    for span in spans:
        of_process.setdefault(span.resource["process.pid"], set()).add(span.resource["service.instance.id"])
    assert all(len(instances) == 1 for instances in of_process.values())
    assert len(set.union(*of_process.values())) == len(of_process)
    nodes = {span.name: span.resource["service.instance.id"] for span in spans if span.name != "busy"}
    told = [line for line in lines if line["log.logger"] == "forking"]
    assert {line["message"]: line["service.node.name"] for line in told} == nodes
