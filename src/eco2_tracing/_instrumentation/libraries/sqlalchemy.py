"""SQLAlchemy engines that OpenTelemetry's instrumentation does not see made.

It wraps ``create_engine``. A service whose ``db.py`` says ``from sqlalchemy import create_engine``, or
makes its engine, before ``configure_tracing`` runs would have no spans, and no hint why.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any
from weakref import WeakSet

from opentelemetry import metrics, trace

from eco2_tracing._guard import internal_failure

_PACKAGE = "opentelemetry.instrumentation.sqlalchemy"
_USAGE = "db.client.connections.usage"


class _EarlyEngines:
    """Hands each engine to contrib's tracer when it first connects, unless contrib has it already."""

    def __init__(self) -> None:
        self._trace: Callable[[Any], Any] | None = None
        self._known: WeakSet[Any] = WeakSet()

    @staticmethod
    def prepare() -> None:
        """Do what comes before contrib's part.

        contrib wraps ``create_engine``, then imports this module, which would take the wrapped one for its own
        use: an async engine would be traced twice, with one of two spans never ended.
        """
        try:
            import_module("sqlalchemy.ext.asyncio")
        except ImportError:  # without greenlet nothing of it can be used: a service that is synchronous
            pass

    def begin(self, _instrumentor: Any) -> None:
        """Listen to all engines."""
        tracer_of = import_module(f"{_PACKAGE}.engine").EngineTracer
        # contrib keeps no other list of its engines.
        listeners = tracer_of._remove_event_listener_params
        usage = metrics.get_meter(_PACKAGE).create_up_down_counter(_USAGE, "connections")
        tracer = trace.get_tracer(_PACKAGE)

        def trace_early(engine: Any) -> None:
            if not any(entry[0]() is engine for entry in listeners):
                tracer_of(tracer, engine, usage)

        self._trace = trace_early
        _listen("listen", self._connected)

    def end(self) -> None:
        """Listen no more; contrib forgets the engines itself."""
        self._trace = None
        self._known.clear()
        _listen("remove", self._connected)

    def _connected(self, connection: Any) -> None:
        """Called whenever a connection is taken; a known engine costs a look-up."""
        try:
            engine = connection.engine
            engine = getattr(engine, "_proxied", engine)  # an engine's copy with options has its events
            if engine not in self._known and self._trace is not None:
                self._known.add(engine)
                self._trace(engine)
        except Exception:  # noqa: BLE001 - the query goes on, whatever has moved in either package
            internal_failure("tracing an early SQLAlchemy engine")


def _listen(verb: str, listener: Any) -> None:
    event, engine = import_module("sqlalchemy.event"), import_module("sqlalchemy.engine")
    getattr(event, verb)(engine.Engine, "engine_connect", listener)


early_engines = _EarlyEngines()
