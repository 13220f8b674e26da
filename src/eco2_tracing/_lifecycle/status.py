"""What ``tracing_status`` tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TracingStatus:
    """How tracing stands in this process at one moment.

    Attributes:
        enabled: Whether spans are made.
        endpoints: Where they are sent, without credentials.
        sampler: What is sampled, in words.
        propagators: The trace header formats, in the order in which they are read.
        spans_sent: Spans that were delivered.
        spans_queued: Spans that wait.
        spans_dropped: Spans that were lost, by reason.
        traces_kept: Local traces that were exported, by reason: ``head``, ``error``, ``slow``, ``upstream``.
        last_export_error: What the last failed export said; ``None`` if none has failed.
        last_export_error_at: When that was, in UTC.
        external_hosts: Hosts outside the service's own that calls went to.
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
