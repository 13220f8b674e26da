"""What the JSON API returns of one trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from eco2_tracing._console.rows import Row, call_kind, status_of, title_of
from eco2_tracing._view.hops import hop_of
from eco2_tracing._view.json_values import Json, plain
from eco2_tracing._view.kept import kept_of
from eco2_tracing._view.masked_curl import masked_curl
from eco2_tracing._view.rows import Forest, forest_of, limited, rows_of
from eco2_tracing._view.siblings import Group, groups_of
from eco2_tracing._view.timing import Interval, Timing, root_of, timing_of
from eco2_tracing._view.trace import StoredTrace, shown

if TYPE_CHECKING:
    from eco2_tracing._console.lines import LogLine
    from eco2_tracing._view.search import Summary
    from eco2_tracing.testing import ReceivedSpan

_MOST_EVENTS = 256
_MOST_SPANS = 20_000
_MOST_LINES = 10_000
# The fields of a log line that have a place of their own.
_PLACED = frozenset(
    {"@timestamp", "log.level", "message", "log.logger", "service.name", "trace.id", "span.id"}
)


def summary_view(summary: Summary) -> Json:
    """Return a row of the list. Nanoseconds since the epoch are a text: JavaScript would round them."""
    return {
        "trace_id": summary.trace_id,
        "service": summary.service,
        "name": summary.name,
        "route": summary.route,
        "status": summary.status,
        "start_ns": str(summary.start_ns),
        "duration_ms": summary.duration_ns / 1e6,
        "spans": summary.spans,
        "errors": summary.errors,
        "logs": summary.logs,
        "services": summary.services,
    }


def trace_view(trace: StoredTrace) -> Json:
    """Return a trace: its spans with the index of their parent, where its time goes, its log lines, and remarks."""
    forest = forest_of(trace)
    more_spans = max(len(forest.spans) - _MOST_SPANS, 0)
    if more_spans:
        forest = _first(forest, _MOST_SPANS)
    view = _TraceView(forest)
    lines = trace.timed_lines[:_MOST_LINES]
    return {
        "trace_id": trace.trace_id,
        **view.head(),
        "resources": view.resources,
        "spans": view.spans(),
        "groups": view.groups(),
        "logs": view.logs(lines),
        "more_spans": more_spans,
        "more_logs": len(trace.timed_lines) - len(lines),
        "remarks": list(forest.remarks),
    }


def _first(forest: Forest, most: int) -> Forest:
    parents = [up if up < most else -1 for up in forest.parents[:most]]
    return Forest(forest.spans[:most], parents, forest.remarks)


class _TraceView:
    """What is derived from the spans of a forest once, and is a part of several objects."""

    def __init__(self, forest: Forest) -> None:
        self._forest = forest
        self._begin = forest.spans[0].start_ns if forest.spans else 0
        self._timing: Timing = timing_of(forest)
        self._rows: Sequence[Row] = rows_of(forest)
        self._titles = [title_of(row) for row in self._rows]
        self._calls = [call_kind(row) for row in self._rows]
        self._groups: Sequence[Group] = groups_of(self._rows, forest.parents, self._titles)
        self.resources: list[Json] = []
        self._resource_of: dict[int, int] = {}
        self._equal: dict[str, int] = {}

    def head(self) -> Json:
        """Return what stands for the whole trace."""
        root, spans = root_of(self._forest), self._forest.spans
        end = max((max(span.start_ns, span.end_ns) for span in spans), default=0)
        return {
            "start_ns": str(self._begin),
            "duration_ms": (end - self._begin) / 1e6,
            "service": spans[root].service if spans else "",
            "name": spans[root].name if spans else "",
            "status": status_of(self._rows[root]) if spans else "",
        }

    def spans(self) -> list[Json]:
        """Return the spans, ordered by their start."""
        group_of = {at: number for number, group in enumerate(self._groups) for at in group.spans}
        return [
            self._span(at, span, up, group_of.get(at))
            for at, (span, up) in enumerate(zip(self._forest.spans, self._forest.parents, strict=True))
        ]

    def _span(self, at: int, span: ReceivedSpan, parent: int, group: int | None) -> Json:
        begin, row, timing = self._begin, self._rows[at], self._timing
        return {
            "span_id": span.span_id,
            "parent_span_id": span.parent_span_id,
            "parent": None if parent < 0 else parent,
            "service": span.service,
            "name": row.name,
            "title": self._titles[at],
            "kind": span.kind.name.lower(),
            "status": span.status.name.lower(),
            "status_description": span.status_description,
            "offset_ms": (span.start_ns - begin) / 1e6,
            "duration_ms": (row.end - row.start) / 1e6,
            "self_ms": timing.self_ns[at] / 1e6,
            "code": status_of(row),
            "call": self._calls[at],
            "attributes": plain(row.attributes),
            "resource": self._resource(span.resource),
            "events": [
                {
                    "name": event.name,
                    "offset_ms": (event.time_ns - begin) / 1e6,
                    "attributes": plain(limited(event.attributes)),
                }
                for event in span.events[:_MOST_EVENTS]
            ],
            "more_events": max(len(span.events) - _MOST_EVENTS, 0),
            "links": [
                {
                    "trace_id": link.trace_id,
                    "span_id": link.span_id,
                    "attributes": plain(limited(link.attributes)),
                }
                for link in span.links[:_MOST_EVENTS]
            ],
            "scope": span.scope,
            "trace_state": span.trace_state,
            "hop": hop_of(span, is_top=parent < 0),
            "kept": kept_of(span),
            "curl": masked_curl(row, span.scope),
            "critical": self._intervals(timing.critical[at]),
            "gaps": self._intervals(timing.gaps[at]),
            "group": group,
        }

    def _intervals(self, given: Iterable[Interval]) -> list[list[float]]:
        begin = self._begin
        return [[(start - begin) / 1e6, (end - begin) / 1e6] for start, end in given]

    def _resource(self, resource: Mapping[str, object]) -> int:
        """Return the index of a resource. The spans of one request share the object; other requests have equal ones."""
        known = self._resource_of.get(id(resource))
        if known is None:
            text = shown(dict(resource))
            known = self._equal.get(text)
            if known is None:
                known = self._equal[text] = len(self.resources)
                self.resources.append(plain(limited(resource)))
            self._resource_of[id(resource)] = known
        return known

    def groups(self) -> list[Json]:
        """Return the groups of equal siblings."""
        rows = self._rows
        return [
            {
                "parent": None if group.parent < 0 else group.parent,
                "title": group.title,
                "spans": group.spans,
                "total_ms": sum(rows[at].end - rows[at].start for at in group.spans) / 1e6,
                "errors": sum(rows[at].failed for at in group.spans),
                "repeated": group.is_call,
            }
            for group in self._groups
        ]

    def logs(self, lines: Iterable[tuple[int, LogLine]]) -> list[Json]:
        """Return log lines with the index of their span."""
        spans = {(span.span_id, span.service): at for at, span in enumerate(self._forest.spans)}
        spans |= {(span.span_id, ""): at for at, span in enumerate(self._forest.spans)}
        made = []
        for moment, line in lines:
            span_id, service = str(line["span.id"]), str(line["service.name"])
            made.append(
                {
                    "span": spans.get((span_id, service), spans.get((span_id, ""))),
                    "offset_ms": (moment - self._begin) / 1e6 if self._begin else 0.0,
                    "level": line["log.level"],
                    "message": line["message"],
                    "logger": line["log.logger"],
                    "service": service,
                    "fields": plain({key: value for key, value in line.items() if key not in _PLACED}),
                }
            )
        return made
