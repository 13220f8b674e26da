"""One local trace: the spans that one process records for one request, message or job, and their export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from eco2_tracing._native import RLock
from eco2_tracing.sampling._head.tracestate import with_probability

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from eco2_tracing.sampling._head.samplers import HeadSampler


UNDECIDED = 0
"""Recorded and buffered; an error or a slow root may still keep the local trace."""

HEAD = 1
"""Sampled by the head sampler or by the caller."""

KEPT = 2
"""Exported: kept by the tail sampler, or sampled by the head and its root has ended."""

DROPPED = 3
"""Nothing of it is exported: it ended without a reason to keep it, or a limit was exceeded."""

ERROR, SLOW, UPSTREAM = "error", "slow", "upstream"
"""The reasons to keep a local trace. ``upstream``: a called service kept its part of the trace."""

_EXPORTED = (HEAD, KEPT)
_OPEN_LIMIT = 1_000
_FAILED = StatusCode.ERROR
Emit = Callable[[Any], None]
"""Exports one ended `LocalSpan`. The pipeline takes the span's own class, which this package may not import."""

REASON, PROBABILITY = "eco2.sampling.reason", "eco2.sampling.probability"
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class LocalSpan(Protocol):
    """The part of a span that the tail sampler reads and sets; `eco2_tracing._spans.span.Span` has it."""

    _context: SpanContext
    _parent: SpanContext | None
    kind: SpanKind
    status: Status
    start_time: int
    end_time: int | None

    @property
    def attributes(self) -> Mapping[str, AttributeValue]:
        """The span's attributes."""

    def finalize(self, last: Mapping[str, AttributeValue]) -> None:
        """Derive the remaining attributes of an ended span, and set the last ones."""


class _Buffer(Protocol):
    """The methods of `TraceBuffer`, which imports this module."""

    slow: bool

    def child_ended(self, local: LocalTrace, span: LocalSpan) -> None: ...
    def keep(self, local: LocalTrace, reason: str) -> bool: ...
    def promote(self, local: LocalTrace, spans: Iterable[LocalSpan]) -> None: ...
    def finish(self, local: LocalTrace) -> None: ...
    def discard(self, local: LocalTrace) -> None: ...


def is_failure(span: LocalSpan) -> bool:
    """Return True if a span's status is a reason to keep its local trace.

    A client span with a 4xx response has status ERROR by the HTTP conventions. It is no reason, because callers
    often expect such a response.
    """
    if span.status.status_code is not _FAILED:
        return False
    if span.kind is not SpanKind.CLIENT:
        return True
    attributes = span.attributes or {}
    code = attributes.get("http.response.status_code", attributes.get("http.status_code"))
    return not (isinstance(code, int) and 400 <= code < 500)


