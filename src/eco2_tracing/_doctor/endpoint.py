"""Checks how far a connection to the endpoint gets: proxy, name, every address, TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from eco2_tracing._doctor.finding import PAGE, SUBJECT, Facts, Finding, connection_error
from eco2_tracing._doctor.tls import TlsCheck
from eco2_tracing._export.transport.proxies import Proxy, ProxyError, grpc_proxy, http_proxy
from eco2_tracing._settings import OtlpSettings, shown_endpoint
from eco2_tracing._settings.hosts import OTLP_GRPC_PORT, Address, parse_target, without_zone

_NAME_S, _ADDRESS_S = 4.0, 2.0


class _Reached(NamedTuple):
    """The addresses of a host: those that accept connections, and what went wrong with the others."""

    open: list[tuple[int, Any]]
    refused: list[str]
    silent: list[str]
    errors: list[str]


class EndpointCheck:
    """Checks the OTLP endpoint. `problems` is empty where a connection can be opened.

    Args:
        facts: The settings.
        otlp: The destination.
    """

    def __init__(self, facts: Facts, otlp: OtlpSettings) -> None:
        self._facts = facts
        self._otlp = otlp
        self._shown = shown_endpoint(otlp.endpoint)
        self.problems: list[Finding] = []

    def run(self) -> Iterator[Finding]:
        """Yield what hinders a connection, and what does not hinder it and is wrong.

        Of several addresses in a target, one that works is enough.
        """
        all_found: list[Finding] = []
        for address in self._addresses():
            if not address.port:
                continue  # a Unix socket
            found = list(self._of_address(address))
            if all(finding.severity != "error" for finding in found):
                yield from found
                return
            all_found += found
        self.problems = [finding for finding in all_found if finding.severity == "error"]
        yield from all_found

    def speaks_tls(self) -> bool:
        """Return whether a server at the first address begins a TLS handshake; its certificate is not checked."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent
        host, port = self._addresses()[0]
        try:
            with (
                socket.create_connection((host, port), self._facts.left(_ADDRESS_S)) as sock,
                context.wrap_socket(sock),
            ):
                return True
        except OSError:
            return False

    def _addresses(self) -> tuple[Address, ...]:
        if self._otlp.protocol == "grpc":
            return parse_target(self._otlp.endpoint, OTLP_GRPC_PORT if self._otlp.insecure else 443).addresses
        parts = urlsplit(self._otlp.endpoint)
        return (Address(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)),)

    def _of_address(self, address: Address) -> Iterator[Finding]:
        try:
            proxy = self._proxy(address)
        except ProxyError as error:
            yield proxy_unreachable(self._otlp, str(error))
            return
        if proxy is not None:
            reached = self._reach(proxy.address)
            if isinstance(reached, str) or not reached.open:
                why = reached if isinstance(reached, str) else "it does not accept connections"
                yield proxy_unreachable(self._otlp, f"the proxy {proxy.name} cannot be reached: {why}")
            return  # the test span goes through the proxy
        reached = self._reach(address)
        if isinstance(reached, str):
            yield self._of_name(address, reached)
        elif not reached.open:
            yield self._of_closed(address, reached)
        else:
            if reached.silent:
                yield self._of_silent(address, reached)
            if not self._otlp.insecure:
                yield from TlsCheck(
                    self._facts, self._otlp, without_zone(address.host), *reached.open[0]
                ).run()

    def _proxy(self, address: Address) -> Proxy | None:
        environ = self._facts.environ
        if self._otlp.protocol == "grpc":
            return grpc_proxy(environ, address)
        return http_proxy(environ, urlsplit(self._otlp.endpoint).scheme, address)

    def _reach(self, address: Address) -> _Reached | str:
        """Try every address of a host; return the error if its name has none."""
        found = _resolve(address, self._facts.left(_NAME_S))
        if isinstance(found, str):
            return found
        reached = _Reached([], [], [], [])
        for family, sockaddr in found:
            shown = f"{sockaddr[0]} port {sockaddr[1]}"
            try:
                with socket.socket(family, socket.SOCK_STREAM) as sock:
                    sock.settimeout(self._facts.left(_ADDRESS_S))
                    sock.connect(sockaddr)
                reached.open.append((family, sockaddr))
            except ConnectionRefusedError:
                reached.refused.append(shown)
            except TimeoutError:
                reached.silent.append(shown)
            except OSError as error:
                reached.errors.append(f"{shown}: {error.strerror or error}")
        return reached

    def _of_name(self, address: Address, error: str) -> Finding:
        return connection_error(
            "host-not-found",
            f"{address.host}: {error}",
            "The name has no address, so no span leaves the process.",
            f"Correct the host in {SUBJECT}. In Kubernetes a Service is <name>.<namespace>.svc, and a "
            "NetworkPolicy must allow DNS.",
        )

    def _of_closed(self, address: Address, reached: _Reached) -> Finding:
        if reached.refused and not reached.silent:
            return connection_error(
                "connection-refused",
                f"{', '.join(reached.refused)}: connection refused",
                "Nothing listens there.",
                f"Start a collector at {self._shown}, or correct {SUBJECT}. Collectors listen on 4317 (gRPC) and "
                "4318 (HTTP).",
            )
        if reached.silent:
            return connection_error(
                "no-answer",
                f"{', '.join(reached.silent)}: no answer in {_ADDRESS_S:g} s",
                "Packets are dropped on the way: by a firewall, a NetworkPolicy, or an address that nobody has.",
                f"Correct {SUBJECT}, or allow egress to {address.host} port {address.port}.",
            )
        return connection_error(
            "unreachable",
            "; ".join(reached.errors),
            "The address cannot be reached.",
            f"Correct {SUBJECT}, or the network of this host.",
        )

    def _of_silent(self, address: Address, reached: _Reached) -> Finding:
        return Finding(
            "address-unreachable",
            "warning",
            SUBJECT,
            f"{address.host}: no answer from {', '.join(reached.silent)}; others of its addresses answer",
            "Each new connection may wait for the addresses that do not answer.",
            "Remove the address from DNS, or allow it in the firewall.",
            PAGE,
        )


def proxy_unreachable(otlp: OtlpSettings, found: str) -> Finding:
    """Return the finding for a proxy that does not work."""
    variables = "grpc_proxy, https_proxy or http_proxy"
    return connection_error(
        "proxy-unreachable",
        found,
        "Spans go through this proxy and do not arrive.",
        f"Correct {variables}, or add the collector's host to no_proxy.",
        subject=variables if otlp.protocol == "grpc" else "HTTP_PROXY or HTTPS_PROXY",
    )


def _resolve(address: Address, limit_s: float) -> list[tuple[int, Any]] | str:
    """Return the addresses of a host, or the error. A resolver may block, so it runs in a thread of its own."""
    result: list[list[tuple[int, Any]] | str] = []

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            result.append([(family, sockaddr) for family, _, _, _, sockaddr in found])
        except (OSError, UnicodeError) as error:
            result.append(getattr(error, "strerror", None) or str(error))

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(limit_s)
    return result[0] if result else f"no answer from DNS in {limit_s:.0f} s"
