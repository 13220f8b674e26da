"""What a configuration reports: problems, the log line at start-up, and its status."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from eco2_tracing._export import OtlpExporter
from eco2_tracing._guard import logger
from eco2_tracing._instrumentation.libraries.registry import unusable_instrumentations
from eco2_tracing._lifecycle.counts import delivered
from eco2_tracing._settings import Problem, shown, withhold_expressions

if TYPE_CHECKING:
    from eco2_tracing._export.batch.batcher import Batcher
    from eco2_tracing._lifecycle.tracing import Tracing
    from eco2_tracing._settings import Settings


_NOTHING: Mapping[str, int] = MappingProxyType({})
_SAMPLER = "OTEL_TRACES_SAMPLER"
# Set by `eco2-tracing view`, whose sampler records every trace on purpose.
_VIEWED = "_ECO2_TRACING_VIEW"
_CONTRIB_CALLS = "opentelemetry-instrumentation-httpx"


@dataclass(frozen=True, slots=True)
class SignalStatus:
    """The delivery of metrics or of log records in this process.

    Attributes:
        endpoints: Destinations, without credentials.
        sent: Number of delivered log records; for metrics, of delivered exports.
        queued: Number of waiting ones.
        dropped: Number of lost ones by reason.
        last_export_error: Message of the last failed export; ``None`` if none failed.
        last_export_error_at: Its time in UTC.
        export_failures: Number of failed export requests, retried ones and those that were not logged included.
    """

    endpoints: tuple[str, ...] = ()
    sent: int = 0
    queued: int = 0
    dropped: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    last_export_error: str | None = None
    last_export_error_at: datetime | None = None
    export_failures: int = 0


@dataclass(frozen=True, slots=True)
class TracingStatus:
    """The state of tracing in this process, as `tracing_status` returns it.

    Counts begin at zero when the process starts or is forked.

    Attributes:
        enabled: True if spans are recorded.
        endpoints: Destinations of exported spans, without credentials.
        sampler: Description of the sampler in words.
        propagators: Trace header formats, in order of precedence.
        spans_sent: Number of spans that a receiver accepted.
        spans_queued: Number of spans that wait or are being exported.
        spans_dropped: Number of lost spans by reason, such as ``queue_full`` and ``export_failed``.
        traces_kept: Number of exported local traces by reason: ``head``, ``error``, ``slow``, ``upstream``.
        last_export_error: Message of the last failed export, or ``None`` if none failed.
        last_export_error_at: Time of that failure in UTC.
        external_hosts: External hosts that received trace context, at most a hundred.
        export_failures: Number of failed export requests of spans, retried ones and those not logged included.
        metrics: Delivery of metrics; ``None`` while they are off.
        logs: Delivery of log records; ``None`` while they are off.

    Examples:
        >>> status = tracing_status()
        >>> status.spans_sent, status.last_export_error
        (0, None)
    """

    enabled: bool = False
    endpoints: tuple[str, ...] = ()
    sampler: str = "none"
    propagators: tuple[str, ...] = ()
    spans_sent: int = 0
    spans_queued: int = 0
    spans_dropped: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    traces_kept: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    last_export_error: str | None = None
    last_export_error_at: datetime | None = None
    external_hosts: tuple[str, ...] = ()
    export_failures: int = 0
    metrics: SignalStatus | None = None
    logs: SignalStatus | None = None


def further_problems(tracing: Tracing) -> list[Problem]:
    """Return the problems of the sampler, the instrumentations and contrib's variables, before the installation."""
    settings = tracing.settings
    others = tracing.others.problems
    return [*_sampler_problems(tracing), *_strict_problems(settings), *_withheld(settings), *others]


