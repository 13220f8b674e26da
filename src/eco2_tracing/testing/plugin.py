"""pytest fixtures; pytest finds them by itself where eco2-tracing is installed.

pytest imports this module in every run, so what a fixture needs is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from eco2_tracing.testing import CapturedSpans, OtlpReceiver


@pytest.fixture
def clean_tracing() -> Iterator[None]:
    """Global tracing state as in a new process, during the test and after it."""
    from eco2_tracing.testing._state import clean_state

    with clean_state():
        yield


@pytest.fixture
def captured_spans() -> Iterator[CapturedSpans]:
    """The spans that would be exported; but for the exporter the environment counts.

    Nothing leaves the process. An app that configured tracing when it was imported is captured
    too, and one that does so during the test changes nothing.
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
    """An OTLP receiver that listens on free loopback ports until the test ends."""
    from eco2_tracing.testing import OtlpReceiver

    with OtlpReceiver() as receiver:
        yield receiver
