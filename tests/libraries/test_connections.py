"""Which connections are traced, with replacements of the drivers: no server is needed."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType, SimpleNamespace

import pytest

from eco2_tracing._instrumentation.libraries import connections as connections_module
from eco2_tracing._instrumentation.libraries import hooks
from eco2_tracing._instrumentation.libraries.connections import MySQLConnections, PsycopgConnections

ATTRIBUTES = {"host": "host"}


class Traced:
    """OpenTelemetry's proxy of a cursor."""

    def __init__(self, cursor, integration):
        self.cursor, self.integration = cursor, integration


class Contrib(ModuleType):
    """The used part of OpenTelemetry's packages; it records the calls."""

    __version__ = "1"

    def __init__(self):
        super().__init__("contrib")
        self.asked = []
        self.fails = False
        self.CursorTracer = type(
            "CursorTracer",
            (),
            {
                "__init__": lambda tracer, integration: None,
                "traced_execution": lambda tracer, cursor, method, *args: ("traced", method(*args)),
            },
        )

    def unwrap_connect(self, module, name):
        self.asked.append((module.__name__, name))

    def get_traced_cursor_proxy(self, cursor, integration):
        return Traced(cursor, integration)

    def DatabaseApiIntegration(self, module, system, **keywords):
        if self.fails:
            raise RuntimeError("cannot")
        return SimpleNamespace(system=system, get_connection_attributes=self.asked.append, **keywords)

    DatabaseApiAsyncIntegration = DatabaseApiIntegration


class Cursor:
    def __init__(self, connection=None):
        self.connection = connection

    def execute(self, statement):
        return statement

    executemany = execute


class OfTheApplication(Cursor): ...


@pytest.fixture
def contrib(monkeypatch):
    """Replacements of OpenTelemetry's packages."""
    found = Contrib()
    real = connections_module.import_module

    def stand_in(name):
        return found if name.startswith("opentelemetry.instrumentation.") else real(name)

    for module in (connections_module, hooks):
        monkeypatch.setattr(module, "import_module", stand_in)
    return found


@pytest.fixture
def sql(monkeypatch):
    """A driver that asks its server for something of its own by way of its own cursor."""
    module = ModuleType("sqlx.connections")
    source = """
class Connection:
    def __init__(self, name):
        self.name = name

    def cursor(self):
        return "plain"

    def version(self):
        return self.cursor()
"""
    exec(source, vars(module))
    for name, found in (("sqlx", ModuleType("sqlx")), ("sqlx.connections", module)):
        monkeypatch.setitem(sys.modules, name, found)
    return module.Connection


def test_all_connections_of_a_class(contrib, sql):
    """Early and late ones, each described once; the driver's own questions stay plain, as does all after the end."""
    connections = MySQLConnections(
        "sqlx",
        "sqlx",
        "mysql",
        ATTRIBUTES,
        "sqlx.connections:Connection",
        "sqlx.connections:Absent",
        "absent:A",
    )
    early = sql("early")
    for _ in range(2):  # switched off and on again, the class is wrapped once
        connections.prepare()
        connections.begin(contrib)
        late = sql("late")
        for connection in (early, early, late):
            made = connection.cursor()
            assert (made.cursor, made.integration.system) == ("plain", "mysql")
            assert made.integration.connection_attributes == ATTRIBUTES
        assert early.version() == "plain"
        connections.end()
        assert early.cursor() == "plain"
    assert contrib.asked.count(early) == 1
    assert contrib.asked.count(("sqlx", "connect")) == 2


def test_a_connection_that_cannot_be_described(contrib, sql, caplog):
    """It is used as it is, and one warning is logged."""
    connections = MySQLConnections("sqlx", "sqlx", "mysql", ATTRIBUTES, "sqlx.connections:Connection")
    connections.begin(contrib)
    contrib.fails = True
    assert sql("one").cursor() == sql("two").cursor() == "plain"
    assert [record.name for record in caplog.records] == ["eco2_tracing"]


@pytest.fixture
def psycopg(monkeypatch):
    """Psycopg's classes, as far as they are used."""

    class Connection:
        def __init__(self, cursor_factory=Cursor):
            self.cursor_factory = cursor_factory

        def cursor(self):
            return self.cursor_factory(self)

    module = ModuleType("psycopg")
    module.Connection, module.Cursor = Connection, Cursor
    module.AsyncConnection, module.AsyncCursor = type("AsyncConnection", (Connection,), {}), Cursor
    monkeypatch.setitem(sys.modules, "psycopg", module)
    return module


def test_psycopgs_connections(contrib, psycopg):
    """Psycopg's own cursor class is replaced by a traced subclass; a class of the application's choice stays."""
    connections = PsycopgConnections(
        "psycopg", "psycopg", "postgresql", ATTRIBUTES, "psycopg:Connection", "psycopg:AsyncConnection"
    )
    early, chosen = psycopg.Connection(), psycopg.Connection(OfTheApplication)
    for _ in range(2):
        connections.prepare()
        connections.begin(contrib)
        assert early.cursor().execute("SELECT 1") == ("traced", "SELECT 1")
        assert isinstance(early.cursor(), Cursor)
        assert type(chosen.cursor()) is OfTheApplication
        connections.end()
        assert type(psycopg.Connection().cursor()) is Cursor
    assert contrib.asked.count(early) == 1


def test_psycopgs_async_connections(contrib, psycopg):
    """Their cursors are traced by the coroutine function."""

    async def execution(tracer, cursor, method, *args):
        return "awaited", method(*args)

    contrib.CursorTracer.traced_execution_async = execution
    connections = PsycopgConnections(
        "psycopg", "psycopg", "postgresql", ATTRIBUTES, "psycopg:Connection", "psycopg:AsyncConnection"
    )
    connections.begin(contrib)
    cursor = psycopg.AsyncConnection().cursor()
    assert asyncio.run(cursor.executemany("SELECT 1")) == ("awaited", "SELECT 1")


def test_a_connection_of_psycopg_that_cannot_be_described(contrib, psycopg, caplog):
    """It is used as it is, and one warning is logged."""
    connections = PsycopgConnections(
        "psycopg", "psycopg", "postgresql", ATTRIBUTES, "psycopg:Connection", "psycopg:AsyncConnection"
    )
    connections.begin(contrib)
    contrib.fails = True
    assert type(psycopg.Connection().cursor()) is Cursor
    assert [record.name for record in caplog.records] == ["eco2_tracing"]
