"""pytest fixtures, registered by the entry point `pytest11`.

pytest imports this module in every run, so a fixture imports what it needs when it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from eco2_tracing.testing import CapturedSpans, OtlpReceiver


@pytest.fixture
def clean_tracing() -> Iterator[None]:
    """Reset global tracing state before and after the test."""
    from eco2_tracing.testing._state import clean_state

    with clean_state():
        yield


@pytest.fixture
def captured_spans() -> Iterator[CapturedSpans]:
    """The spans that would be exported; no span leaves the process.

    The settings are those of the environment, except for the exporter. The fixture replaces the
    configuration that an application made at import. A later call of `configure_tracing` changes nothing.
    """
    from eco2_tracing import TracingSettings, configure_tracing
    from eco2_tracing.testing import CapturedSpans
    from eco2_tracing.testing._state import clean_state

    captured = CapturedSpans()
    with clean_state():
        configure_tracing(settings=TracingSettings(traces_exporter=("none",)), span_processors=(captured,))
        yield captured


@pytest.fixture
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """An OTLP receiver that listens on free loopback ports during the test."""
    from eco2_tracing.testing import OtlpReceiver

    with OtlpReceiver() as receiver:
        yield receiver
