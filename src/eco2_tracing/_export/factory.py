"""Builds span processors from the settings."""

from __future__ import annotations

import os
import re
import sys
from functools import partial
from importlib.metadata import entry_points, version
from math import inf
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter

from eco2_tracing._export.batch.processor import SpanBatcher
from eco2_tracing._export.exporter import OtlpExporter
from eco2_tracing._export.transport.connect import Connector, Credentials
from eco2_tracing._export.transport.grpc import GrpcTransport
from eco2_tracing._export.transport.http import HttpTransport
from eco2_tracing._export.transport.persistent import PersistentTransport, RequestOptions
from eco2_tracing._export.transport.proxies import grpc_proxy, http_proxy
from eco2_tracing._guard import logger, result_or_error, warn_once
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
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from eco2_tracing._settings import OtlpSettings, Settings

    TakeLines = Callable[[int, Iterable[int]], Sequence[str]]

_GROUP = "opentelemetry_traces_exporter"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e\t]*")
# Set by the transports; a second value would make the request invalid.
_OWN_HEADERS = frozenset(
    {"host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "te"}
)


def build_processors(settings: Settings, take_lines: TakeLines | None = None) -> list[SpanBatcher]:
    """Build one processor for each exporter in ``OTEL_TRACES_EXPORTER``.

    A name that cannot be used is skipped with one warning that says what to install.

    Args:
        settings: The settings.
        take_lines: Removes and returns the log lines of some spans, for the exporter ``waterfall``.
    """
    exporters = (_exporter(name, settings, take_lines) for name in dict.fromkeys(settings.traces_exporter))
    return [_batcher(exporter, settings) for exporter in exporters if exporter is not None]


def _batcher(exporter: SpanExporter, settings: Settings) -> SpanBatcher:
    longest_s: float = getattr(exporter, "longest_delay_s", inf)
    return SpanBatcher(
        exporter,
        schedule_delay_s=min(settings.bsp_schedule_delay / 1000, longest_s),
        max_queue_size=settings.bsp_max_queue_size,
        max_batch_size=settings.bsp_max_export_batch_size,
        export_timeout_s=settings.bsp_export_timeout / 1000,
    )


def _exporter(name: str, settings: Settings, take_lines: TakeLines | None) -> SpanExporter | None:
    if name == "none":
        return None
    if name == "otlp":
        return _otlp(settings.otlp)
    if name == "console":
        # The default of `out` is the stdout of the time when the SDK was imported.
        return ConsoleSpanExporter(out=sys.stdout)
    if name == "waterfall":
        from eco2_tracing._export.waterfall import build_waterfall  # not needed by other starts

        return build_waterfall(settings, take_lines)
    return _installed(name)


def _otlp(otlp: OtlpSettings) -> OtlpExporter | None:
    try:
        return build_otlp(otlp)
    except ValueError as error:
        logger.warning(
            "OTEL_EXPORTER_OTLP_ENDPOINT: %r cannot be used, no spans are sent: %s",
            shown_endpoint(otlp.endpoint),
            error,
        )
        return None


def build_otlp(otlp: OtlpSettings) -> OtlpExporter:
    """Build the OTLP exporter. It connects and imports h2 at the first export.

    Raises:
        ValueError: The endpoint's scheme is not supported.
    """
    build = _grpc if otlp.protocol == "grpc" else _http
    options = RequestOptions(
        headers=tuple((untraced_headers() | dict(_usable(otlp.headers))).items()),
        compress=otlp.compression == "gzip",
        user_agent=f"eco2-tracing/{version('eco2-tracing')} OTel-OTLP-Exporter-Python",
    )
    return OtlpExporter(
        build(otlp, options),
        endpoint=shown_endpoint(otlp.endpoint),
        timeout_s=otlp.timeout_s,
        secrets=tuple(_secrets(otlp.headers)),
    )


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


def _installed(name: str) -> SpanExporter | None:
    for found in entry_points(group=_GROUP, name=name):
        exporter = result_or_error(lambda: cast("SpanExporter", found.load()()))  # noqa: B023 - called now
        if not isinstance(exporter, Exception):
            return exporter
        logger.warning(
            "OTEL_TRACES_EXPORTER: %r cannot be used and is left out: %s: %s",
            name,
            type(exporter).__name__,
            exporter,
        )
        return None
    logger.warning(
        "OTEL_TRACES_EXPORTER: no installed package provides %r, it is left out; "
        "known are otlp, waterfall, console and none, others come with a package: "
        "pip install opentelemetry-exporter-%s",
        name,
        name.replace("_", "-"),
    )
    return None
