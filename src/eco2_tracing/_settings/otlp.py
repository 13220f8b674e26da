"""Where spans are sent: the OTLP variables, resolved.

Rules: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from eco2_tracing._settings.display import is_credential, shown_endpoint
from eco2_tracing._settings.hosts import OwnHosts, is_host
from eco2_tracing._settings.parse import SecretHeaders
from eco2_tracing._settings.problem import BadValueError
from eco2_tracing._settings.targets import OTLP_GRPC_PORT, is_target, parse_target, without_escaped_zone

Protocol = Literal["grpc", "http/protobuf"]

_PATH = "/v1/traces"
_OTLP_PORT: Mapping[str, int] = {"grpc": 4317, "http/protobuf": 4318}
_OTHER_PORT: Mapping[str, int] = {"grpc": 4318, "http/protobuf": 4317}


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """One OTLP destination.

    Attributes:
        protocol: ``grpc`` or ``http/protobuf``.
        endpoint: The gRPC target (``host:port``), or the whole URL for HTTP.
        insecure: Plaintext instead of TLS.
        headers: Sent with each request; lower-case names, values masked in ``repr``.
        timeout_s: For one export, retries included; seconds.
        compression: ``none`` or ``gzip``.
        certificate: File of the authorities that the server is checked against (PEM).
        client_certificate: File of our own certificate chain (PEM).
        client_key: File of our own private key (PEM).
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
    """What the text of an endpoint says.

    Attributes:
        address: The gRPC target or the HTTP URL.
        insecure: Plaintext.
        text: The text without credentials and query.
        authorization: A ``Basic`` header value where the text held credentials.
        doubt: What looks like a mistake, or nothing.
    """

    address: str
    insecure: bool
    text: str
    authorization: str | None = None
    doubt: str = ""


class Reading(NamedTuple):
    """What the meaning of an endpoint depends on.

    Attributes:
        protocol: ``grpc`` or ``http/protobuf``.
        traces_form: It stood in the ``_TRACES_`` form, used as it is.
        insecure: ``OTEL_EXPORTER_OTLP_INSECURE``, where it is set.
        guarded: OTLP headers or certificates are set, so plaintext is not assumed.
        targets: Further hosts of our own.
    """

    protocol: Protocol
    traces_form: bool = False
    insecure: bool | None = None
    guarded: bool = False
    targets: tuple[str, ...] = ()


def default_endpoint(protocol: Protocol) -> Endpoint:
    """Return the collector on this host."""
    address = "localhost:4317" if protocol == "grpc" else f"http://localhost:4318{_PATH}"
    return Endpoint(address, insecure=True, text=address)


def read_endpoint(text: str, reading: Reading) -> Endpoint:
    """Read an endpoint.

    Args:
        text: A URL, ``host:port`` or, for gRPC, any target that gRPC knows.
        reading: What its meaning depends on.

    Raises:
        BadValueError: It is none of these.
    """
    if reading.protocol == "grpc" and is_target(text):
        return _read_target(text, reading)
    parts = _split(text)
    host, port = without_escaped_zone(parts.hostname or ""), parts.port
    insecure = (
        parts.scheme == "http"
        if parts.scheme
        else _plaintext(reading, OwnHosts(reading.targets).includes(host))
    )
    if port is None and not (parts.scheme and reading.protocol == "http/protobuf"):
        port = _default_port(reading.protocol, insecure, with_scheme=bool(parts.scheme))
    netloc = f"[{host}]" if ":" in host else host
    netloc = netloc if port is None else f"{netloc}:{port}"
    doubt = _doubt(parts, port, reading)
    clean = text.replace(f"{parts.netloc.rpartition('@')[0]}@", "", 1) if "@" in parts.netloc else text
    clean = clean.partition("?")[0]
    if reading.protocol == "grpc":
        return Endpoint(netloc, insecure, clean, _basic(parts), doubt)
    path = (parts.path or "/") if reading.traces_form else parts.path.rstrip("/") + _PATH
    url = urlunsplit(("http" if insecure else "https", netloc, path, parts.query, ""))
    return Endpoint(url, insecure, clean, _basic(parts), doubt)


def _read_target(text: str, reading: Reading) -> Endpoint:
    if text.startswith(("xds:", "vsock:")):
        return Endpoint(text, _plaintext(reading, own=False), text)
    try:
        target = parse_target(text, OTLP_GRPC_PORT)
    except ValueError as error:
        raise BadValueError(f"expected a gRPC target such as dns:///collector:4317: {error}") from None
    for address in target.addresses:
        if address.port and not is_host(address.host):
            raise BadValueError(
                f"expected a gRPC target such as dns:///collector:4317: {address.host!r} is no host"
            )
    hosts = OwnHosts(reading.targets)
    own = target.scheme.startswith("unix") or all(hosts.includes(one.host) for one in target.addresses)
    doubt = (
        f"the DNS server {target.dns_server!r} in it is not asked, the system's own is"
        if target.dns_server
        else ""
    )
    return Endpoint(text, _plaintext(reading, own), text, doubt=doubt)


def _split(text: str) -> SplitResult:
    complaint = "expected a URL such as http://collector:4317"
    if is_credential(text):  # it would be looked up as a host's name
        raise BadValueError(
            f"{complaint}; this looks like a credential, which belongs into OTEL_EXPORTER_OTLP_HEADERS"
        )
    if text.isdecimal():
        raise BadValueError(f"{complaint}; this is a port without a host")
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        port = parts.port
    except ValueError:
        raise BadValueError(complaint) from None
    # urlsplit drops line breaks silently, so the text itself is looked at.
    if port == 0 or not text.isascii() or re.search(r"[\x00-\x20\x7f]", text):
        raise BadValueError(complaint)
    if not is_host(parts.hostname or ""):
        raise BadValueError(complaint)
    if not parts.scheme and (parts.netloc.endswith(":") or parts.path.startswith("//")):
        # `http:/collector`, `http//collector`, and `unix:/a.sock` where the protocol is HTTP: the host would be `http`.
        raise BadValueError(complaint)
    if parts.scheme not in ("", "http", "https"):
        raise BadValueError(f"{complaint}; the scheme {parts.scheme!r} is not known")
    return parts


def _plaintext(reading: Reading, own: bool) -> bool:
    """Decide for an endpoint without scheme: the variable, else plaintext inside unless credentials are at stake."""
    if reading.insecure is not None:
        return reading.insecure
    return own and not reading.guarded


def _default_port(protocol: str, insecure: bool, *, with_scheme: bool) -> int:
    """Choose the port of an endpoint that names none: the URL's default, or OTLP's for a bare host."""
    if not insecure:
        return 443
    return 80 if with_scheme else _OTLP_PORT[protocol]


def _basic(parts: SplitResult) -> str | None:
    """Make a header of a URL's credentials, as HTTP clients do: they must not show in status and logs."""
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
    elif path.endswith(_PATH) and not reading.traces_form:
        doubts.append(
            f"{_PATH} is appended to it, as specified: leave the path out, or use the _TRACES_ variable"
        )
    elif not path and reading.traces_form:
        doubts.append(f"the _TRACES_ variable is used as it is, without {_PATH}, as specified")
    return "; ".join(doubts)
