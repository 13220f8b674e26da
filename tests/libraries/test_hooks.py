"""Calls of drivers at which OpenTelemetry's hooks fail: they are made as they would be without tracing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from opentelemetry.trace import SpanKind
from tests.support.hostile import Unreadable

from eco2_tracing._instrumentation.instrument import uninstrument_libraries
from eco2_tracing._instrumentation.libraries import hooks

BLANK = "  "


def client_spans(spans):
    """Those of calls, by name."""
    return [found.name for found in spans.all if found.kind is SpanKind.CLIENT]


def test_asyncpg(switch_on, postgres_url):
    """A statement by name is traced; what asyncpg refuses it refuses in its own words."""
    asyncpg = pytest.importorskip("asyncpg")
    spans = switch_on("asyncpg")

    async def query():
        connection = await asyncpg.connect(postgres_url)
        try:
            assert await connection.fetchval(query="SELECT 42", timeout=9) == 42
            assert await connection.executemany(command="SELECT $1::int", args=[(1,)]) is None
            assert await connection.fetch(BLANK) == []
            with pytest.raises(TypeError, match="missing 1 required positional argument: 'query'"):
                await connection.fetch(timeout=9)
            with pytest.raises(asyncpg.DivisionByZeroError) as caught:
                await connection.fetch("SELECT 1/0")
            assert caught.value.__context__ is None
            with pytest.raises(RuntimeError, match="__len__"):  # asyncpg's own question; contrib's is `bool`
                await connection.fetch(Unreadable())
        finally:
            await connection.close()

    asyncio.run(query())
    assert client_spans(spans) == ["SELECT", "SELECT", "", "SELECT"]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_postgresql(switch_on, postgres_url, driver):
    """A blank statement is the driver's business, and its errors are its own."""
    package = pytest.importorskip(driver)
    switch_on(driver)
    with package.connect(postgres_url) as connection, connection.cursor() as cursor:
        outcomes = []
        for statement in (BLANK, Unreadable()):
            with pytest.raises(Exception) as caught:
                cursor.execute(statement)
                cursor.fetchall()
            outcomes.append((type(caught.value).__module__.partition(".")[0], caught.value.__context__))
            connection.rollback()
    assert outcomes[0] == (driver, None)
    assert outcomes[1][0] == "builtins"
    assert "bool" not in str(caught.value)


def test_async_psycopg(switch_on, postgres_url):
    """The same of its async cursors."""
    psycopg = pytest.importorskip("psycopg")
    switch_on("psycopg")

    async def query():
        async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
            cursor = await connection.execute(BLANK)
            assert cursor.statusmessage is None or cursor.rowcount <= 0
            await connection.execute("SELECT 1")
            with pytest.raises(psycopg.errors.DivisionByZero) as caught:
                await connection.execute("SELECT 1/0")
            assert caught.value.__context__ is None

    asyncio.run(query())


@pytest.mark.parametrize("driver", ["pymysql", "mysql.connector"])
def test_mysql(switch_on, mariadb_port, driver):
    """A blank statement is refused by the server, not by tracing."""
    package = pytest.importorskip(driver)
    switch_on(driver.partition(".")[0])
    connection = package.connect(host="127.0.0.1", port=mariadb_port, user="root")
    try:
        with pytest.raises(package.Error, match="1065"):
            connection.cursor().execute(BLANK)
    finally:
        connection.close()


@pytest.mark.parametrize("is_async", [False, True])
def test_redis(switch_on, redis_port, is_async):
    """Commands in bytes, and commands whose methods raise, are sent, alone and in pipelines."""
    redis = pytest.importorskip("redis")

    class Command(str):
        """It cannot be converted to text."""

        __slots__ = ()

        def __str__(self):
            raise RuntimeError("str")

    spans = switch_on("redis")

    async def work():
        client = redis.asyncio.Redis(port=redis_port)
        await client.set("k", "v")
        pipeline = client.pipeline()
        pipeline.execute_command(b"GET", "k")
        answers = [await client.execute_command(Command("GET"), "k"), await pipeline.execute()]
        with pytest.raises(redis.ResponseError):
            await client.lpush("k", "v")
        await client.aclose()
        return answers

    def work_in_sync():
        with redis.Redis(port=redis_port) as client:
            client.set("k", "v")
            pipeline = client.pipeline()
            pipeline.execute_command(b"GET", "k")
            answers = [client.execute_command(Command("GET"), "k"), pipeline.execute()]
            with pytest.raises(redis.ResponseError):
                client.lpush("k", "v")
            return answers

    assert (asyncio.run(work()) if is_async else work_in_sync()) == [b"v", [b"v"]]
    assert {"SET", "LPUSH"} <= set(client_spans(spans))


def test_documents_of_a_search_stay_out(switch_on):
    """Queries and documents of ``FT.SEARCH`` are on no span."""
    redis = pytest.importorskip("redis")
    spans = switch_on("redis")
    client = redis.Redis()
    found = [1, "doc", ["name", "planted"]]
    client.parse_response = lambda *arguments, **keywords: found
    client.connection_pool.get_connection = lambda *arguments, **keywords: SimpleNamespace(
        send_command=lambda *arguments, **keywords: None,
        retry=SimpleNamespace(call_with_retry=lambda work, *arguments, **keywords: work()),
        should_reconnect=lambda: False,
        host="localhost",
        port=6379,
        db=0,
        disconnect=lambda *arguments: None,
    )
    client.connection_pool.release = lambda connection: None
    assert client.execute_command("FT.SEARCH", "people", "planted") == found
    assert "planted" not in str(spans.all[0].attributes)


def test_each_hook_is_protected_once(switch_on):
    """Hooks around methods are restored at the end; those of cursors are protected once."""
    redis = pytest.importorskip("redis")
    plain = redis.Redis.execute_command
    switch_on("redis")
    assert redis.Redis.execute_command is not plain
    uninstrument_libraries()
    assert redis.Redis.execute_command is plain
    dbapi = hooks.protect_cursors()
    protected = vars(dbapi.CursorTracer)["traced_execution"]
    assert vars(hooks.protect_cursors().CursorTracer)["traced_execution"] is protected
