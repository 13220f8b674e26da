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
def captured_spans(clean_tracing: None) -> CapturedSpans:  # noqa: ARG001 - it cleans up
    """The spans that would be exported, tracing being configured from the environment.

    Nothing leaves the process. Call ``configure_tracing`` before this fixture, as an app does
    that is imported first, or after it: the test's configuration stands.
    """
    from eco2_tracing import TracingSettings, configure_tracing
    from eco2_tracing.testing import CapturedSpans

    captured = CapturedSpans()
    configure_tracing(settings=TracingSettings(traces_exporter=("none",)), span_processors=(captured,))
    return captured


@pytest.fixture
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """An OTLP receiver that listens on free loopback ports until the test ends."""
    from eco2_tracing.testing import OtlpReceiver

    with OtlpReceiver() as receiver:
        yield receiver