def _sampler_problems(tracing: Tracing) -> list[Problem]:
    built = tracing.sampler
    if built is None:
        return []
    found = shown(_SAMPLER, tracing.settings.traces_sampler)
    wrong = [Problem(_SAMPLER, found, built.name, text) for text in built.problems]
    advice = () if _VIEWED in os.environ else built.advice
    return [*wrong, *(Problem(_SAMPLER, found, built.name, text, advisory=True) for text in advice)]


def _withheld(settings: Settings) -> list[Problem]:
    """Return the problems of regular expressions that contrib's instrumentations read from the environment."""
    known = {problem.variable for problem in settings.problems}
    return [problem for problem in withhold_expressions() if problem.variable not in known]


def _strict_problems(settings: Settings) -> list[Problem]:
    """Return the instrumentations that cannot be used. Outside strict mode these are warnings of a later step."""
    if not settings.strict:
        return []
    found = unusable_instrumentations(settings.instrumentations)
    return [Problem("ECO2_TRACING_INSTRUMENTATIONS", name, "nothing", text) for name, text in found]


def status_of(tracing: Tracing) -> TracingStatus:
    """Return the current state."""
    tail_sampler = tracing.tail_sampler
    stats = tracing.delivery.stats()
    counts = tracing.span_counts()
    others = tracing.others
    failed = [(one.last_error_at, one.last_error) for one in stats if one.last_error_at is not None]
    last_at, last_error = max(failed, key=lambda pair: pair[0], default=(None, None))
    return TracingStatus(
        enabled=tracing.makes_spans,
        endpoints=tuple(one.endpoint for one in stats),
        sampler=_sampler(tracing),
        propagators=tracing.propagation.names,
        spans_sent=counts.sent,
        spans_queued=counts.queued,
        spans_dropped=counts.dropped,
        traces_kept=dict(tail_sampler.buffer.kept) if tail_sampler is not None else {},
        last_export_error=last_error,
        last_export_error_at=last_at,
        external_hosts=tuple(tracing.state.external_hosts),
        export_failures=sum(one.failures for one in stats),
        metrics=None if others.metrics is None else _signal(others.metrics.batchers),
        logs=None if others.logs is None else _signal(others.logs.batchers),
    )


def _signal(batchers: Iterable[Batcher]) -> SignalStatus:
    stats = [batcher.stats() for batcher in batchers]
    counts = delivered(stats)
    failed = [(one.last_error_at, one.last_error) for one in stats if one.last_error_at is not None]
    last_at, last_error = max(failed, key=lambda pair: pair[0], default=(None, None))
    return SignalStatus(
        endpoints=tuple(one.endpoint for one in stats),
        sent=counts.sent,
        queued=counts.queued,
        dropped=counts.dropped,
        last_export_error=last_error,
        last_export_error_at=last_at,
        export_failures=sum(one.failures for one in stats),
    )


def _sampler(tracing: Tracing) -> str:
    if tracing.sampler is not None:
        return tracing.sampler.description
    provider = tracing.external_provider
    return "none" if provider is None else f"that of {_name(provider)}, which was installed before"


def announce(tracing: Tracing, level: int = logging.INFO) -> None:
    """Log the configuration in one line.

    Args:
        tracing: The configuration.
        level: The level of the line if all is well.
    """
    settings = tracing.settings
    if settings.disabled:
        logger.log(level, "tracing is disabled: no spans; trace headers travel on")
    elif tracing.external_provider is not None:
        logger.log(
            logging.WARNING if tracing.unused else level,
            "a tracer provider is already installed (%s): it stays in charge of sampling and export%s; "
            "trace headers are eco2-tracing's, propagators %s; %s%s",
            _name(tracing.external_provider),
            f", {_CONTRIB_CALLS} in charge of client spans" if tracing.contrib_calls else "",
            ",".join(tracing.propagation.names),
            _service(tracing),
            f"; not used: {', '.join(tracing.unused)}" if tracing.unused else "",
        )
    else:
        logger.log(
            level,
            "tracing %s to %s; sampling: %s; failed requests kept: %g %%; propagators %s%s",
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
