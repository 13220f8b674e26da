"""Connections to MySQL and PostgreSQL that OpenTelemetry's instrumentations do not see made.

They wrap the one function ``connect`` of a package. Connections that were made before, such as those of a pool in
a module of its own, by a ``connect`` that was imported before, by the class itself or by mysql-connector's pool would
have no spans, and no hint why.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from eco2_tracing._guard import internal_failure

_DBAPI = "opentelemetry.instrumentation.dbapi"
_KEPT = "_eco2_integration"


class Connections:
    """Traces the cursors of all connections of one driver, in place of contrib's proxies around some of them.

    Args:
        package: Where contrib wraps ``connect``.
        classes: The modules and names of the connections' classes; those that are not there are left out.
    """

    def __init__(self, package: str, *classes: tuple[str, str]) -> None:
        self._package = package
        self._classes = classes
        self._is_wrapped = False
        self._instrumentor: Any = None

    def prepare(self) -> None:
        """Nothing comes before contrib's part."""

    def begin(self, instrumentor: Any) -> None:
        """Take contrib's wrapper off, so that each query has one span, and trace what the classes give.

        Args:
            instrumentor: contrib's, which knows how the spans of a connection are described.
        """
        import_module(_DBAPI).unwrap_connect(import_module(self._package), "connect")
        self._instrumentor = instrumentor
        if not self._is_wrapped:
            self._is_wrapped = True
            for module, name in self._classes:
                kind = _found(module, name)
                if kind is not None:
                    kind.cursor = self._wrapped(kind.cursor)

    def end(self) -> None:
        """Let new cursors be the driver's own again."""
        self._instrumentor = None

    def _wrapped(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def cursor(connection: Any, *arguments: Any, **keywords: Any) -> Any:
            made = original(connection, *arguments, **keywords)
            # A driver asks the server for much on its own account.
            if self._instrumentor is None or self._is_own(sys._getframe(1).f_globals.get("__name__", "")):
                return made
            try:
                return self._traced(connection, made)
            except Exception:  # noqa: BLE001 - the query goes on, whatever has moved in either package
                internal_failure("tracing a connection")
                return made

        return cursor

    def _is_own(self, caller: str) -> bool:
        return caller.partition(".")[0] == self._package.partition(".")[0]

    def _traced(self, connection: Any, made: Any) -> Any:
        kept = vars(connection)
        if _KEPT not in kept:
            kept[_KEPT] = self._instrumentor.instrument_connection(connection)._self_db_api_integration
        return import_module(_DBAPI).get_traced_cursor_proxy(made, kept[_KEPT])


def _found(module: str, name: str) -> Any:
    try:
        return getattr(import_module(module), name, None)
    except ImportError:  # pragma: no cover - mysql-connector without its C extension
        return None


class PsycopgConnections:
    """Gives connections of psycopg 3 that have psycopg's own cursors contrib's traced ones."""

    _PACKAGE = "opentelemetry.instrumentation.psycopg"
    # Of psycopg: connection and cursor. Of contrib: what describes the spans, and what makes the cursors' class.
    _KINDS = (
        ("Connection", "Cursor", "DatabaseApiIntegration", "_new_cursor_factory"),
        ("AsyncConnection", "AsyncCursor", "DatabaseApiAsyncIntegration", "_new_cursor_async_factory"),
    )

    def __init__(self) -> None:
        self._is_wrapped = False
        self._instrumentor: Any = None

    def prepare(self) -> None:
        """Nothing comes before contrib's part."""

    def begin(self, instrumentor: Any) -> None:
        """Look at each connection when it is asked for a cursor.

        Args:
            instrumentor: contrib's, which knows how the spans of a connection are described.
        """
        self._instrumentor = instrumentor
        if not self._is_wrapped:
            self._is_wrapped = True
            psycopg = import_module("psycopg")
            for connection, cursor, *names in self._KINDS:
                kind = getattr(psycopg, connection)
                kind.cursor = self._wrapped(kind.cursor, getattr(psycopg, cursor), *names)

    def end(self) -> None:
        """Look at no further connection."""
        self._instrumentor = None

    def _wrapped(
        self, original: Callable[..., Any], plain: Any, api: str, factory: str
    ) -> Callable[..., Any]:
        @functools.wraps(original)
        def cursor(connection: Any, *arguments: Any, **keywords: Any) -> Any:
            # A class of the application's choice stays, as do contrib's.
            if connection.cursor_factory is plain and self._instrumentor is not None:
                try:
                    connection.cursor_factory = self._factory(connection, api, factory)
                except Exception:  # noqa: BLE001 - the query goes on, whatever has moved in either package
                    internal_failure("tracing a connection")
            return original(connection, *arguments, **keywords)

        return cursor

    def _factory(self, connection: Any, api: str, factory: str) -> Any:
        contrib, of = import_module(self._PACKAGE), self._instrumentor
        described = getattr(contrib, api)(
            self._PACKAGE,
            of._DATABASE_SYSTEM,
            connection_attributes=of._CONNECTION_ATTRIBUTES,
            version=contrib.__version__,
            connect_module=import_module("psycopg"),
        )
        described.get_connection_attributes(connection)
        return getattr(contrib, factory)(described)


CONNECTIONS: dict[str, Connections | PsycopgConnections] = {
    "psycopg": PsycopgConnections(),
    "pymysql": Connections("pymysql", ("pymysql.connections", "Connection")),
    "mysql": Connections(
        "mysql.connector",
        ("mysql.connector.connection", "MySQLConnection"),
        ("mysql.connector.connection_cext", "CMySQLConnection"),
    ),
}
"""By the names of the instrumentations."""
