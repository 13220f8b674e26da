"""What spans of databases say about the answer: rows, status codes, and keys of Redis, with real servers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from opentelemetry.trace import INVALID_SPAN

from eco2_tracing import TracingSettings, configure_tracing, instrument_libraries, span
from eco2_tracing._compat import contrib
from eco2_tracing._instrumentation.libraries import connections, hooks
from eco2_tracing._spans.database_errors import status_code_of
from eco2_tracing.testing import CapturedSpans

ROWS, CODE, TEXT = "db.response.returned_rows", "db.response.status_code", "db.query.text"
DIVISION = "22012"  # SQLSTATE of a division by zero
SYNTAX = "1064"  # MySQL's number of a syntax error

pytestmark = pytest.mark.filterwarnings(
    # mysql-connector sends a traceparent of its own with each query, which MariaDB does not take.
    "ignore:This version of the server does not support Query Attributes"
)


class Database:
    """Spans of databases of a service whose spans are all exported."""

    def __init__(self) -> None:
        self._captured = CapturedSpans()

    def configure(self, name, capture=""):
        """Configure tracing and switch one library on; skips where it is not installed."""
        settings = TracingSettings(traces_exporter=("none",), ECO2_TRACING_CAPTURE=capture)
        configure_tracing(settings=settings, span_processors=(self._captured,))
        if name not in instrument_libraries([name]):
            pytest.skip(f"{name} or its instrumentation is not installed, or they do not fit each other")

    def values(self, attribute, *, scope="", skip=0):
        """The attribute of each span of a scope, ``None`` where it is absent."""
        found = [each for each in self._captured.spans if each.scope.endswith(scope)][skip:]
        return [each.attributes.get(attribute) for each in found]


@pytest.fixture
def database():
    """Give the spans of databases."""
    return Database()


@pytest.fixture(params=["rows", ""], ids=["rows", "default"])
def capture(request):
    """The variable with and without rows."""
    return request.param


def expected(capture, *rows):
    """The rows that the spans have."""
    return list(rows) if capture else [None] * len(rows)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_postgresql(database, postgres_url, driver, capture):
    """Queries have their rows, statements without a result none, and an error its SQLSTATE."""
    package = pytest.importorskip(driver)
    database.configure(driver, capture)
    with package.connect(postgres_url) as connection, connection.cursor() as cursor:
        for statement in (
            "SELECT generate_series(1, 7)",
            "SELECT 1 WHERE false",
            "CREATE TEMP TABLE cups (size int)",
            "INSERT INTO cups VALUES (1), (2)",
            "INSERT INTO cups VALUES (3) RETURNING size",
        ):
            cursor.execute(statement)
        with pytest.raises(package.Error):
            cursor.execute("SELECT 1/0")
    assert database.values(ROWS, scope=driver) == expected(capture, 7, 0, None, None, 1, None)
    assert database.values(CODE, scope=driver) == [None] * 5 + [DIVISION]


def test_async_psycopg(database, postgres_url, capture):
    """The same of its async cursors."""
    psycopg = pytest.importorskip("psycopg")
    database.configure("psycopg", capture)

    async def query():
        async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
            await connection.execute("SELECT generate_series(1, 5)")
            with pytest.raises(psycopg.Error):
                await connection.execute("SELECT 1/0")

    asyncio.run(query())
    assert database.values(ROWS) == expected(capture, 5, None)
    assert database.values(CODE) == [None, DIVISION]


def test_asyncpg(database, postgres_url, capture):
    """Methods that return rows have their number."""
    asyncpg = pytest.importorskip("asyncpg")
    database.configure("asyncpg", capture)

    async def query():
        connection = await asyncpg.connect(postgres_url)
        try:
            assert len(await connection.fetch("SELECT generate_series(1, 5)")) == 5
            assert await connection.fetchrow("SELECT 1 WHERE false") is None
            assert (await connection.fetchrow("SELECT 1"))[0] == 1
            assert await connection.fetchval("SELECT 1") == 1
            prepared = await connection.prepare("SELECT generate_series(1, $1::int)")
            assert len(await prepared.fetch(3)) == 3
            with pytest.raises(asyncpg.DivisionByZeroError):
                await connection.fetch("SELECT 1/0")
        finally:
            await connection.close()

    asyncio.run(query())
    assert database.values(ROWS) == expected(capture, 5, 0, 1, None, 3, None)
    assert database.values(CODE) == [None] * 5 + [DIVISION]


@pytest.mark.parametrize(
    ("name", "module", "options", "rows"),
    [
        ("pymysql", "pymysql", {}, 2),
        ("pymysql", "pymysql", {"unbuffered": True}, None),
        ("mysql", "mysql.connector", {"buffered": True}, 2),
        ("mysql", "mysql.connector", {}, None),
    ],
)
def test_mysql(database, mariadb_port, name, module, options, rows):
    """A cursor that has read all rows says how many; an error has its number."""
    package = pytest.importorskip(module)
    database.configure(name, "rows")
    if options.pop("unbuffered", False):
        options = {"cursor": package.cursors.SSCursor}
    connection = package.connect(host="127.0.0.1", port=mariadb_port, user="root", database="mysql")
    with connection.cursor(**options) as cursor:
        cursor.execute("SELECT 1 UNION SELECT 2")
        assert len(cursor.fetchall()) == 2
        with pytest.raises(package.Error):
            cursor.execute("SELEC 1")
    connection.close()
    assert database.values(ROWS) == [rows, None]
    assert database.values(CODE) == [None, SYNTAX]


def test_sqlalchemy(database, postgres_url, capture):
    """The spans of the engine say the same as those of its driver."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg")
    database.configure("sqlalchemy", capture)
    engine = sqlalchemy.create_engine(postgres_url.replace("postgresql", "postgresql+psycopg", 1))
    for _ in range(2):
        with engine.connect() as connection:
            assert len(connection.execute(sqlalchemy.text("SELECT generate_series(1, 6)")).all()) == 6
            with pytest.raises(sqlalchemy.exc.DBAPIError):
                connection.execute(sqlalchemy.text("SELECT 1/0"))
    engine.dispose()
    found = {name: database.values(name, scope=".sqlalchemy") for name in (ROWS, CODE)}
    assert found[ROWS] == [None, *expected(capture, 6, None)] * 2  # the first one is `connect`
    assert found[CODE] == [None, None, DIVISION] * 2


