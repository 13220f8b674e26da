"""What every test gets: bounded generation of examples, and global state as it was."""

from __future__ import annotations

import hypothesis
import pytest

from eco2_tracing import _guard

hypothesis.settings.register_profile(
    "suite",
    deadline=None,  # a slow machine is not a failure
    max_examples=60,
    derandomize=True,  # the same examples in every run
    database=None,
)
hypothesis.settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _clean_state():
    """Report again what was reported once."""
    yield
    _guard.forget_warnings()
