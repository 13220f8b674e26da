"""Builds span processors from the settings."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from math import inf
from typing import TYPE_CHECKING, cast

from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter

from eco2_tracing._export.batch.processor import SpanBatcher
from eco2_tracing._export.destinations import Destinations
from eco2_tracing._export.exporter import OtlpExporter
from eco2_tracing._export.signal import TRACES
from eco2_tracing._guard import logger, result_or_error
from eco2_tracing._settings import shown_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from eco2_tracing._settings import OtlpSettings, Settings

    TakeLines = Callable[[int, Iterable[int]], Sequence[str]]

_GROUP = "opentelemetry_traces_exporter"


def build_processors(
    settings: Settings, take_lines: TakeLines | None = None, destinations: Destinations | None = None
) -> list[SpanBatcher]:
    """Build one processor for each exporter in ``OTEL_TRACES_EXPORTER``.

    A name that cannot be used is skipped with one warning that says what to install.

    Args:
        settings: The settings.
        take_lines: Removes and returns the log lines of some spans, for the exporter ``waterfall``.
        destinations: Connections that other signals may share.
    """
    names = dict.fromkeys(settings.traces_exporter)
    exporters = (_exporter(name, settings, take_lines, destinations) for name in names)
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


def _exporter(
    name: str, settings: Settings, take_lines: TakeLines | None, destinations: Destinations | None
) -> SpanExporter | None:
    if name == "none":
        return None
    if name == "otlp":
        return _otlp(settings.otlp, destinations)
    if name == "console":
        # The default of `out` is the stdout of the time when the SDK was imported.
        return ConsoleSpanExporter(out=sys.stdout)
    if name == "waterfall":
        from eco2_tracing._export.waterfall import build_waterfall  # not needed by other starts

        return build_waterfall(settings, take_lines)
    return _installed(name)


def _otlp(otlp: OtlpSettings, destinations: Destinations | None) -> OtlpExporter | None:
    try:
        return build_otlp(otlp, destinations)
    except ValueError as error:
        logger.warning(
            "OTEL_EXPORTER_OTLP_ENDPOINT: %r cannot be used, no spans are sent: %s",
            shown_endpoint(otlp.endpoint),
            error,
        )
        return None


def build_otlp(otlp: OtlpSettings, destinations: Destinations | None = None) -> OtlpExporter:
    """Build the OTLP exporter of spans. It connects and imports h2 at the first export.

    Args:
        otlp: The destination.
        destinations: Connections that other signals may share.

    Raises:
        ValueError: The endpoint's scheme is not supported.
    """
    return (destinations or Destinations()).sender(OtlpExporter, otlp, TRACES)


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
