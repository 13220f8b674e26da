"""Received spans, and traces made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from opentelemetry.trace import SpanKind, StatusCode


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event of a span.

    Attributes:
        name: The name, such as `exception`.
        time_ns: Nanoseconds since the epoch.
        attributes: Plain Python values.
    """

    name: str
    time_ns: int = 0
    attributes: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ReceivedLink:
    """A link from a span to another.

    Attributes:
        trace_id: The trace id of the linked span: 32 lower-case hex digits.
        span_id: The span id of the linked span: 16 lower-case hex digits.
        attributes: The attributes of the link.
        trace_state: Its `tracestate`, as one string.
    """

    trace_id: str
    span_id: str
    attributes: Mapping[str, object] = field(default_factory=dict, hash=False)
    trace_state: str = ""


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """An ended span as it was received.

    Attributes:
        name: The span's name.
        kind: The span's kind.
        trace_id: 32 lower-case hex digits.
        span_id: 16 lower-case hex digits.
        parent_span_id: 16 lower-case hex digits, or `None` for a root span.
        attributes: Plain Python values; arrays are tuples.
        resource: The attributes of the resource.
        status: `UNSET`, `OK` or `ERROR`.
        status_description: The description of the status, or `""`.
        events: In the order received.
        links: In the order received.
        trace_state: The `tracestate`, as one string.
        start_ns: Nanoseconds since the epoch.
        end_ns: Nanoseconds since the epoch.
        scope: The name of the instrumentation scope.
        scope_version: Its version, or `""`.
        flags: The 32 bits of OTLP's `Span.flags`; the lowest eight are the W3C trace flags.
        dropped_attributes: The number of attributes that the sender dropped.
    """

    name: str
    kind: SpanKind
    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    attributes: Mapping[str, object] = field(default_factory=dict, hash=False)
    resource: Mapping[str, object] = field(default_factory=dict, hash=False)
    status: StatusCode = StatusCode.UNSET
    status_description: str = ""
    events: tuple[ReceivedEvent, ...] = ()
    links: tuple[ReceivedLink, ...] = ()
    trace_state: str = ""
    start_ns: int = 0
    end_ns: int = 0
    scope: str = ""
    scope_version: str = ""
    flags: int = 0
    dropped_attributes: int = 0

    @property
    def service(self) -> str:
        """`service.name` of the resource, or `""`."""
        return str(self.resource.get("service.name", ""))

    @property
    def is_error(self) -> bool:
        """Whether the status is `ERROR`."""
        return self.status is StatusCode.ERROR

    @property
    def duration_ms(self) -> float:
        """Milliseconds from start to end."""
        return (self.end_ns - self.start_ns) / 1e6

    def __str__(self) -> str:
        parent = self.parent_span_id or "none"
        return (
            f"{self.service or '?'}: {self.kind.name} {self.name!r}"
            f" (trace {self.trace_id}, span {self.span_id}, parent {parent})"
        )


@dataclass(frozen=True, slots=True)
class ReceivedTrace:
    """The spans of one trace.

    Attributes:
        trace_id: 32 lower-case hex digits.
        spans: Ordered by start.
    """

    trace_id: str
    spans: tuple[ReceivedSpan, ...]

    @property
    def roots(self) -> tuple[ReceivedSpan, ...]:
        """Spans without a parent."""
        return tuple(span for span in self.spans if span.parent_span_id is None)

    @property
    def orphans(self) -> tuple[ReceivedSpan, ...]:
        """Spans whose parent was not received."""
        held = {span.span_id for span in self.spans}
        return tuple(
            span for span in self.spans if span.parent_span_id is not None and span.parent_span_id not in held
        )

    @property
    def tops(self) -> tuple[ReceivedSpan, ...]:
        """Roots and orphans."""
        held = {span.span_id for span in self.spans}
        return tuple(span for span in self.spans if span.parent_span_id not in held)

    @property
    def is_one_tree(self) -> bool:
        """Whether every span is a descendant of a single top."""
        return len(self.tops) == 1 and len(list(self.walk())) == len(self.spans)

    @property
    def services(self) -> tuple[str, ...]:
        """The services of the spans, in the order of their first span."""
        return tuple(dict.fromkeys(span.service for span in self.spans))

    def parent(self, span: ReceivedSpan) -> ReceivedSpan | None:
        """The parent of a span; `None` if the span has none or it was not received."""
        for other in self.spans:
            if other.span_id == span.parent_span_id:
                return other
        return None

    def children(self, span: ReceivedSpan) -> tuple[ReceivedSpan, ...]:
        """The children of a span, ordered by start."""
        return tuple(other for other in self.spans if other.parent_span_id == span.span_id)

    def walk(self) -> Iterator[tuple[int, ReceivedSpan]]:
        """Each span with its depth (0 for a top), a parent before its children."""
        waiting = [(0, span) for span in reversed(self.tops)]
        seen: set[int] = set()
        while waiting:
            depth, span = waiting.pop()
            if id(span) in seen:  # span ids that occur twice can form a cycle
                continue
            seen.add(id(span))
            yield depth, span
            waiting.extend((depth + 1, child) for child in reversed(self.children(span)))

    def __str__(self) -> str:
        lines = (f"{'  ' * depth}{span}" for depth, span in self.walk())
        return "\n".join((f"trace {self.trace_id}", *lines))


def group_by_trace(spans: tuple[ReceivedSpan, ...]) -> tuple[ReceivedTrace, ...]:
    """Group spans by trace id, ordered by the start of their first span."""
    by_id: dict[str, list[ReceivedSpan]] = {}
    for span in sorted(spans, key=lambda one: one.start_ns):
        by_id.setdefault(span.trace_id, []).append(span)
    return tuple(ReceivedTrace(trace_id, tuple(group)) for trace_id, group in by_id.items())
