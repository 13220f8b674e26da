"""Connections to MySQL and PostgreSQL that OpenTelemetry's instrumentations do not trace.

They wrap the function ``connect`` of a package. A connection has no spans if it was made before, by a ``connect``
that was imported before, by its class, or by the pool of mysql-connector. Here the cursors of all connections
are traced.

Engines of SQLAlchemy: OpenTelemetry's instrumentation wraps ``create_engine``. An engine has no spans if it was made
before ``configure_tracing``, or by a ``create_engine`` that was imported before.
"""

from __future__ import annotations

import functools
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING
from weakref import WeakSet

from opentelemetry import metrics, trace
from wrapt import FunctionWrapper, wrap_function_wrapper

from eco2_tracing._compat.contrib import span_of
from eco2_tracing._compat.sqlalchemy import original_engine
from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.common.replacement import Adjustment
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._instrumentation.libraries.hooks import found_classes, protect_cursors
from eco2_tracing._instrumentation.libraries.rows import record, rows_of_cursor
from eco2_tracing._spans.database_errors import STATUS_CODE, status_code_of

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.replacement import Args, Instance, Instrumentor, Kwargs, Wrapped

_CONTRIB = "opentelemetry.instrumentation."
_INTEGRATION = "_eco2_integration"
"""The attribute of a connection with the description of its spans."""
_WHAT = "tracing a connection"


class _Connections(Adjustment, ABC):
    """Traces the cursors of connection classes.

    Args:
        part: The instrumentation's module below ``opentelemetry.instrumentation``.
        package: The driver's package.
        system: The database system in the conventions.
        attributes: Where a connection has ``database``, ``port``, ``host`` and ``user``.
        classes: ``module:class`` of the connections.
    """

    def __init__(
        self, part: str, package: str, system: str, attributes: Mapping[str, str], *classes: str
    ) -> None:
        self._module = _CONTRIB + part
        self._package = package
        self._system = system
        self._attributes = attributes
        self._classes = classes
        self._is_wrapped = False
        self._is_on = False

    def begin(self, _instrumentor: Instrumentor) -> None:
        """Trace new cursors of all connections."""
        self._dbapi = protect_cursors()
        self._is_on = True
        if not self._is_wrapped:
            self._is_wrapped = True
            for kind in found_classes(self._classes):
                kind.cursor = self._wrapped(kind, kind.cursor)  # type: ignore[attr-defined]  # PEP 249

    def end(self) -> None:
        """Leave new cursors untraced."""
        self._is_on = False

    @abstractmethod
    def _wrapped(self, kind: type, original: Wrapped) -> Wrapped:
        """Return the new method ``cursor`` of a class."""

    def _integration(self, connection: Instance, make: Callable[..., Instance]) -> Instance:
        """Return the description of a connection's spans; it is made once."""
        integration: Instance = getattr(connection, _INTEGRATION, None)
        if integration is None:
            integration = make(
                self._module,
                self._system,
                connection_attributes=self._attributes,
                version=import_module(self._module).__version__,
                connect_module=import_module(self._package),
            )
            integration.get_connection_attributes(connection)
            setattr(connection, _INTEGRATION, integration)
        return integration


class MySQLConnections(_Connections):
    """Traces the cursors of a MySQL driver in place of OpenTelemetry's proxies of some connections."""

    def begin(self, instrumentor: Instrumentor) -> None:
        """Remove OpenTelemetry's wrapper of ``connect``, so that each query has one span."""
        super().begin(instrumentor)
        self._dbapi.unwrap_connect(import_module(self._package), "connect")

    def _wrapped(self, kind: type, original: Wrapped) -> Wrapped:
        @functools.wraps(original)
        def cursor(connection: Instance, *args: object, **kwargs: object) -> Instance:
            made = original(connection, *args, **kwargs)
            # The driver sends queries of its own too.
            if self._is_on and not self._is_own(sys._getframe(1).f_globals.get("__name__", "")):
                with guarded(_WHAT):
                    integration = self._integration(connection, self._dbapi.DatabaseApiIntegration)
                    return self._dbapi.get_traced_cursor_proxy(made, integration)
            return made

        return cursor

    def _is_own(self, caller: str) -> bool:
        return caller.partition(".")[0] == self._package.partition(".")[0]


class PsycopgConnections(_Connections):
    """Gives connections of psycopg 3 with psycopg's own cursor class a traced one.

    A cursor class that the application chose stays, as does OpenTelemetry's.
    """

    def _wrapped(self, kind: type, original: Wrapped) -> Wrapped:
        psycopg, is_async = import_module(self._package), kind.__name__ == "AsyncConnection"
        plain = psycopg.AsyncCursor if is_async else psycopg.Cursor

        @functools.wraps(original)
        def cursor(connection: Instance, *args: object, **kwargs: object) -> Instance:
            if connection.cursor_factory is plain and self._is_on:
                with guarded(_WHAT):
                    connection.cursor_factory = self._traced(connection, plain, is_async=is_async)
            return original(connection, *args, **kwargs)

        return cursor

    def _traced(self, connection: Instance, plain: type, *, is_async: bool) -> type:
        contrib = import_module(self._module)
        make = contrib.DatabaseApiAsyncIntegration if is_async else contrib.DatabaseApiIntegration
        tracer = contrib.CursorTracer(self._integration(connection, make))
        execution = tracer.traced_execution_async if is_async else tracer.traced_execution

        def method(name: str) -> Wrapped:
            driver = getattr(plain, name)

            def call(cursor: Instance, *args: object, **kwargs: object) -> Instance:
                return execution(cursor, functools.partial(driver, cursor), *args, **kwargs)

            return functools.wraps(driver)(call)

        return type(plain.__name__, (plain,), {name: method(name) for name in ("execute", "executemany")})


