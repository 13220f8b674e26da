"""The kit's two tiers of collectors, with their own configurations."""

from __future__ import annotations

import os
from collections.abc import Mapping

from eco2_tracing._cli.processes import Child
from tests.support.cluster import Cluster, Workload
from tests.support.kit import KIT, program, rendered
from tests.support.pods import NODE_NAME, Pod

PLAIN = KIT / "collector" / "plain"
OTELCOL = "the OpenTelemetry collector 0.158.0"


def start_collector(
    cluster: Cluster, name: str, number: int, environ: Mapping[str, str], *options: str
) -> Workload:
    """Start one Pod of a tier."""
    kinds = {"Deployment", "DaemonSet"}
    (found,) = [one for one in rendered(PLAIN) if one["kind"] in kinds and one["metadata"]["name"] == name]

    def command(pod: Pod) -> Child:
        config = f"--config={PLAIN}/{name.removeprefix('otel-')}-config.yaml"
        line = pod.network.command([program("otelcol", OTELCOL), config, *options])
        process = Child(name, line, {**environ, "KUBE_NODE_NAME": NODE_NAME}, grace_s=3.0)
        process.wait_for_line("Everything is ready")
        return process

    return cluster.start(f"{name}-{number}", "observability", found["spec"]["template"], command=command)


def start_tiers(cluster: Cluster) -> list[str]:
    """Start an agent with its service account, and two members of the second tier, which decide after a second."""
    program("otelcol", OTELCOL)
    cluster.apply(rendered(PLAIN))
    soon = "--set=processors.tail_sampling.decision_wait=1s"
    members = [start_collector(cluster, "otel-gateway", number, os.environ, soon) for number in (1, 2)]
    account = cluster.server.inside_a_pod("observability", "otel-agent")
    return [one.name for one in (start_collector(cluster, "otel-agent", 1, os.environ | account), *members)]
