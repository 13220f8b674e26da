"""The kit in a cluster, with one of Istio's two tracing providers at a time."""

from __future__ import annotations

import pytest

from tests.support import namespaces
from tests.support.cluster import running_jaeger
from tests.support.istio_mesh import running_cluster, running_mesh
from tests.support.kit import KIT, rendered
from tests.support.kit_variants import PROVIDERS


@pytest.fixture(scope="session")
def cluster():
    """An API server and an istiod with the kit's namespaces and mesh configuration."""
    if not namespaces.inside():
        pytest.skip("nox -s istiod runs these tests in a network namespace")
    with running_cluster(
        (*rendered(KIT / "namespaces"), *rendered(KIT / "mesh" / "overlays" / "dev"))
    ) as running:
        yield running


@pytest.fixture(scope="session")
def jaeger(cluster):
    """The kit's Jaeger for development, by its Service."""
    with running_jaeger(cluster) as running:
        yield running


@pytest.fixture(scope="module", params=PROVIDERS)
def mesh(request, cluster, jaeger):
    """The overlays for development, by each provider."""
    with running_mesh(cluster, jaeger, request.param) as running:
        yield running


@pytest.fixture(scope="module", params=PROVIDERS)
def production(request, cluster, jaeger):
    """The overlays for production, by each provider."""
    with running_mesh(cluster, jaeger, request.param, "production") as running:
        yield running
