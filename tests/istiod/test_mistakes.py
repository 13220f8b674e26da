"""What one sees of common mistakes: docs/troubleshooting/mesh-tracing-mistakes.md has these trees.

If a test fails, Istio or Envoy has changed, and the page must be updated.
"""

from __future__ import annotations

import copy
import json
import uuid

import httpx
import pytest

from eco2_tracing.testing import b3_headers
from tests.istiod.trees import LOGIN, NAMES, is_on_the_page, is_proxy
from tests.support.cluster import AUTH, CHARACTER, TRACE_HEADER
from tests.support.istio_mesh import GATEWAY, running_mesh
from tests.support.jaeger_client import wait_for, wait_for_trace
from tests.support.kit import KIT, rendered
from tests.support.kit_variants import PROVIDERS, documents
from tests.support.proxies import json_lines

COLLECTOR = "outbound|9411||jaeger-collector.observability.svc.cluster.local"
MISSING = "jaeger-of-another-cluster"
SERVICES = [row for row in LOGIN if row[2] is not None]


def telemetries(resources):
    """The Telemetry resources."""
    return [one for one in resources if one["kind"] == "Telemetry"]


def name_a_missing_provider(resources):
    """Every Telemetry resource names a provider that the mesh configuration lacks."""
    for one in telemetries(resources):
        one["spec"]["tracing"][0]["providers"] = [{"name": MISSING}]


