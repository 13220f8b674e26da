"""The value that ``tracing_status`` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TracingStatus:
    """The state of tracing in this process.

    Attributes:
        enabled: True if spans are recorded.
        endpoints: Destinations of exported spans, without credentials.
        sampler: Description of the sampler.
        propagators: Trace header formats, in order of precedence.
        spans_sent: Number of delivered spans.
        spans_queued: Number of waiting spans.
        spans_dropped: Number of lost spans by reason.
        traces_kept: Number of exported local traces by reason: ``head``, ``error``, ``slow``, ``upstream``.
        last_export_error: Message of the last failed export; ``None`` if none failed.
        last_export_error_at: Its time in UTC.
        external_hosts: External hosts that were called.
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