@dataclass(slots=True, eq=False, repr=False)
class LocalTrace:
    """The state of one local trace.

    Attributes:
        buffer: The buffer that decides; shared by all local traces of the process.
        state: ``HEAD`` or ``UNDECIDED`` at the start.
        trace_id: The 128-bit trace id.
        name: The root's name at its start.
        probability: The head's sampling probability; negative if unknown.
        wall: Nanoseconds since the epoch at the start. Every time of the local trace is this plus a monotonic
            difference, so that a step of the wall clock does not change durations.
        decided_here: True if the local head sampler decided; False if the caller's decision was followed.
        root: The local root; ``None`` before it starts and after the local trace is over.
        true_root: True if the local root has no parent.
        reason: Why the local trace is kept: ``error``, ``slow``, ``upstream`` or ``None``.
        held: The ended spans that are buffered; ``None`` if there is none.
        held_since: Seconds of the buffer's clock when the first of them was buffered.
        heavy: Bytes that the memory limiter counts for them.
        open: The child spans that have not ended, oldest first.
        closing: True once the root has ended.
        stream: True for connections that may stay open for hours: their spans are not buffered.
        peer_ended: True if the peer ended the connection, so that an error is no reason to keep.
    """

    buffer: _Buffer
    state: int
    trace_id: int
    name: str
    probability: float
    wall: int
    decided_here: bool
    monotonic: int = field(default_factory=perf_counter_ns)
    root: Any = None  # a `LocalSpan` wherever it is read
    true_root: bool = False
    reason: str | None = None
    held: list[LocalSpan] | None = None
    held_since: float = 0.0
    heavy: int = 0
    open: dict[LocalSpan, None] | None = None
    closing: bool = False
    stream: bool = False
    peer_ended: bool = False

    def now(self) -> int:
        """Return nanoseconds since the epoch, by the monotonic clock since the local trace began."""
        return self.wall + perf_counter_ns() - self.monotonic

    @property
    def sampled(self) -> bool:
        """True if spans that start now are sampled."""
        return self.state in _EXPORTED

    @property
    def recording(self) -> bool:
        """True if spans that start now are recorded."""
        return self.state != DROPPED

    def open_spans(self) -> list[LocalSpan]:
        """Return the child spans that have not ended; other threads may start more of them."""
        return list(self.open.copy()) if self.open else []

    def began(self, span: LocalSpan) -> None:
        """Register a child span that has started."""
        opened = self.open
        if opened is None:
            opened = self.open = {}
        elif len(opened) >= _OPEN_LIMIT:
            # Spans that are never ended must not pile up under a root that lives as long as the process.
            opened.pop(next(iter(opened)), None)
        opened[span] = None
        if self.state == KEPT and not span._context.trace_flags.sampled:
            # The local trace was kept after the sampler's decision about this span.
            self.buffer.promote(self, [span])

    def root_ended(self, span: LocalSpan) -> None:
        """Decide about a local trace whose root is a library's or a manual span, which has ended."""
        if is_failure(span):
            self.buffer.keep(self, ERROR)
        self.buffer.finish(self)

    def keep(self, reason: str) -> bool:
        """Keep the local trace; return True if it is exported."""
        return self.buffer.keep(self, reason)

    def finish(self) -> None:
        """Decide about the local trace; its root has ended."""
        self.buffer.finish(self)

    def discard(self) -> None:
        """Export nothing more of the local trace."""
        self.buffer.discard(self)


class KeptTraceExporter:
    """Emits the spans of kept local traces. Only `promote` may be called under the buffer's lock.

    The head sampler has the tags that Jaeger expects. ``kept`` counts exported local traces by reason.
    """

    def __init__(self, head: HeadSampler, emit: Emit) -> None:
        self._head = head
        self._emit = emit
        self._lock = RLock()
        self.kept: Counter[str] = Counter()

    def close(self) -> None:
        """Emit nothing more: in a child process every span belongs to the parent."""
        self._emit = _drop

    def promote(self, local: LocalTrace, spans: Iterable[LocalSpan]) -> None:
        """Set the sampled flag and the tracestate of spans that have ended or that may still call other services."""
        for span in spans:
            context = span._context
            flags = context.trace_flags
            span._context = SpanContext(
                context.trace_id,
                context.span_id,
                context.is_remote,
                TraceFlags(flags | TraceFlags.SAMPLED) if flags else _SAMPLED,
                with_probability(context.trace_state, local.probability, local.trace_id),
            )

    def send(self, local: LocalTrace, spans: Iterable[LocalSpan]) -> None:
        """Emit ended spans."""
        emit = self._emit
        for span in spans:
            if not span._context.trace_flags.sampled:
                self.promote(local, (span,))
            emit(span)

    def export_root(self, local: LocalTrace, spans: Sequence[LocalSpan], *, by_head: bool) -> None:
        """Emit the ended root and the spans that are still buffered, with the final sampling probability."""
        root = local.root
        reason = local.reason
        if reason is not None:
            self.promote(local, (*spans, root))
        if spans:
            self.send(local, spans)
        last: dict[str, AttributeValue] = {REASON: reason or "head"}
        if local.probability > 0:
            last[PROBABILITY] = local.probability
        if by_head and local.true_root and local.decided_here:
            tags = self._head.jaeger_tags(local.name)
            if tags is not None:
                last["sampler.type"], last["sampler.param"] = tags
        root.finalize(last)
        with self._lock:
            self.kept[reason or "head"] += 1
        self._emit(root)
        local.root = None  # root and local trace refer to each other: no garbage collection is needed then


def _drop(_span: LocalSpan) -> None:
    """Export nothing."""
