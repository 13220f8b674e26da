"""Checks how far a connection to the endpoint gets: proxy, name, every address, TLS."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from eco2_tracing._doctor.finding import Facts, Finding
from eco2_tracing._export.transport.connect import Credentials
from eco2_tracing._export.transport.proxies import Proxy, ProxyError, grpc_proxy, http_proxy
from eco2_tracing._settings import shown_endpoint
from eco2_tracing._settings.hosts import OTLP_GRPC_PORT, Address, parse_target, without_zone

SUBJECT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PAGE = "docs/delivery.md"
_SECURITY = "docs/delivery.md"
_NAME_S, _ADDRESS_S, _ALERT_S = 4.0, 2.0, 0.3
_SOON_S = 14 * 86_400
# OpenSSL's X509_V_ERR_*: self-signed, self-signed in the chain, and no issuer found.
_UNKNOWN_CA = frozenset({18, 19, 20, 21})
_EXPIRED, _NOT_YET_VALID, _WRONG_NAME, _WRONG_ADDRESS = 10, 9, 62, 64


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
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._otlp = facts.settings.otlp
        self.problems: list[Finding] = []

    def run(self) -> Iterator[Finding]:
        """Yield what hinders a connection, and what does not hinder it and is wrong."""
        for address in self._addresses():
            if not address.port:
                continue  # a Unix socket
            before = len(self.problems)
            for finding in self._of_address(address):
                if finding.severity == "error":
                    self.problems.append(finding)
                yield finding
            if len(self.problems) == before:
                self.problems.clear()  # one address that works is enough
                return

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
            yield self._of_proxy(str(error))
            return
        if proxy is not None:
            reached = self._reach(proxy.address)
            if isinstance(reached, str) or not reached.open:
                why = reached if isinstance(reached, str) else "it does not accept connections"
                yield self._of_proxy(f"the proxy {proxy.name} cannot be reached: {why}")
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
                yield from self._of_tls(address, *reached.open[0])

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

    def _finding(self, kind: str, found: str, problem: str, cure: str, subject: str = SUBJECT) -> Finding:
        return Finding(kind, "error", subject, found, problem, cure, PAGE)

    def _shown(self) -> str:
        return shown_endpoint(self._otlp.endpoint)

    def _of_proxy(self, found: str) -> Finding:
        variables = "grpc_proxy, https_proxy or http_proxy"
        return self._finding(
            "proxy-unreachable",
            found,
            "Spans go through this proxy and do not arrive.",
            f"Correct {variables}, or add the collector's host to no_proxy.",
            subject=variables if self._otlp.protocol == "grpc" else "HTTP_PROXY or HTTPS_PROXY",
        )

    def _of_name(self, address: Address, error: str) -> Finding:
        return self._finding(
            "host-not-found",
            f"{address.host}: {error}",
            "The name has no address, so no span leaves the process.",
            f"Correct the host in {SUBJECT}. In Kubernetes a Service is <name>.<namespace>.svc, and a "
            "NetworkPolicy must allow DNS.",
        )

    def _of_closed(self, address: Address, reached: _Reached) -> Finding:
        if reached.refused and not reached.silent:
            return self._finding(
                "connection-refused",
                f"{', '.join(reached.refused)}: connection refused",
                "Nothing listens there.",
                f"Start a collector at {self._shown()}, or correct {SUBJECT}. Collectors listen on 4317 (gRPC) and "
                "4318 (HTTP).",
            )
        if reached.silent:
            return self._finding(
                "no-answer",
                f"{', '.join(reached.silent)}: no answer in {_ADDRESS_S:g} s",
                "Packets are dropped on the way: by a firewall, a NetworkPolicy, or an address that nobody has.",
                f"Correct {SUBJECT}, or allow egress to {address.host} port {address.port}.",
            )
        return self._finding(
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

    def _of_tls(self, address: Address, family: int, sockaddr: Any) -> Iterator[Finding]:
        otlp = self._otlp
        try:
            context = Credentials(otlp.certificate, otlp.client_certificate, otlp.client_key).context()
        except OSError as error:
            yield self._finding(
                "certificate-file",
                str(error),
                "TLS cannot start.",
                "Name a readable PEM file, or remove the variable.",
                subject="OTEL_EXPORTER_OTLP_CERTIFICATE",
            )
            return
        host = without_zone(address.host)
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.settimeout(self._facts.left(_ADDRESS_S * 2))
                sock.connect(sockaddr)
                with context.wrap_socket(sock, server_hostname=host) as secure:
                    if otlp.client_certificate is None:
                        _wait_for_alert(secure)
                    yield from self._of_certificate(host, secure.getpeercert() or {})
        except ssl.SSLCertVerificationError as error:
            yield self._of_verification(host, error)
        except ssl.SSLError as error:
            yield self._of_handshake(error)
        except OSError as error:
            yield self._finding(
                "tls-failed",
                f"{self._shown()}: {error}",
                "The server closed the connection during the TLS handshake.",
                f"Write http:// in {SUBJECT} if the collector expects plaintext.",
            )

    def _of_verification(self, host: str, error: ssl.SSLCertVerificationError) -> Finding:
        found = f"{self._shown()}: {error.verify_message}"
        if error.verify_code in _UNKNOWN_CA:
            return self._finding(
                "unknown-ca",
                found,
                "The certificate is signed by an authority that is not trusted here, so no span is sent.",
                "Set OTEL_EXPORTER_OTLP_CERTIFICATE to the PEM file of that authority.",
                subject="OTEL_EXPORTER_OTLP_CERTIFICATE",
            )
        if error.verify_code in (_WRONG_NAME, _WRONG_ADDRESS):
            return self._finding(
                "certificate-name",
                found,
                f"The certificate is not for {host}, so no span is sent.",
                f"Write a host in {SUBJECT} that the certificate names, or issue one for {host}.",
            )
        if error.verify_code in (_EXPIRED, _NOT_YET_VALID):
            return self._finding(
                "certificate-expired",
                found,
                "The certificate is not valid today, so no span is sent.",
                "Renew the certificate of the collector, and check the clock of this host.",
            )
        return self._finding(
            "certificate-invalid",
            found,
            "The certificate is not accepted, so no span is sent.",
            "Renew the certificate of the collector.",
        )

    def _of_handshake(self, error: ssl.SSLError) -> Finding:
        reason = error.reason or str(error)
        if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
            return client_certificate_required(self._shown(), reason)
        return self._finding(
            "tls-to-plaintext-port",
            f"{self._shown()}: {reason.lower().replace('_', ' ')}",
            "The endpoint is called with TLS, and the server there does not speak TLS.",
            f"Write http:// in {SUBJECT}, or set OTEL_EXPORTER_OTLP_INSECURE=true.",
        )

    def _of_certificate(self, host: str, certificate: dict[str, Any]) -> Iterator[Finding]:
        until = ssl.cert_time_to_seconds(certificate["notAfter"]) if "notAfter" in certificate else None
        if until is not None and until - time.time() < _SOON_S:
            yield Finding(
                "certificate-expires-soon",
                "warning",
                SUBJECT,
                f"the certificate of {host} is valid until {certificate['notAfter']}",
                "After that no span is sent.",
                "Renew the certificate of the collector.",
                _SECURITY,
            )


def _wait_for_alert(secure: ssl.SSLSocket) -> None:
    """Let a server of TLS 1.3 say that it requires a client certificate: it does so after the handshake.

    Raises:
        ssl.SSLError: It does.
    """
    secure.settimeout(_ALERT_S)
    with suppress(TimeoutError):
        secure.recv(1)


def client_certificate_required(endpoint: str, reason: str) -> Finding:
    """Return the finding for a server that asks for a client certificate."""
    return Finding(
        "client-certificate",
        "error",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        f"{endpoint}: {reason.lower().replace('_', ' ')}",
        "The server accepts only clients with a certificate of its authority.",
        "Set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY to such a certificate and key.",
        _SECURITY,
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
