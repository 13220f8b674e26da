"""SQLAlchemy engines that OpenTelemetry's instrumentation does not trace.

It wraps ``create_engine``. An engine has no spans if it was made before ``configure_tracing``, or by a
``create_engine`` that was imported before.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING
from weakref import WeakSet

from opentelemetry import metrics, trace
from wrapt import FunctionWrapper, wrap_function_wrapper

from eco2_tracing._compat.sqlalchemy import original_engine
from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.common.replacement import Adjustment

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.replacement import Args, Instance, Instrumentor, Kwargs, Wrapped

_PACKAGE = "opentelemetry.instrumentation.sqlalchemy"
_USAGE = "db.client.connections.usage"


class EarlyEngines(Adjustment):
    """Traces each engine at its first connection, unless the instrumentation traces it already."""

    def __init__(self) -> None:
        self._trace: Callable[[Instance], object] | None = None
        self._known: WeakSet[Instance] = WeakSet()

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
        _listen("listen", self._connected)

    def end(self) -> None:
        """Stop listening; the instrumentation removes the listeners of engines."""
        self._trace = None
        self._known.clear()
        _listen("remove", self._connected)

    def _connected(self, connection: Instance) -> None:
        """Trace the connection's engine. For a known engine this is one look-up."""
        with guarded("tracing an early SQLAlchemy engine"):
            engine = original_engine(connection.engine)
            if engine not in self._known and self._trace is not None:
                self._known.add(engine)
                self._trace(engine)


def _listen(verb: str, listener: Callable[[Instance], None]) -> None:
    event, engine = import_module("sqlalchemy.event"), import_module("sqlalchemy.engine")
    getattr(event, verb)(engine.Engine, "engine_connect", listener)


early_engines = EarlyEngines()
