"""Fixtures of every test: limited generation of examples, and reset of global state.

`HYPOTHESIS_EXAMPLES=20000` runs property tests with so many random examples.
"""

from __future__ import annotations

import functools
import logging
import os
import signal

import hypothesis
import pytest
from opentelemetry.instrumentation import dependencies
from opentelemetry.metrics import _internal as metrics_api
from starlette.background import BackgroundTask

from eco2_tracing.logs._servers import SERVER_LOGGERS

pytest_plugins = ["tests.support.parallel"]

# Contrib reads the version of a library each time that it instruments it; while tests run no version changes.
dependencies.version = functools.cache(dependencies.version)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores SIGINT, and so would the processes that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

campaign = os.environ.get("HYPOTHESIS_EXAMPLES")
hypothesis.settings.register_profile(
    "suite",
    deadline=None,  # a slow machine is not a failure
    max_examples=int(campaign or 60),
    derandomize=campaign is None,  # the same examples in every run
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck) if campaign else (),
)
hypothesis.settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _clean_state(clean_tracing):
    """Reset provider, propagator, instrumentations and once-only warnings."""


@pytest.fixture(autouse=True)
def _loggers_of_servers():
    """Restore the loggers that servers configure for the whole process."""
    loggers = [logging.getLogger(name) for name in SERVER_LOGGERS]
    states = [
        (logger.level, logger.propagate, logger.disabled, logger.handlers[:], logger.filters[:])
        for logger in loggers
    ]
    yield
    for logger, (level, logger.propagate, logger.disabled, handlers, filters) in zip(
        loggers, states, strict=True
    ):
        logger.setLevel(level)
        logger.handlers[:], logger.filters[:] = handlers, filters


@pytest.fixture(autouse=True)
def _no_former_meters():
    """Forget the meters that the API has given out; in each later provider it creates all of them anew."""
    yield
    metrics_api._PROXY_METER_PROVIDER._meters.clear()


@pytest.fixture(autouse=True)
def _no_contrib_background_tasks():
    """Restore `BackgroundTask.__call__`, which contrib's instrumentation of an application replaces for the process."""
    yield
    original = getattr(BackgroundTask, "_otel_original_call", None)
    if original is not None:
        BackgroundTask.__call__ = original
        del BackgroundTask._otel_original_call
