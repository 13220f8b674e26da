"""PyMySQL and mysql-connector, each against a running MariaDB."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from eco2_tracing import shutdown_tracing

pytestmark = pytest.mark.filterwarnings(
    # mysql-connector sends a traceparent of its own with each query, which MariaDB does not take.
    "ignore:This version of the server does not support Query Attributes"
)
DRIVERS = {"pymysql": "pymysql", "mysql": "mysql.connector"}


class Driver:
    """One driver, as an application uses it.

    Args:
        name: The instrumentation's.
        module: The driver's.
        port: MariaDB's.
    """

    def __init__(self, name, module, port):
        self.name = name
        self.port = port
        self.module = module

    @property
    def place(self):
        """Where the server is."""
        return {"host": "127.0.0.1", "port": self.port, "user": "root", "database": "mysql"}

    def connect(self):
        """Open a connection."""
        return self.module.connect(**self.place)

    @staticmethod
    def run(connection, statement, values=None):
        """Run one statement."""
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return [tuple(row) for row in cursor.fetchall()]

    def spans(self, spans):
        """Its own among some spans."""
        return [span for span in spans if span.scope == f"opentelemetry.instrumentation.{self.name}"]


@pytest.fixture(params=list(DRIVERS))
def driver(request, mariadb_port):
    """Each driver that is installed, with its instrumentation."""
    pytest.importorskip(f"opentelemetry.instrumentation.{request.param}")
    return Driver(request.param, pytest.importorskip(DRIVERS[request.param]), mariadb_port)


def test_a_failing_request_keeps_its_queries(driver, service):
    """At 1 % they are below the server span, by the stable conventions, without what they looked for."""

    def work():
        connection = driver.connect()
        assert driver.run(connection, "SELECT %s, 'planted'", (42,)) == [(42, "planted")]
        with pytest.raises(Exception, match=r"missing"):
            driver.run(connection, "SELECT * FROM missing WHERE name = 'planted'")
        connection.close()

    kept = service.serve(work)
    (server,) = [span for span in kept if span.kind is SpanKind.SERVER]
    good, bad = driver.spans(kept)
    for span in (good, bad):
        assert (span.name, span.kind) == ("SELECT", SpanKind.CLIENT)
        assert (span.trace_id, span.parent_span_id) == (server.trace_id, server.span_id)
    assert good.attributes == {
        "db.system.name": "mysql",
        "db.namespace": "mysql",
        "db.query.text": "SELECT %s, ?",
        "server.address": "127.0.0.1",
        "server.port": driver.port,
    }
    assert bad.status is StatusCode.ERROR
    assert bad.attributes["db.query.text"] == "SELECT * FROM missing WHERE name = ?"
    assert "planted" not in str(kept)


def test_a_query_that_failed_and_was_handled(driver, service):
    """The error of a query alone keeps the trace, as any error does."""

    def work():
        connection = driver.connect()
        with pytest.raises(Exception, match=r"missing"):
            driver.run(connection, "SELECT * FROM missing")
        connection.close()

    kept = service.serve(work, fails=False)
    assert {span.kind for span in kept} == {SpanKind.SERVER, SpanKind.CLIENT}


def test_nothing_is_exported_of_what_went_well(driver, service):
    """The caller did not sample the request, and nothing failed."""

    def work():
        connection = driver.connect()
        driver.run(connection, "SELECT 1")
        connection.close()

    assert service.serve(work, fails=False) == []


def test_connections_however_they_are_made(driver, service):
    """Before ``configure_tracing``, by a ``connect`` imported before it, by their class: each query has one span."""
    shutdown_tracing()
    early, connect = driver.connect(), driver.module.connect
    service.configure()

    def work():
        late = [driver.connect(), connect(**driver.place), type(early)(**driver.place)]
        for connection in (early, *late):
            assert driver.run(connection, "SELECT 1") == [(1,)]
        for connection in late:
            connection.close()

    assert [span.name for span in driver.spans(service.serve(work))] == ["SELECT"] * 4
    shutdown_tracing()
    service.captured.clear()
    assert driver.run(early, "SELECT 2") == [(2,)]
    early.close()
    assert service.captured.spans == ()


def test_mysql_connectors_pool(service, mariadb_port):
    """The connections of a pool are traced like others, and what the pool itself asks is not."""
    pytest.importorskip("opentelemetry.instrumentation.mysql")
    pooling = pytest.importorskip("mysql.connector.pooling")
    driver = Driver("mysql", pooling, mariadb_port)
    pool = pooling.MySQLConnectionPool(pool_name="orders", pool_size=1, **driver.place)

    def work():
        for _ in range(2):
            connection = pool.get_connection()
            driver.run(connection, "SELECT 1")
            connection.close()

    assert [span.name for span in driver.spans(service.serve(work))] == ["SELECT"] * 2


def test_parts_that_have_moved(driver, service, monkeypatch, caplog):
    """A connection whose spans cannot be described is used as it is, and one warning is logged."""
    dbapi = pytest.importorskip("opentelemetry.instrumentation.dbapi")
    monkeypatch.setattr(dbapi, "DatabaseApiIntegration", lambda *_, **__: 1 / 0)

    def work():
        connection = driver.connect()
        assert driver.run(connection, "SELECT 1") == driver.run(connection, "SELECT 1")
        connection.close()

    assert driver.spans(service.serve(work)) == []
    assert [record.name for record in caplog.records] == ["eco2_tracing"]


def test_sqlalchemy_over_pymysql(service, mariadb_port):
    """An engine made before is traced: a query is SQLAlchemy's span, and the driver's below the same parent."""
    pytest.importorskip("pymysql")
    pytest.importorskip("opentelemetry.instrumentation.pymysql")
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("opentelemetry.instrumentation.sqlalchemy")
    shutdown_tracing()
    engine = sqlalchemy.create_engine(f"mysql+pymysql://root:@127.0.0.1:{mariadb_port}/mysql")
    service.configure()

    def work():
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT 'planted'")).scalar() == "planted"
        engine.dispose()

    kept = service.serve(work)
    (server,) = [span for span in kept if span.kind is SpanKind.SERVER]
    found = [span for span in kept if span.attributes.get("db.query.text") == "SELECT ?"]
    assert [span.scope.rpartition(".")[2] for span in found] == ["pymysql", "sqlalchemy"]
    assert {span.parent_span_id for span in found} == {server.span_id}
    assert "planted" not in str(kept)


def test_sqlalchemy_over_aiomysql(service, mariadb_port):
    """For aiomysql there is no instrumentation: by SQLAlchemy's engine its queries are traced, one span each."""
    pytest.importorskip("aiomysql")
    pytest.importorskip("opentelemetry.instrumentation.sqlalchemy")
    sqlalchemy = pytest.importorskip("sqlalchemy")
    aio = pytest.importorskip("sqlalchemy.ext.asyncio")

    async def query():
        engine = aio.create_async_engine(f"mysql+aiomysql://root:@127.0.0.1:{mariadb_port}/mysql")
        async with engine.connect() as connection:
            assert (await connection.execute(sqlalchemy.text("SELECT 'planted'"))).scalar() == "planted"
        await engine.dispose()

    kept = service.serve(lambda: asyncio.run(query()))
    (found,) = [span for span in kept if span.attributes.get("db.query.text") == "SELECT ?"]
    assert found.attributes["db.system.name"] == "mysql"
    assert "planted" not in str(kept)


IMPORTED_LATER = """
    import logging

    from eco2_tracing import configure_tracing, flush_tracing
    from eco2_tracing.testing import CapturedSpans

    logging.basicConfig(level="WARNING")
    captured = CapturedSpans()
    configure_tracing("orders", span_processors=[captured])
    import {module}

    connection = {module}.connect(host="127.0.0.1", port={port}, user="root")
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    assert [tuple(row) for row in cursor.fetchall()] == [(1,)]
    assert flush_tracing()
    print([span.name for span in captured.spans])
"""


def test_imported_after(driver, mariadb_port):
    """A driver that is imported after ``configure_tracing`` is traced, and nothing is logged."""
    script = IMPORTED_LATER.format(module=DRIVERS[driver.name], port=mariadb_port)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_"))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)],
        env={**kept, "OTEL_TRACES_EXPORTER": "none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("['SELECT']", "")
