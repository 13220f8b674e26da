"""Protection of database calls from exceptions of OpenTelemetry's hooks.

The hooks read the statement before they call the driver, and raise for statements that the driver would take or refuse:
asyncpg's ``fetch(query=…)``, a blank statement, a Redis command in bytes. If a hook raises before
the driver was called, the driver is called without it.

Thread pools get the current context. ``asyncio.to_thread`` and AnyIO's worker threads copy it by themselves.
OpenTelemetry's ``threading`` instrumentation would do so for pools too, but it also gives every ``threading.Thread``
the context in which it was started. If the first request starts the maintenance thread of a connection pool, all spans
of that thread become its children.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from importlib import import_module
from inspect import iscoroutine
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, TypeVar

from opentelemetry import context as otel_context
from wrapt import FunctionWrapper

from eco2_tracing._compat.contrib import leave_out_searches, show_keys
from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.common.replacement import Adjustment
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._instrumentation.libraries.rows import ASYNCPG, Count, counted, rows_of_cursor
from eco2_tracing._redaction import command_text

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.replacement import Args, Instance, Instrumentor, Kwargs, Wrapped

_Result = TypeVar("_Result")
_DBAPI = "opentelemetry.instrumentation.dbapi"
_REDIS = "opentelemetry.instrumentation.redis"
_STATEMENTS = ("query", "command")
"""The keywords of asyncpg's first parameter, which OpenTelemetry's hook expects to be positional."""


class _Call:
    """One call of a hook. An exception leaves the block only if the driver was called."""

    __slots__ = ("began", "token")

    def __init__(self) -> None:
        self.began = False

    def __enter__(self) -> None:
        self.token = _call.set(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        _call.reset(self.token)
        if self.began or not isinstance(error, Exception):
            return False
        internal_failure("tracing a call of a driver")
        return True


_call: ContextVar[_Call | None] = ContextVar("eco2-driver-call", default=None)


def _marked(
    function: Callable[..., _Result], count: Count | None = None, cursor: Instance = None
) -> Callable[..., _Result]:
    """Return a driver's function that reports its call to the current `_Call`, and its rows to the current span."""

    @functools.wraps(function)
    def driver(*args: object, **kwargs: object) -> _Result:
        call = _call.get()
        if call is not None:
            call.began = True
            if count is not None and current.rows:
                return counted(count, function(*args, **kwargs), cursor)  # type: ignore[no-any-return]  # the result
        return function(*args, **kwargs)

    return driver


def _protected(traced: Callable[[], Instance], plain: Callable[[], Instance]) -> Instance:
    """Call the hook; call the driver without it if the hook raises before it called the driver."""
    with _Call():
        result = traced()
        return _protected_coroutine(result, plain) if iscoroutine(result) else result
    return plain()


async def _protected_coroutine(
    traced: Coroutine[object, object, Instance], plain: Callable[[], Instance]
) -> Instance:
    with _Call():
        return await traced
    return await plain()


def _call_method(hook: Instance, _: Instance, args: Args, kwargs: Kwargs) -> Instance:
    """Protect a hook around a driver's method."""
    for name in _STATEMENTS if kwargs and not args else ():
        if name in kwargs:
            args, kwargs = (kwargs[name],), {key: value for key, value in kwargs.items() if key != name}
    return _protected(
        functools.partial(hook, *args, **kwargs), functools.partial(hook.__wrapped__, *args, **kwargs)
    )


def _call_cursor(hook: Wrapped, _: Instance, args: Args, kwargs: Kwargs) -> Instance:
    """Protect ``CursorTracer.traced_execution(cursor, method, *arguments)``."""
    cursor, method, *rest = args
    traced = functools.partial(hook, cursor, _marked(method, rows_of_cursor, cursor), *rest, **kwargs)
    return _protected(traced, functools.partial(method, *rest, **kwargs))


