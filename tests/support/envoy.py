"""A real Envoy in front of the example services; skipped if the command is absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from eco2_tracing._cli.services import service_environ, start_service, url_of
from eco2_tracing.testing import OtlpReceiver
from tests.support.istio import Provider
from tests.support.proxies import Backend, Port, Proxy

GATEWAY = "istio-ingressgateway.default"  # outside istio-system: one span a request, not one an attempt


@dataclass(frozen=True)
class Mesh:
    """A gateway and the example services behind it.

    Attributes:
        url: The gateway's URL.
        gateway: The running Envoy.
    """

    url: str
    gateway: Proxy


@contextmanager
def start_gateway(
    receiver: OtlpReceiver, app_url: str, provider: Provider, *, sampling: float = 100.0
) -> Iterator[Mesh]:
    """Run Envoy in front of an application until the block ends.

    Args:
        receiver: Receives the gateway's spans.
        app_url: The URL to which every request is routed.
        provider: The tracing provider.
        sampling: Per cent of the requests without a decision to sample.
    """
    ports = {"gateway": Port(app_url, "auth-api.auth:80/*", "OUTBOUND")}
    with Proxy(GATEWAY, provider, Backend.of_receiver(receiver), ports, sampling=sampling) as gateway:
        yield Mesh(gateway.urls["gateway"], gateway)


@contextmanager
def start_mesh(receiver: OtlpReceiver, provider: Provider, *, sampling: float = 100.0) -> Iterator[Mesh]:
    """Run the example services behind Envoy until the block ends.

    Args:
        receiver: Receives the spans of the gateway and both services.
        provider: The tracing provider, whose variables the services get.
        sampling: Per cent of the requests without a decision to sample.
    """
    with ExitStack() as stack:
        environ = {**service_environ(os.environ, None, receiver.grpc_endpoint), **provider.variables}
        character = stack.enter_context(start_service("character_api", environ))
        environ["CHARACTER_API_URL"] = url_of(character)
        auth = stack.enter_context(start_service("auth_api", environ))
        yield stack.enter_context(start_gateway(receiver, url_of(auth), provider, sampling=sampling))
