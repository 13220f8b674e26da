"""What would kill the process with spans queued: a bounded flush comes first, and the signal goes on.

A signal is taken only where it would kill. A handler that somebody else has set ends the process in its own way and in
order, so that ``atexit`` is enough, but for uvicorn's: it puts back what was there before and raises the signal again.
Where that was the default (the application was loaded after uvicorn took the signal, as in its workers and
gunicorn's), the process dies past ``atexit``; a flush is added to the end of the server's own shutdown then.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from inspect import iscoroutinefunction
from types import FrameType
from typing import Any

from eco2_tracing._guard import internal_failure
from eco2_tracing._lifecycle.off_loop import aside

# SIGINT is Python's own KeyboardInterrupt, which ends in order, until gunicorn's workers reset it. SIGHUP tells of a
# terminal that is gone. SIGQUIT is left alone: it is sent for a core dump, of a process that hangs.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, *filter(None, [getattr(signal, "SIGHUP", None)]))


class TerminationHandler:
    """Our part of the process's signal handling.

    Args:
        flush: Delivers what is queued, bounded.
    """

    def __init__(self, flush: Callable[[], object]) -> None:
        self._flush = flush
        self._server: Any = None

    def install(self) -> None:
        """Take the signals that would kill the process. Only in the main thread.

        Safe to call at any time: a server may have reset or taken them since the last call, as the
        workers of gunicorn do after the fork.
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
        """Undo ``install``, unless somebody has taken a signal from us since."""
        server, self._server = self._server, None
        if server is not None:
            server.__dict__.pop("shutdown", None)
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            if getattr(signal.getsignal(number), "__self__", None) is self:
                signal.signal(number, signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._flush_guarded()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def _watch(self, server: Any) -> None:
        shutdown = server.shutdown

        async def shutdown_and_flush(*arguments: Any, **named: Any) -> None:
            try:
                await shutdown(*arguments, **named)
            finally:
                if self._server is server:
                    await aside(self._flush_guarded)

        server.shutdown = shutdown_and_flush
        self._server = server

    def _flush_guarded(self) -> None:
        try:
            self._flush()
        except Exception:  # noqa: BLE001 - the signal goes on
            internal_failure("the flush at the end of the process")


def _uvicorn_server(handler: Any) -> Any:
    """The server behind uvicorn's own handler; ``None`` behind any other, such as that of its supervisors."""
    server = getattr(handler, "__self__", None)
    ours = any(base.__module__ == "uvicorn.server" for base in type(server).__mro__)
    return server if ours and iscoroutinefunction(getattr(server, "shutdown", None)) else None
