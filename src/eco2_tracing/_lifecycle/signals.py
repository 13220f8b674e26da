"""Flushes before a signal kills the process.

A signal is handled only if its handler is the default, which kills. Other handlers end the process in order, so that
``atexit`` runs. The exception is uvicorn: it restores the former handler and raises the signal again. If that was the
default, as in workers of uvicorn and gunicorn, ``atexit`` does not run; the flush is added to the server's shutdown.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from inspect import iscoroutinefunction
from types import FrameType
from typing import TYPE_CHECKING, Any

from eco2_tracing._guard import guarded
from eco2_tracing._lifecycle.off_loop import run_off_loop

if TYPE_CHECKING:
    from uvicorn import Server

# SIGINT has the default handler in workers of gunicorn only. SIGHUP is sent when a terminal closes. SIGQUIT is not
# handled: it requests a core dump of a process that hangs.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, *filter(None, [getattr(signal, "SIGHUP", None)]))


_WHAT = "the flush at the end of the process"


class TerminationHandler:
    """Flushes on signals that would kill the process.

    Args:
        flush: Delivers what is queued, in limited time.
    """

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
