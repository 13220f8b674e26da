"""The viewer's server: a JSON API about the traces of a store, and the files of the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import orjson
from fastapi import Depends, FastAPI, Request
from fastapi import Query as Parameter
from fastapi.responses import Response, StreamingResponse

from eco2_tracing._view.builds import chosen_builds
from eco2_tracing._view.compare import compared
from eco2_tracing._view.compare_builds import compared_builds, routes_of
from eco2_tracing._view.files import exported
from eco2_tracing._view.json_views import summary_view, trace_view
from eco2_tracing._view.live import events
from eco2_tracing._view.local_only import LocalOnly
from eco2_tracing._view.search import MOST_FOUND, Query
from eco2_tracing._view.service_map import map_of
from eco2_tracing._view.static_files import StaticFiles

if TYPE_CHECKING:
    from eco2_tracing._view.store import Store
    from eco2_tracing._view.trace import StoredTrace

_MOST_MAPPED = 1000  # traces of a map, unless the request says how many
_TYPES = {
    "otlp": "application/json",
    "jaeger": "application/json",
    "html": "text/html; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
}
_ENDINGS = {"otlp": "otlp.json", "jaeger": "jaeger.json", "html": "html", "md": "md"}


def _query(
    service: str = "",
    route: str = "",
    status: str = "",
    min_ms: float | None = None,
    max_ms: float | None = None,
    attribute: Annotated[list[str] | None, Parameter()] = None,
    text: str = "",
    trace_id: str = "",
    sort: Literal["newest", "oldest", "slowest", "spans", "errors"] = "newest",
    limit: Annotated[int | None, Parameter(ge=1, le=MOST_FOUND)] = None,
) -> Query:
    found = Query(service, route, status, min_ms, max_ms, tuple(attribute or ()), text, trace_id, sort)
    return found if limit is None else replace(found, limit=limit)


_Given = Annotated[Query, Depends(_query)]


def build_app(store: Store, is_over: Callable[[], bool] = lambda: False) -> FastAPI:
    """Return the application.

    Args:
        store: The store.
        is_over: Returns True if the server stops; open streams of events end then.
    """
    app = FastAPI(title="eco2-tracing view", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(LocalOnly)

    @app.get("/api/traces")
    def search(query: _Given) -> Response:
        found = store.find(query)
        rows = [summary_view(one) for one in found.summaries]
        return _json({"traces": rows, "found": found.count, "counts": store.counts()})

    @app.get("/api/traces/{trace_id}")
    def one(trace_id: str) -> Response:
        trace = _found(store, trace_id)
        return _missing(trace_id) if trace is None else _json(trace_view(trace))

    @app.get("/api/traces/{trace_id}/export")
    def export(
        trace_id: str,
        form: Annotated[Literal["otlp", "jaeger", "html", "md"], Parameter(alias="format")] = "otlp",
    ) -> Response:
        trace = _found(store, trace_id)
        if trace is None:
            return _missing(trace_id)
        name = f"attachment; filename=trace-{trace.trace_id}.{_ENDINGS[form]}"
        return Response(exported(trace, form), media_type=_TYPES[form], headers={"content-disposition": name})

    @app.get("/api/services")
    def services() -> Response:
        return _json(store.services())

    @app.get("/api/live")
    async def live() -> Response:
        return StreamingResponse(events(store, is_over), media_type="text/event-stream")

    _serve_comparisons(app, store)
    _serve_page(app, store, StaticFiles())
    return app


def _serve_comparisons(app: FastAPI, store: Store) -> None:
    """Add what is made of several traces: the map, and comparisons of traces and of builds."""

    @app.get("/api/map")
    def service_map(query: _Given, request: Request) -> Response:
        if "limit" not in request.query_params:
            query = replace(query, limit=_MOST_MAPPED)
        found = store.find(query)
        made = map_of([one.trace_id for one in found.summaries], store.get)
        return _json({**made, "found": found.count})

    @app.get("/api/compare")
    def compare(left: str, right: str) -> Response:
        traces, heads = [], []
        for trace_id in (left, right):
            trace = _found(store, trace_id)
            head = trace and store.summaries([trace.trace_id])
            if trace is None or not head:
                return _missing(trace_id)
            traces.append(trace)
            heads.append(summary_view(head[0]))
        return _json({"left": heads[0], "right": heads[1], "rows": compared(*traces)})

    @app.get("/api/builds")
    def builds(service: str = "") -> Response:
        return _json({"builds": [build.view() for build in store.builds(service)]})

    @app.get("/api/compare-builds")
    def compare_builds(service: str, left: str = "", right: str = "") -> Response:
        return _compare_builds(store, service, left, right)


def _serve_page(app: FastAPI, store: Store, files: StaticFiles) -> None:
    """Add the page, which is the same at each of its paths, and its files."""

    def file(name: str, status: int = 200) -> Response:
        found = files.get(name)
        if found is None:
            return _json({"error": "no such file"}, 404)
        return Response(found[0], status, media_type=found[1])

    def page() -> Response:
        return file("index.html")

    for path in ("/", "/map", "/compare", "/builds"):
        app.add_api_route(path, page)

    @app.get("/trace/{trace_id}")
    def page_of_trace(trace_id: str) -> Response:
        return file("index.html", 200 if len(store.ids(trace_id, 2)) == 1 else 404)

    @app.get("/page/{name}")
    def part(name: str) -> Response:
        return file(name)


def _compare_builds(store: Store, service: str, left: str, right: str) -> Response:
    try:
        chosen = chosen_builds(store.builds(service), left, right)
    except LookupError as error:
        return _json({"error": f"{service[:64]} has no build {str(error)[:64]}"}, 404)
    routes = [{} if one is None else routes_of(one, store.traces_of(one), store.get) for one in chosen]
    before, after = (None if one is None else one.view() for one in chosen)
    return _json({"left": before, "right": after, "routes": compared_builds(*routes)})


def _found(store: Store, trace_id: str) -> StoredTrace | None:
    """Return a trace by its id, or by the beginning of it if no other has the same."""
    ids = store.ids(trace_id, 2)
    return store.get(ids[0]) if len(ids) == 1 else None


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content, default=str), status, media_type="application/json")


def _missing(trace_id: str) -> Response:
    return _json({"error": f"no trace {trace_id[:64]}, or more than one that begins so"}, 404)
