"""The kit's resources and configurations are valid for the schemas and programs of those who read them."""

from __future__ import annotations

import json

import pytest
import yaml

KUBERNETES = "1.37"
NO_SCHEMAS = "no kubernetes-validate: pip install --group kubernetes"
OURS = ("istio.io/", "opentelemetry.io/", "kiali.io/")


def test_kubernetes(kit):
    """Every resource of Kubernetes is valid for its schema, which has no unknown field."""
    schemas = pytest.importorskip("kubernetes_validate", reason=NO_SCHEMAS)
    different = {json.dumps(resource.data): resource for resource in kit.resources()}
    findings = []
    for resource in different.values():
        if not any(group in resource.data["apiVersion"] for group in OURS):
            try:
                schemas.validate(resource.data, KUBERNETES, strict=True)
            except schemas.ValidationError as error:
                findings.append(f"{resource}: {error.message}")
    assert findings == []


def test_a_wrong_field_of_kubernetes_is_found(kit):
    """A field that a Deployment does not have is refused."""
    schemas = pytest.importorskip("kubernetes_validate", reason=NO_SCHEMAS)
    deployment = next(kit.resources("Deployment"))
    with pytest.raises(schemas.ValidationError, match="replica"):
        schemas.validate(
            {**deployment.data, "spec": {**deployment.spec, "replica": 2}}, KUBERNETES, strict=True
        )


def test_istio(kit, istio_errors):
    """Every resource of Istio is valid for its CustomResourceDefinition, without unknown fields."""
    resources = [resource for resource in kit.resources() if "istio.io/" in resource.data["apiVersion"]]
    assert {resource.kind for resource in resources} == {"Telemetry", "ServiceEntry", "Sidecar"}
    assert [f"{resource}: {error}" for resource in resources for error in istio_errors(resource.data)] == []


def test_operators(kit, operator_errors):
    """Every resource of the Operators is valid for its CustomResourceDefinition, and a misspelled field is found."""
    resources = list(kit.resources("OpenTelemetryCollector", "Instrumentation", "Kiali"))
    assert [
        f"{resource}: {error}" for resource in resources for error in operator_errors(resource.data)
    ] == []
    for resource in resources:
        assert list(operator_errors({**resource.data, "spec": {**resource.spec, "imagine": 1}}))


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("Telemetry", "randomSamplingPercentage", "samplingPercentage"),
        ("Telemetry", '"literal"', '"literally"'),
        ("ServiceEntry", "MESH_EXTERNAL", "EXTERNAL"),
        ("Sidecar", '"hosts"', '"host"'),
    ],
)
def test_a_wrong_field_of_istio_is_found(kit, istio_errors, kind, old, new):
    """An unknown field or a word that is not in the enumeration is refused."""
    text = json.dumps(next(kit.resources(kind)).data)
    assert old in text
    assert list(istio_errors(json.loads(text.replace(old, new))))


def test_mesh_config(kit, validate):
    """The meshConfig has no unknown field, and neither have the proxies' configurations of the Deployments."""
    assert validate("mesh", kit.mesh_config) == ""
    annotations = {
        workload.template["metadata"]["annotations"]["proxy.istio.io/config"]
        for workload in kit.workloads("service/")
    }
    for text in annotations:
        assert validate("proxy", yaml.safe_load(text)) == ""


def test_a_wrong_field_of_the_mesh_config_is_found(kit, validate):
    """A misspelled field, which istioctl accepts, is refused."""
    text = json.dumps(kit.mesh_config)
    assert "traceContextOption" in validate("mesh", json.loads(text.replace("Option", "Options")))


def test_access_log(kit, envoy):
    """Envoy accepts every format string of the access log that the meshConfig has, and refuses a wrong one."""
    (log,) = (
        p["envoyFileAccessLog"] for p in kit.mesh_config["extensionProviders"] if "envoyFileAccessLog" in p
    )
    labels = log["logFormat"]["labels"]
    assert envoy(bootstrap(labels)) == ""
    assert "TRACE" in envoy(bootstrap({"trace.id": "%TRACE%"}))


def bootstrap(labels) -> dict:
    """An Envoy that writes an access log in this format."""
    package = "type.googleapis.com/envoy.extensions"
    log = {
        "@type": f"{package}.access_loggers.stream.v3.StdoutAccessLog",
        "log_format": {"json_format": labels},
    }
    manager = {
        "@type": f"{package}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "inbound",
        "route_config": {},
        "access_log": [{"name": "stdout", "typed_config": log}],
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{package}.filters.http.router.v3.Router"}}
        ],
    }
    listener = {
        "name": "inbound",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener]}}
