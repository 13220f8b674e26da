"""The tested table, library by library, against real libraries and real servers."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import ClassVar

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from tests.differential.client_cases import answering_server
from tests.support.mongo import stand_in

from eco2_tracing._instrumentation.instrument import uninstrument_libraries
from eco2_tracing._instrumentation.libraries import connections as sqlalchemy_module
from eco2_tracing._instrumentation.libraries.connections import early_engines
from eco2_tracing._instrumentation.libraries.tested import TESTED


def client_spans(spans, *scopes):
    """The spans of an instrumentation, in the order of their ends."""
    return [s for s in spans.all if s.instrumentation_scope.name.endswith(scopes)]


def parent_of(recorded):
    """The id of a span's parent."""
    return recorded.parent and recorded.parent.span_id


@pytest.fixture
def request_span(spans):
    """A span that stands for the request."""
    with trace.get_tracer("test").start_as_current_span("request") as span:
        yield span


@pytest.mark.parametrize("library", TESTED, ids=lambda library: library.name)
def test_table_names_what_exists(library):
    """Each row's module and class are those of the installed instrumentation, and its entry point's."""
    if importlib.util.find_spec(library.module) is None:
        pytest.skip(f"{library.package} is not installed")
    (point,) = [
        p
        for p in importlib.metadata.entry_points(group="opentelemetry_instrumentor")
        if p.name == library.name
    ]
    assert point.value == f"{library.module}:{library.instrumentor}"
    assert point.dist.name == library.package


def test_asyncpg(switch_on, postgres_url, request_span):
    """A query is a client span below the request."""
    asyncpg = pytest.importorskip("asyncpg")
    spans = switch_on("asyncpg")

    async def query():
        connection = await asyncpg.connect(postgres_url)
        try:
            return await connection.fetchval("SELECT 40 + $1::int", 2)
        finally:
            await connection.close()

    assert asyncio.run(query()) == 42
    (found,) = client_spans(spans, "asyncpg")
    assert (found.name, found.kind) == ("SELECT", SpanKind.CLIENT)
    assert parent_of(found) == request_span.context.span_id
    assert found.attributes["db.system.name"] == "postgresql"
    assert found.attributes["db.query.text"] == "SELECT 40 + $1::int"


def test_psycopg(switch_on, postgres_url, request_span):
    """A query is a client span, and a failing one is marked."""
    psycopg = pytest.importorskip("psycopg")
    spans = switch_on("psycopg")
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT 42").fetchone() == (42,)
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nothing")
    good, bad = client_spans(spans, "psycopg")
    assert parent_of(good) == request_span.context.span_id
    assert good.attributes["db.query.text"] == "SELECT 42"
    assert bad.status.status_code is StatusCode.ERROR