class DriverHooks(Adjustment):
    """Protects all hooks around the methods of a driver's classes.

    Args:
        classes: ``module:class`` of each; those that do not exist are left out.
        counts: Return the rows of a call, by the method's name.
    """

    def __init__(self, *classes: str, counts: Mapping[str, Count] = MappingProxyType({})) -> None:
        self._classes = classes
        self._counts = counts
        self._hooks: list[tuple[type, str, Instance]] = []

    def begin(self, _instrumentor: Instrumentor) -> None:
        """Protect the hooks that the instrumentation has added."""
        for kind in found_classes(self._classes):
            for name, hook in list(vars(kind).items()):
                if isinstance(hook, FunctionWrapper):
                    hook.__wrapped__ = _marked(hook.__wrapped__, self._counts.get(name))
                    setattr(kind, name, FunctionWrapper(hook, _call_method))
                    self._hooks.append((kind, name, hook))
        if self._classes[0].startswith("redis."):
            redis = import_module(_REDIS)
            leave_out_searches(redis)
            show_keys(redis, import_module(f"{_REDIS}.util"), _command_text)

    def end(self) -> None:
        """Restore the instrumentation's hooks, which it removes without us."""
        for kind, name, hook in self._hooks:
            hook.__wrapped__ = hook.__wrapped__.__wrapped__
            setattr(kind, name, hook)
        self._hooks.clear()


def _command_text(arguments: Sequence[object]) -> str:
    """Return the text of a Redis command. Without a provider that masks its keys, it has none."""
    state = current.state
    if state is None or state.instrumenter is None:
        return " ".join([str(name) for name in arguments[:1]] + ["?"] * (len(arguments) - 1))
    return command_text(arguments)


def found_classes(names: tuple[str, ...]) -> list[type]:
    """Return classes by ``module:class``, without those that do not exist."""
    found = []
    for name in names:
        module, _, kind = name.partition(":")
        try:
            found.append(getattr(import_module(module), kind))
        except (ImportError, AttributeError):  # another version of the driver, or one without its C extension
            continue
    return found


def protect_cursors() -> ModuleType:
    """Protect the hooks of every DB-API driver, and return their module. Safe to call twice."""
    dbapi = import_module(_DBAPI)
    tracer = dbapi.CursorTracer
    for name in ("traced_execution", "traced_execution_async"):
        hook = vars(tracer).get(name)
        if hook is not None and not isinstance(hook, FunctionWrapper):
            setattr(tracer, name, FunctionWrapper(hook, _call_cursor))
    return dbapi


DRIVER_HOOKS = {
    "asyncpg": DriverHooks(
        "asyncpg.connection:Connection",
        "asyncpg.cursor:Cursor",
        "asyncpg.cursor:CursorIterator",
        "asyncpg.prepared_stmt:PreparedStatement",
        counts=ASYNCPG,
    ),
    "redis": DriverHooks(
        "redis.client:Redis",
        "redis.client:Pipeline",
        "redis.cluster:RedisCluster",
        "redis.cluster:ClusterPipeline",
        "redis.asyncio.client:Redis",
        "redis.asyncio.client:Pipeline",
        "redis.asyncio.cluster:RedisCluster",
        "redis.asyncio.cluster:ClusterPipeline",
    ),
}
"""The protected hooks, by the name of the instrumentation."""


_MARK = "__eco2_tracing_original__"


def instrument_executors() -> None:
    """Run functions passed to ``ThreadPoolExecutor.submit`` in the context of the call. Safe to call twice.

    That includes ``loop.run_in_executor`` and ``executor.map``.
    """
    original = ThreadPoolExecutor.submit
    if hasattr(original, _MARK):
        return

    def submit(
        self: ThreadPoolExecutor, fn: Callable[..., _Result], /, *args: object, **kwargs: object
    ) -> Future[_Result]:
        context = otel_context.get_current()
        if not context:
            return original(self, fn, *args, **kwargs)
        return original(self, _run, context, functools.partial(fn, *args, **kwargs))

    setattr(submit, _MARK, original)
    ThreadPoolExecutor.submit = functools.update_wrapper(submit, original)  # type: ignore[method-assign,arg-type,assignment]  # the same signature


def uninstrument_executors() -> None:
    """Undo `instrument_executors`, unless other code has wrapped the method since."""
    original = getattr(ThreadPoolExecutor.submit, _MARK, None)
    if original is not None:
        ThreadPoolExecutor.submit = original  # type: ignore[method-assign]  # the standard library's own


def _run(context: otel_context.Context, call: Callable[[], _Result]) -> _Result:
    token = otel_context.attach(context)
    try:
        return call()
    finally:
        otel_context.detach(token)
