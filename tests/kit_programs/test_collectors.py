"""The kit's collectors: their configurations are valid, and a real collector starts with each."""

from __future__ import annotations

import os
import re

import httpx
import pytest
import yaml

from eco2_tracing._cli.processes import Child
from tests.support.jaeger_client import wait_for
from tests.support.kit import KIT, collectors, program, run
from tests.support.namespaces import PodNetwork
from tests.support.pods import NODE_NAME

OTELCOL = "the OpenTelemetry collector 0.158.0"
# What the manifests set in the collectors' environment.
_REFERENCE = re.compile(r"\$\{env:(\w+)")
_FROM_VARIABLE = re.compile(r"from_env_var: (\w+)")


@pytest.fixture(params=list(collectors()))
def config(request, tmp_path):
    """A configuration as a file."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(collectors()[request.param]))
    return path


def environ(path):
    """The environment of a collector: a value for each variable that its configuration names."""
    text = path.read_text()
    names = [*_REFERENCE.findall(text), *_FROM_VARIABLE.findall(text)]
    return os.environ | dict.fromkeys(names, NODE_NAME)


def test_configuration_is_valid(config):
    """By `otelcol validate`."""
    done = run(program("otelcol", OTELCOL), "validate", f"--config={config}", env=environ(config))
    assert done.returncode == 0, done.stderr


def test_wrong_configuration_is_not(config, tmp_path):
    """A wrong name of a processor is found."""
    wrong = yaml.safe_load(config.read_text())
    for pipeline in wrong["service"]["pipelines"].values():
        pipeline["processors"] = ["k8sattributs"]
    config.write_text(yaml.safe_dump(wrong))
    done = run(program("otelcol", OTELCOL), "validate", f"--config={config}", env=environ(config))
    assert done.returncode != 0
    assert "k8sattributs" in done.stderr


@pytest.fixture(scope="module")
def account(server):
    """The variables of a Pod with the kit's service account."""
    server.apply("--kustomize", str(KIT / "collector" / "access"))
    return server.inside_a_pod("observability", "otel-agent")


def test_collector_starts(config, account):
    """All components start, with the rights of the kit's service account; some errors are found only then."""
    environment = environ(config) | account
    network = PodNetwork.create()
    command = network.command([program("otelcol", OTELCOL), f"--config={config}"])
    with Child("otelcol", command, environment) as running:
        running.wait_for_line("Everything is ready")
        wait_for(lambda: is_healthy(network.address))
    network.remove()
    assert [line for line in running.lines if "\terror\t" in line or "forbidden" in line] == []


def is_healthy(address):
    """Whether the collector's health check answers with success."""
    try:
        return httpx.get(f"http://{address}:13133", trust_env=False).is_success
    except httpx.TransportError:
        return False
