"""How connections are met whoever made them, on stand-ins for the drivers: no server is needed."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from eco2_tracing._instrumentation.libraries import connections as connections_module
from eco2_tracing._instrumentation.libraries.connections import Connections, PsycopgConnections


class Traced:
    """contrib's proxy around a cursor."""

    def __init__(self, cursor, integration):
        self.cursor, self.integration = cursor, integration


class Contrib(ModuleType):
    """contrib's packages, as far as they are used, and what they were asked."""

    __version__ = "1"

    def __init__(self):
        super().__init__("contrib")
        self.asked = []
        self.fails = False

    def unwrap_connect(self, module, name):
        self.asked.append((module.__name__, name))

    def get_traced_cursor_proxy(self, cursor, integration):
        return Traced(cursor, integration)

    def instrument_connection(self, connection):
        if self.fails:
            raise RuntimeError("cannot")
        self.asked.append(connection)
        return SimpleNamespace(_self_db_api_integration=f"integration of {connection.name}")

    _DATABASE_SYSTEM = "postgresql"
    _CONNECTION_ATTRIBUTES: dict[str, str] = {}  # noqa: RUF012 - as contrib has it

    def DatabaseApiIntegration(self, *arguments, **keywords):
        return SimpleNamespace(get_connection_attributes=self.asked.append)

    DatabaseApiAsyncIntegration = DatabaseApiIntegration

    def _new_cursor_factory(self, described):
        if self.fails:
            raise RuntimeError("cannot")
        return TracedCursor

    _new_cursor_async_factory = _new_cursor_factory


class Cursor:
    def __init__(self, connection=None):
        self.connection = connection


class TracedCursor(Cursor): ...


class OfTheApplication(Cursor): ...


@pytest.fixture
def contrib(monkeypatch):
    """Stand-ins in the place of contrib's packages."""
    found = Contrib()
    real = connections_module.import_module

    def stand_in(name):
        return found if name.startswith("opentelemetry.instrumentation.") else real(name)

    monkeypatch.setattr(connections_module, "import_module", stand_in)
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
    connections = Connections("sqlx", ("sqlx.connections", "Connection"), ("sqlx.connections", "Absent"))
    early = sql("early")
    for _ in range(2):  # switched off and on again, the class is wrapped once
        connections.prepare()
        connections.begin(contrib)
        late = sql("late")
        for connection in (early, early, late):
            made = connection.cursor()
            assert (made.cursor, made.integration) == ("plain", f"integration of {connection.name}")
        assert early.version() == "plain"
        connections.end()
        assert early.cursor() == "plain"
    assert contrib.asked.count(early) == 1
    assert contrib.asked.count(("sqlx", "connect")) == 2


def test_a_connection_that_cannot_be_described(contrib, sql, caplog):
    """It is used as it is, and one warning says so."""
    connections = Connections("sqlx", ("sqlx.connections", "Connection"))
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
    """Those with psycopg's own cursors are given contrib's; a class of the application's choice stays."""
    connections = PsycopgConnections()
    early, chosen = psycopg.Connection(), psycopg.Connection(OfTheApplication)
    for _ in range(2):
        connections.prepare()
        connections.begin(contrib)
        assert type(early.cursor()) is type(psycopg.AsyncConnection().cursor()) is TracedCursor
        assert type(chosen.cursor()) is OfTheApplication
        connections.end()
        assert type(psycopg.Connection().cursor()) is Cursor
    assert contrib.asked.count(early) == 1


def test_a_connection_of_psycopg_that_cannot_be_described(contrib, psycopg, caplog):
    """It is used as it is, and one warning says so."""
    connections = PsycopgConnections()
    connections.begin(contrib)
    contrib.fails = True
    assert type(psycopg.Connection().cursor()) is Cursor
    assert [record.name for record in caplog.records] == ["eco2_tracing"]
