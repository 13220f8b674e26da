"""What every test gets: bounded generation of examples, and global state as in a new process."""

from __future__ import annotations

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "suite",
    deadline=None,  # a slow machine is not a failure
    max_examples=60,
    derandomize=True,  # the same examples in every run
    database=None,
)
hypothesis.settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _clean_state(clean_tracing):
    """Undo what a test configured: provider, propagator, instrumentations, warnings given once."""
