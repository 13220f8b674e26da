"""One local trace: what this process does for one request, from its local root to its last span."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter_ns
from typing import Any, Protocol

from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

UNDECIDED = 0
"""Recorded in this process alone; an error or slowness may still keep it."""
HEAD = 1
"""Chosen at the head, by the mesh or by our sampler."""
KEPT = 2
"""Exported: not chosen at the head but kept because of what happened, or chosen and its root has ended."""
DROPPED = 3
"""Ended well, or over a bound: nothing of it is exported."""

_EXPORTED = (HEAD, KEPT)

ERROR, SLOW, UPSTREAM = "error", "slow", "upstream"

_OPEN_LIMIT = 1_000
_FAILED = StatusCode.ERROR
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class LiveSpan(Protocol):
    """A span that has a context of its own: the SDK's and ours."""

    _context: Any


class Buffer(Protocol):
    """Buffers the spans of local traces and decides which traces are exported; see `TraceBuffer`."""

    slow: bool

    def child_ended(self, local: LocalTrace, span: Any) -> None:
        """Take an ended span that is not the local root."""

    def keep(self, local: LocalTrace, reason: str) -> bool:
        """Keep a local trace; return True if it is exported."""

    def promote(self, local: LocalTrace, spans: Iterable[Any]) -> None:
        """Mark open spans of a kept local trace as sampled."""

    def finish(self, local: LocalTrace) -> None:
        """Decide about a local trace whose root has ended."""

    def discard(self, local: LocalTrace) -> None:
        """Export nothing more of a local trace."""


def is_failure(span: Any) -> bool:
    """Whether a span's status says that something failed here.

    A client span with a 4xx answer has status ERROR by the HTTP conventions, but the caller may
    well have expected it: no trace is kept for that.
    """
    if span._status.status_code is not _FAILED:
        return False
    if span.kind is not SpanKind.CLIENT:
        return True
    attributes = span.attributes or {}
    code = attributes.get("http.response.status_code", attributes.get("http.status_code"))
    return not (isinstance(code, int) and 400 <= code < 500)


def sampled_context(context: SpanContext, trace_state: TraceState | None) -> SpanContext:
    """The same context with the sampled flag set and this tracestate."""
    flags = context.trace_flags
    return SpanContext(
        context.trace_id,
        context.span_id,
        context.is_remote,
        TraceFlags(flags | TraceFlags.SAMPLED) if flags else _SAMPLED,
        trace_state,
    )


class LocalTrace:
    """The spans of one local root and what was decided about them.

    Args:
        buffer: Holds, decides and emits; shared by all local traces of the process.
        state: ``HEAD`` or ``UNDECIDED``.
        trace_id: The trace's id.
        name: The root's name as the sampler was told it.
        probability: With which the head chose, negative where unknown.
        wall: Nanoseconds since the epoch at the beginning. All times of the local trace are this
            plus a monotonic difference, so that a step of the wall clock cannot disturb them.
        decided_here: Whether our own sampler was asked, rather than the caller's decision followed.
    """

    __slots__ = (
        "buffer",
        "closing",
        "decided_here",
        "heavy",
        "held",
        "held_since",
        "monotonic",
        "name",
        "open",
        "peer_ended",
        "probability",
        "reason",
        "root",
        "state",
        "stream",
        "trace_id",
        "true_root",
        "wall",
    )

    held_since: float

    def __init__(
        self,
        buffer: Buffer,
        state: int,
        trace_id: int,
        name: str,
        probability: float,
        wall: int,
        decided_here: bool,
    ) -> None:
        self.buffer = buffer
        self.state = state
        self.trace_id = trace_id
        self.name = name
        self.probability = probability
        self.decided_here = decided_here
        self.wall = wall
        self.monotonic = perf_counter_ns()
        self.root: Any = None
        self.true_root = False
        self.reason: str | None = None
        self.held: list[Any] | None = None
        self.heavy = 0
        self.open: dict[int, LiveSpan] | None = None
        self.closing = False
        self.stream = False
        self.peer_ended = False

    def now(self) -> int:
        """Nanoseconds since the epoch, by the monotonic clock since the local trace began."""
        return self.wall + perf_counter_ns() - self.monotonic

    @property
    def sampled(self) -> bool:
        """Whether spans that begin now are sampled."""
        return self.state in _EXPORTED

    @property
    def recording(self) -> bool:
        """Whether spans that begin now are recorded."""
        return self.state != DROPPED

    def began(self, span: LiveSpan) -> None:
        """A child span has begun."""
        opened = self.open
        if opened is None:
            opened = self.open = {}
        elif len(opened) >= _OPEN_LIMIT:
            # Spans that nobody ends must not pile up under a root that lives as long as the process.
            opened.pop(next(iter(opened)), None)
        opened[span._context.span_id] = span
        if self.state == KEPT and not span._context.trace_flags.sampled:
            # Kept between the sampler's answer and now.
            self.buffer.promote(self, [span])

    def started(self, span: LiveSpan, *, is_root: bool) -> None:
        """A span of this local trace has started.

        Args:
            span: The span.
            is_root: Whether it is the local root.
        """
        if is_root:
            self.root = span
        else:
            self.began(span)

    def ended(self, span: Any) -> None:
        """A span has ended; a server or client span that is the local root waits for ``finish``."""
        if span is not self.root:
            self.buffer.child_ended(self, span)

    def root_ended(self, span: Any) -> None:
        """The local root, a library's or a manual span, has ended."""
        if is_failure(span):
            self.buffer.keep(self, ERROR)
        self.buffer.finish(self)

    def failed(self, span: Any) -> None:
        """Something failed while its span is still open: keep the local trace from here on."""
        self.buffer.keep(self, ERROR)

    def keep(self, reason: str) -> bool:
        """Keep the local trace for a reason; tells whether it is exported."""
        return self.buffer.keep(self, reason)

    def finish(self) -> None:
        """The local root's work is over: decide."""
        self.buffer.finish(self)

    def discard(self) -> None:
        """Export nothing of the local trace, whatever was decided and whatever happens."""
        self.buffer.discard(self)
