"""What changed for the requests of a service from one build to another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind

from eco2_tracing._console.summary import label_of
from eco2_tracing._view.calls import outer_calls
from eco2_tracing._view.parts import build_of
from eco2_tracing._view.rows import Forest, rows_of
from eco2_tracing._view.samples import forests, percentile, top_down
from eco2_tracing._view.siblings import without_ids
from eco2_tracing._view.timing import children_of

if TYPE_CHECKING:
    from eco2_tracing._view.builds import Build
    from eco2_tracing._view.json_values import Json
    from eco2_tracing._view.trace import StoredTrace

_MOST_SPANS, _MOST_ROUTES = 10_000, 200
_ENTRIES = (SpanKind.SERVER, SpanKind.CONSUMER)


@dataclass(slots=True)
class Route:
    """The requests of one route that one build served."""

    took: list[tuple[float, str]] = field(default_factory=list)
    errors: int = 0
    spans: int = 0
    calls: Counter[str] = field(default_factory=Counter)

    def view(self) -> Json:
        took = sorted(self.took)
        times, count = [one for one, _ in took], len(took)
        return {
            "traces": count,
            "p50_ms": percentile(times, 0.5),
            "p95_ms": percentile(times, 0.95),
            "error_share": self.errors / count,
            "spans": self.spans / count,
            "calls": {kind: self.calls[kind] / count for kind in ("sql", "http", *sorted(self.calls))},
            "trace_id": took[(count - 1) // 2][1],
        }


def routes_of(
    build: Build, trace_ids: Iterable[str], get: Callable[[str], StoredTrace | None]
) -> dict[str, Route]:
    """Return the figures of a build's routes, by their name.

    Args:
        build: The build.
        trace_ids: Its traces.
        get: Returns a trace.
    """
    routes: dict[str, Route] = {}
    for trace_id, forest in forests(trace_ids, get, _MOST_SPANS):
        _count(build, trace_id, forest, routes)
    return routes


def _count(build: Build, trace_id: str, forest: Forest, routes: dict[str, Route]) -> None:
    rows, parents = rows_of(forest), forest.parents
    calls = outer_calls(rows, parents)
    route_of: list[Route | None] = [None] * len(rows)
    for at in top_down(children_of(parents), parents):
        if build_of(forest.spans[at].resource)[:2] != (build.service, build.instance):
            continue
        row, up = rows[at], parents[at]
        route = route_of[up] if up >= 0 and row.kind not in _ENTRIES else None
        if route is None:
            name = without_ids(label_of(row))
            route = routes.setdefault(name, Route())
            route.took.append(((row.end - row.start) / 1e6, trace_id))
            route.errors += row.failed
        route.spans += 1
        if calls[at]:
            route.calls[calls[at]] += 1
        route_of[at] = route


def compared_builds(left: Mapping[str, Route], right: Mapping[str, Route]) -> list[Json]:
    """Return the routes of two builds, those with the most requests first."""
    count = Counter({name: len(route.took) for name, route in left.items()})
    count.update({name: len(route.took) for name, route in right.items()})
    return [
        {
            "name": name,
            "left": left[name].view() if name in left else None,
            "right": right[name].view() if name in right else None,
        }
        for name, _ in count.most_common(_MOST_ROUTES)
    ]
