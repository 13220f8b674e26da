"""Passes exported spans through ``before_export``, redaction, the application's processors and the exporters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eco2_tracing._guard import attempt, guarded, internal_failure
from eco2_tracing._spans.redact import redact, strip

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

    from eco2_tracing._redaction import Redactor
    from eco2_tracing._spans.span import Span

    BeforeExport = Callable[[Any], bool | None]


class Pipeline:
    """Processes each ended span that is exported, once.

    Args:
        redactor: Masks secrets and truncates values.
        processors: The application's span processors. They get redacted spans.
        exporters: The batch processors of this library.
        before_export: May edit each span. It returns ``False`` to drop the span. It runs before redaction, so
            that the values that it sets are masked too.

    Attributes:
        dropped: The number of spans that ``before_export`` dropped, under the key ``before_export``.
    """

    def __init__(
        self,
        redactor: Redactor,
        processors: Sequence[SpanProcessor],
        exporters: Sequence[SpanProcessor],
        before_export: BeforeExport | None = None,
    ) -> None:
        self._redactor = redactor
        self._processors = tuple(processors)
        self._exporters = tuple(exporters)
        self._before_export = before_export
        self.dropped: Counter[str] = Counter()

    def add(self, processor: SpanProcessor) -> None:
        """Add a span processor of the application.

        Args:
            processor: It gets the spans that are exported after this call.
        """
        self._processors = (*self._processors, processor)

    @property
    def has_processors(self) -> bool:
        """True if the application has span processors."""
        return bool(self._processors)

    def started(self, span: Span, parent_context: Context | None) -> None:
        """Call ``on_start`` of the application's processors for a recording span."""
        for processor in self._processors:
            with guarded(f"{type(processor).__name__}.on_start"):
                processor.on_start(span, parent_context)  # type: ignore[arg-type] # `Span` has the same public methods

    def emit(self, span: Span) -> None:
        """Redact one ended span and pass it to processors and exporters.

        Processors get a `ReadableSpan` of the SDK. Exporters get the same object, with the changes of processors.

        Args:
            span: An ended span.
        """
        if self._before_export is not None and not self._is_kept(span, self._before_export):
            return
        try:
            redact(span, self._redactor)
        except Exception:  # noqa: BLE001 - values of the application may raise
            internal_failure("redacting a span")
            strip(span)
        emitted: ReadableSpan = span
        if self._processors:
            emitted = span.snapshot()
        for processor in self._processors:
            with guarded(f"{type(processor).__name__}.on_end"):
                processor.on_end(emitted)
        for exporter in self._exporters:
            exporter.on_end(emitted)

    def _is_kept(self, span: Span, before_export: BeforeExport) -> bool:
        if attempt("before_export", span.edit, before_export, default=True):
            return True
        self.dropped["before_export"] += 1
        return False
