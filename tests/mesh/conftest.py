"""The meshes of these tests export to a real Jaeger, or to the receiver of this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.jaeger import first_way, running_jaeger
from tests.support.mesh import Mesh, running_mesh
from tests.support.proxies import PROVIDERS, Backend

from eco2_tracing.testing import OtlpReceiver


@pytest.fixture(scope="session")
def backend() -> Iterator[Backend]:
    """Receives all spans."""
    try:
        way = first_way()
    except pytest.skip.Exception as reason:
        print(f"{reason}: these meshes report to the library's own receiver")
        with OtlpReceiver() as receiver:
            yield Backend.of_receiver(receiver)
        return
    with running_jaeger(way) as jaeger:
        yield Backend.of_jaeger(jaeger)


@pytest.fixture(scope="module", params=list(PROVIDERS))
def mesh(request: pytest.FixtureRequest, backend: Backend) -> Iterator[Mesh]:
    """A mesh that samples everything, by each tracing provider."""
    with running_mesh(PROVIDERS[request.param], backend) as running:
        yield running


@pytest.fixture(scope="module", params=["Zipkin", "OpenTelemetry"])
def sampling_mesh(request: pytest.FixtureRequest, backend: Backend) -> Iterator[Mesh]:
    """A mesh whose gateway samples one request in a hundred."""
    with running_mesh(PROVIDERS[request.param], backend, sampling=1.0) as running:
        yield running