def test_async_sqlalchemy(database, postgres_url):
    """The same over asyncpg, whose exception SQLAlchemy replaces by its own."""
    asynchronous = pytest.importorskip("sqlalchemy.ext.asyncio")
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("asyncpg")
    pytest.importorskip("greenlet")
    database.configure("sqlalchemy", "rows")

    async def query():
        engine = asynchronous.create_async_engine(postgres_url.replace("postgresql", "postgresql+asyncpg", 1))
        async with engine.connect() as connection:
            (await connection.execute(sqlalchemy.text("SELECT generate_series(1, 6)"))).all()
            with pytest.raises(sqlalchemy.exc.DBAPIError):
                await connection.execute(sqlalchemy.text("SELECT 1/0"))
        await engine.dispose()

    asyncio.run(query())
    assert database.values(ROWS, scope=".sqlalchemy") == [None, 6, None]
    assert database.values(CODE, scope=".sqlalchemy") == [None, None, DIVISION]


def test_redis(database, redis_port):
    """A command shows its keys and masks its values; an error has its prefix."""
    redis = pytest.importorskip("redis")
    database.configure("redis")
    with redis.Redis(port=redis_port) as client:
        client.set("user:42", "planted", ex=60)
        client.get(b"user:42")
        client.mset({"a": "planted"})
        client.delete("a", 7)
        client.get("session:9f8a7b6c5d4e3f2a1b0c")
        client.config_get("planted")
        with client.pipeline() as pipeline:
            pipeline.set("cart:1", "planted").get("cart:2").execute()
        with pytest.raises(redis.ResponseError):
            client.lpush("user:42", "planted")
        with pytest.raises(redis.ResponseError):
            client.execute_command("SET", "user:42")
    assert database.values(TEXT) == [
        "SET user:42 ? ? ?",
        "GET user:42",
        "MSET a ?",
        "DEL a 7",
        "GET session:?",
        "CONFIG ? ?",
        "SET cart:1 ?\nGET cart:2",
        "LPUSH user:42 ?",
        "SET user:42",
    ]
    assert database.values(CODE) == [None] * 7 + ["WRONGTYPE", "ERR"]


def test_redis_without_a_provider_that_masks(switch_on, redis_port):
    """Another tracer provider gets no keys, because nothing masks them."""
    redis = pytest.importorskip("redis")
    spans = switch_on("redis")
    with redis.Redis(port=redis_port) as client:
        client.set("user:42", "planted")
        client.ping()
    assert [found.attributes[TEXT] for found in spans.all] == ["SET ? ?", "PING"]


def test_other_private_names():
    """Without the private function of the package its text stays."""
    old = SimpleNamespace()
    contrib.show_keys(old, old, repr)
    assert vars(old) == {}
    assert contrib.span_of(old) is None


def test_failures_without_a_span():
    """A failed connection has no statement."""
    connections._failed(SimpleNamespace(execution_context=None, original_exception=ValueError()))
    connections._executed(None, None, "", (), SimpleNamespace(), False)
    connections._failed(
        SimpleNamespace(
            execution_context=SimpleNamespace(_otel_span=INVALID_SPAN), original_exception=ValueError()
        )
    )


def error(module, **attributes):
    """A driver's exception."""
    kind = type("Error", (Exception,), {"__module__": module})
    made = kind(*attributes.pop("args", ()))
    made.__dict__.update(attributes)
    return made


def test_status_codes():
    """Only a driver's own exceptions have a code."""
    assert status_code_of(None) is None
    assert status_code_of(OSError(111, "refused")) is None
    assert status_code_of(error("pymongo.errors", code=11000)) == "11000"
    assert status_code_of(error("mysql.connector.errors", errno=-1)) is None
    assert status_code_of(error("pymysql.err")) is None
    assert status_code_of(error("redis.exceptions", args=("Error 111 connecting",), status_code=None)) is None
    assert status_code_of(error("psycopg.errors", sqlstate="x" * 65)) is None
    wrapped = RuntimeError()
    wrapped.__cause__ = error("asyncpg.exceptions", sqlstate=DIVISION)
    assert status_code_of(wrapped) == DIVISION
    assert hooks._command_text(()) == ""


def test_a_span_of_another_kind(captured_spans):
    """A span that is no database's has no code."""
    with pytest.raises(Exception), span("work", attributes={"shelf": 1}):  # noqa: B017 - made above
        raise error("psycopg.errors", sqlstate=DIVISION)
    assert CODE not in captured_spans.spans[0].attributes
