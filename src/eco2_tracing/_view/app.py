"""The viewer's server: a JSON API about the traces of a store, and plain pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import orjson
from fastapi import Depends, FastAPI
from fastapi import Query as Parameter
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from eco2_tracing._view.files import exported
from eco2_tracing._view.json_views import summary_view, trace_view
from eco2_tracing._view.live import events
from eco2_tracing._view.local_only import LocalOnly
from eco2_tracing._view.pages import list_page, missing_page, trace_page
from eco2_tracing._view.search import MOST_FOUND, Query

if TYPE_CHECKING:
    from eco2_tracing._view.store import Store
    from eco2_tracing._view.trace import StoredTrace

_TYPES = {"otlp": "application/json", "jaeger": "application/json", "md": "text/markdown; charset=utf-8"}
_ENDINGS = {"otlp": "otlp.json", "jaeger": "jaeger.json", "md": "md"}


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
    limit: Annotated[int, Parameter(ge=1, le=MOST_FOUND)] = 100,
) -> Query:
    return Query(service, route, status, min_ms, max_ms, tuple(attribute or ()), text, trace_id, sort, limit)


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
        return _json({"traces": [summary_view(one) for one in store.search(query)], "counts": store.counts()})

    @app.get("/api/traces/{trace_id}")
    def one(trace_id: str) -> Response:
        trace = _found(store, trace_id)
        return _missing(trace_id) if trace is None else _json(trace_view(trace))

    @app.get("/api/traces/{trace_id}/export")
    def export(
        trace_id: str, form: Annotated[Literal["otlp", "jaeger", "md"], Parameter(alias="format")] = "otlp"
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

    @app.get("/")
    def page(query: _Given) -> Response:
        return HTMLResponse(list_page(store.search(query), query, store.counts()))

    @app.get("/trace/{trace_id}")
    def page_of_trace(trace_id: str) -> Response:
        trace = _found(store, trace_id)
        return HTMLResponse(missing_page(trace_id), 404) if trace is None else HTMLResponse(trace_page(trace))

    return app


def _found(store: Store, trace_id: str) -> StoredTrace | None:
    """Return a trace by its id, or by the beginning of it if no other has the same."""
    ids = store.ids(trace_id, 2)
    return store.get(ids[0]) if len(ids) == 1 else None


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content, default=str), status, media_type="application/json")


def _missing(trace_id: str) -> Response:
    return _json({"error": f"no trace {trace_id[:64]}, or more than one that begins so"}, 404)
