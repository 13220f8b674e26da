"""Checks a TLS handshake with the endpoint: chain, name, dates, and whether a client certificate is required."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from eco2_tracing._doctor.finding import PAGE, SUBJECT, Facts, Finding, connection_error
from eco2_tracing._export.transport.connect import Credentials
from eco2_tracing._settings import OtlpSettings, shown_endpoint

_HANDSHAKE_S, _ALERT_S = 4.0, 0.3
_SOON_S = 14 * 86_400
# OpenSSL's X509_V_ERR_*: self-signed, self-signed in the chain, and no issuer found.
_UNKNOWN_CA = frozenset({18, 19, 20, 21})
_EXPIRED, _NOT_YET_VALID, _WRONG_NAME, _WRONG_ADDRESS = 10, 9, 62, 64


class TlsCheck:
    """Checks one address.

    Args:
        facts: The settings.
        otlp: The destination.
        host: The name that the certificate must have.
        family: The address family.
        sockaddr: The address, which accepts connections.
    """

    def __init__(self, facts: Facts, otlp: OtlpSettings, host: str, family: int, sockaddr: Any) -> None:
        self._facts = facts
        self._otlp = otlp
        self._shown = shown_endpoint(otlp.endpoint)
        self._host = host
        self._family = family
        self._sockaddr = sockaddr

    def run(self) -> Iterator[Finding]:
        """Yield what is wrong with the handshake or with the certificate."""
        otlp, host = self._otlp, self._host
        try:
            context = Credentials(otlp.certificate, otlp.client_certificate, otlp.client_key).context()
        except OSError as error:
            yield connection_error(
                "certificate-file",
                str(error),
                "TLS cannot start.",
                "Name a readable PEM file, or remove the variable.",
                subject="OTEL_EXPORTER_OTLP_CERTIFICATE",
            )
            return
        try:
            with socket.socket(self._family, socket.SOCK_STREAM) as sock:
                sock.settimeout(self._facts.left(_HANDSHAKE_S))
                sock.connect(self._sockaddr)
                with context.wrap_socket(sock, server_hostname=host) as secure:
                    certificate = secure.getpeercert() or {}
                    if otlp.client_certificate is None:
                        _wait_for_alert(secure)
            yield from self._of_certificate(host, certificate)
        except ssl.SSLCertVerificationError as error:
            yield self._of_verification(host, error)
        except ssl.SSLError as error:
            yield self._of_handshake(error)
        except OSError as error:
            yield connection_error(
                "tls-failed",
                f"{self._shown}: {error}",
                "The server closed the connection during the TLS handshake.",
                f"Write http:// in {SUBJECT} if the collector expects plaintext.",
            )

    def _of_verification(self, host: str, error: ssl.SSLCertVerificationError) -> Finding:
        found = f"{self._shown}: {error.verify_message}"
        if error.verify_code in _UNKNOWN_CA:
            return connection_error(
                "unknown-ca",
                found,
                "The certificate is signed by an authority that is not trusted here, so no span is sent.",
                "Set OTEL_EXPORTER_OTLP_CERTIFICATE to the PEM file of that authority.",
                subject="OTEL_EXPORTER_OTLP_CERTIFICATE",
            )
        if error.verify_code in (_WRONG_NAME, _WRONG_ADDRESS):
            return connection_error(
                "certificate-name",
                found,
                f"The certificate is not for {host}, so no span is sent.",
                f"Write a host in {SUBJECT} that the certificate names, or issue one for {host}.",
            )
        if error.verify_code in (_EXPIRED, _NOT_YET_VALID):
            return connection_error(
                "certificate-expired",
                found,
                "The certificate is not valid today, so no span is sent.",
                "Renew the certificate of the collector, and check the clock of this host.",
            )
        return connection_error(
            "certificate-invalid",
            found,
            "The certificate is not accepted, so no span is sent.",
            "Renew the certificate of the collector.",
        )

    def _of_handshake(self, error: ssl.SSLError) -> Finding:
        reason = error.reason or str(error)
        if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
            return client_certificate_required(self._shown, reason)
        return connection_error(
            "tls-to-plaintext-port",
            f"{self._shown}: {reason.lower().replace('_', ' ')}",
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
                PAGE,
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
    return connection_error(
        "client-certificate",
        f"{endpoint}: {reason.lower().replace('_', ' ')}",
        "The server accepts only clients with a certificate of its authority.",
        "Set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY to such a certificate and key.",
        subject="OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    )
