"""Resolves the OTLP variables to one destination, and reports what looks like a mistake in them.

Rules: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from eco2_tracing._settings.display import is_credential, masked_reprs, shown_endpoint
from eco2_tracing._settings.hosts import InternalHosts, is_host, is_target, parse_target, without_escaped_zone
from eco2_tracing._settings.parse import SecretHeaders
from eco2_tracing._settings.problem import BadValueError, Findings

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
    traces_form: bool = False  # the endpoint is set in its `_TRACES_` form, which is used as it is
    insecure: bool | None = None  # `OTEL_EXPORTER_OTLP_INSECURE`, where it is set
    guarded: bool = False  # OTLP headers or certificates are set, so plaintext is not the default
    targets: Sequence[str] = ()  # more internal hosts

    def plaintext(self, *hosts: str) -> bool:
        """Return whether an endpoint without a scheme is plaintext: as set, else on internal hosts alone."""
        if self.insecure is not None:
            return self.insecure
        return not self.guarded and all(map(InternalHosts(self.targets).includes, hosts))


def default_endpoint(protocol: Protocol) -> Endpoint:
    """Return the endpoint of a collector on this host."""
    address = "localhost:4317" if protocol == "grpc" else f"http://localhost:4318{_PATH}"
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
        path = (parts.path or "/") if reading.traces_form else parts.path.rstrip("/") + _PATH
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
    elif path.endswith(_PATH) and not reading.traces_form:
        doubts.append(
            f"{_PATH} is appended to it, as specified: leave the path out, or use the _TRACES_ variable"
        )
    elif not path and reading.traces_form:
        doubts.append(f"the _TRACES_ variable is used as it is, without {_PATH}, as specified")
    return "; ".join(doubts)


Find = Callable[[Iterable[str]], "tuple[str, str] | None"]
_FILES = ("certificate", "client_certificate", "client_key")


def resolve_otlp(values: Mapping[str, Any], find: Find, findings: Findings) -> dict[str, object]:
    """Return the fields that depend on several OTLP variables: on the values read so far, and on their texts."""
    headers = SecretHeaders(values.get("exporter_otlp_headers") or {})
    files = {name: values.get(f"exporter_otlp_{name}") for name in _FILES}
    if bool(files["client_certificate"]) != bool(files["client_key"]):
        for found in map(find, (_names("CLIENT_CERTIFICATE"), _names("CLIENT_KEY"))):
            if found:
                complaint = "a client certificate and its key go together, the other is not set"
                findings.replaced(*found, complaint, None)
        files["client_certificate"] = files["client_key"] = None
    _check_files(files, find, findings)
    endpoint = _endpoint(values, find, findings, guarded=bool(headers) or any(files.values()))
    if endpoint.authorization:
        headers.setdefault("authorization", endpoint.authorization)
    otlp = OtlpSettings(
        protocol=values.get("exporter_otlp_protocol", "grpc"),
        endpoint=endpoint.address,
        insecure=endpoint.insecure,
        headers=headers,
        timeout_s=_timeout_s(values, find, findings),
        compression=values.get("exporter_otlp_compression", "none"),
        **masked_reprs(files),
    )
    return {"otlp": otlp, "exporter_otlp_headers": headers, "exporter_otlp_endpoint": endpoint.text}


def _names(name: str) -> tuple[str, str]:
    return f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}"


def _endpoint(values: Mapping[str, Any], find: Find, findings: Findings, *, guarded: bool) -> Endpoint:
    protocol = values.get("exporter_otlp_protocol", "grpc")
    found = find(_names("ENDPOINT"))
    if found is None:
        return default_endpoint(protocol)
    variable, text = found
    reading = Reading(
        protocol=protocol,
        traces_form="_TRACES_" in variable,
        insecure=values.get("exporter_otlp_insecure"),
        guarded=guarded,
        targets=values.get("propagation_targets", ()),
    )
    try:
        endpoint = read_endpoint(text, reading)
    except BadValueError as bad:
        endpoint = default_endpoint(protocol)
        findings.replaced(variable, text, bad.complaint, endpoint.address)
    if endpoint.doubt:
        findings.doubted(variable, text, endpoint.doubt)
    return endpoint


def _timeout_s(values: Mapping[str, Any], find: Find, findings: Findings) -> float:
    milliseconds: int = values.get("exporter_otlp_timeout", 10_000)
    found = find(_names("TIMEOUT"))
    if found is not None and milliseconds < 100:
        complaint = f"it means {milliseconds} milliseconds, as specified"
        other = f"stock Python reads {milliseconds} seconds, which would be {milliseconds}000 here"
        findings.doubted(*found, f"{complaint}; {other}")
    return milliseconds / 1000


def _check_files(files: Mapping[str, str | None], find: Find, findings: Findings) -> None:
    for name, path in files.items():
        found = find(_names(name.upper()))
        # A path that exists with a slash behind it is a directory.
        if path and found and (os.access(f"{path}/", os.F_OK) or not os.access(path, os.R_OK)):
            findings.doubted(*found, "there is no such file that can be read")
