"""The last stretch of a span: redaction, the application's processors, the exporters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eco2_tracing._guard import internal_failure
from eco2_tracing._spans.redact import redact, strip

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

    from eco2_tracing._redaction import Redactor
    from eco2_tracing._spans.span import Span


class Pipeline:
    """What every span that is exported passes, once.

    Args:
        redactor: Masks secrets and cuts lengths.
        processors: The application's; they see what will be exported.
        exporters: Ours.
    """

    def __init__(
        self, redactor: Redactor, processors: Sequence[SpanProcessor], exporters: Sequence[SpanProcessor]
    ) -> None:
        self._redactor = redactor
        self._processors = tuple(processors)
        self._exporters = tuple(exporters)

    def add(self, processor: SpanProcessor) -> None:
        """Take one more processor of the application's.

        Args:
            processor: Sees what will be exported from now on.
        """
        self._processors = (*self._processors, processor)

    @property
    def has_processors(self) -> bool:
        """Whether the application gave processors."""
        return bool(self._processors)

    def started(self, span: Any, parent_context: Context | None) -> None:
        """Tell the application's processors of a recorded span's beginning."""
        for processor in self._processors:
            try:
                processor.on_start(span, parent_context)
            except Exception:  # noqa: BLE001 - code of others
                internal_failure(f"{type(processor).__name__}.on_start")

    def emit(self, span: Span) -> None:
        """Redact one ended span and hand it to processors and exporters.

        Processors get the SDK's own `ReadableSpan`; what they change of it is exported.
        """
        try:
            redact(span, self._redactor)
        except Exception:  # noqa: BLE001 - attributes are the application's
            internal_failure("redacting a span")
            strip(span)
        emitted: ReadableSpan = span
        if self._processors:
            emitted = span.snapshot()
        for processor in self._processors:
            try:
                processor.on_end(emitted)
            except Exception:  # noqa: BLE001 - code of others
                internal_failure(f"{type(processor).__name__}.on_end")
        for exporter in self._exporters:
            exporter.on_end(emitted)
