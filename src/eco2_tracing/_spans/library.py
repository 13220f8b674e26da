"""The span that a tracer makes: for other libraries and for manual spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eco2_tracing._spans.span import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import SpanContext, SpanKind

    from eco2_tracing._spans.read_side import SpanSource


class LibrarySpan(Span):
    """A span whose name and attributes are all set by its caller.

    Args:
        source: The tracer.
        context: The span's own context.
        parent: The parent's context; ``None`` for a root.
        local: The local trace.
        name: The span's name.
        kind: Its kind.
        start_time: Nanoseconds since the epoch.
    """

    all_given = True

    def __init__(
        self,
        source: SpanSource,
        context: SpanContext,
        parent: SpanContext | None,
        local: Any,
        name: str,
        kind: SpanKind,
        start_time: int,
    ) -> None:
        self._source = source
        self._context = context
        self._parent = parent
        self._eco2_local = local
        self._given_name = name
        self._kind = kind
        self._start_time = start_time

    def _set_error(self) -> None:
        """Wait for the end: whether it is a failure depends on the kind and the attributes."""

    def _ended(self, local: Any) -> None:
        if local.root is self:
            local.root_ended(self)
        else:
            local.ended(self)

    def redact(self, masked: Callable[[Mapping[str, Any]], Mapping[str, Any] | None]) -> None:
        """Mask secrets in all attributes: none of them is derived.

        Args:
            masked: Returns the masked attributes, or ``None`` when there is nothing to mask.
        """
        changed = masked(self.attributes)
        if changed is not None:
            self._own, self._given = changed, None
