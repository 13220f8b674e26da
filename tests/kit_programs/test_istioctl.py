"""istioctl's findings for the kit, and which mistakes it finds."""

from __future__ import annotations

import copy
import json

import pytest

from tests.support.kit import KIT, name, overlays, program, rendered, run
from tests.support.kit_variants import PROVIDERS, documents

ISTIOCTL = "istioctl of Istio 1.32"
# For a Sidecar resource of the root namespace, `./*` is the namespace of each workload; istioctl takes it for its own.
EXPECTED = [("IST0133", "Warning", "Sidecar istio-system/default")]


def analyze(folder, resources):
    """Codes, levels and origins of findings, without a cluster."""
    path = folder / "resources.yaml"
    path.write_text("\n---\n".join(map(json.dumps, resources)))  # it does not read lists
    options = ("--all-namespaces", "--use-kube=false", "--output=json")
    done = run(program("istioctl", ISTIOCTL), "analyze", *options, str(path))
    assert done.stdout, done.stderr
    return [(one["code"], one["level"], one.get("origin")) for one in json.loads(done.stdout)]


def applied(provider, environment):
    """What a cluster has."""
    mesh, service = documents(provider, environment)
    folders = [KIT / "namespaces", KIT / "jaeger" / "dev"]
    return [*(one for folder in folders for one in rendered(folder)), *mesh, *service]


@pytest.mark.parametrize("environment", ["dev", "production"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_other_finding(tmp_path, provider, environment):
    """`istioctl analyze -A` reports nothing but the one warning that the kit's README explains."""
    assert analyze(tmp_path, applied(provider, environment)) == EXPECTED


def test_resources_are_valid(tmp_path):
    """By `istioctl validate`, for all overlays."""
    istioctl, path = program("istioctl", ISTIOCTL), tmp_path / "resources.yaml"
    folders = [one for one in overlays() if name(one).startswith(("mesh/", "service/"))]
    resources = [one for folder in folders for one in rendered(folder) if ".istio.io/" in one["apiVersion"]]
    assert resources
    path.write_text("\n---\n".join(map(json.dumps, resources)))
    done = run(istioctl, "validate", "--filename", str(path))
    assert done.returncode == 0, done.stderr


def test_two_telemetries_without_selector(tmp_path):
    """They are found: which one wins is not defined."""
    resources = applied("zipkin", "dev")
    (telemetry,) = [one for one in resources if one["metadata"]["name"] == "mesh-default"]
    second = copy.deepcopy(telemetry)
    second["metadata"]["name"] = "second"
    found = analyze(tmp_path, [*resources, second])
    assert {code for code, _, _ in found} == {"IST0133", "IST0160"}, found


def test_missing_provider_is_not_found(tmp_path):
    """Istioctl does not compare a Telemetry resource with the mesh configuration; tests/kubernetes does."""
    resources = copy.deepcopy(applied("zipkin", "dev"))
    for one in resources:
        if one["kind"] == "Telemetry":
            one["spec"]["tracing"][0]["providers"] = [{"name": "jaeger-of-another-cluster"}]
    assert analyze(tmp_path, resources) == EXPECTED
