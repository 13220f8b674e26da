"""pytest fixtures, registered by the entry point `pytest11`.

pytest imports this module in every run, so a fixture imports what it needs when it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from eco2_tracing.testing import CapturedSpans, OtlpReceiver


@contextmanager
def clean_state() -> Iterator[None]:
    """Run a block without global tracing state, then reset what the block configured.

    Tracing that eco2-tracing configured before the block is reset for good. A global provider or
    propagator of another package is restored.
    """
    from opentelemetry import propagate

    from eco2_tracing._compat.api import forget_global_provider
    from eco2_tracing._lifecycle.configure import reset_tracing
    from eco2_tracing._lifecycle.defaults import service_of_tests

    service_of_tests.remember()
    reset_tracing()
    textmap = propagate.get_global_textmap()
    restore_provider = forget_global_provider()
    try:
        yield
    finally:
        reset_tracing()
        restore_provider()
        propagate.set_global_textmap(textmap)


@pytest.fixture
def clean_tracing() -> Iterator[None]:
    """Reset global tracing state before and after the test."""
    with clean_state():
        yield


@pytest.fixture
def captured_spans() -> Iterator[CapturedSpans]:
    """The spans that would be exported; no span leaves the process.

    The settings are those of the environment, except for the exporter. The fixture replaces the
    configuration that an application made at import, and that of a later call of `configure_tracing`.
    The spans carry what the application's call says about its service: name, version, environment
    and resource attributes.
    """
    from eco2_tracing._lifecycle.defaults import service_of_tests
    from eco2_tracing.testing import CapturedSpans

    captured = CapturedSpans()
    with clean_state():
        service_of_tests.configure(captured)
        yield captured


@pytest.fixture
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """An OTLP receiver that listens on free loopback ports during the test."""
    from eco2_tracing.testing import OtlpReceiver

    with OtlpReceiver() as receiver:
        yield receiver
