"""The log line at start-up and the status of a configuration."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from eco2_tracing._export import OtlpExporter
from eco2_tracing._guard import logger
from eco2_tracing._lifecycle.status import TracingStatus
from eco2_tracing._settings import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eco2_tracing._lifecycle.tracing import Tracing

_CONTRIB_CALLS = "opentelemetry-instrumentation-httpx"


def status_of(tracing: Tracing) -> TracingStatus:
    """Return the current state."""
    tail_sampler = tracing.tail_sampler
    dropped: dict[str, int] = dict(tail_sampler.dropped) if tail_sampler is not None else {}
    if tracing.pipeline is not None:
        dropped.update(tracing.pipeline.dropped)
    stats = tracing.delivery.stats()
    for one in stats:
        for reason, count in one.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    failed = [(one.last_error_at, one.last_error) for one in stats if one.last_error_at is not None]
    last_at, last_error = max(failed, key=lambda pair: pair[0], default=(None, None))
    return TracingStatus(
        enabled=tracing.makes_spans,
        endpoints=tuple(one.endpoint for one in stats),
        sampler=_sampler(tracing),
        propagators=tracing.propagation.names,
        spans_sent=sum(one.sent for one in stats),
        spans_queued=sum(one.queued for one in stats),
        spans_dropped=dropped,
        traces_kept=dict(tail_sampler.kept) if tail_sampler is not None else {},
        last_export_error=last_error,
        last_export_error_at=last_at,
        external_hosts=tuple(tracing.state.external_hosts),
    )


def _sampler(tracing: Tracing) -> str:
    if tracing.sampler is not None:
        return tracing.sampler.description
    provider = tracing.external_provider
    return "none" if provider is None else f"that of {_name(provider)}, which was installed before"


def announce(tracing: Tracing) -> None:
    """Log the configuration in one line."""
    settings = tracing.settings
    if settings.disabled:
        logger.info("tracing is disabled: no spans; trace headers travel on")
    elif tracing.external_provider is not None:
        logger.log(
            logging.WARNING if tracing.unused else logging.INFO,
            "a tracer provider is already installed (%s): it stays in charge of sampling and export%s; "
            "trace headers are eco2-tracing's, propagators %s; %s%s",
            _name(tracing.external_provider),
            f", {_CONTRIB_CALLS} in charge of client spans" if tracing.contrib_calls else "",
            ",".join(tracing.propagation.names),
            _service(tracing),
            f"; not used: {', '.join(tracing.unused)}" if tracing.unused else "",
        )
    else:
        logger.info(
            "tracing %s to %s; %s; failing requests kept: %g %%; propagators %s%s",
            shown("service.name", tracing.service_name or ""),
            ", ".join(_destinations(tracing)) or "nowhere (no exporter)",
            _sampler(tracing),
            tracing.rules.error_rate * 100,
            ",".join(tracing.propagation.names),
            f"; {_CONTRIB_CALLS} stays in charge of client spans" if tracing.contrib_calls else "",
        )


def _service(tracing: Tracing) -> str:
    """Describe which service name and version spans and log lines have under an external provider."""
    resource = getattr(tracing.external_provider, "resource", None)
    theirs: Mapping[str, object] = getattr(resource, "attributes", None) or {}
    facts = [(key, theirs.get(key)) for key in ("service.name", "service.version")]
    known = [f"{key} {shown(key, str(value))!r}" for key, value in facts if value is not None]
    spans = (
        f"spans have its {' and '.join(known)}" if known else "spans have the service's name that it gives"
    )
    settings = tracing.settings
    ours = {
        "name": (settings.service_name, theirs.get("service.name")),
        "version": (settings.service_version, theirs.get("service.version")),
    }
    others = [f"{key} {shown(key, value)!r}" for key, (value, its) in ours.items() if value and value != its]
    return f"{spans}; log lines alone have this configuration's {' and '.join(others)}" if others else spans


def _name(provider: object) -> str:
    return f"{type(provider).__module__}.{type(provider).__qualname__}"


def _destinations(tracing: Tracing) -> list[str]:
    plain = "plaintext" if tracing.settings.otlp.insecure else "TLS"
    return [
        f"{exporter.stats().endpoint} ({plain})"
        if isinstance(exporter.span_exporter, OtlpExporter)
        else exporter.stats().endpoint
        for exporter in tracing.delivery.exporters
    ]
