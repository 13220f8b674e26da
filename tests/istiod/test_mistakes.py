"""What one sees of common mistakes: docs/troubleshooting/mesh-tracing-mistakes.md has these trees.

If a test fails, Istio or Envoy has changed, and the page must be updated.
"""

from __future__ import annotations

import pytest

from tests.istiod.trees import shape
from tests.support.istio_mesh import AUTH, CHARACTER, running_mesh
from tests.support.jaeger_client import wait_for_trace
from tests.support.kit_variants import PROVIDERS

MISSING = "jaeger-of-another-cluster"
SERVICES = [
    (0, AUTH, "POST /api/v1/auth/login"),
    (1, AUTH, "verify credentials"),
    (1, AUTH, "GET"),
    (2, CHARACTER, "GET /api/v1/characters/{user_id}"),
    (3, CHARACTER, "load character"),
]


def telemetries(documents):
    """The Telemetry resources."""
    return [one for one in documents if one["kind"] == "Telemetry"]


def name_a_missing_provider(documents):
    """Every Telemetry resource names a provider that the mesh configuration lacks."""
    for one in telemetries(documents):
        one["spec"]["tracing"][0]["providers"] = [{"name": MISSING}]


def hide_the_collector(documents):
    """No Sidecar resource lists the namespace of the collector."""
    for one in documents:
        if one["kind"] == "Sidecar":
            for egress in one["spec"]["egress"]:
                egress["hosts"] = [host for host in egress["hosts"] if host != "observability/*"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_provider_that_the_mesh_configuration_lacks(cluster, jaeger, provider):
    """No proxy has a span, istiod logs nothing, and the services begin a trace of their own."""
    with running_mesh(cluster, jaeger, provider, edit=name_a_missing_provider) as mesh:
        trace_id = mesh.log_in()
        trace = wait_for_trace(jaeger, trace_id, len(SERVICES))
        print(trace)
        assert shape(trace) == SERVICES, str(trace)
        assert [line for line in cluster.istiod.lines if MISSING in line] == []


def test_sidecar_that_hides_the_collector_from_opentelemetry(cluster, jaeger):
    """The proxies' spans are lost: the services' spans have a parent that nobody has."""
    with running_mesh(cluster, jaeger, "otel", edit=hide_the_collector) as mesh:
        trace = wait_for_trace(jaeger, mesh.log_in(), len(SERVICES))
        print(trace)
