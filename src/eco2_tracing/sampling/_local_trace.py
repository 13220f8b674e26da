"""One local trace: what this process does for one request, from its local root to its last span."""

from __future__ import annotations

from collections import deque
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from eco2_tracing.sampling._rescue import Rescuer

UNDECIDED = 0
"""Recorded in this process alone; an error or slowness may still keep it."""
HEAD = 1
"""Chosen at the head, by the mesh or by our sampler."""
KEPT = 2
"""Not chosen at the head, kept because of what happened."""
DROPPED = 3
"""Ended well, or over a bound: nothing of it is exported."""

_HELD_LIMIT = 512
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class LiveSpan(Protocol):
    """A span that has a context of its own: the SDK's and ours."""

    _context: Any


def is_failure(span: ReadableSpan) -> bool:
    """Whether a span's status says that something failed here.

    A client span with a 4xx answer has status ERROR by the HTTP conventions, but the caller may
    well have expected it: no trace is kept for that.
    """
    if span.status.status_code is not StatusCode.ERROR:
        return False
    if span.kind is not SpanKind.CLIENT:
        return True
    attributes = span.attributes or {}
    code = attributes.get("http.response.status_code", attributes.get("http.status_code"))
    return not (isinstance(code, int) and 400 <= code < 500)  # noqa: PLR2004 - the 4xx class


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
        rescuer: Decides and emits; shared by all local traces.
        state: ``HEAD`` or ``UNDECIDED``.
        trace_id: The trace's id.
        probability: With which the head chose, negative where unknown.
        decided_here: Whether our own sampler chose, rather than the caller.
        wall: Nanoseconds since the epoch at the beginning. All times of the local trace are this
            plus a monotonic difference, so that a step of the wall clock cannot disturb them.
    """

    __slots__ = (
        "_perf",
        "_wall",
        "closing",
        "decided_here",
        "held",
        "open",
        "probability",
        "reason",
        "rescuer",
        "root",
        "state",
        "stream",
        "trace_id",
        "true_root",
    )

    def __init__(
        self,
        rescuer: Rescuer,
        state: int,
        trace_id: int,
        probability: float,
        wall: int,
        *,
        decided_here: bool,
    ) -> None:
        self.rescuer = rescuer
        self.state = state
        self.trace_id = trace_id
        self.probability = probability
        self.decided_here = decided_here
        self._wall = wall
        self._perf = perf_counter_ns()
        self.root: Any = None
        self.true_root = False
        self.reason: str | None = None
        self.held: deque[Any] | None = None
        self.open: dict[int, LiveSpan] | None = None
        self.closing = False
        self.stream = False

    def now(self) -> int:
        """Nanoseconds since the epoch, by the monotonic clock since the local trace began."""
        return self._wall + perf_counter_ns() - self._perf

    @property
    def age_ns(self) -> int:
        """Nanoseconds since the local trace began."""
        return perf_counter_ns() - self._perf

    @property
    def sampled(self) -> bool:
        """Whether spans that begin now are sampled."""
        return self.state == HEAD or self.state == KEPT

    @property
    def recording(self) -> bool:
        """Whether spans that begin now are recorded."""
        return self.state != DROPPED

    def began(self, span: LiveSpan) -> None:
        """A child span of the SDK's has begun."""
        opened = self.open
        if opened is None:
            opened = self.open = {}
        opened[span._context.span_id] = span

    def lean_ended(self, span: Any) -> None:
        """A lean span has ended; the local root waits for ``finish``."""
        if span is not self.root:
            self.rescuer.child_ended(self, span)

    def root_ended(self, span: Any) -> None:
        """The local root, a span of the SDK's, has ended."""
        self.root = span
        if is_failure(span):
            self.rescuer.keep(self, "error")
        self.rescuer.finish(self)

    def failed(self, span: Any) -> None:  # noqa: ARG002 - the signature that spans call
        """Something failed while its span is still open: keep the local trace from here on."""
        self.rescuer.keep(self, "error")

    def keep(self, reason: str) -> bool:
        """Keep the local trace for a reason; tells whether it is exported."""
        return self.rescuer.keep(self, reason)

    def finish(self) -> None:
        """The local root's work is over: decide."""
        self.rescuer.finish(self)

    # Called by the rescuer, under its lock -----------------------------------------------------

    def hold(self, span: Any) -> int:
        """Put a span aside; returns how many were put out for it."""
        held = self.held
        if held is None:
            held = self.held = deque()
        held.append(span)
        if len(held) > _HELD_LIMIT:
            # Children end before their parents, so the oldest is a leaf: no orphan is made.
            held.popleft()
            return 1
        return 0

    def release(self) -> list[Any]:
        """Take out what was put aside."""
        held, self.held = self.held, None
        return list(held) if held else []

    def promote(self, trace_state_of: Any) -> None:
        """Mark the root and every open span as sampled, so that what they call is told."""
        spans: list[LiveSpan] = [self.root] if self.root is not None else []
        if self.open:
            spans.extend(self.open.values())
        for span in spans:
            span._context = sampled_context(span._context, trace_state_of(span._context))
