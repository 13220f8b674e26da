"""Preparations for uWSGI, gevent and eventlet."""

from __future__ import annotations

import sys
from importlib import import_module

from eco2_tracing._guard import warn_once

_LAZY_IMPORTS = (
    "eco2_tracing._export.transport.http2",
    "email.utils",
    "encodings.idna",
    "http.client",
    "opentelemetry.instrumentation.utils",
    "urllib.request",
)


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
