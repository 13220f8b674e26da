"""What the program around Python needs: uWSGI, gevent, eventlet."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from eco2_tracing._guard import warn_once

_IMPORTED_LATE = (
    "eco2_tracing._export.transport.http2",
    "email.utils",
    "encodings.idna",
    "http.client",
    "opentelemetry.instrumentation.utils",
    "urllib.request",
)


def prepare_host() -> None:
    """Import at start what the export thread imports later otherwise, and warn where no thread can run.

    uWSGI forks in C, which waits for no import: a module that a thread is importing at the fork can never be imported
    in the child. Under gevent and eventlet the locks of imports are not for threads.
    """
    if {"uwsgi", "gevent", "eventlet"}.isdisjoint(sys.modules):
        return
    for name in _IMPORTED_LATE:
        import_module(name)
    uwsgi: Any = sys.modules.get("uwsgi")
    if not getattr(uwsgi, "has_threads", True):
        warn_once(
            "uwsgi:threads",
            "uWSGI runs without threads: spans are sent only while requests run and when a worker ends; "
            "set enable-threads = true",
        )
