"""The destinations of one configuration. Signals with the same destination share one connection."""

from __future__ import annotations

import os
import re
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from eco2_tracing._export.transport.connect import Connector, Credentials
from eco2_tracing._export.transport.grpc import GrpcTransport
from eco2_tracing._export.transport.http import HttpTransport
from eco2_tracing._export.transport.persistent import (
    Channel,
    PersistentTransport,
    RequestOptions,
    SharedTransport,
)
from eco2_tracing._export.transport.proxies import grpc_proxy, http_proxy
from eco2_tracing._guard import warn_once
from eco2_tracing._settings import shown_endpoint
from eco2_tracing._settings.hosts import (
    OTLP_GRPC_PORT,
    Address,
    parse_target,
    without_escaped_zone,
    without_zone,
)
from eco2_tracing._untraced import untraced_headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from eco2_tracing._export.exporter import OtlpSender
    from eco2_tracing._export.signal import Signal
    from eco2_tracing._settings import OtlpSettings

    _Sender = TypeVar("_Sender", bound="OtlpSender")

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e\t]*")
# Set by the transports; a second value would make the request invalid.
_OWN_HEADERS = frozenset(
    {"host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "te"}
)


class Destinations:
    """Builds the exporters of signals, with one connection for each destination."""

    def __init__(self) -> None:
        self._shared: dict[tuple[object, ...], SharedTransport] = {}

    def sender(self, kind: type[_Sender], otlp: OtlpSettings, signal: Signal) -> _Sender:
        """Build the OTLP exporter of a signal. It connects at the first export.

        Raises:
            ValueError: The endpoint's scheme is not supported.
        """
        return kind(
            self._channel(otlp, signal),
            endpoint=shown_endpoint(otlp.endpoint),
            timeout_s=otlp.timeout_s,
            secrets=tuple(_secrets(otlp.headers)),
        )

    def _channel(self, otlp: OtlpSettings, signal: Signal) -> Channel:
        path, origin = signal.grpc_path, otlp.endpoint
        if otlp.protocol != "grpc":
            parts = urlsplit(otlp.endpoint)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            origin = f"{parts.scheme}://{parts.netloc}"
        files = otlp.certificate, otlp.client_certificate, otlp.client_key
        headers = tuple(otlp.headers.items())
        key = (otlp.protocol, origin, otlp.insecure, headers, otlp.compression, *files)
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = SharedTransport(_transport(otlp))
        return Channel(shared, path)


def _transport(otlp: OtlpSettings) -> PersistentTransport:
    options = RequestOptions(
        headers=tuple((untraced_headers() | dict(_usable(otlp.headers))).items()),
        compress=otlp.compression == "gzip",
        user_agent=f"eco2-tracing/{version('eco2-tracing')} OTel-OTLP-Exporter-Python",
    )
    return (_grpc if otlp.protocol == "grpc" else _http)(otlp, options)


def _grpc(otlp: OtlpSettings, options: RequestOptions) -> PersistentTransport:
    target = parse_target(otlp.endpoint, OTLP_GRPC_PORT if otlp.insecure else 443)
    credentials = None if otlp.insecure else _credentials(otlp)
    connector = Connector(target.addresses, credentials, ("h2",), partial(grpc_proxy, os.environ))
    first = target.addresses[0]
    host = without_zone(first.host)
    host = f"[{host}]" if ":" in host else host
    authority = f"{host}:{first.port}" if first.port else "localhost"
    return GrpcTransport(authority, connector, options, secure=not otlp.insecure)


def _http(otlp: OtlpSettings, options: RequestOptions) -> PersistentTransport:
    parts = urlsplit(otlp.endpoint)
    secure = parts.scheme == "https"
    host = without_escaped_zone(parts.hostname or "")
    address = Address(host, parts.port or (443 if secure else 80))
    connector = Connector(
        (address,),
        _credentials(otlp) if secure else None,
        ("http/1.1",),
        partial(http_proxy, os.environ, parts.scheme),
        tunnel=secure,
    )
    return HttpTransport(otlp.endpoint, connector, options)


def _credentials(otlp: OtlpSettings) -> Credentials:
    return Credentials(otlp.certificate, otlp.client_certificate, otlp.client_key)


def _usable(headers: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for name, value in headers.items():
        lower = name.lower()
        if _NAME.fullmatch(name) and _VALUE.fullmatch(value) and lower not in _OWN_HEADERS:
            yield lower, value.strip()
        else:
            warn_once(
                f"header:{lower}",
                "OTEL_EXPORTER_OTLP_HEADERS: the header %r cannot be sent and is left out "
                "(its value, not shown here, may hold a character that no header may)",
                name,
            )


def _secrets(headers: Mapping[str, str]) -> Iterable[str]:
    """Yield header values, and the credentials inside ``Bearer …``."""
    for value in headers.values():
        yield value.strip()
        yield from (word for word in value.split() if len(word) >= 6)
