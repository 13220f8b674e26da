"""Contrib's hooks around drivers, kept from failing a call of the service's.

What they read before the call is anybody's: asyncpg's ``fetch(query=…)``, a statement of blanks, a command of redis in
bytes, an object that fights back. Their hooks raise there, before the driver has been asked.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any

from eco2_tracing._guard import internal_failure

_CONTRIB = "opentelemetry.instrumentation."
_WHAT = "tracing a call of a driver"
_STATEMENTS = ("query", "command")
"""What asyncpg calls its first parameter, which contrib's hook expects without a name."""

_Hook = Callable[..., Any]


class _Call:
    """What a hook is to call; knows whether it has.

    Args:
        function: The driver's.
    """

    __slots__ = ("began", "function")

    def __init__(self, function: _Hook) -> None:
        self.function = function
        self.began = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.began = True
        return self.function(*args, **kwargs)


def guard_hooks(name: str) -> None:
    """Let contrib's hooks of one library fail without failing the call; safe to call twice.

    Args:
        name: The instrumentation's.
    """
    if name not in _GUARDED:
        return
    module, kind, make, hooks = _GUARDED[name]
    owner: Any = import_module(_CONTRIB + module)
    _replace(getattr(owner, kind) if kind else owner, hooks, make)
    if name == "redis":
        _replace(owner, ("_add_search_attributes", "_add_create_attributes"), _left_out)


def _replace(owner: Any, names: Iterable[str], make: Callable[[_Hook], _Hook]) -> None:
    for name in names:
        found = getattr(owner, name, None)
        if found is None or hasattr(found, "_eco2_guarded"):  # an older package lacks some
            continue
        made: Any = make(found)
        made._eco2_guarded = True
        setattr(owner, name, made)


def _cursor_hook(hook: _Hook) -> _Hook:
    """Guard a hook of contrib's ``dbapi``: it gets the cursor, what to call, and with what."""
    if iscoroutinefunction(hook):

        @functools.wraps(hook)
        async def guarded_async(tracer: Any, cursor: Any, function: _Hook, *args: Any, **kwargs: Any) -> Any:
            call = _Call(function)
            try:
                return await hook(tracer, cursor, call, *args, **kwargs)
            except Exception:
                if call.began:
                    raise
                internal_failure(_WHAT)
            return await function(*args, **kwargs)

        return guarded_async

    @functools.wraps(hook)
    def guarded(tracer: Any, cursor: Any, function: _Hook, *args: Any, **kwargs: Any) -> Any:
        call = _Call(function)
        try:
            return hook(tracer, cursor, call, *args, **kwargs)
        except Exception:
            if call.began:
                raise
            internal_failure(_WHAT)
        return function(*args, **kwargs)

    return guarded


def _asyncpg_hook(hook: _Hook) -> _Hook:
    """Guard a hook of a connection, a prepared statement or a cursor."""

    @functools.wraps(hook)
    async def guarded(instrumentor: Any, function: _Hook, instance: Any, args: Any, kwargs: Any) -> Any:
        call = _Call(function)
        try:
            if not args and kwargs:
                args, kwargs = _positional(args, kwargs)
            return await hook(instrumentor, call, instance, args, kwargs)
        except Exception:
            if call.began:
                raise
            internal_failure(_WHAT)
        return await function(*args, **kwargs)

    return guarded


def _positional(args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    for name in _STATEMENTS:
        if name in kwargs:
            return (kwargs[name],), {key: value for key, value in kwargs.items() if key != name}
    return args, kwargs


def _redis_hooks(factory: _Hook) -> _Hook:
    """Guard the hooks that a factory makes."""

    @functools.wraps(factory)
    def make(*arguments: Any, **keywords: Any) -> _Hook:
        hook: _Hook = factory(*arguments, **keywords)
        return _redis_async(hook) if iscoroutinefunction(hook) else _redis_sync(hook)

    return make


def _redis_async(hook: _Hook) -> _Hook:
    async def guarded(function: _Hook, instance: Any, args: Any, kwargs: Any) -> Any:
        call = _Call(function)
        try:
            return await hook(call, instance, args, kwargs)
        except Exception:
            if call.began:
                raise
            internal_failure(_WHAT)
        return await function(*args, **kwargs)

    return guarded


def _redis_sync(hook: _Hook) -> _Hook:
    def guarded(function: _Hook, instance: Any, args: Any, kwargs: Any) -> Any:
        call = _Call(function)
        try:
            return hook(call, instance, args, kwargs)
        except Exception:
            if call.began:
                raise
            internal_failure(_WHAT)
        return function(*args, **kwargs)

    return guarded


def _left_out(writer: _Hook) -> _Hook:
    """Write neither queries nor documents of a search to its span."""

    @functools.wraps(writer)
    def nothing(*arguments: Any) -> None:
        return None

    return nothing


_DBAPI = ("dbapi", "CursorTracer", _cursor_hook, ("traced_execution", "traced_execution_async"))
_GUARDED: dict[str, tuple[str, str, Callable[[_Hook], _Hook], tuple[str, ...]]] = {
    "asyncpg": (
        "asyncpg",
        "AsyncPGInstrumentor",
        _asyncpg_hook,
        ("_do_execute", "_do_cursor_execute", "_do_prepared_execute"),
    ),
    "psycopg": _DBAPI,
    "psycopg2": _DBAPI,
    "pymysql": _DBAPI,
    "mysql": _DBAPI,
    "redis": (
        "redis",
        "",
        _redis_hooks,
        (
            "_traced_execute_factory",
            "_traced_execute_pipeline_factory",
            "_async_traced_execute_factory",
            "_async_traced_execute_pipeline_factory",
        ),
    ),
}
"""By the name of the instrumentation: the module, the class where there is one, how its hooks are guarded, which."""
