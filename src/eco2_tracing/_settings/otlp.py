"""Resolves OTLP endpoints, and says what looks like a mistake in them.

Rules: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from eco2_tracing._settings.display import is_credential, shown_endpoint
from eco2_tracing._settings.hosts import InternalHosts, is_host, is_target, parse_target, without_escaped_zone
from eco2_tracing._settings.parse import SecretHeaders
from eco2_tracing._settings.problem import BadValueError

Protocol = Literal["grpc", "http/protobuf"]

_PATHS: Mapping[str, str] = {"TRACES": "/v1/traces", "METRICS": "/v1/metrics", "LOGS": "/v1/logs"}
_OTLP_PORT: Mapping[str, int] = {"grpc": 4317, "http/protobuf": 4318}
_OTHER_PORT: Mapping[str, int] = {"grpc": 4318, "http/protobuf": 4317}


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """One OTLP destination.

    Attributes:
        protocol: ``grpc`` or ``http/protobuf``.
        endpoint: The gRPC target (``host:port``), or the whole URL for HTTP.
        insecure: Plaintext instead of TLS.
        headers: Headers of each request; lower-case names, values masked in ``repr``.
        timeout_s: Seconds for one export, retries included.
        compression: ``none`` or ``gzip``.
        certificate: File of the authorities that the server is checked against (PEM).
        client_certificate: File of the client's certificate chain (PEM).
        client_key: File of the client's private key (PEM).
    """

    protocol: Protocol = "grpc"
    endpoint: str = field(default="localhost:4317", repr=False)  # its query may hold a token
    insecure: bool = True
    headers: Mapping[str, str] = field(default_factory=SecretHeaders)
    timeout_s: float = 10.0
    compression: Literal["none", "gzip"] = "none"
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None


class Endpoint(NamedTuple):
    """A resolved endpoint."""

    address: str  # the gRPC target or the HTTP URL
    insecure: bool  # plaintext
    text: str  # as it was set, without credentials and query
    authorization: str | None = None  # the value of a `Basic` header where the text held credentials
    doubt: str = ""  # what looks like a mistake


class Reading(NamedTuple):
    """The other variables that the meaning of an endpoint depends on."""

    protocol: Protocol
    signal_form: bool = False  # the endpoint is set in its `_TRACES_` form, which is used as it is
    insecure: bool | None = None  # `OTEL_EXPORTER_OTLP_INSECURE`, where it is set
    guarded: bool = False  # OTLP headers or certificates are set, so plaintext is not the default
    targets: Sequence[str] = ()  # more internal hosts
    signal: str = "TRACES"

    @property
    def path(self) -> str:
        """The path of the signal, for HTTP."""
        return _PATHS[self.signal]

    def plaintext(self, *hosts: str) -> bool:
        """Return whether an endpoint without a scheme is plaintext: as set, else on internal hosts alone."""
        if self.insecure is not None:
            return self.insecure
        return not self.guarded and all(map(InternalHosts(self.targets).includes, hosts))


def default_endpoint(protocol: Protocol, signal: str = "TRACES") -> Endpoint:
    """Return the endpoint of a collector on this host."""
    address = "localhost:4317" if protocol == "grpc" else f"http://localhost:4318{_PATHS[signal]}"
    return Endpoint(address, insecure=True, text=address)


def read_endpoint(text: str, reading: Reading) -> Endpoint:
    """Resolve a URL, ``host:port`` or, for gRPC, any gRPC target.

    Raises:
        BadValueError: It is none of these.
    """
    if reading.protocol == "grpc" and is_target(text):
        return _read_target(text, reading)
    parts = _split(text)
    host, port = without_escaped_zone(parts.hostname or ""), parts.port
    insecure = parts.scheme == "http" if parts.scheme else reading.plaintext(host)
    if port is None and not (parts.scheme and reading.protocol == "http/protobuf"):
        # The default of the URL, or that of OTLP for a host without a scheme.
        port = 443 if not insecure else 80 if parts.scheme else _OTLP_PORT[reading.protocol]
    netloc = f"[{host}]" if ":" in host else host
    netloc = netloc if port is None else f"{netloc}:{port}"
    clean = text.replace(f"{parts.netloc.rpartition('@')[0]}@", "", 1) if "@" in parts.netloc else text
    address = netloc
    if reading.protocol != "grpc":
        path = (parts.path or "/") if reading.signal_form else parts.path.rstrip("/") + reading.path
        address = urlunsplit(("http" if insecure else "https", netloc, path, parts.query, ""))
    return Endpoint(address, insecure, clean.partition("?")[0], _basic(parts), _doubt(parts, port, reading))


def _read_target(text: str, reading: Reading) -> Endpoint:
    if text.startswith(("xds:", "vsock:")):
        return Endpoint(text, reading.insecure is True, text)
    complaint = "expected a gRPC target such as dns:///collector:4317"
    try:
        target = parse_target(text, _OTLP_PORT["grpc"])
    except ValueError as error:
        raise BadValueError(f"{complaint}: {error}") from None
    hosts = [address.host for address in target.addresses if address.port]  # a Unix socket has no port
    for host in hosts:
        if not is_host(host):
            raise BadValueError(f"{complaint}: {host!r} is no host")
    server = target.dns_server
    doubt = f"the DNS server {server!r} in it is not asked, the system's own is" if server else ""
    return Endpoint(text, reading.plaintext(*hosts), text, doubt=doubt)


def _split(text: str) -> SplitResult:
    complaint = "expected a URL such as http://collector:4317"
    if is_credential(text):  # it would be looked up as the name of a host
        cure = "this looks like a credential, which belongs into OTEL_EXPORTER_OTLP_HEADERS"
        raise BadValueError(f"{complaint}; {cure}")
    if text.isdecimal():
        raise BadValueError(f"{complaint}; this is a port without a host")
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        port = parts.port
    except ValueError:
        raise BadValueError(complaint) from None
    # urlsplit drops line breaks without an error, so the text itself is checked.
    is_odd = port == 0 or not text.isascii() or re.search(r"[\x00-\x20\x7f]", text)
    # `http:/collector`, `http//collector` or, with HTTP, `unix:/a.sock`: the host would be `http` or `unix`.
    is_scheme = not parts.scheme and (parts.netloc.endswith(":") or parts.path.startswith("//"))
    if is_odd or is_scheme or not is_host(parts.hostname or ""):
        raise BadValueError(complaint)
    if parts.scheme not in ("", "http", "https"):
        raise BadValueError(f"{complaint}; the scheme {parts.scheme!r} is not known")
    return parts


def _basic(parts: SplitResult) -> str | None:
    """Return the header of a URL's credentials, as HTTP clients do: status and logs must not show them."""
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _doubt(parts: SplitResult, port: int | None, reading: Reading) -> str:
    doubts: list[str] = []
    protocol, path = reading.protocol, parts.path.rstrip("/")
    if port == _OTHER_PORT[protocol]:
        other = "http/protobuf" if protocol == "grpc" else "grpc"
        doubts.append(
            f"port {port} is usually that of {other}, but the protocol is {protocol}: "
            f"set OTEL_EXPORTER_OTLP_PROTOCOL={other} or use port {_OTLP_PORT[protocol]}"
        )
    if protocol == "grpc":
        if path:
            doubts.append(f"gRPC has no use for the path {shown_endpoint(path)!r}, it is ignored")
        if parts.port is None and port == 80:
            doubts.append("no port is given, so port 80 is called; OTLP over gRPC is usually on 4317")
    elif path.endswith(reading.path) and not reading.signal_form:
        doubts.append(
            f"{reading.path} is appended to it, as specified: "
            f"leave the path out, or use the _{reading.signal}_ variable"
        )
    elif not path and reading.signal_form:
        doubts.append(
            f"the _{reading.signal}_ variable is used as it is, without {reading.path}, as specified"
        )
    return "; ".join(doubts)
