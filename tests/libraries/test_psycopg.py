"""psycopg 3 against a running PostgreSQL: connections and pools, however early they are made."""

from __future__ import annotations

import asyncio
import contextvars

import pytest
from opentelemetry.trace import SpanKind

from eco2_tracing import shutdown_tracing

psycopg = pytest.importorskip("psycopg")
contrib = pytest.importorskip("opentelemetry.instrumentation.psycopg")


def queries(kept):
    """The statements of psycopg's spans, each below the server span."""
    (server,) = [span for span in kept if span.kind is SpanKind.SERVER]
    found = [span for span in kept if span.scope == "opentelemetry.instrumentation.psycopg"]
    assert {span.parent_span_id for span in found} <= {server.span_id}
    return found


def test_connections_however_they_are_made(service, postgres_url):
    """Before ``configure_tracing``, by a ``connect`` imported before it, afterwards: each query has one span."""
    shutdown_tracing()
    early, connect = psycopg.connect(postgres_url), psycopg.connect
    service.configure()

    def work():
        with connect(postgres_url) as by_name, psycopg.connect(postgres_url) as late:
            for connection in (early, early, by_name, late):
                assert connection.execute("SELECT 'planted'").fetchone() == ("planted",)

    found = queries(service.serve(work))
    assert len(found) == 4
    assert [span.attributes for span in found] == [found[0].attributes] * 4
    assert found[0].attributes["db.query.text"] == "SELECT ?"
    assert found[0].attributes["db.namespace"] == "postgres"
    shutdown_tracing()
    service.captured.clear()
    with psycopg.connect(postgres_url) as after:
        assert after.execute("SELECT 1").fetchone() == early.execute("SELECT 1").fetchone()
    early.close()
    assert service.captured.spans == ()


def test_async_connections(service, postgres_url):
    """The same of the async ones, whose errors keep a trace at 1 %."""
    shutdown_tracing()

    async def prepared():
        return await psycopg.AsyncConnection.connect(postgres_url)

    async def query(early):
        async with early, await psycopg.AsyncConnection.connect(postgres_url) as late:
            await (await early.execute("SELECT 1")).fetchone()
            with pytest.raises(psycopg.errors.UndefinedTable):
                await late.execute("SELECT * FROM nothing")

    with asyncio.Runner() as runner:
        early = runner.run(prepared())
        service.configure()
        found = queries(
            service.serve(lambda: runner.run(query(early), context=contextvars.copy_context()), fails=False)
        )
    assert len(found) == 2
    assert {span.attributes["server.port"] for span in found} == {found[0].attributes["server.port"]}


def test_cursors_of_choice_stay(service, postgres_url):
    """A class of cursors that the application chose is not replaced."""
    shutdown_tracing()
    with psycopg.connect(postgres_url, cursor_factory=psycopg.ClientCursor) as early:
        service.configure()
        assert queries(service.serve(lambda: early.execute("SELECT %s", ["one"]).fetchone())) == []
        assert type(early.cursor()) is psycopg.ClientCursor


def test_parts_that_have_moved(service, postgres_url, monkeypatch, caplog):
    """An early connection that cannot be traced is used as it is, and one warning is logged."""
    shutdown_tracing()
    early = psycopg.connect(postgres_url)
    service.configure()
    monkeypatch.setattr(contrib, "CursorTracer", lambda *_: 1 / 0)
    assert queries(service.serve(lambda: early.execute("SELECT 1").fetchone())) == []
    early.close()
    assert [record.name for record in caplog.records] == ["eco2_tracing"]
