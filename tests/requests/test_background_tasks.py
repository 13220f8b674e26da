"""A background task has one span, whenever contrib's instrumentation is applied or removed."""

from __future__ import annotations

import itertools

import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.testclient import TestClient

from eco2_tracing import instrument_app

instrumentor = pytest.importorskip(
    "opentelemetry.instrumentation.fastapi", reason="contrib is not installed"
).FastAPIInstrumentor


def make_app() -> FastAPI:
    """An application with a background task."""
    app = FastAPI()

    @app.get("/background")
    def background(tasks: BackgroundTasks) -> None:
        tasks.add_task(len, "text")

    return app


@pytest.fixture
def contribs():
    """Applications that contrib instruments; contrib replaces the task's method for the whole process."""
    apps = []

    def apply() -> None:
        apps.append(FastAPI())
        instrumentor.instrument_app(apps[-1])

    def remove() -> None:
        if apps:
            instrumentor.uninstrument_app(apps.pop())

    yield {"contrib": apply, "contrib removed": remove}
    while apps:
        remove()
    # Contrib has instrumented applications of other tests and removed our wrapper.
    instrument_app(make_app())


@pytest.mark.parametrize("order", list(itertools.product(("ours", "contrib", "contrib removed"), repeat=4)))
def test_one_span_in_every_order_of_instrumentation(captured_spans, contribs, order):
    """Contrib restores the method that it found, which may not be the current one."""
    for who in order:
        contribs.get(who, lambda: instrument_app(make_app()))()
    app = make_app()
    instrument_app(app)
    TestClient(app).get("/background")
    tasks = [span for span in captured_spans.find(name="BackgroundTask len") if span.scope == "eco2_tracing"]
    assert len(tasks) == 1
