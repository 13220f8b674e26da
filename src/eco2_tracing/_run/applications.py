"""Instruments every FastAPI application of the process when it is served first.

Until then its own code may call ``configure_tracing`` and ``instrument_app``, whose arguments count.
"""

from __future__ import annotations

import logging
import os
from functools import wraps
from typing import TYPE_CHECKING

from eco2_tracing._guard import guarded
from eco2_tracing._run.set_up import set_libraries_up

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp

_APP = "_ECO2_TRACING_RUN_APP"
"""The variable with the id of the process that has an application."""

_ANNOUNCED = "_ECO2_TRACING_RUN_ANNOUNCED"


def watch(kind: type[FastAPI]) -> None:
    """Instrument the applications that are made from now on, those of subclasses included."""
    init = kind.__init__

    @wraps(init)
    def __init__(self: FastAPI, *args: object, **kwargs: object) -> None:  # noqa: N807 - it replaces `__init__`
        init(self, *args, **kwargs)  # type: ignore[arg-type]  # as they were given
        with guarded("an application below eco2-tracing run"):
            _defer(self)

    kind.__init__ = __init__  # type: ignore[method-assign]  # modules that imported the class before keep the same one


def _defer(app: FastAPI) -> None:
    """Instrument an application when it builds its middleware: at its lifespan or first request."""
    from eco2_tracing._instrumentation.fastapi import disable_native_telemetry  # imports FastAPI

    set_libraries_up()
    os.environ[_APP] = str(os.getpid())
    disable_native_telemetry(app)
    build = app.build_middleware_stack
    is_waiting = True

    def build_middleware_stack() -> ASGIApp:
        nonlocal is_waiting
        if is_waiting:
            is_waiting = False
            before = app.build_middleware_stack
            _instrument(app)
            if app.build_middleware_stack is not before:
                return app.build_middleware_stack()
        return build()

    app.build_middleware_stack = build_middleware_stack  # type: ignore[method-assign]


def _instrument(app: FastAPI) -> None:
    from eco2_tracing._lifecycle.configure import instrument_app  # as above
    from eco2_tracing._lifecycle.defaults import configure_by_default

    # On a terminal the command itself has written the start-up line.
    configure_by_default(logging.DEBUG if _ANNOUNCED in os.environ else logging.INFO)
    instrument_app(app)
