"""A real API server with the CRDs of Istio and of the Operator."""

from __future__ import annotations

import pytest

from tests.support import crds, namespaces
from tests.support.api_server import namespaces as needed
from tests.support.api_server import running_api_server
from tests.support.jaeger_client import wait_for
from tests.support.kit import overlays, rendered


@pytest.fixture(scope="session")
def server():
    """With a namespace for each that the kit names, and warnings for Pods that are not restricted."""
    if not namespaces.inside():
        pytest.skip("nox -s kit starts the API server")
    definitions = [crds.istio(), *crds.others()]
    with running_api_server() as running:
        running.apply(*(f"--filename={path}" for path in definitions))
        wait_for(lambda: crds.established(running))
        running.apply(
            "--filename=-", given=needed([one for folder in overlays() for one in rendered(folder)])
        )
        yield running
