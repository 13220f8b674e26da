"""The kit's NetworkPolicies, enforced by the node: they allow what traces need, and nothing is there by luck."""

from __future__ import annotations

import subprocess

import pytest

from tests.istiod.trees import LOGIN, is_on_the_page, login, shape
from tests.support.cluster import AUTH, CHARACTER
from tests.support.istio_mesh import GATEWAY, running_mesh
from tests.support.jaeger_client import wait_for_trace
from tests.support.kit_variants import PROVIDERS
from tests.support.namespaces import PROXY_GROUP


def without_port(number):
    """An edit: the services' policies do not allow a port."""

    def edit(documents):
        for one in documents:
            if one["kind"] == "NetworkPolicy":
                for rule in one["spec"].get("egress", ()):
                    rule["ports"] = [port for port in rule["ports"] if port["port"] != number]

    return edit


@pytest.mark.parametrize("provider", PROVIDERS)
def test_policies_allow_what_traces_need(cluster, jaeger, provider):
    """Configuration of the proxies, calls, and the exports of proxies and services."""
    with running_mesh(cluster, jaeger, provider, policies=True) as mesh:
        trace = wait_for_trace(jaeger, mesh.log_in(), len(LOGIN))
        assert shape(trace) == login(provider), str(trace)


def test_policies_refuse_the_rest(cluster, jaeger):
    """The gateway may not call character-api, whose policy allows auth-api alone."""
    with running_mesh(cluster, jaeger, "zipkin", policies=True) as mesh:
        pods = {name: one.pod.network for name, one in mesh.cluster.workloads.items()}
        call = "import sys, socket; socket.create_connection((sys.argv[1], 8000), 5)"
        python = ["python3", "-c", call, pods[CHARACTER].address]
        assert run(pods[AUTH], python) == 0
        assert run(pods[GATEWAY], python) != 0


def test_policy_without_the_port_of_zipkin(cluster, jaeger):
    """The sidecars' spans are lost, and the services' spans have parents that nobody has."""
    with running_mesh(cluster, jaeger, "zipkin", edit=without_port(9411), policies=True) as mesh:
        assert is_on_the_page(wait_for_trace(jaeger, mesh.log_in(), len(LOGIN) - 3))


def run(network, command):
    """The exit status of a program in a Pod, which is not redirected to the sidecar."""
    return subprocess.run(network.command(command, PROXY_GROUP), capture_output=True, check=False).returncode
