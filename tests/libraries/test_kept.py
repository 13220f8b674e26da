"""A request that fails is kept at 1 % with what it asked of each library, in a service without a line about them."""

from __future__ import annotations

import asyncio
import contextvars

import pytest
from opentelemetry.trace import SpanKind
from tests.differential.client_cases import answering_server

from eco2_tracing import shutdown_tracing
from eco2_tracing.testing import TRACE_ID


def in_loop(run):
    """Work that is a coroutine's, in the request's context."""
    return lambda: asyncio.run(run())


@pytest.fixture
def http_port():
    """The port of a server whose answer the test sets."""
    with answering_server() as port:
        yield port


def asyncpg_work(request):
    """A query with a value in its text, and one that fails."""
    asyncpg = pytest.importorskip("asyncpg")
    url = request.getfixturevalue("postgres_url")

    async def run():
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT 'planted'") == "planted"
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.execute("SELECT * FROM nothing")
        await connection.close()

    return in_loop(run)


def psycopg2_work(request):
    """A query with a value in its text."""
    psycopg2 = pytest.importorskip("psycopg2")
    url = request.getfixturevalue("postgres_url")

    def run():
        connection = psycopg2.connect(url)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 'planted'")
        connection.close()

    return run


def sqlalchemy_work(request):
    """The same by an async engine."""
    aio = pytest.importorskip("sqlalchemy.ext.asyncio")
    text = pytest.importorskip("sqlalchemy").text
    pytest.importorskip("asyncpg")
    url = request.getfixturevalue("postgres_url").replace("postgresql", "postgresql+asyncpg")

    async def run():
        engine = aio.create_async_engine(url)
        async with aio.AsyncSession(engine) as session:
            assert (await session.execute(text("SELECT 'planted'"))).scalar() == "planted"
        await engine.dispose()

    return in_loop(run)


def redis_work(request):
    """A command and a pipeline, sync and async, with secrets for values."""
    redis = pytest.importorskip("redis")
    aio = pytest.importorskip("redis.asyncio")
    port = request.getfixturevalue("redis_port")

    async def run():
        async with aio.Redis(port=port) as client:
            await client.set("session", "planted")
        with redis.Redis(port=port) as client:
            client.pipeline().set("session", "planted").get("session").execute()

    return in_loop(run)


def requests_work(request):
    """A call with a secret in its URL."""
    requests = pytest.importorskip("requests")
    port = request.getfixturevalue("http_port")
    return lambda: requests.get(f"http://127.0.0.1:{port}/status/503?token=planted", timeout=30)


def aiohttp_work(request):
    """The same by a session of aiohttp."""
    aiohttp = pytest.importorskip("aiohttp")
    port = request.getfixturevalue("http_port")

    async def run():
        async with aiohttp.ClientSession() as session:
            (await session.get(f"http://127.0.0.1:{port}/status/503?token=planted")).close()

    return in_loop(run)


LIBRARIES = {
    "asyncpg": (asyncpg_work, 2),
    "psycopg2": (psycopg2_work, 1),
    "sqlalchemy": (sqlalchemy_work, 1),
    "redis": (redis_work, 2),
    "requests": (requests_work, 1),
    "aiohttp_client": (aiohttp_work, 1),
}


QUIET = ("psycopg2", "sqlalchemy", "redis")
"""Those whose work above has no error of its own."""


def serve(library, request, service, **arguments):
    """Serve a request that uses a library, of a service that starts when its connections are described."""
    scope = f"opentelemetry.instrumentation.{library}"
    pytest.importorskip(scope)
    work = LIBRARIES[library][0](request)
    shutdown_tracing()
    service.configure()
    return scope, service.serve(work, **arguments)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_failing_request_keeps_its_calls(library, request, service):
    """Client spans below the server span, in the mesh's trace, without secrets."""
    scope, kept = serve(library, request, service)
    (server,) = [span for span in kept if span.kind is SpanKind.SERVER]
    found = [span for span in kept if span.scope == scope and span.parent_span_id == server.span_id]
    assert len(found) >= LIBRARIES[library][1]
    assert {(span.kind, span.trace_id) for span in found} == {(SpanKind.CLIENT, TRACE_ID)}
    assert "planted" not in str(kept)


@pytest.mark.parametrize("library", [name for name in LIBRARIES if name not in QUIET])
def test_a_failing_call_keeps_its_request(library, request, service):
    """An error of the library alone does, though the request went well."""
    scope, kept = serve(library, request, service, fails=False)
    assert scope in {span.scope for span in kept}


@pytest.mark.parametrize("library", QUIET)
def test_nothing_else_is_kept(library, request, service):
    """Nothing is exported of a request that the mesh did not sample and that went well."""
    assert serve(library, request, service, fails=False)[1] == []


def test_made_before(service, redis_port, http_port, postgres_url):
    """A client, a session and a connection that are older than the configuration are traced as others are."""
    redis, requests, asyncpg = (pytest.importorskip(name) for name in ("redis", "requests", "asyncpg"))
    for library in ("redis", "requests", "asyncpg"):
        pytest.importorskip(f"opentelemetry.instrumentation.{library}")
    shutdown_tracing()

    async def query(connection):
        await connection.fetchval("SELECT 1")
        await connection.close()

    with asyncio.Runner() as runner, redis.Redis(port=redis_port) as client, requests.Session() as session:
        connection = runner.run(asyncpg.connect(postgres_url))
        service.configure()

        def work():
            client.get("one")
            session.get(f"http://127.0.0.1:{http_port}/status/200", timeout=30)
            runner.run(query(connection), context=contextvars.copy_context())

        kept = service.serve(work)
    scopes = {span.scope.rpartition(".")[2] for span in kept if span.kind is SpanKind.CLIENT}
    assert scopes == {"redis", "requests", "asyncpg"}
