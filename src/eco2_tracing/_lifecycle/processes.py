"""Processes of servers: preparations, lifespans, signals and the end of forked children.

A signal is handled only if its handler is the default, which kills. Other handlers end the process in order, so that
``atexit`` runs. The exception is uvicorn: it restores the former handler and raises the signal again. If that was the
default, as in workers of uvicorn and gunicorn, ``atexit`` does not run; the flush is added to the server's shutdown.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from inspect import iscoroutinefunction
from types import FrameType
from typing import TYPE_CHECKING, Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from eco2_tracing._guard import guarded, warn_once
from eco2_tracing._native import NativeThread

if TYPE_CHECKING:
    from uvicorn import Server


_LAZY_IMPORTS = (
    "eco2_tracing._export.transport.http2",
    "email.utils",
    "encodings.idna",
    "http.client",
    "opentelemetry.instrumentation.utils",
    "urllib.request",
)
_LAST = -100
"""Finalizers run from the highest priority down. Those of the application run first, for they may make spans."""

# SIGINT has the default handler in workers of gunicorn only. SIGHUP is sent when a terminal closes. SIGQUIT is not
# handled: it requests a core dump of a process that hangs.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, *filter(None, [getattr(signal, "SIGHUP", None)]))
_WHAT = "the flush at the end of the process"


def prepare_host() -> None:
    """Import now what the export thread would import later, and warn if no thread can run.

    uWSGI forks in C, without waiting for an import in the export thread. gevent and eventlet replace the locks of
    imports by locks that threads cannot use.
    """
    if {"uwsgi", "gevent", "eventlet"}.isdisjoint(sys.modules):
        return
    for name in _LAZY_IMPORTS:
        import_module(name)
    uwsgi = sys.modules.get("uwsgi")
    if not getattr(uwsgi, "has_threads", True):
        warn_once(
            "uwsgi:threads",
            "uWSGI runs without threads: spans are sent only while requests run and when a worker ends; "
            "set enable-threads = true",
        )


def end_with_child(callback: Callable[[], None]) -> None:
    """Register a callback for the end of this process if it is a child of ``multiprocessing``.

    Such children end with ``os._exit``, which skips ``atexit``. Called when tracing is configured, and after every
    fork, when it is not yet known who forked. The callback is also registered with ``atexit``: later calls must do
    nothing.
    """
    if "multiprocessing.util" not in sys.modules:
        return
    util = import_module("multiprocessing.util")
    # A starting child clears all finalizers and then runs the functions registered here.
    util.register_after_fork(callback, _finalize)
    if import_module("multiprocessing.process").parent_process() is not None:
        _finalize(callback)


def _finalize(callback: Callable[[], None]) -> None:
    import_module("multiprocessing.util").Finalize(None, callback, exitpriority=_LAST)


async def run_off_loop(function: Callable[[], object], what: str) -> None:
    """Run a function in a thread of its own, and wait for it. The application may have blocked its thread pool."""

    def run() -> None:
        with guarded(what):
            function()

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # trio
        await run_sync(run, abandon_on_cancel=True, limiter=CapacityLimiter(1))
        return
    # anyio would load its backend at its first call, which blocks the loop for 70 ms.
    finished: asyncio.Future[None] = loop.create_future()

    def finish() -> None:
        if not finished.done():
            finished.set_result(None)

    def run_and_finish() -> None:
        run()
        with suppress(RuntimeError):  # the waiting task was cancelled, and the loop is closed
            loop.call_soon_threadsafe(finish)

    try:
        NativeThread(run_and_finish, "eco2-tracing-aside").start()
    except RuntimeError:  # no thread can be started
        run_and_finish()
    await finished


class TerminationHandler:
    """Flushes, in limited time, on signals that would kill the process."""

    def __init__(self, flush: Callable[[], object]) -> None:
        self._flush = flush
        self._server: Server | None = None

    def install(self) -> None:
        """Set handlers for signals that would kill the process. Does nothing outside the main thread.

        Called repeatedly: a server may have changed the handlers, as workers of gunicorn do after the fork.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if handler is signal.SIG_DFL:
                signal.signal(number, self._handle)
            elif (server := _uvicorn_server(handler)) is not None and server is not self._server:
                self._watch(server)

    def remove(self) -> None:
        """Undo ``install``. Handlers that were set later stay."""
        server, self._server = self._server, None
        if server is not None:
            server.__dict__.pop("shutdown", None)
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            if getattr(signal.getsignal(number), "__self__", None) is self:
                signal.signal(number, signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        with guarded(_WHAT):
            self._flush()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def _watch(self, server: Server) -> None:
        shutdown = server.shutdown

        async def shutdown_and_flush(*arguments: Any, **named: Any) -> None:
            try:
                await shutdown(*arguments, **named)
            finally:
                if self._server is server:
                    await run_off_loop(self._flush, _WHAT)

        server.shutdown = shutdown_and_flush  # type: ignore[method-assign]  # undone by `remove`
        self._server = server


def _uvicorn_server(handler: object) -> Server | None:
    """Return the server whose method the handler is; ``None`` for other handlers, such as those of supervisors."""
    server = getattr(handler, "__self__", None)
    ours = any(base.__module__ == "uvicorn.server" for base in type(server).__mro__)
    return server if ours and iscoroutinefunction(getattr(server, "shutdown", None)) else None