class CursorHooks(Adjustment):
    """Protects the hooks of a DB-API driver whose connections are all traced."""

    def begin(self, _instrumentor: Instrumentor) -> None:
        """Protect the hooks; see `protect_cursors`."""
        protect_cursors()


CONNECTIONS: dict[str, Adjustment] = {
    "psycopg": PsycopgConnections(
        "psycopg",
        "psycopg",
        "postgresql",
        {"database": "info.dbname", "port": "info.port", "host": "info.host", "user": "info.user"},
        "psycopg:Connection",
        "psycopg:AsyncConnection",
    ),
    "psycopg2": CursorHooks(),
    "pymysql": MySQLConnections(
        "pymysql",
        "pymysql",
        "mysql",
        {"database": "db", "port": "port", "host": "host", "user": "user"},
        "pymysql.connections:Connection",
    ),
    "mysql": MySQLConnections(
        "mysql",
        "mysql.connector",
        "mysql",
        {"database": "database", "port": "server_port", "host": "server_host", "user": "user"},
        "mysql.connector.connection:MySQLConnection",
        "mysql.connector.connection_cext:CMySQLConnection",
    ),
}
"""By the name of the instrumentation."""


_PACKAGE = "opentelemetry.instrumentation.sqlalchemy"
_USAGE = "db.client.connections.usage"


class EarlyEngines(Adjustment):
    """Traces each engine at its first connection, unless the instrumentation traces it already."""

    def __init__(self) -> None:
        self._trace: Callable[[Instance], object] | None = None
        self._known: WeakSet[Instance] = WeakSet()
        self._counts = False

    def prepare(self) -> None:
        """Register the engines that the instrumentation will trace.

        The instrumentation wraps ``create_engine`` and then imports ``sqlalchemy.ext.asyncio``, which would use the
        wrapped function: an async engine would have two spans, one of them never ended.
        """
        try:
            import_module("sqlalchemy.ext.asyncio")
        except ImportError:  # without greenlet
            pass
        tracer = import_module(f"{_PACKAGE}.engine").EngineTracer
        if not isinstance(vars(tracer)["__init__"], FunctionWrapper):
            wrap_function_wrapper(tracer, "__init__", self._traced)

    def _traced(self, wrapped: Wrapped, _: Instance, args: Args, kwargs: Kwargs) -> None:
        with guarded("registering a SQLAlchemy engine"):
            self._known.add(args[1] if len(args) > 1 else kwargs["engine"])
        wrapped(*args, **kwargs)

    def begin(self, _instrumentor: Instrumentor) -> None:
        """Listen to the connections of all engines."""
        make_tracer = import_module(f"{_PACKAGE}.engine").EngineTracer
        usage = metrics.get_meter(_PACKAGE).create_up_down_counter(_USAGE, "connections")
        tracer = trace.get_tracer(_PACKAGE)
        self._trace = lambda engine: make_tracer(tracer, engine, usage)
        _listen("listen", "engine_connect", self._connected)
        _listen("listen", "handle_error", _failed)

    def end(self) -> None:
        """Stop listening; the instrumentation removes the listeners of engines."""
        self._trace = None
        self._known.clear()
        _listen("remove", "engine_connect", self._connected)
        _listen("remove", "handle_error", _failed)
        if self._counts:
            self._counts = False
            _listen("remove", "after_cursor_execute", _executed)

    def _connected(self, connection: Instance) -> None:
        """Trace the connection's engine. For a known engine this is one look-up."""
        with guarded("tracing an early SQLAlchemy engine"):
            engine = original_engine(connection.engine)
            if engine not in self._known and self._trace is not None:
                self._known.add(engine)
                self._trace(engine)
            if current.rows and not self._counts:
                self._counts = True
                _listen("listen", "after_cursor_execute", _executed)


def _listen(verb: str, name: str, listener: Callable[..., None]) -> None:
    """Add or remove a listener of all engines. It is called before those of the instrumentation, which end spans."""
    event, engine = import_module("sqlalchemy.event"), import_module("sqlalchemy.engine")
    getattr(event, verb)(engine.Engine, name, listener)


def _executed(
    _connection: Instance,
    cursor: Instance,
    _statement: str,
    _values: object,
    execution: Instance,
    _many: bool,
) -> None:
    """Record the rows of a query on its span."""
    span = span_of(execution)
    if span is not None and current.rows:
        record(span, rows_of_cursor, None, cursor)


def _failed(failure: Instance) -> None:
    """Record the status code of a failed statement on its span."""
    with guarded("reading the error of a statement"):
        span = span_of(failure.execution_context)
        code = None if span is None else status_code_of(failure.original_exception)
        if span is not None and code is not None:
            span.set_attribute(STATUS_CODE, code)


early_engines = EarlyEngines()
