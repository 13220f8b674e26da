"""What the head samplers' tests share: a clock that is set by hand, and a fixed stream of trace ids."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.support.jaeger import jaeger

__all__ = ["Clock", "clock", "ids", "jaeger"]


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ids() -> Callable[[], int]:
    """Random trace ids, the same ones in every run."""
    stream = random.Random(20)
    return lambda: stream.getrandbits(128)
