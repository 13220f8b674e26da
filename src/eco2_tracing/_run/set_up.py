"""Logging and library instrumentations of a process below `eco2-tracing run`, before its code runs."""

from __future__ import annotations

import logging
import os
import sys

import eco2_tracing
from eco2_tracing._guard import guarded

_RUN, _SERVICE = "_ECO2_TRACING_RUN", "_ECO2_TRACING_RUN_SERVICE"
_LIFECYCLE = "eco2_tracing._lifecycle.configure"
_done: set[str] = set()


def set_logging_up() -> None:
    """Call ``configure_logging`` once, unless the handlers of the root logger are configured already."""
    if os.environ.get(_RUN) != "logging" or "logging" in _done:
        return
    _done.add("logging")
    with guarded("setting logging up"):
        _ = eco2_tracing.logs  # imports the package without garbage collections
        from eco2_tracing.logs._configure import configure_unconfigured

        configure_unconfigured(os.environ.get(_SERVICE))


def set_reloader_up() -> bool:
    """Format the lines of the parent of a reloaded server; return False if that needs ``configure_logging``."""
    if os.environ.get(_RUN) != "logging":
        return False
    from eco2_tracing._run.reloader import ReloaderLines, writes_text

    is_reloader = writes_text(sys.argv)
    if is_reloader:
        ReloaderLines().install()
    return is_reloader


def set_libraries_up() -> None:
    """Instrument libraries, once. Spans are made when ``configure_tracing`` was called.

    Does nothing while the application imports this library, which imports FastAPI and is not complete then.
    """
    set_logging_up()
    if "libraries" not in _done and _is_complete():
        with guarded("instrumenting libraries"):
            _done.add("libraries")
            _ = eco2_tracing.configure_tracing  # imports the library without garbage collections
            from eco2_tracing._lifecycle.defaults import prepare_tracing

            prepare_tracing()


def set_all_up() -> None:
    """Configure tracing by default, in a process that makes spans before it has an application."""
    set_libraries_up()
    if _is_complete():
        with guarded("configuring tracing"):
            from eco2_tracing._lifecycle.defaults import configure_by_default

            configure_by_default(logging.DEBUG)


def _is_complete() -> bool:
    lifecycle = sys.modules.get(_LIFECYCLE)
    return lifecycle is None or hasattr(lifecycle, "reset_tracing")
