"""What every test gets: bounded generation of examples, and global state as in a new process.

``HYPOTHESIS_EXAMPLES=20000`` makes a campaign of the generating tests: so many examples, other ones in each run.
"""

from __future__ import annotations

import os
import signal

import hypothesis
import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Begun in the background of a shell: processes that a test starts would not hear Ctrl-C either.
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
    """Undo what a test configured: provider, propagator, instrumentations, warnings given once."""