def test_psycopg2(switch_on, postgres_url, request_span):
    """A query is a client span below the request."""
    psycopg2 = pytest.importorskip("psycopg2")
    spans = switch_on("psycopg2")
    connection = psycopg2.connect(postgres_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT 42")
        assert cursor.fetchone() == (42,)
    connection.close()
    (found,) = client_spans(spans, "psycopg2")
    assert found.attributes["db.query.text"] == "SELECT 42"
    assert parent_of(found) == request_span.context.span_id


def test_sqlalchemy(switch_on, request_span):
    """A query of an engine that was made afterwards is a client span."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    spans = switch_on("sqlalchemy")
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT 42")).scalar() == 42
    engine.dispose()
    found = [s for s in client_spans(spans, "sqlalchemy") if "db.query.text" in s.attributes]
    assert found[0].attributes["db.system.name"] == "sqlite"
    assert parent_of(found[0]) == request_span.context.span_id


def test_sqlalchemy_async(switch_on, postgres_url, request_span, provider):
    """An async engine's queries are one span each, on the event loop's own context."""

    class Started(SpanProcessor):
        names: ClassVar[list[str]] = []

        def on_start(self, span, parent_context=None):
            self.names.append(span.name)

    provider.add_span_processor(Started())
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("asyncpg")
    pytest.importorskip("greenlet")
    aio = pytest.importorskip("sqlalchemy.ext.asyncio")
    spans = switch_on("sqlalchemy")

    async def query():
        engine = aio.create_async_engine(postgres_url.replace("postgresql", "postgresql+asyncpg"))
        async with engine.connect() as connection:
            value = (await connection.execute(sqlalchemy.text("SELECT 42"))).scalar()
        await engine.dispose()
        return value

    assert asyncio.run(query()) == 42
    found = [s for s in client_spans(spans, "sqlalchemy") if s.attributes.get("db.query.text") == "SELECT 42"]
    assert len(found) == 1
    assert Started.names.count(found[0].name) == 1
    assert parent_of(found[0]) == request_span.context.span_id


def queries(spans):
    """The statements that SQLAlchemy's spans have, in order."""
    found = client_spans(spans, "sqlalchemy")
    return [s.attributes["db.query.text"] for s in found if "db.query.text" in s.attributes]


def test_sqlalchemy_engines_made_before(switch_on, request_span):
    """An engine, and a ``create_engine`` imported, before the switch are traced too, each query once."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    create_engine = sqlalchemy.create_engine
    early = create_engine("sqlite://")
    spans = switch_on("sqlalchemy")
    late = create_engine("sqlite://")
    seen = sqlalchemy.create_engine("sqlite://")
    copy = early.execution_options(logging_token="copy")
    for number, engine in enumerate((early, late, seen, copy, early)):
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f"SELECT {number}"))
    assert queries(spans) == [f"SELECT {number}" for number in range(5)]
    uninstrument_libraries()
    with early.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 6"))
    assert len(queries(spans)) == 5
    for engine in (early, late, seen):
        engine.dispose()


def test_sqlalchemy_whose_parts_have_moved(switch_on, request_span, monkeypatch, caplog):
    """If an early engine cannot be traced, the query runs and one warning is logged."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    early = sqlalchemy.create_engine("sqlite://")
    spans = switch_on("sqlalchemy")
    monkeypatch.setattr(early_engines, "_trace", len)
    with early.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT 1")).scalar() == 1
    early.dispose()
    assert queries(spans) == []
    assert [r.name for r in caplog.records] == ["eco2_tracing"]


def test_sqlalchemy_without_greenlet(switch_on, request_span, monkeypatch):
    """SQLAlchemy 2.1 refuses the first import of its async part; a synchronous service is traced all the same."""
    sqlalchemy = pytest.importorskip("sqlalchemy")

    def refuse(name):
        if name == "sqlalchemy.ext.asyncio":
            raise ImportError(name)
        return importlib.import_module(name)

    monkeypatch.setattr(sqlalchemy_module, "import_module", refuse)
    spans = switch_on("sqlalchemy")
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 42"))
    engine.dispose()
    assert queries(spans) == ["SELECT 42"]


def test_redis(switch_on, redis_port, request_span):
    """Commands are client spans, sync and async, without their values."""
    redis = pytest.importorskip("redis")
    aio = pytest.importorskip("redis.asyncio")
    spans = switch_on("redis")

    async def read():
        async with aio.Redis(port=redis_port) as client:
            return await client.get("greeting")

    with redis.Redis(port=redis_port) as client:
        client.set("greeting", "hush")
    assert asyncio.run(read()) == b"hush"
    found = [s for s in client_spans(spans, "redis") if s.name in {"SET", "GET"}]
    assert [s.name for s in found] == ["SET", "GET"]
    assert {parent_of(s) for s in found} == {request_span.context.span_id}
    assert {s.attributes["db.system.name"] for s in found} == {"redis"}
    assert found[0].attributes["db.query.text"] == "SET ? ?"


def test_pymongo(switch_on, request_span):
    """A command of a client made afterwards is a client span below the request, without its values."""
    pymongo = pytest.importorskip("pymongo")
    with stand_in() as port:
        early = pymongo.MongoClient("127.0.0.1", port)
        spans = switch_on("pymongo")
        with early, pymongo.MongoClient("127.0.0.1", port) as late:
            late.shop.orders.insert_one({"card": "planted"})
            early.admin.command("ping")
    found = client_spans(spans, "pymongo")
    assert [span.name for span in found] == ["shop.insert"]
    assert found[0].attributes["db.system.name"] == "mongodb"
    assert found[0].attributes["db.collection.name"] == "orders"
    assert parent_of(found[0]) == request_span.context.span_id
    assert "planted" not in str([span.to_json() for span in found])


def test_requests(switch_on, request_span):
    """A call is a client span by the stable conventions, and carries the trace on."""
    requests = pytest.importorskip("requests")
    spans = switch_on("requests")
    with answering_server() as port:
        sent = requests.get(f"http://127.0.0.1:{port}/status/404", timeout=5).request.headers
    (found,) = client_spans(spans, "requests")
    assert found.attributes["http.request.method"] == "GET"
    assert found.attributes["http.response.status_code"] == 404
    assert f"{found.context.span_id:016x}" in sent["traceparent"]
    assert parent_of(found) == request_span.context.span_id


def test_aiohttp_client(switch_on, request_span):
    """A session that was made afterwards makes client spans."""
    aiohttp = pytest.importorskip("aiohttp")
    spans = switch_on("aiohttp-client")

    async def call(port):
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/status/500") as answer,
        ):
            return answer.status

    with answering_server() as port:
        assert asyncio.run(call(port)) == 500
    (found,) = client_spans(spans, "aiohttp_client")
    assert found.attributes["http.response.status_code"] == 500
    assert found.status.status_code is StatusCode.ERROR


def test_celery(switch_on, request_span, monkeypatch):
    """A task continues the trace of the code that sent it, in its worker."""
    celery = pytest.importorskip("celery")
    worker = pytest.importorskip("celery.contrib.testing.worker")
    spans = switch_on("celery")
    app = celery.Celery("tasks", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.worker_redirect_stdouts = False
    monkeypatch.setattr(app.log, "setup", lambda *args, **kwargs: None)  # the test's logging stays as it is

    @app.task(name="add")
    def add(one, two):
        return one + two

    with worker.start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=30):
        assert add.delay(40, 2).get(timeout=30) == 42
    sent, run = sorted(client_spans(spans, "celery"), key=lambda span: span.start_time)
    assert (sent.kind, run.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert parent_of(sent) == request_span.context.span_id
    assert parent_of(run) == sent.context.span_id