def hide_the_collector(resources):
    """No Sidecar resource lists the namespace of the collector."""
    for one in resources:
        if one["kind"] == "Sidecar":
            for egress in one["spec"]["egress"]:
                egress["hosts"] = [host for host in egress["hosts"] if host != "observability/*"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_provider_that_the_mesh_configuration_lacks(cluster, jaeger, provider):
    """No proxy has a span, istiod logs nothing, and the service begins a trace of its own."""
    with running_mesh(cluster, jaeger, provider, edit=name_a_missing_provider) as mesh:
        trace = wait_for_trace(jaeger, mesh.log_in(), len(SERVICES))
        assert is_on_the_page(trace)
        assert [line for line in cluster.istiod.lines if MISSING in line] == []


def test_sidecar_that_hides_the_collector_from_opentelemetry(cluster, jaeger):
    """The sidecars' spans are lost, and nothing says so: the services' spans have parents that nobody has."""
    with running_mesh(cluster, jaeger, "otel", edit=hide_the_collector) as mesh:
        trace = wait_for_trace(jaeger, mesh.log_in(), len(SERVICES) + 2)
        assert is_on_the_page(trace)


def test_sidecar_that_hides_the_collector_from_zipkin(cluster, jaeger):
    """A new sidecar rejects its listeners, and its Pod refuses connections."""
    with running_mesh(cluster, jaeger, "zipkin", edit=hide_the_collector) as mesh:
        rejected = mesh.proxy(AUTH).stats("listener_manager.lds.update_rejected")
        print(rejected, *[line for line in mesh.proxy(AUTH).lines if "zipkin" in line.lower()], sep="\n")
        assert min(rejected.values()) > 0
        answer = mesh.send("POST", "/api/v1/auth/login", json={"user_id": "mina"})
        print(answer.status_code, answer.text)
        assert answer.status_code == 503
        with pytest.raises(httpx.ConnectError):
            httpx.get(
                f"http://{mesh.cluster.workloads[AUTH].pod.network.address}:8000/health", trust_env=False
            )


def test_running_sidecar_from_which_the_collector_is_hidden(cluster, jaeger):
    """With the Zipkin provider it goes on with its listeners until it starts anew."""
    with running_mesh(cluster, jaeger, "zipkin") as mesh:
        changed = [copy.deepcopy(one) for one in documents("zipkin", "dev")[0] if one["kind"] == "Sidecar"]
        hide_the_collector(changed)
        cluster.apply(changed)
        for name in (AUTH, CHARACTER):
            wait_for(lambda name=name: COLLECTOR not in str(mesh.proxy(name).admin("clusters?format=json")))
        trace = wait_for_trace(jaeger, mesh.log_in(), len(SERVICES) + 2)
        assert is_on_the_page(trace)


def put_b3_first(resources):
    """The services extract B3 first, as if the provider were Zipkin."""
    for one in resources:
        if one["kind"] == "Deployment":
            (container,) = one["spec"]["template"]["spec"]["containers"]
            (variable,) = [each for each in container["env"] if each["name"] == "OTEL_PROPAGATORS"]
            variable["value"] = "b3,tracecontext,baggage"


def test_propagators_of_the_other_provider(cluster, jaeger):
    """A client's B3 headers pass the proxies unchanged, and the services follow them into another trace."""
    with running_mesh(cluster, jaeger, "otel", edit=put_b3_first) as mesh:
        stale = uuid.uuid4().hex
        assert mesh.log_in(b3_headers(stale, "c" * 16)) == stale
        trace = wait_for_trace(jaeger, stale, len(SERVICES) + 2)
        (line,) = wait_for(lambda: json_lines(mesh.proxy(GATEWAY)))
        others = wait_for_trace(jaeger, line["trace.id"], 3)
        assert is_on_the_page(trace)
        assert is_on_the_page(others)


@pytest.fixture
def undeclared(cluster, jaeger):
    """Jaeger's Service without a word that its OTLP port is gRPC."""
    (service,) = [
        one for one in rendered(KIT / "jaeger" / "dev") if one["metadata"]["name"] == "jaeger-collector"
    ]
    changed = copy.deepcopy(service)
    (port,) = [one for one in changed["spec"]["ports"] if one["port"] == 4317]
    port["name"] = "otlp"
    del port["appProtocol"]
    cluster.apply([changed])
    cluster.pods.publish()
    yield
    cluster.apply([service])
    cluster.pods.publish()


def test_otlp_port_that_is_not_declared_grpc(cluster, jaeger, undeclared):
    """The proxies send HTTP/1.1, which Jaeger refuses; their counter says that the spans were sent."""
    with running_mesh(cluster, jaeger, "otel") as mesh:
        trace = wait_for_trace(jaeger, mesh.log_in(), len(SERVICES))
        for name in (GATEWAY, AUTH, CHARACTER):
            proxy = mesh.proxy(name)
            wait_for(lambda proxy=proxy: any(proxy.stats("opentelemetry.spans_sent").values()))
            wait_for(lambda proxy=proxy: any(proxy.stats("4317.*internal.upstream_rq_502").values()))
        assert is_on_the_page(jaeger.trace(trace.trace_id))


def test_provider_that_changes_while_proxies_run(cluster, jaeger):
    """Open connections keep the old provider; a new one has the new provider."""
    with running_mesh(cluster, jaeger, "zipkin") as mesh:
        assert mesh.log_in()  # the gateway's connection to the sidecar stays open
        cluster.apply(telemetries([*documents("otel", "dev")[0], *documents("otel", "dev")[1]]))
        for name in (GATEWAY, AUTH):
            wait_for(lambda name=name: "OpenTelemetryConfig" in dump(mesh.proxy(name)))
        trace = wait_for_trace(jaeger, mesh.log_in(), len(LOGIN))
        assert is_on_the_page(trace)
        address = mesh.cluster.workloads[AUTH].pod.network.address
        answer = httpx.post(
            f"http://{address}:8000/api/v1/auth/login", json={"user_id": "mina"}, trust_env=False, timeout=10
        )
        trace = wait_for_trace(jaeger, answer.headers[TRACE_HEADER], len(LOGIN) - 2)
        assert NAMES["otel"]["auth proxy"] in proxies(trace), str(trace)


def proxies(trace):
    """The service names of the proxies' spans."""
    return {one.service for one in trace.spans if is_proxy(one)}


def dump(proxy):
    """The listeners of a proxy, as text."""
    return json.dumps(proxy.admin("config_dump?resource=dynamic_listeners"))
